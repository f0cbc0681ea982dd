"""The queue of unread events: what is merged, what is not, and in which order it is delivered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbook_client import (
    AggOrderBook,
    BookReset,
    Candles,
    CandleView,
    Depth,
    Disconnected,
    Event,
    FillsMissed,
    OrderFrame,
    Resynced,
    Ticker,
    TooSlow,
    Trades,
    TradesMissed,
)
from fastbook_client.mailbox import Mailbox
from fastbook_wire.frames import BookRows, LevelChange, LevelView, Subscribed

SECURITIES = ("A", "B")
CUT, BACK = Disconnected("cut", 0.1), Resynced("user#me", True, ())


def depth(security: str, seq: int, prev_seq: int | None, ask: dict[int, int]) -> Depth:
    levels = tuple(LevelChange(float(p), float(a)) for p, a in sorted(ask.items()))
    return Depth(security=security, seq=seq, prev_seq=prev_seq, time=seq, ask=levels, bid=())


def book(security: str, seq: int) -> AggOrderBook:
    rows = BookRows((LevelView(1.0, float(seq), float(seq)),), ())
    return AggOrderBook(security=security, seq=seq, time=seq, agg_order_book=rows)


def ticker(security: str, seq: int) -> Ticker:
    nothing = dict.fromkeys(("open", "high", "low", "last", "change", "best_bid", "best_ask"))
    return Ticker(security=security, seq=seq, time=seq, volume=0.0, **nothing)  # type: ignore[arg-type]


def candles(security: str, time: int, trades: int) -> Candles:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    view = CandleView(time=time, trades=trades, final=False, **prices)  # type: ignore[arg-type]
    return Candles(security=security, interval="1m", candles=(view,))


def trades(security: str, seq: int) -> Trades:
    return Trades(security=security, seq=seq, prev_seq=seq - 1, trades=())


async def unread(mailbox: Mailbox) -> list[Event]:
    return [await mailbox.get() for _ in range(len(mailbox))]


# ---- barriers -----------------------------------------------------------------------------------


async def test_nothing_is_merged_over_a_reset_or_a_new_connection() -> None:
    mailbox = Mailbox(100)
    put = [
        depth("A", 1, None, {10: 1}),
        BookReset("A", "wrong"),
        depth("A", 3, None, {11: 1}),
        CUT,
        BACK,
        depth("A", 2, None, {12: 1}),
    ]
    for event in put:
        mailbox.put(event)
    assert await unread(mailbox) == put


@pytest.mark.parametrize(
    ("barrier", "ended"),
    [
        (CUT, {"book", "ticker", "candles", "depth"}),
        (BACK, {"book", "ticker", "candles", "depth"}),
        (TradesMissed("A", 1, None, ""), {"book", "ticker", "candles", "depth"}),
        (TradesMissed("B", 1, None, ""), set()),
        (FillsMissed("A", 1, None, ""), {"book", "ticker", "candles", "depth"}),
        (BookReset("A", ""), {"depth"}),
        (BookReset("B", ""), set()),
        (Subscribed(channel="candles:1m", security="A"), {"candles"}),
        (Subscribed(channel="ticker", security="B"), set()),
        (trades("A", 1), set()),
    ],
)
async def test_which_barrier_ends_which_merging(barrier: Event, ended: set[str]) -> None:
    made: dict[str, Callable[[int], Event]] = {
        "book": lambda seq: book("A", seq),
        "ticker": lambda seq: ticker("A", seq),
        "candles": lambda seq: candles("A", 60_000, seq),
        "depth": lambda seq: depth("A", seq, None, {10: seq}),
    }
    for kind, make in made.items():
        mailbox = Mailbox(100)
        for event in (make(1), barrier, make(2)):
            mailbox.put(event)
        expected = [make(1), barrier, make(2)] if kind in ended else [make(2), barrier]
        assert await unread(mailbox) == expected


async def test_what_is_no_longer_merged_counts_like_any_other_event() -> None:
    mailbox = Mailbox(4)
    for event in (ticker("A", 1), CUT, ticker("A", 2), BACK, ticker("A", 3)):
        mailbox.put(event)
    with pytest.raises(TooSlow):
        mailbox.put(CUT)
    assert len(await unread(mailbox)) == 5
    for seq in range(4):
        mailbox.put(trades("A", seq))


class Public:
    """What a reader of all events knows: the state of every channel, as of its last event."""

    def __init__(self) -> None:
        self.depth: dict[str, tuple[int, dict[float, float]] | None] = dict.fromkeys(SECURITIES)
        self.seqs: dict[tuple[str, str], int] = {}
        self.candles: dict[tuple[str, int], int] = {}

    def take(self, event: Event) -> None:
        match event:
            case Depth(security=security, prev_seq=None):
                self.depth[security] = (event.seq, {c.price: c.amount for c in event.ask})
            case Depth(security=security):
                known = self.depth[security]
                assert known is not None, "a change of a book that is not known"
                assert event.prev_seq == known[0]
                levels = known[1] | {c.price: c.amount for c in event.ask}
                self.depth[security] = (event.seq, {p: a for p, a in levels.items() if a})
            case AggOrderBook() | Ticker():
                self.seqs[type(event).__name__, event.security] = event.seq
            case Candles():
                self.candles |= {(event.security, c.time): c.trades for c in event.candles}
            case BookReset(security=security):
                self.depth[security] = None
            case Disconnected():
                self.depth = dict.fromkeys(SECURITIES)

    def closed_by(self, barrier: Event) -> object:
        """Return the part of the state that nothing after `barrier` may have changed."""
        match barrier:
            case Disconnected() | Resynced():
                return self.depth, self.seqs, self.candles
            case BookReset(security=security):
                return self.depth[security]
            case TradesMissed(security=security):
                candles = {k: v for k, v in self.candles.items() if k[0] == security}
                return (
                    self.depth[security],
                    {k: v for k, v in self.seqs.items() if k[1] == security},
                    candles,
                )
        return None

    def copy(self) -> Public:
        other = Public()
        other.depth, other.seqs, other.candles = dict(self.depth), dict(self.seqs), {}
        other.candles |= self.candles
        return other


def event_of(kind: str, security: str, seq: int, price: int, known: Public) -> Event | None:
    """Return an event such as the client may put next; None if it would not."""
    synced = known.depth[security]
    changed = {price: seq % 3}
    made: dict[str, Callable[[], Event]] = {
        "whole": lambda: depth(security, seq, None, {price: 1 + seq % 3}),
        "change": lambda: depth(security, seq, synced[0] if synced else None, changed),
        "book": lambda: book(security, seq),
        "ticker": lambda: ticker(security, seq),
        "candles": lambda: candles(security, price * 60_000, seq),
        "trades": lambda: trades(security, seq),
        "reset": lambda: BookReset(security, str(seq)),
        "missed": lambda: TradesMissed(security, seq, None, ""),
        "cut": lambda: Disconnected(str(seq), 0.1),
        "back": lambda: Resynced(str(seq), True, ()),
    }
    return None if kind == "change" and synced is None else made[kind]()


KINDS = ("change", "change", "whole", "book", "ticker", "candles", "trades", "reset", "missed")
STEPS = st.one_of(
    st.tuples(
        st.sampled_from((*KINDS, "cut", "back")), st.sampled_from(SECURITIES), st.integers(1, 4)
    ),
    st.integers(1, 3),  # that many are read
    st.just("replied"),
    st.just("turn"),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(STEPS, max_size=60))
def test_what_is_delivered_is_consistent_with_what_was_put(steps: list[Any]) -> None:
    asyncio.run(_deliver(steps))


async def _deliver(steps: list[Any]) -> None:
    mailbox, put, got = Mailbox(1_000), Public(), Public()
    expected: deque[tuple[Event, object]] = deque()  # those that are never merged

    async def read(count: int) -> None:
        for _ in range(min(count, len(mailbox._queue))):
            event = await mailbox.get()
            if not isinstance(event, Depth | AggOrderBook | Ticker | Candles):
                assert expected.popleft() == (event, got.closed_by(event))
            got.take(event)

    for seq, step in enumerate(steps, 1):
        if step == "replied":
            mailbox.replied()
        elif step == "turn":
            await asyncio.sleep(0)
        elif isinstance(step, int):
            await read(step)
        else:
            kind, security, price = step
            event = event_of(kind, security, seq, price, put)
            if event is None:
                continue
            if not isinstance(event, Depth | AggOrderBook | Ticker | Candles):
                expected.append((event, put.copy().closed_by(event)))
            put.take(event)
            mailbox.put(event)
    while mailbox._held:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await read(len(mailbox))
    assert (len(expected), len(mailbox), mailbox._single) == (0, 0, 0)
    assert (got.depth, got.seqs, got.candles) == (put.depth, put.seqs, put.candles)


# ---- replies ------------------------------------------------------------------------------------


async def _by_itself(reply: asyncio.Future[None]) -> None:
    await reply


async def _in_a_task(reply: asyncio.Future[None]) -> None:
    await asyncio.create_task(_by_itself(reply))


async def _with_a_time_limit(reply: asyncio.Future[None]) -> None:
    await asyncio.wait_for(_by_itself(reply), 20.0)


async def _gathered(reply: asyncio.Future[None]) -> None:
    await asyncio.gather(_by_itself(reply))


WAYS = (_by_itself, _in_a_task, _with_a_time_limit, _gathered)


@pytest.mark.parametrize("awaited", WAYS)
async def test_what_follows_a_reply_is_read_after_its_caller_has_resumed(
    awaited: Callable[[asyncio.Future[None]], Awaitable[None]],
) -> None:
    mailbox, order = Mailbox(100), []
    replies = [asyncio.get_running_loop().create_future() for _ in range(3)]

    async def call(number: int) -> None:
        await awaited(replies[number])
        order.append(f"reply {number}")

    async def read() -> None:
        while len(order) < 6:
            while not mailbox._queue:  # noqa: ASYNC110
                await asyncio.sleep(0)  # busy: it never waits for the mailbox
            event = await mailbox.get()
            assert isinstance(event, Trades)
            order.append(f"event {event.seq}")

    waiting = [asyncio.create_task(read()), *(asyncio.create_task(call(n)) for n in range(3))]
    for _ in range(5):
        await asyncio.sleep(0)
    for number, reply in enumerate(replies):
        mailbox.replied()
        reply.set_result(None)
        mailbox.put(trades("A", number))
    await asyncio.wait_for(asyncio.gather(*waiting), 20.0)
    assert order == [f"{what} {n}" for what in ("reply", "event") for n in range(3)]


async def test_nothing_is_held_back_for_a_caller_who_is_gone() -> None:
    mailbox = Mailbox(100)
    reply = mailbox.replied()
    mailbox.put(trades("A", 2))
    reply.unclaimed = OrderFrame(status="rejected", code="halted")
    async with asyncio.timeout(20.0):
        assert await mailbox.get() == OrderFrame(status="rejected", code="halted")
        assert await mailbox.get() == trades("A", 2)


async def test_the_end_comes_after_what_was_held_back() -> None:
    mailbox = Mailbox(100)
    mailbox.replied()
    mailbox.put(CUT)
    mailbox.end(None)
    async with asyncio.timeout(20.0):
        assert await mailbox.get() == CUT
        with pytest.raises(StopAsyncIteration):
            await mailbox.get()
    mailbox.replied()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(mailbox.get(), 20.0)


async def test_what_is_held_back_counts_as_unread() -> None:
    mailbox = Mailbox(2)
    mailbox.replied()
    mailbox.put(CUT)
    mailbox.put(BACK)
    with pytest.raises(TooSlow):
        mailbox.put(CUT)
