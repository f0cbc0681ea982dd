"""Klines and tickers: every column, every interval, no holes, and what was before a start."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fakes import T0
from trading import ask as plain_ask
from trading import bid as plain_bid
from trading import market
from venue_floor import VenueFloor

from fastbook_server.dialects.binance.intervals import KLINE_INTERVALS, offset_of
from fastbook_server.dialects.binance.refused import DialectRefusal

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BTC = {"security": "BTC-USDT"}


def trade(floor: VenueFloor, price: float, amount: float, side: str = "bid") -> None:
    """Let an order of this side take another's."""
    make = plain_ask if side == "bid" else plain_bid
    floor.do("maker", make(price, amount, **BTC))
    floor.do("taker", market(side, amount, **BTC))


@pytest.fixture
async def floor():
    floor = await VenueFloor().start()
    yield floor
    floor.market.stop()


def moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000


@pytest.mark.parametrize(
    ("name", "offset", "start", "end"),
    [
        ("3m", "0", (2026, 2, 25, 13, 45), (2026, 2, 25, 13, 48)),
        ("30m", "0", (2026, 2, 25, 13, 30), (2026, 2, 25, 14, 0)),
        ("8h", "0", (2026, 2, 25, 8), (2026, 2, 25, 16)),
        ("1d", "0", (2026, 2, 25), (2026, 2, 26)),
        ("1d", "+08:00", (2026, 2, 24, 16), (2026, 2, 25, 16)),
        ("1d", "-3:30", (2026, 2, 25, 3, 30), (2026, 2, 26, 3, 30)),
        ("1w", "0", (2026, 2, 23), (2026, 3, 2)),
        ("1M", "0", (2026, 2, 1), (2026, 3, 1)),
        ("1M", "8", (2026, 1, 31, 16), (2026, 2, 28, 16)),
    ],
)
def test_a_bucket_begins_and_ends_where_calendars_say(name, offset, start, end):
    interval, offset_ms = KLINE_INTERVALS[name], offset_of(offset)
    begun = interval.start(moment(2026, 2, 25, 13, 46), offset_ms)
    assert (begun, interval.end(begun, offset_ms)) == (moment(*start), moment(*end))
    assert interval.back(interval.end(begun, offset_ms), 1, offset_ms) == begun


@pytest.mark.parametrize("text", ["", "x", "15", "-12:30", "1:60", "+", "8:", "1:2:3", "٣"])
def test_a_time_zone_is_hours_and_minutes(text):
    with pytest.raises(ValueError, match="expected"):
        offset_of(text)


async def test_a_kline_has_twelve_columns_and_quiet_buckets_repeat_the_close(floor):
    floor.advance(30)
    trade(floor, 100, 0.5)
    trade(floor, 99.5, 0.25, "ask")
    floor.advance(150)
    trade(floor, 101, 1)
    zero = "0.00000000"
    quiet = ["99.50000000"] * 4
    assert await floor.ask("klines", symbol="BTCUSDT", interval="1m") == [
        [
            *(T0, "100.00000000", "100.00000000", "99.50000000", "99.50000000", "0.75000000"),
            *(T0 + MINUTE - 1, "74.87500000", 2, "0.50000000", "50.00000000", "0"),
        ],
        [T0 + MINUTE, *quiet, zero, T0 + 2 * MINUTE - 1, zero, 0, zero, zero, "0"],
        [T0 + 2 * MINUTE, *quiet, zero, T0 + 3 * MINUTE - 1, zero, 0, zero, zero, "0"],
        [
            *(T0 + 3 * MINUTE, *["101.00000000"] * 4, "1.00000000", T0 + 4 * MINUTE - 1),
            *("101.00000000", 1, "1.00000000", "101.00000000", "0"),
        ],
    ]
    last = await floor.ask("klines", symbol="BTCUSDT", interval="1m", limit=2)
    assert [row[0] for row in last] == [T0 + 2 * MINUTE, T0 + 3 * MINUTE]
    first = await floor.ask("klines", symbol="BTCUSDT", interval="1m", startTime=1, limit=2)
    assert [row[0] for row in first] == [T0, T0 + MINUTE]
    seconds = await floor.ask(
        "klines", symbol="BTCUSDT", interval="1s", startTime=T0 + 30_000, limit=3
    )
    assert [(row[0], row[5]) for row in seconds] == [
        (T0 + 30_000, "0.75000000"),
        (T0 + 31_000, zero),
        (T0 + 32_000, zero),
    ]
    assert await floor.ask("klines", symbol="ETHUSDT", interval="1m") == []


async def test_every_interval_adds_up_to_the_same(floor):
    for price in range(100, 108):
        trade(floor, price, 0.5)
        floor.clock.advance(1_800)
        floor.mark()
    for name in KLINE_INTERVALS:
        asked = {"symbol": "BTCUSDT", "interval": name, "limit": 1_000, "startTime": T0 - 31 * DAY}
        rows = []
        while True:
            page = await floor.ask("klines", **asked)
            rows += page
            if len(page) < 1_000 or name == "1s":
                break
            asked["startTime"] = page[-1][6] + 1
        if name != "1s":
            assert sum(row[8] for row in rows) == 8, name
            assert sum(float(row[7]) for row in rows) == 414, name
            assert rows[-1][4] == "107.00000000"
        ends = [row[6] + 1 for row in rows]
        assert [row[0] for row in rows[1:]] == ends[:-1], name


async def test_what_was_before_a_start_is_read_once_and_the_numbers_go_on():
    old = await VenueFloor().start()
    for price in (100, 110, 105):
        trade(old, price, 0.5)
        old.clock.advance(20 * 3_600)
    old.market.stop()
    new = VenueFloor(old.data, fill_ids={"BTC-USDT": 3}, seqs={"BTC-USDT": 6})
    new.clock.advance(60 * 3_600)
    await new.start()
    trade(new, 108, 0.5)
    days = await new.ask("klines", symbol="BTCUSDT", interval="1d")
    first = ("100.00000000", "110.00000000", "100.00000000", "110.00000000")
    assert [(*r[1:6], r[7], r[8]) for r in days] == [
        (*first, "1.00000000", "105.00000000", 2),
        (*("105.00000000",) * 4, "0.50000000", "52.50000000", 1),
        (*("108.00000000",) * 4, "0.50000000", "54.00000000", 1),
    ]
    hours = await new.ask("klines", symbol="BTCUSDT", interval="1h", startTime=T0, limit=1_000)
    assert len(hours) == 61
    assert sum(float(row[7]) for row in hours) == 211.5
    again = await new.ask("klines", symbol="BTCUSDT", interval="1h", startTime=T0, limit=1_000)
    assert again == hours
    ticker = await new.ask("ticker/24hr", symbol="BTCUSDT")
    assert {name: ticker[name] for name in ("openPrice", "lastPrice", "count", "firstId")} == {
        "openPrice": "105.00000000",
        "lastPrice": "108.00000000",
        "count": 2,
        "firstId": 3,
    }
    assert (ticker["priceChange"], ticker["priceChangePercent"]) == ("3.00000000", "2.857")
    new.market.stop()


async def test_tickers_of_one_of_some_and_of_all(floor):
    trade(floor, 100, 0.5)
    trade(floor, 102, 0.5)
    assert await floor.ask("ticker/price", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT",
        "price": "102.00000000",
    }
    every = await floor.ask("ticker/price")
    assert [t["symbol"] for t in every] == ["BTCUSDT", "ETHUSDT"]
    some = await floor.ask("ticker/bookTicker", symbols='["ETHUSDT"]')
    zero = "0.00000000"
    assert some == [
        {"symbol": "ETHUSDT"} | dict.fromkeys(("bidPrice", "bidQty", "askPrice", "askQty"), zero)
    ]
    assert (await floor.ask("avgPrice", symbol="BTCUSDT"))["price"] == "101.00000000"
    mini = await floor.ask("ticker/24hr", symbol="BTCUSDT", type="MINI")
    assert (mini["quoteVolume"], "bidPrice" in mini) == ("101.00000000", False)
    floor.advance(2 * 3_600)
    window = await floor.ask("ticker", symbol="BTCUSDT", windowSize="1h")
    assert (window["count"], window["lastPrice"]) == (0, "102.00000000")
    assert (await floor.ask("avgPrice", symbol="BTCUSDT"))["price"] == "102.00000000"


@pytest.mark.parametrize(
    ("path", "given", "code"),
    [
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "NOPE", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "timeZone": "99"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": 2, "endTime": 1}, -1128),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": 1, "startTime": 1}, -1128),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbols": '["BTCUSDT"]'}, -1128),
        ("ticker", {"symbol": "BTCUSDT", "windowSize": "3d"}, -1130),
        ("ticker", {}, -1102),
    ],
)
async def test_questions_are_refused_by_the_venue_s_numbers(floor, path, given, code):
    with pytest.raises(DialectRefusal) as refused:
        await floor.ask(path, **given)
    assert refused.value.code == code
