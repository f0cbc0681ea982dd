"""Each trade once and in order, or named as missed: a tape beside a model of the server."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbook_client import ConnectError, Refused, Trades, TradesMissed, TradeView
from fastbook_client.missed_trades import fetch_missed
from fastbook_client.patience import BEHIND_PATIENCE
from fastbook_client.tape import Gap, Tape
from fastbook_wire.answers import TradesAnswer

OPENING = 3
"""Trades in an opening frame of the model."""
HELD_MAX = 1_000


class ModelServer:
    """A server's trades: published, the first ``stored`` of them committed, lost by a crash."""

    def __init__(self, before: int) -> None:
        self.history: list[TradeView] = []
        self.stored = 0
        self.time = 1
        self.made = 0
        self.commits_held = False
        self.failures: list[int] = []  # statuses of the next requests; 0: no answer
        for _ in range(before):
            self.trade()
        self.stored = before

    def trade(self, idle: int = 1) -> TradeView:
        """Publish a trade, `idle` commands after the one before."""
        seq = idle + (self.history[-1].seq if self.history else 0)
        self.made += 1
        trade = TradeView(f"id-{self.made}", seq, "user#x", "A", "bid", self.time, 1.0, 1.0, 1.0)
        self.history.append(trade)
        return trade

    def frame(self, start: int, end: int) -> Trades:
        """Return the live frame of trades [start, end) of the history."""
        found = tuple(self.history[start:end])
        prev_seq = self.history[start - 1].seq if start else None
        return Trades(security="A", seq=found[-1].seq, prev_seq=prev_seq, trades=found)

    def opening(self, end: int) -> Trades:
        """Return the opening frame that was built when the history had `end` trades."""
        found = tuple(self.history[max(0, end - OPENING) : end])
        return Trades(security="A", seq=self.history[end - 1].seq if end else 0, prev_seq=None,
                      trades=found)  # fmt: skip

    def commit(self) -> None:
        if not self.commits_held:
            self.stored = len(self.history)

    def crash(self) -> None:
        """Lose what is not committed; time goes on."""
        del self.history[self.stored :]
        self.time += 1

    async def trades_page(self, security: str | None, before: int, limit: int) -> TradesAnswer:
        """Answer ``/api/trades``."""
        await asyncio.sleep(0)
        if self.failures:
            status = self.failures.pop()
            raise Refused(status, "no") if status else ConnectError("cut")
        found = [trade for trade in self.history[: self.stored] if trade.seq < before]
        page = found[-min(limit, 2) :]  # short pages, so that a gap needs several
        return TradesAnswer(security="A", trades=tuple(page), more=len(found) > len(page))


class ModelClient:
    """A tape on a connection to the model; ``told`` is what it has emitted."""

    def __init__(self, server: ModelServer, held_max: int = HELD_MAX) -> None:
        self.server = server
        self.told: list[Trades | TradesMissed] = []
        self.tape = Tape("A", self.told.append, self._fetch, held_max)
        self.sent: int | None = None  # trades of the history that the connection has brought
        self.is_first = True
        self.from_start: set[str] = set()  # the trades that must all be told
        self.tasks: list[asyncio.Task[None]] = []
        self.sleeps: list[float] = []

    def _fetch(self, gap: Gap) -> Any:
        self.tasks.append(asyncio.create_task(self._fill(gap)))
        return self.tasks[-1].cancel

    async def _fill(self, gap: Gap) -> None:
        self.tape.filled(await fetch_missed(self.server, "A", gap, self._sleep))  # type: ignore[arg-type]

    async def _sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        await asyncio.sleep(0)
        self.server.commit()

    def join(self, age: int = 0) -> None:
        """Connect; the opening frame was built `age` trades ago, and the rest follows it."""
        self.cut()
        end = max(0, len(self.server.history) - age)
        if self.is_first:
            self.is_first = False
            start = max(0, end - OPENING)
            self.from_start = {trade.id for trade in self.server.history[start:]}
            self.from_start |= {f"id-{self.server.made + n}" for n in range(1, 1_000)}
        self.tape.handle(self.server.opening(end))
        self.sent = end
        self.deliver()

    def deliver(self, *, skip: bool = False) -> None:
        """Bring the new trades in one frame, or lose that frame."""
        if self.sent is not None and self.sent < len(self.server.history):
            frame = self.server.frame(self.sent, len(self.server.history))
            self.sent = len(self.server.history)
            if not skip:
                self.tape.handle(frame)

    def cut(self) -> None:
        self.tape.reopen()
        self.sent = None

    async def settle(self) -> None:
        """Let every fetch come to its end."""
        while any(not task.done() for task in self.tasks):
            await asyncio.wait(self.tasks)
        for task in self.tasks:
            assert task.cancelled() or task.exception() is None

    def check(self) -> None:
        """Every trade of the final history was told once, in order, or is in a hole named."""
        final = [t for t in self.server.history if t.id in self.from_start]
        ids = [t.id for event in self.told if isinstance(event, Trades) for t in event.trades]
        assert len(set(ids)) == len(ids)
        position = {trade.id: n for n, trade in enumerate(self.server.history)}
        places = [position[id_] for id_ in ids if id_ in position]
        assert places == sorted(places)
        last: TradeView | None = None
        hole: TradesMissed | None = None
        holes: list[tuple[int, int]] = []
        for event in self.told:
            if isinstance(event, TradesMissed):
                assert event.after_seq == (None if last is None else last.seq)
                hole = event
                if event.before_seq is None:
                    last = None
                continue
            if event is not self.told[0]:
                assert event.prev_seq == (None if last is None else last.seq)
            if hole is not None and hole.before_seq is not None:
                assert event.trades[0].seq == hole.before_seq
                holes.append((hole.after_seq or 0, hole.before_seq))
            hole = None
            last = event.trades[-1] if event.trades else last
        assert hole is None
        missing = [t for t in final if t.id not in ids]
        for trade in missing:
            assert any(after < trade.seq < before for after, before in holes)
        for after, before in holes:
            assert not [t for t in self.server.history if after < t.seq < before and t.id in ids]


STEPS = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 4)),
    st.tuples(st.just("join"), st.integers(0, 4)),
    st.sampled_from([("deliver", 0), ("skip", 0), ("cut", 0), ("commit", 0), ("turn", 0)]),
    st.tuples(st.just("fail"), st.sampled_from([0, 503, 429])),
    st.tuples(st.just("hold"), st.booleans()),
)
CRASHES = st.one_of(STEPS, st.just(("crash", 0)))


async def play(client: ModelClient, steps: list[Any]) -> None:
    server = client.server
    client.join()
    for what, number in steps:
        match what:
            case "trade":
                for idle in range(number):
                    server.trade(1 + idle)
                client.deliver()
            case "join":
                client.join(number)
            case "skip":
                server.trade()
                client.deliver(skip=True)
            case "cut":
                client.cut()
            case "commit":
                server.commit()
            case "fail":
                server.failures.append(number)
            case "hold":
                server.commits_held = number
            case "crash":
                client.cut()
                server.crash()
            case "turn":
                await asyncio.sleep(0)
    server.commits_held = False
    server.commit()
    server.trade()
    server.commit()
    if client.sent is None:
        client.join()
    client.deliver()
    await client.settle()
    server.trade()  # shows what a last frame that got lost has left
    server.commit()
    client.deliver()
    await client.settle()
    client.check()


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 5), st.lists(CRASHES, max_size=40))
def test_each_trade_once_and_in_order_or_another_history(before: int, steps: list[Any]) -> None:
    async def run() -> None:
        client = ModelClient(ModelServer(before))
        await play(client, steps)
        holes = [e for e in client.told if isinstance(e, TradesMissed) and e.before_seq is not None]
        assert holes == []

    asyncio.run(run())


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 5), st.integers(1, 3), st.lists(STEPS, max_size=40))
def test_who_cannot_wait_is_told_exactly_what_is_missing(
    before: int, held_max: int, steps: list[Any]
) -> None:
    asyncio.run(play(ModelClient(ModelServer(before), held_max), steps))


@pytest.mark.parametrize("seed", range(5))
async def test_a_long_session(seed: int) -> None:
    chance = random.Random(seed)
    kinds = ("trade", "trade", "trade", "join", "skip", "cut", "commit", "fail", "turn", "turn")
    steps: list[Any] = [(chance.choice(kinds), chance.randint(1, 3)) for _ in range(150)]
    steps = [(what, 503 if what == "fail" else number) for what, number in steps]
    await play(ModelClient(ModelServer(2)), steps)


async def test_another_history_with_the_same_numbers_is_noticed_though_a_frame_gets_lost() -> None:
    steps = [("trade", 1), ("crash", 0), ("join", 0), ("skip", 0)]
    for before in range(3):
        await play(ModelClient(ModelServer(before)), steps)


# ---- single cases -------------------------------------------------------------------------------


def seqs(told: list[Trades | TradesMissed]) -> list[list[int] | tuple[int | None, int | None]]:
    return [
        (e.after_seq, e.before_seq) if isinstance(e, TradesMissed) else [t.seq for t in e.trades]
        for e in told
    ]


async def test_trades_that_are_not_committed_yet_are_waited_for() -> None:
    """Commits are held, and more trades were missed than an opening frame has."""
    server = ModelServer(2)
    client = ModelClient(server)
    client.join()
    client.cut()
    for _ in range(8):
        server.trade()
    client.join()
    await client.settle()
    assert seqs(client.told) == [[1, 2], [3, 4, 5, 6, 7], [8, 9, 10]]
    assert len(client.sleeps) == 1


async def test_a_history_that_stays_behind_is_used_and_its_hole_named() -> None:
    server = ModelServer(2)
    client = ModelClient(server)
    client.join()
    client.cut()
    for _ in range(8):
        server.trade()
    server.stored, server.commits_held = 5, True
    client.join()
    await client.settle()
    assert seqs(client.told) == [[1, 2], [3, 4, 5], (5, 8), [8, 9, 10]]
    assert len(client.sleeps) == BEHIND_PATIENCE.attempts_max


async def test_a_first_trade_ever_after_known_trades_is_another_history() -> None:
    server = ModelServer(2)
    client = ModelClient(server)
    client.join()
    server.history.clear()
    server.time += 1
    client.join()
    for _ in range(3):
        server.trade(2)
        client.deliver()
    assert seqs(client.told) == [[1, 2], (2, None), [2], [4], [6]]


async def test_a_trade_with_the_same_number_and_another_id_is_another_history() -> None:
    server = ModelServer(3)
    client = ModelClient(server)
    client.join()
    del server.history[2:]
    server.trade()  # seq 3 again, at the same time
    client.join()
    assert seqs(client.told) == [[1, 2, 3], (3, None), [3]]


async def test_a_live_frame_that_goes_on_from_before_the_last_trade_is_another_history() -> None:
    server = ModelServer(3)
    client = ModelClient(server)
    client.join()
    del server.history[2:]
    server.trade(5)
    client.tape.handle(server.frame(2, 3))
    await client.settle()
    assert seqs(client.told) == [[1, 2, 3], (3, None), [7]]


@pytest.mark.parametrize("first", ["opening", "live"])
async def test_trades_of_a_market_that_was_empty_are_all_told(first: str) -> None:
    server = ModelServer(0)
    client = ModelClient(server)
    client.join()
    client.cut()
    for _ in range(6):
        server.trade()
    if first == "opening":
        client.join()
    else:
        client.tape.handle(server.frame(5, 6))
    await client.settle()
    assert [t for event in seqs(client.told) for t in event] == [1, 2, 3, 4, 5, 6]
