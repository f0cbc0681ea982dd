"""A local book never says that it is synced when it may be stale."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from client_servers import (
    SECURITY,
    Line,
    ScriptedServer,
    depth,
    scripted_server,
    small_server,
    welcome,
)
from client_servers import until as condition
from fakes import FakeClock

from fastbook_client import (
    Backoff,
    Book,
    BookReset,
    ConnectionClosed,
    Depth,
    Market,
    TooSlow,
    Unanswered,
    checksum_watch,
    connect,
)
from fastbook_client.checksum_watch import ChecksumWatch
from fastbook_client.mailbox import Mailbox
from fastbook_client.subscriptions import Subscriptions
from fastbook_wire.checksum import checksum
from fastbook_wire.frames import Checksum, InstrumentView, LevelChange, Subscribed, Unsubscribed

QUICK = Backoff(first_s=0.005, max_s=0.01)
PATIENCE_S = 20.0
RIGHT = checksum([], [(10, 4)])


async def until(holds: Callable[[], bool]) -> None:
    await condition(holds)


# ---- silence ------------------------------------------------------------------------------------


class SilentLine:
    """Subscriptions on a line and a clock in the test's hands; ``asked`` lists the requests."""

    def __init__(self, missed_max: int = 3, queue_max: int = 100) -> None:
        self.clock = FakeClock()
        self.mailbox = Mailbox(queue_max)
        self.asked: list[tuple[str, int]] = []
        self.failures: list[Exception] = []
        self.questions: list[Callable[[int], None]] = []
        self.feeds = Subscriptions(
            self.mailbox,
            None,  # type: ignore[arg-type]  # no trades, no history
            lambda security, times: self.asked.append((security, times)),
            self.failures.append,
            self.questions.append,
            checksums_missed_max=missed_max,
            timers=self.clock,
        )
        self.connected(1.0)
        self.book = self.feeds.book("A")

    def connected(self, tick_size: float) -> None:
        self.feeds.connected([InstrumentView("A", tick_size, 0.25, "open")])

    def whole(self) -> None:
        change = (LevelChange(10.0, 1.0),)
        self.feeds.handle(Depth(security="A", seq=5, prev_seq=None, time=5, ask=(), bid=change))

    def right(self) -> None:
        self.feeds.handle(Checksum(security="A", seq=5, checksum=RIGHT))

    def resets(self) -> list[BookReset]:
        return [event for event in self.mailbox._queue if isinstance(event, BookReset)]


async def test_a_book_on_a_silent_line_is_lost_after_three_missed_checksums() -> None:
    line = SilentLine()
    line.whole()
    line.clock.advance(1.0)
    line.right()
    line.clock.advance(3.4)
    assert line.book.is_synced
    line.clock.advance(0.2)
    assert (line.book.is_synced, line.book.best_bid) == (False, None)
    (reset,) = line.resets()
    assert reset == BookReset("A", "3 checksums were missed")
    assert line.asked == [("A", 1)]

    line.clock.advance(100.0)
    assert (len(line.resets()), len(line.asked)) == (1, 1), "one request waits for the line"
    line.whole()
    assert line.book.is_synced
    line.clock.advance(3.6)
    assert (line.book.is_synced, line.asked) == (False, [("A", 1)] * 2)


async def test_a_book_whose_checksums_come_is_kept_however_long() -> None:
    line = SilentLine()
    line.whole()
    for _ in range(100):
        line.clock.advance(2.9)
        line.right()
    assert (line.book.is_synced, line.book.checks, line.resets()) == (True, 100, [])


@pytest.mark.parametrize("missed_max", [2, 3])
async def test_a_book_is_kept_as_long_as_the_servers_clock_stands(missed_max: int) -> None:
    line = SilentLine(missed_max)
    line.whole()
    for _ in range(100):
        line.clock.advance(1.0)
        while line.questions:
            line.questions.pop()(7_000)
    assert line.book.is_synced
    line.clock.advance(missed_max + 0.1)  # no answer: now the line is silent
    assert not line.book.is_synced


async def test_how_far_the_servers_clock_went_before_a_checksum_does_not_count() -> None:
    line = SilentLine(missed_max=2)
    line.whole()
    line.clock.advance(1.6)
    line.questions.pop()(0)
    line.right()
    for _ in range(10):
        line.clock.advance(1.0)
        while line.questions:
            line.questions.pop()(60_000)
    assert line.book.is_synced


async def test_a_server_whose_clock_runs_owes_its_checksums() -> None:
    line = SilentLine()
    line.whole()
    for second in range(1, 5):
        assert line.book.is_synced
        line.clock.advance(1.1)
        while line.questions:
            line.questions.pop()(1_000 * second)
    line.clock.advance(0.3)
    assert not line.book.is_synced
    assert line.resets()[0].reason == "3 checksums were missed"


async def test_an_answer_of_before_the_last_checksum_counts_no_more() -> None:
    line = SilentLine()
    line.whole()
    line.clock.advance(1.6)
    line.right()
    for answer in line.questions:
        answer(1_000)
        answer(1_000)
    line.clock.advance(3.6)
    assert not line.book.is_synced


async def test_changes_do_not_stand_in_for_checksums() -> None:
    line = SilentLine(missed_max=1)
    line.whole()
    line.clock.advance(1.4)
    line.feeds.handle(Depth(security="A", seq=6, prev_seq=5, time=6, ask=(), bid=()))
    line.clock.advance(0.2)
    assert not line.book.is_synced


async def test_the_limit_can_be_switched_off() -> None:
    line = SilentLine(missed_max=0)
    line.whole()
    line.clock.advance(1_000.0)
    assert (line.book.is_synced, line.resets(), line.clock.pending) == (True, [], 0)


class StoppedClock(FakeClock):
    """The clock of a loop that did not run for `behind_s` before it came to its timers."""

    behind_s = 0.0

    def time(self) -> float:
        return super().time() + self.behind_s


def test_time_in_which_the_program_itself_was_busy_is_no_silence() -> None:
    clock, silences = StoppedClock(), []
    watch = ChecksumWatch(clock, 3, silences.append, lambda _: None)
    watch.heard()
    clock.behind_s = 30.0  # the timer comes late, and the frames that have arrived come after it
    clock.advance(2.0)
    clock.behind_s = 0.0
    clock.advance(1.6)
    assert silences == []
    clock.advance(1.0)
    assert len(silences) == 1


@pytest.mark.parametrize("how", ["wrong", "disconnected", "unsubscribed"])
async def test_a_lost_book_is_watched_no_longer(how: str) -> None:
    line = SilentLine()
    line.whole()
    if how == "wrong":
        line.feeds.handle(Checksum(security="A", seq=5, checksum=1))
    elif how == "disconnected":
        line.feeds.disconnected()
    else:
        line.feeds.unsubscribed("depth", "A")
    assert not line.book.is_synced
    assert line.clock.pending == 0


async def test_a_reset_that_finds_no_room_ends_the_connection() -> None:
    line = SilentLine(queue_max=1)
    line.whole()
    line.mailbox.put(Unsubscribed(channel="ticker", security="A"))
    line.clock.advance(4.0)
    assert [type(error) for error in line.failures] == [TooSlow]
    assert not line.book.is_synced


async def test_a_server_that_comes_back_with_other_grids_is_measured_by_them() -> None:
    line = SilentLine()
    line.whole()
    line.feeds.disconnected()
    line.connected(0.5)
    line.whole()
    assert line.book.ticks_and_lots("bid") == [(20, 4)]


async def test_on_a_server_whose_clock_stands_a_book_is_kept(
    fastbook_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum_watch, "CHECKSUM_S", 0.1)
    monkeypatch.setattr(checksum_watch, "SLACK_S", 0.05)
    async with connect(fastbook_server.url, feed=False, channels=["depth"]) as market:
        await until(lambda: asked_for_time(fastbook_server) >= 10)
        assert market.book().is_synced
        fastbook_server.clock.advance(1)
        await until(lambda: market.book().checks == 1)


def asked_for_time(server: Any) -> int:
    return sum(frame["op"] == "ping" for frame in server.clients[0].sent)


async def test_connect_passes_the_limit_on() -> None:
    async with scripted_server() as (url, _):
        async with connect(url, feed=False) as market:
            assert market._link.feeds._checksums_missed_max == 3
        async with connect(url, feed=False, checksums_missed_max=0) as market:
            assert market._link.feeds._checksums_missed_max == 0


# ---- a book that somebody holds -----------------------------------------------------------------


async def followed(server: ScriptedServer, market: Market, seq: int = 5) -> tuple[Any, Book]:
    subscribing = asyncio.create_task(market.subscribe("depth"))
    peer = await server.peer(len(server.peers) - 1)
    count = sum(c["op"] == "subscribe" for c in peer.got)
    await until(lambda: sum(c["op"] == "subscribe" for c in peer.got) > count)
    await peer.say(depth(seq, None, {11.0: 1.0}, {10.0: 0.5}))
    await subscribing
    return peer, market.book()


async def test_a_book_held_over_unsubscribing_is_lost_and_revives() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        _, book = await followed(server, market)
        await market.unsubscribe("depth")
        assert (book.is_synced, len(book)) == (False, 0)
        _, again = await followed(server, market, seq=9)
        assert again is book
        assert (book.is_synced, book.seq) == (True, 9)


async def test_while_it_is_subscribed_anew_the_old_book_is_not_current() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        peer, book = await followed(server, market)
        subscribing = asyncio.create_task(market.subscribe("depth"))
        await until(lambda: not book.is_synced)
        await peer.say(depth(7, None, {12.0: 1.0}, {}))
        await subscribing
        assert (book.is_synced, book.seq, book.best_bid) == (True, 7, None)


async def test_two_tasks_that_subscribe_at_once_both_get_the_book() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        server.mute = {"subscribe"}
        both = [asyncio.create_task(market.subscribe("depth")) for _ in range(2)]
        peer = await server.peer(0)
        await until(lambda: sum(c["op"] == "subscribe" for c in peer.got) == 2)
        first, second = (
            {"event": "subscribed", "ref": sent["ref"], "channel": "depth", "security": SECURITY}
            for sent in peer.got
        )
        await peer.say(first)
        await market.ping()
        await peer.say(depth(5, None, {11.0: 1.0}, {}), second, depth(6, None, {12.0: 1.0}, {}))
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*both)
        assert (market.book().is_synced, market.book().seq) == (True, 6)


async def test_a_connection_that_ends_with_the_reply_leaves_no_subscription_that_hangs() -> None:
    async with scripted_server() as (url, _), connect(url, reconnect=False) as market:
        handle = market._link._handle

        def handle_and_lose(frame: Any) -> None:
            handle(frame)
            if isinstance(frame, Subscribed):
                raise ConnectionClosed(1006, "cut")

        market._link._handle = handle_and_lose  # type: ignore[method-assign]
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(Unanswered):
                await market.subscribe("depth")


@pytest.mark.parametrize("how", ["left", "cut", "stopped", "resumed elsewhere"])
async def test_after_the_end_a_held_book_is_lost(how: str) -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=False) as market:
        peer, book = await followed(server, market)
        held = book.copy()
        if how == "cut":
            peer.cut()
        elif how == "stopped":
            await peer.ws.close(code=1001)
        elif how == "resumed elsewhere":
            await peer.ws.close(code=4001)
        if how != "left":
            await until(lambda: not market.is_connected and not book.is_synced)
    assert (book.is_synced, book.best_bid, len(book)) == (False, None, 0)
    assert (held.is_synced, held.best_bid, held.seq) == (True, (10.0, 0.5), 5), "of its moment"


async def test_a_server_with_another_history_gives_another_book() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        peer, book = await followed(server, market, seq=500)
        server.opening = [welcome(epoch=2)]
        peer.cut()
        await until(lambda: not book.is_synced)
        peer = await server.peer(1)
        await peer.command("subscribe")
        await peer.say(depth(501, 500, {11.0: 0.0}, {}), depth(3, None, {}, {9.0: 1.0}))
        await until(lambda: book.is_synced)
        assert (book.seq, book.best_ask, book.best_bid) == (3, None, (9.0, 1.0))


async def test_on_the_real_server_a_silent_line_is_noticed_and_recovered_from() -> None:
    async with small_server() as url:
        line = Line(url)
        async with (
            line.open() as through,
            connect(through, feed=False, channels=["depth"], checksums_missed_max=1) as market,
            connect(url, feed=False) as other,
        ):
            book = market.book()
            line.mute = True
            await other.limit("bid", 90, 1)
            async with asyncio.timeout(PATIENCE_S):
                while not isinstance(event := await anext(market), BookReset):
                    pass
            assert event.security == SECURITY
            assert not book.is_synced
            line.cut()  # what was lost on a line comes no more: only a new one helps
            line.mute = False
            await until(lambda: book.is_synced)
            assert book.best_bid == (90.0, 1.0)
