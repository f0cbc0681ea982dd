"""Tables have one column per field, of the field's type, whatever the rows hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from client_servers import scripted_server, small_server

from fastbook_client import connect, tables
from fastbook_client.tables import Library
from fastbook_wire.frames import CandleView, FillView, OrderView, TickerView, TradeView

SECURITY = "BTC-USD"
TRADE = TradeView("id", 7, "user#x", SECURITY, "bid", 1_767_225_600_123, 100.5, 2.0, 201.0)
ORDER = OrderView(
    id="id",
    time=1,
    user_id="user#x",
    security=SECURITY,
    type="bid",
    exec_type="market",
    price=None,
    amount=1.0,
    filled=0.0,
    remaining=1.0,
    avg_price=None,
)


def columns(table: Any) -> dict[str, str]:
    return {name: str(table[name].dtype) for name in table.columns}


@pytest.mark.parametrize("kind", [TradeView, CandleView, FillView, OrderView, TickerView])
def test_a_table_without_rows_has_every_column_and_its_type(kind: type) -> None:
    table = tables.table_of(kind, [], "polars")
    assert table.shape == (0, len(kind.__struct_fields__))
    assert "Null" not in columns(table).values()


def test_the_types_of_polars() -> None:
    table = tables.table_of(TradeView, [TRADE], "polars")
    assert columns(table) == columns(tables.table_of(TradeView, [], "polars"))
    assert columns(table) == {
        "id": "String",
        "seq": "Int64",
        "user_id": "String",
        "security": "String",
        "type": "String",
        "time": "Datetime(time_unit='ms', time_zone='UTC')",
        "price": "Float64",
        "amount": "Float64",
        "total": "Float64",
    }
    assert table["time"][0].isoformat() == "2026-01-01T00:00:00.123000+00:00"


def test_a_number_that_is_none_is_null_and_stays_a_number() -> None:
    table = tables.table_of(OrderView, [ORDER], "polars")
    assert columns(table) == columns(tables.table_of(OrderView, [], "polars"))
    assert (columns(table)["price"], table["price"][0]) == ("Float64", None)


def test_the_types_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="the extra `pandas` is not installed")
    for kind, row in ((TradeView, TRADE), (OrderView, ORDER)):
        table = tables.table_of(kind, [row], "pandas")
        assert list(table.columns) == list(kind.__struct_fields__)
        assert columns(table) == columns(tables.table_of(kind, [], "pandas"))
        assert columns(table)["time"] == "datetime64[ms, UTC]"
        assert columns(table)["price"] == "float64"
    assert pandas.isna(table["price"][0])
    table = tables.table_of(TradeView, [TRADE], "pandas")
    assert table["time"][0].isoformat() == "2026-01-01T00:00:00.123000+00:00"


async def test_the_tables_of_an_empty_market_have_the_types_of_any_other() -> None:
    async with small_server(throttle_ms=0) as url, connect(url) as market:
        before = [await market.trades_table(), await market.candles_table(interval="1d")]
        await market.limit("ask", 100, 1)
        await market.market("bid", 1)
        after = [await market.trades_table(), await market.candles_table(interval="1d")]
    assert [len(table) for table in before + after] == [0, 0, 1, 1]
    assert list(map(columns, before)) == list(map(columns, after))


async def test_a_table_of_fills_has_the_newest_or_the_first_from_somewhere_on() -> None:
    async with small_server(throttle_ms=0) as url, connect(url, feed=False) as market:
        empty = await market.fills_table()
        await market.limit("ask", 100, 5)
        for _ in range(5):
            await market.market("bid", 1)
        newest = await market.fills_table(count=2)
        first = await market.fills_table(since=1, count=2)
    assert columns(empty) == columns(newest)
    assert (newest["fill_id"].to_list(), first["fill_id"].to_list()) == ([4, 5], [2, 3])
    assert columns(newest)["fill_id"] == "Int64"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbook-client\[pandas\]'"):
        tables.table_of(TradeView, [TRADE], "pandas")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="polars or pandas is not installed"):
        tables.table_of(TradeView, [TRADE])
    with pytest.raises(ValueError, match="expected pandas or polars, got 'excel'"):
        tables.table_of(TradeView, [TRADE], "excel")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ask",
    [
        lambda market, library: market.trades_table(count=10_000, library=library),
        lambda market, library: market.candles_table(library=library),
        lambda market, library: market.fills_table(library=library),
    ],
    ids=["trades", "candles", "fills"],
)
@pytest.mark.parametrize("library", [None, "pandas", "polars"])
async def test_the_library_is_asked_for_before_the_server(
    ask: Callable[..., Any], library: Library | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    async with scripted_server() as (url, server), connect(url) as market:
        with pytest.raises(ImportError, match="is not installed"):
            await ask(market, library)
        assert server.asked == []
