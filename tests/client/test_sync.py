"""The market without ``async`` and its history as tables, against a real server in a thread."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from client_servers import SECURITY, small_server

from fastbook_client import (
    Book,
    ConnectError,
    ConnectionClosed,
    FastbookError,
    OrderFrame,
    Refused,
    Rejected,
    Resynced,
    Trades,
    sync,
)

PATIENCE_S = 20.0


@pytest.fixture
def url() -> Iterator[str]:
    """Run a server in a thread of its own, as blocking code needs; return its URL."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    found: list[str] = []
    ready = threading.Event()

    async def serve() -> None:
        async with small_server(throttle_ms=0) as address:
            found.append(address)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_a_program_without_async_trades_and_looks_back(url: str) -> None:
    with sync.connect(url, channels=["depth"]) as maker, sync.connect(url, feed=False) as taker:
        assert maker.user_id != taker.user_id
        assert (maker.security, list(maker.instruments)) == (SECURITY, [SECURITY])
        assert maker.is_connected
        assert maker.ping() > 0
        order = maker.limit("bid", 90, 1.5, client_order_id="mine")
        other = maker.limit("ask", 91, 1)
        assert (order.status, order.is_open, order.filled) == ("open", True, 0.0)
        with pytest.raises(Rejected, match="invalid_price"):
            maker.limit("bid", 90.01, 1)
        sold = taker.market("ask", 0.5)
        assert (sold.status, sold.avg_price) == ("filled", 90.0)
        fill = next(e for e in maker if isinstance(e, OrderFrame))
        assert (fill.status, fill.last_amount) == ("partiallyFilled", 0.5)
        traded = next(e for e in maker if isinstance(e, Trades) and e.trades)
        assert traded.trades[0].amount == 0.5
        while (book := maker.book()).seq < 3:
            maker.next(PATIENCE_S)
        assert (book.best_bid, book.best_ask) == ((90.0, 1.0), (91.0, 1.0))
        assert [o.client_order_id for o in maker.orders()] == ["mine", other.client_order_id]
        assert maker.cancel("mine").status == "cancelled"
        assert maker.cancel_all(side="bid") + maker.cancel_all(side="ask") == 1

        taker.market("ask", 1)  # nobody is there
        assert [t.amount for t in maker.trades_history()] == [0.5]
        assert [f.fill_id for f in maker.fills_history(since=0)] == [1]
        assert len(maker.fills_table()) == 1
        assert maker.ticker().last == 90.0
        (candle,) = maker.candles(interval="1d")
        assert (candle.close, candle.volume, candle.trades) == (90.0, 0.5, 1)
        frame = maker.trades_table(library="polars")
        assert (frame["price"].to_list(), frame["type"].to_list()) == ([90.0], ["ask"])
        assert maker.candles_table(interval="1d")["close"].to_list() == [90.0]
        with pytest.raises(Refused, match="HTTP 404"):
            maker.ticker("GAME")


def test_a_dead_mans_switch_cancels_unless_it_is_switched_off(url: str) -> None:
    with sync.connect(url, feed=False) as market:
        market.limit("bid", 90, 1)
        armed = market.cancel_after(3_600)
        assert armed.trigger_time == armed.time + 3_600_000
        assert market.cancel_after(0).trigger_time is None
        market.cancel_after(0.0001)  # not 0
        gone = next(e for e in market if isinstance(e, OrderFrame))
        assert (gone.status, gone.reason) == ("cancelled", "cancel_after")
        with pytest.raises(Rejected, match="86400000"):
            market.cancel_after(86_401)


def test_iteration_ends_when_nothing_comes_in_time_and_loses_nothing(url: str) -> None:
    with sync.connect(url, feed=False) as market:
        assert list(market.events(timeout_s=0.01)) == []
        with pytest.raises(TimeoutError):
            market.next(timeout_s=0.01)
        market.subscribe("ticker")
        assert type(market.next(PATIENCE_S)).__name__ == "Ticker"
        market.unsubscribe("ticker")


def test_a_user_comes_back_with_the_token(url: str) -> None:
    with sync.connect(url, feed=False) as market:
        order = market.limit("bid", 80, 1)
        user_id, token = market.user_id, market.resume_token
    with sync.connect(url, feed=False, resume=token) as market:
        back = market.next(PATIENCE_S)
        assert isinstance(back, Resynced)
        assert (back.user_id, back.same_user) == (user_id, True)
        assert [o.id for o in back.orders] == [order.id]
    with sync.connect(url, feed=False, resume="nobody's") as market:
        back = market.next(PATIENCE_S)
        assert isinstance(back, Resynced)
        assert (back.same_user, back.orders) == (False, ())


def test_who_is_resumed_elsewhere_is_told_so(url: str) -> None:
    with (
        sync.connect(url, feed=False) as first,
        sync.connect(url, feed=False, resume=first.resume_token) as second,
    ):
        assert second.user_id == first.user_id
        with pytest.raises(ConnectionClosed, match="4001"):
            first.next(PATIENCE_S)
        with pytest.raises(ConnectionClosed):
            first.ping()


def test_what_is_not_open_says_so_at_once(url: str) -> None:
    market = sync.connect(url)
    with pytest.raises(FastbookError, match="not open"):
        market.ping()
    for _ in range(2):
        with market:
            assert market.ping() > 0
            with pytest.raises(FastbookError, match="already"):
                market.__enter__()
        for call in (market.ping, market.next, market.ticker):
            with pytest.raises(ConnectionClosed):
                call()


@pytest.mark.parametrize(
    "call",
    [
        lambda market: market.next(),
        lambda market: market._wait(asyncio.sleep(PATIENCE_S)),
        lambda market: list(market.events()) or market.ping(),
    ],
    ids=["next", "anything", "events"],
)
def test_leaving_it_ends_what_other_threads_wait_for(url: str, call: Any) -> None:
    ends: list[BaseException] = []
    waits = threading.Event()

    def wait() -> None:
        waits.set()
        try:
            call(market)
        except FastbookError as error:
            ends.append(error)

    with sync.connect(url, feed=False) as market:
        thread = threading.Thread(target=wait)
        thread.start()
        waits.wait(PATIENCE_S)
        market.ping()
    thread.join(PATIENCE_S / 4)
    assert [type(error) for error in ends] == [ConnectionClosed]


def test_it_works_where_a_loop_runs_already(url: str) -> None:
    async def notebook() -> int:
        with sync.connect(url, feed=False) as market:
            return market.ping()

    assert asyncio.run(notebook()) > 0


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1"), sync.connect("127.0.0.1:1"):
        pass


def test_an_event_is_read_after_the_reply_that_it_follows(url: str) -> None:
    """The reader is another thread than the caller, and always waiting for the next event."""
    rounds, told = 30, []
    with sync.connect(url, feed=False) as market:

        def read() -> None:
            for event in market.events():
                if isinstance(event, OrderFrame):
                    told.append("event")

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(rounds):
            market.limit("ask", 100, 1)
            market.limit("bid", 100, 1)
            told.append("reply")
            deadline = time.monotonic() + PATIENCE_S
            while len(told) < 2 * (number + 1):
                assert time.monotonic() < deadline
                time.sleep(0)
    reader.join(PATIENCE_S)
    assert told == ["reply", "event"] * rounds


def test_a_thread_that_is_slow_to_take_its_reply_holds_the_event_back(url: str) -> None:
    """Without the thread switches that happen by chance: the caller is stopped on its way."""
    with sync.connect(url, feed=False) as market:
        market.limit("ask", 100, 1)
        arrived, may_return, got = threading.Event(), threading.Event(), []
        run = market._run

        async def run_and_stop(work: Any, returned: threading.Event) -> Any:
            returned.set = _after(may_return, returned.set)  # type: ignore[method-assign]
            try:
                return await run(work, returned)
            finally:
                arrived.set()

        taken, take = threading.Event(), market._next

        async def take_and_tell(timeout_s: float | None) -> Any:
            found = await take(timeout_s)
            taken.set()
            return found

        market._run = run_and_stop  # type: ignore[method-assign,assignment]
        market._next = take_and_tell  # type: ignore[method-assign]
        caller = threading.Thread(target=market.limit, args=("bid", 100, 1))
        caller.start()
        assert arrived.wait(PATIENCE_S)
        market._run = run  # type: ignore[method-assign]
        reader = threading.Thread(target=lambda: got.append(market.next(PATIENCE_S)))
        reader.start()
        assert taken.wait(PATIENCE_S)
        assert market.ping() > 0
        assert got == []
        may_return.set()
        for thread in (caller, reader):
            thread.join(PATIENCE_S)
        assert len(got) == 1


def _after(event: threading.Event, action: Any) -> Any:
    def wait_and_act() -> None:
        event.wait(PATIENCE_S)
        action()

    return wait_and_act


def test_a_book_that_another_thread_reads_is_whole(url: str) -> None:
    with (
        sync.connect(url, feed=False, channels=["depth"]) as market,
        sync.connect(url, feed=False) as other,
    ):
        books: list[Book] = []
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                books.append(market.book())

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(60):
            order = other.limit("bid", 90 + number % 7, 1 + number)
            if number % 2:
                other.cancel(order)
        done.set()
        reader.join(PATIENCE_S)
        assert len({book.seq for book in books}) > 1
        for book in books:
            assert book.is_synced
            levels = book.ticks_and_lots("bid")
            assert levels == sorted(levels, reverse=True)
            assert book.best_bid is None or book.best_bid == book.levels("bid", 1)[0]
        assert [book.seq for book in books] == sorted(book.seq for book in books)


def test_every_public_name_is_there() -> None:
    package: ModuleType = importlib.import_module("fastbook_client")
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
