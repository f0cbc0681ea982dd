"""Each public fill once and in order, or named as missed: a tape beside a model of the server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_servers import Line, small_server
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastbook_client import (
    Backoff,
    ConnectError,
    Fills,
    FillsMissed,
    FillView,
    Market,
    Refused,
    connect,
)
from fastbook_client import missed_fills as module
from fastbook_client.fill_tape import FillGap, FillTape
from fastbook_client.missed_fills import fetch_missed_fills
from fastbook_client.patience import BEHIND_PATIENCE
from fastbook_wire.answers import FillsAnswer

OPENING = 3
"""Fills in an opening frame of the model."""
HELD_MAX = 1_000


class ModelServer:
    """A server's fills: published, the first ``stored`` of them committed, lost by a crash."""

    def __init__(self, before: int = 0) -> None:
        self.history: list[FillView] = []
        self.stored = 0
        self.dropped = 0  # of the oldest fills
        self.time = 1
        self.commits_held = False
        self.failures: list[int] = []  # statuses of the next requests; 0: no answer
        for _ in range(before):
            self.fill()
        self.commit()

    def fill(self) -> None:
        self.history.append(
            FillView(fill_id=len(self.history) + 1, seq=len(self.history) + 1, time=self.time,
                     type="bid", price=1.0, amount=1.0)
        )  # fmt: skip

    def commit(self) -> None:
        if not self.commits_held:
            self.stored = len(self.history)

    def crash(self) -> None:
        """Lose what is not committed; time goes on."""
        del self.history[self.stored :]
        self.time += 1

    async def fills_page(
        self, security: str | None, *, since: int, before: int, limit: int
    ) -> FillsAnswer:
        """Answer ``/api/fills``."""
        await asyncio.sleep(0)
        if self.failures:
            status = self.failures.pop()
            raise Refused(status, "no") if status else ConnectError("cut")
        kept = self.history[self.dropped : self.stored]
        found = [fill for fill in kept if since < fill.fill_id < before]
        page = found[: min(limit, 2)]  # short pages, so that a gap needs several
        return FillsAnswer(security="A", fills=tuple(page), more=len(found) > len(page))


class ModelClient:
    """A tape on a connection to the model; ``told`` is what it has emitted."""

    def __init__(self, server: ModelServer, held_max: int = HELD_MAX) -> None:
        self.server = server
        self.told: list[Fills | FillsMissed] = []
        self.tape = FillTape("A", self.told.append, self._fetch, held_max)
        self.sent: int | None = None  # fills of the history that the connection has brought
        self.first_id: int | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.sleeps: list[float] = []

    def _fetch(self, gap: FillGap) -> Any:
        self.tasks.append(asyncio.create_task(self._fill(gap)))
        return self.tasks[-1].cancel

    async def _fill(self, gap: FillGap) -> None:
        self.tape.filled(await fetch_missed_fills(self.server, "A", gap, self._sleep))  # type: ignore[arg-type]

    async def _sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        await asyncio.sleep(0)
        self.server.commit()

    def join(self) -> None:
        """Connect; the last fills come first."""
        self.cut()
        opening = tuple(self.server.history[-OPENING:])
        if self.first_id is None:
            self.first_id = opening[0].fill_id if opening else 1
        self.tape.handle(Fills(security="A", fills=opening))
        self.sent = len(self.server.history)

    def deliver(self, *, skip: bool = False) -> None:
        """Bring the new fills in one frame, or lose that frame."""
        if self.sent is not None and self.sent < len(self.server.history):
            frame = Fills(security="A", fills=tuple(self.server.history[self.sent :]))
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
        """Every fill of the final history was told once, in order, or is in a named hole."""
        told: list[FillView] = []
        holes: list[tuple[int, int]] = []
        after_hole: int | None = None
        for event in self.told:
            if isinstance(event, FillsMissed):
                assert event.after_id == (told[-1].fill_id if told else 0)
                after_hole = event.before_id
                if event.before_id is None:  # another history: all that was told before is void
                    told.clear()
                else:
                    holes.append((event.after_id, event.before_id))
                continue
            for fill in event.fills:
                expected = told[-1].fill_id + 1 if told else fill.fill_id
                assert fill.fill_id == (after_hole or expected)
                after_hole = None
                told.append(fill)
        assert told == [f for f in self.server.history if f in told]
        last = told[0].fill_id if any(self._is_other(e) for e in self.told) else self.first_id
        missing = [f.fill_id for f in self.server.history if f not in told]
        for fill_id in missing:
            assert fill_id < (last or 1) or any(a < fill_id < b for a, b in holes)

    @staticmethod
    def _is_other(event: Fills | FillsMissed) -> bool:
        return isinstance(event, FillsMissed) and event.before_id is None


STEPS = st.one_of(
    st.tuples(st.just("fill"), st.integers(1, 4)),
    st.sampled_from(
        [("join", 0), ("deliver", 0), ("skip", 0), ("cut", 0), ("commit", 0), ("turn", 0)]
    ),
    st.tuples(st.just("fail"), st.sampled_from([0, 503, 429])),
    st.tuples(st.just("hold"), st.booleans()),
)
CRASHES = st.one_of(STEPS, st.just(("crash", 0)))


async def play(client: ModelClient, steps: list[Any]) -> None:
    server = client.server
    client.join()
    for what, number in steps:
        match what:
            case "fill":
                for _ in range(number):
                    server.fill()
                client.deliver()
            case "join":
                client.join()
            case "skip":
                server.fill()
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
    if client.sent is None:
        client.join()
    for _ in range(2):  # the second shows what a last frame that got lost has left
        server.fill()
        server.commit()
        client.deliver()
        await client.settle()
    client.check()


@settings(deadline=None, max_examples=300)
@example(0, [("fill", 1), ("crash", 0), ("fill", 1), ("fill", 3)])  # the same ids again
@given(st.integers(0, 5), st.lists(CRASHES, max_size=40))
def test_each_fill_once_and_in_order_or_another_history(before: int, steps: list[Any]) -> None:
    async def run() -> None:
        client = ModelClient(ModelServer(before))
        await play(client, steps)
        assert not [e for e in client.told if isinstance(e, FillsMissed) and e.before_id]

    asyncio.run(run())


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 5), st.integers(1, 3), st.lists(STEPS, max_size=40))
def test_who_cannot_wait_is_told_exactly_what_is_missing(
    before: int, held_max: int, steps: list[Any]
) -> None:
    asyncio.run(play(ModelClient(ModelServer(before), held_max), steps))


# ---- single cases -------------------------------------------------------------------------------


def ids(told: list[Fills | FillsMissed]) -> list[list[int] | tuple[int, int | None]]:
    return [
        (e.after_id, e.before_id) if isinstance(e, FillsMissed) else [f.fill_id for f in e.fills]
        for e in told
    ]


async def away(client: ModelClient, fills: int) -> None:
    """Miss so many fills."""
    client.cut()
    for _ in range(fills):
        client.server.fill()


async def test_fills_that_are_not_committed_yet_are_waited_for() -> None:
    client = ModelClient(ModelServer(2))
    client.join()
    await away(client, 8)
    client.join()
    await client.settle()
    assert ids(client.told) == [[1, 2], [3, 4, 5, 6, 7], [8, 9, 10]]
    assert len(client.sleeps) == 1


async def test_a_history_that_stays_behind_is_used_and_its_hole_named() -> None:
    client = ModelClient(ModelServer(2))
    client.join()
    await away(client, 8)
    client.server.stored, client.server.commits_held = 5, True
    client.join()
    await client.settle()
    assert ids(client.told) == [[1, 2], [3, 4, 5], (5, 8), [8, 9, 10]]
    assert isinstance(client.told[2], FillsMissed)
    assert client.told[2].reason == "the server's history still lacks fill 7"
    assert len(client.sleeps) == BEHIND_PATIENCE.attempts_max


@pytest.mark.parametrize("how", ["dropped", "refused", "too many"])
async def test_the_oldest_fills_that_cannot_be_had_are_named(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ModelClient(ModelServer(2))
    client.join()
    await away(client, 8)
    client.server.commit()
    if how == "dropped":
        client.server.dropped = 5
    elif how == "refused":
        client.server.failures = [404]
    else:
        monkeypatch.setattr(module, "GAP_FILLS_MAX", 2)
    client.join()
    await client.settle()
    found = [] if how == "refused" else [[6, 7]]
    assert ids(client.told) == [[1, 2], (2, 8 if how == "refused" else 6), *found, [8, 9, 10]]


async def test_a_history_that_has_lost_its_newest_fills_is_another_one() -> None:
    client = ModelClient(ModelServer(5))
    client.join()
    client.server.stored = 4
    client.server.crash()
    client.join()
    client.server.fill()
    client.deliver()
    assert ids(client.told) == [[3, 4, 5], (5, None), [2, 3, 4], [5]]


async def test_another_history_shows_in_the_gap() -> None:
    client = ModelClient(ModelServer(5))
    client.join()
    client.server.stored = 4
    client.server.crash()
    await away(client, 6)
    client.server.commit()
    client.join()
    await client.settle()
    assert ids(client.told) == [[3, 4, 5], (5, None), [5, 6, 7], [8, 9, 10]]


async def test_two_gaps_that_open_at_once_are_filled_one_after_the_other() -> None:
    client = ModelClient(ModelServer(1))
    client.join()
    for skip in (True, False, True, False, False):
        client.server.fill()
        client.server.commit()
        client.deliver(skip=skip)
    await client.settle()
    assert ids(client.told) == [[1], [2], [3], [4], [5], [6]]


async def test_what_comes_twice_is_told_once() -> None:
    client = ModelClient(ModelServer(2))
    client.join()
    client.tape.handle(Fills(security="A", fills=tuple(client.server.history)))
    assert ids(client.told) == [[1, 2]]


# ---- on the real server -------------------------------------------------------------------------


async def read_ids(market: Market, last: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < last:
        event = await market.next(timeout_s=20)
        assert not isinstance(event, FillsMissed)
        if isinstance(event, Fills):
            found += [fill.fill_id for fill in event.fills]
    return found


async def test_the_fills_of_a_market_have_no_gap_over_cuts() -> None:
    async with small_server(last_trades=5, throttle_ms=0) as url:
        line = Line(url)
        async with (
            line.open() as through,
            connect(
                through, feed=False, channels=["fills"], reconnect=Backoff(0.005, 0.01)
            ) as market,
            connect(url, feed=False, queue_max=0) as other,
        ):
            for number in range(1, 301):
                await other.limit("ask", 100, 1)
                await other.limit("bid", 100, 1)
                if number % 40 == 0:
                    line.cut()
            assert await read_ids(market, 300) == list(range(1, 301))
            assert [f.fill_id async for f in market.fills_history(since=290)] == [*range(291, 301)]
            newest = [f.fill_id async for f in market.fills_history(before=11)]
            assert newest == list(range(10, 0, -1))
            first = (await market.api.fills_page()).fills[0]
            timed = [f async for f in market.fills_history(start=first.time, end=first.time + 1)]
            assert timed[0] == first


async def test_a_subscription_that_starts_again_does_not_repeat() -> None:
    async with (
        small_server(throttle_ms=0) as url,
        connect(url, feed=False, channels=["fills"]) as market,
    ):
        for number in range(1, 5):
            await market.limit("ask", 100, 1)
            await market.limit("bid", 100, 1)
            if number == 3:
                await market.subscribe("fills")
        assert await read_ids(market, 4) == [1, 2, 3, 4]
        await market.unsubscribe("fills")
        await market.subscribe("fills")
        assert await read_ids(market, 4) == [1, 2, 3, 4]


async def test_more_fills_than_a_page_has() -> None:
    async with small_server(throttle_ms=0) as url, connect(url, feed=False) as market:
        await market.limit("ask", 100, 1_200)
        await asyncio.gather(*(market.market("bid", 1) for _ in range(1_200)))
        assert [f.fill_id async for f in market.fills_history(since=0)] == [*range(1, 1_201)]
        assert [f.fill_id async for f in market.fills_history()] == [*range(1_200, 0, -1)]
