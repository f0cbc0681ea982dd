"""The market without ``async`` and its history as tables, against a real server in a thread."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from client_servers import SECURITY, small_server

from fastbook_client import (
    ConnectError,
    ConnectionClosed,
    FastbookError,
    OrderFrame,
    Refused,
    Rejected,
    Resynced,
    Trades,
    sync,
    tables,
)
from fastbook_wire.frames import CandleView, TradeView

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


TRADE = TradeView("id", 7, "user#x", SECURITY, "bid", 1_767_225_600_123, 100.5, 2.0, 201.0)


def test_a_table_has_a_column_per_field_and_time_as_a_datetime() -> None:
    frame = tables.table_of(TradeView, [TRADE], "polars")
    assert frame.columns == list(TradeView.__struct_fields__)
    assert str(frame["time"].dtype) == "Datetime(time_unit='ms', time_zone='UTC')"
    assert frame["time"][0].isoformat() == "2026-01-01T00:00:00.123000+00:00"
    assert tables.table_of(CandleView, []).shape == (0, len(CandleView.__struct_fields__))


def test_a_table_of_pandas() -> None:
    pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    frame = tables.table_of(TradeView, [TRADE], "pandas")
    assert list(frame.columns) == list(TradeView.__struct_fields__)
    assert frame["time"][0].isoformat() == "2026-01-01T00:00:00.123000+00:00"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbook-exchange\[pandas\]'"):
        tables.table_of(TradeView, [TRADE], "pandas")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="polars or pandas is not installed"):
        tables.table_of(TradeView, [TRADE])
    with pytest.raises(ValueError, match="expected pandas or polars, got 'excel'"):
        tables.table_of(TradeView, [TRADE], "excel")  # type: ignore[arg-type]


def test_every_public_name_is_there() -> None:
    package: ModuleType = importlib.import_module("fastbook_client")
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing
