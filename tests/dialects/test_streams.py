"""The public streams, number by number, and a book that is kept as the venue tells clients to."""

from __future__ import annotations

import itertools
import random

import pytest
from fakes import T0, settle
from trading import ask as plain_ask
from trading import bid as plain_bid
from trading import delete_all, market
from venue_floor import Listener, VenueFloor

from fastbook_server.dialects.binance import symbol_streams
from fastbook_server.values.events import OrderFilled

BTC = {"security": "BTC-USDT"}


def bid(price, amount, **more):
    return plain_bid(price, amount, **(BTC | more))


def ask(price, amount, **more):
    return plain_ask(price, amount, **(BTC | more))


@pytest.fixture
async def floor():
    floor = await VenueFloor().start()
    yield floor
    floor.market.stop()


class LocalBook:
    """A book kept from a stream of differences: what W says a client is to do."""

    def __init__(self, snapshot: dict) -> None:
        self.last = snapshot["lastUpdateId"]
        self.sides = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        self.synced = False

    def apply(self, event: dict) -> None:
        if event["u"] <= self.last:
            assert not self.synced
            return
        if self.synced:
            assert event["U"] == self.last + 1
        assert event["U"] <= self.last + 1 <= event["u"]
        self.synced, self.last = True, event["u"]
        for side, levels in self.sides.items():
            for price, quantity in event[side]:
                if float(quantity):
                    levels[price] = quantity
                else:
                    levels.pop(price, None)

    def is_like(self, snapshot: dict) -> bool:
        return self.sides == {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}


async def test_a_book_kept_from_differences_is_the_book(floor):
    """10,000 random changes; clients join, and take their snapshots, in the middle of it."""
    rng = random.Random(7)
    kept: list[tuple[Listener, LocalBook]] = []
    late: list[Listener] = []
    for n in range(10_000):
        side = rng.choice((bid, ask))
        price = 100 + rng.randrange(-400, 400) / 100
        floor.do(f"u{n % 5}", side(price, rng.randrange(1, 50) / 10_000))
        if n % 500 == 499:
            floor.do(f"u{rng.randrange(5)}", delete_all())
        if n % 7 == 0:
            floor.clock.advance(0.013)
        if n % 3_000 == 100:
            names = ("btcusdt@depth@100ms", "btcusdt@depth")
            late = [await floor.follow(name) for name in names]
        if n % 3_000 == 150:  # buffers first, then asks for the snapshot
            kept += [(reader, LocalBook(floor.snapshot())) for reader in late]
    floor.clock.advance(2)
    whole = floor.snapshot()
    assert len(whole["bids"]) > 50
    assert len(kept) == 8
    for reader, book in kept:
        for event in reader.take():
            book.apply(event)
        assert book.synced
        assert book.is_like(whole)


async def test_a_level_as_before_is_told_to_whoever_saw_it_in_between(floor):
    floor.do("ann", bid(99, 0.1))
    floor.clock.advance(0.1)
    reader = await floor.follow("btcusdt@depth@100ms")
    floor.do("bob", bid(99, 0.2))
    book = LocalBook(floor.snapshot())
    floor.do("bob", delete_all())
    floor.clock.advance(0.1)
    for event in reader.take():
        book.apply(event)
    assert book.is_like(floor.snapshot())


async def test_a_difference_says_from_which_change_to_which(floor):
    reader = await floor.follow("btcusdt@depth@100ms")
    floor.do("ann", bid(99.5, 0.1), ask(101, 0.2))
    floor.do("ann", bid(99.4, 0.3, time_in_force="ioc"))  # takes a seq and changes nothing
    floor.clock.advance(0.1)
    floor.do("ann", bid(99.6, 0.1, time_in_force="ioc"))
    floor.clock.advance(0.1)
    floor.do("bob", market("ask", 0.1, **BTC))
    floor.clock.advance(0.1)
    first = {"e": "depthUpdate", "E": T0 + 100, "s": "BTCUSDT", "U": 1, "u": 3}
    assert reader.take() == [
        first | {"b": [["99.50000000", "0.10000000"]], "a": [["101.00000000", "0.20000000"]]},
        first | {"E": T0 + 300, "U": 4, "u": 5, "b": [["99.50000000", "0.00000000"]], "a": []},
    ]


async def test_the_first_difference_of_a_joiner_reaches_back_to_the_flush_before(floor):
    early = await floor.follow("btcusdt@depth")
    floor.do("ann", bid(99, 0.1))
    floor.clock.advance(0.5)
    late = await floor.follow("btcusdt@depth@1000ms")
    floor.do("ann", bid(99, 0.2), bid(98, 0.1))
    floor.clock.advance(0.5)
    (event,) = early.take()
    assert (event["U"], event["u"]) == (1, 3)
    assert event["b"] == [["99.00000000", "0.30000000"], ["98.00000000", "0.10000000"]]
    assert late.take() == [event]


async def test_the_best_levels_come_at_once_and_with_each_change(floor):
    floor.do("ann", *(bid(100 - n, 0.1) for n in range(1, 8)))
    reader = await floor.follow("btcusdt@depth5@100ms")
    five = [[f"{100 - n}.00000000", "0.10000000"] for n in range(1, 6)]
    assert reader.take() == [{"lastUpdateId": 7, "bids": five, "asks": []}]
    floor.clock.advance(0.1)
    reader.take()
    floor.do("ann", bid(90, 1))  # beyond the fifth level
    floor.clock.advance(0.1)
    floor.do("ann", ask(101, 1))
    floor.clock.advance(0.1)
    asks = [["101.00000000", "1.00000000"]]
    assert reader.take() == [{"lastUpdateId": 9, "bids": five, "asks": asks}]


async def test_trades_are_told_each_and_by_taker_and_price(floor):
    reader = await floor.follow("btcusdt@trade", "btcusdt@aggTrade", combined=True)
    floor.do("ann", ask(100, 0.1), ask(100, 0.2), ask(100.01, 0.3))
    floor.clock.advance(0.01)
    floor.do("bob", bid(101, 0.4))
    floor.do("cat", market("ask", 0.0, **BTC), bid(100.01, 0.2))
    got = reader.take()
    trades = [f["data"] for f in got if f["stream"] == "btcusdt@trade"]
    assert trades[0] == {
        "e": "trade",
        "E": T0 + 10,
        "s": "BTCUSDT",
        "t": 1,
        "p": "100.00000000",
        "q": "0.10000000",
        "T": T0 + 10,
        "m": False,
        "M": True,
    }
    assert [(t["t"], t["p"], t["q"]) for t in trades[1:]] == [
        (2, "100.00000000", "0.20000000"),
        (3, "100.01000000", "0.10000000"),
        (4, "100.01000000", "0.20000000"),
    ]
    every = [f["data"] for f in got if f["stream"] == "btcusdt@aggTrade"]
    assert every[0] == {
        "e": "aggTrade",
        "E": T0 + 10,
        "s": "BTCUSDT",
        "a": 1,
        "p": "100.00000000",
        "q": "0.30000000",
        "f": 1,
        "l": 2,
        "T": T0 + 10,
        "m": False,
        "M": True,
    }
    assert [(t["a"], t["f"], t["l"], t["q"]) for t in every[1:]] == [
        (2, 3, 3, "0.10000000"),
        (3, 4, 4, "0.20000000"),
    ]
    assert await floor.ask("aggTrades", symbol="BTCUSDT") == [
        {name: value for name, value in t.items() if name not in "eEs"} for t in every
    ]
    assert [t["a"] for t in await floor.ask("aggTrades", symbol="BTCUSDT", fromId=2)] == [2, 3]
    assert [t["a"] for t in await floor.ask("aggTrades", symbol="BTCUSDT", limit=1)] == [3]


async def test_the_book_ticker_follows_the_best_prices_and_amounts(floor):
    floor.do("ann", bid(99, 0.5))
    reader = await floor.follow("btcusdt@bookTicker")
    floor.do("ann", ask(101, 0.25))
    floor.do("ann", bid(98, 1))
    floor.do("ann", bid(99, 0.5))
    zero = "0.00000000"
    best = {"s": "BTCUSDT", "b": "99.00000000", "B": "0.50000000"}
    assert reader.take() == [
        {"u": 1, **best, "a": zero, "A": zero},
        {"u": 2, **best, "a": "101.00000000", "A": "0.25000000"},
        {"u": 4, **best, "B": "1.00000000", "a": "101.00000000", "A": "0.25000000"},
    ]


async def test_an_event_is_encoded_once_for_all_who_want_it_in_one_form(floor, monkeypatch):
    from fastbook_server.dialects.binance import topics

    frames = []
    build = topics.event_frame
    monkeypatch.setattr(topics, "event_frame", lambda *a: frames.append(a) or build(*a))
    readers = [await floor.follow("btcusdt@depth@100ms") for _ in range(3)]
    other = await floor.follow("btcusdt@depth@100ms", combined=True, scale=1_000)
    floor.do("ann", bid(99, 0.5))
    floor.clock.advance(0.1)
    assert [(combined, scale) for _, _, combined, scale in frames] == [(False, 1), (True, 1_000)]
    assert readers[0].take() == readers[2].take() != []
    (told,) = other.take()
    assert (told["stream"], told["data"]["E"]) == ("btcusdt@depth@100ms", (T0 + 100) * 1_000)


async def test_a_kline_follows_trades_and_ends_once_also_when_nothing_trades(floor):
    floor.do("ann", ask(100, 1), ask(102, 1))
    floor.do("bob", bid(100, 0.5))
    reader = await floor.follow("btcusdt@kline_1m")
    (first,) = reader.take()
    assert first["k"] == {
        "t": T0,
        "T": T0 + 59_999,
        "s": "BTCUSDT",
        "i": "1m",
        "f": 1,
        "L": 1,
        "o": "100.00000000",
        "c": "100.00000000",
        "h": "100.00000000",
        "l": "100.00000000",
        "v": "0.50000000",
        "n": 1,
        "x": False,
        "q": "50.00000000",
        "V": "0.50000000",
        "Q": "50.00000000",
        "B": "0",
    }
    floor.do("ann", bid(99, 1))
    floor.do("bob", bid(102, 1), market("ask", 0.25, **BTC))
    assert reader.take() == []
    floor.advance(1)
    (second,) = reader.take()
    k = second["k"]
    assert (k["h"], k["l"], k["c"], k["v"]) == (
        *("102.00000000", "99.00000000", "99.00000000", "1.75000000"),
    )
    assert (k["n"], k["V"], k["Q"], k["q"]) == (4, "1.50000000", "151.00000000", "175.75000000")
    floor.advance(60)
    ended = reader.take()
    assert [(e["k"]["t"], e["k"]["x"], e["k"]["v"]) for e in ended] == [
        (T0, True, "1.75000000"),
        (T0 + 60_000, False, "0.00000000"),
    ]
    floor.advance(60)
    quiet = reader.take()[0]["k"]
    assert (quiet["t"], quiet["x"], quiet["o"], quiet["n"]) == (
        *(T0 + 60_000, True, "99.00000000", 0),
    )


async def test_a_kline_knows_what_was_before_it_was_asked_for(floor):
    """A day's kline is made of minutes in memory, and follows the next fill exactly once."""
    floor.do("ann", ask(100, 1))
    floor.do("bob", bid(100, 0.25))
    floor.advance(120)
    reader = await floor.follow("btcusdt@kline_1d", "btcusdt@kline_1M")
    floor.do("bob", bid(100, 0.25))
    floor.advance(1)
    klines = {f["k"]["i"]: f["k"] for f in reader.take()}
    assert [(k["v"], k["n"], k["x"]) for k in klines.values()] == [("0.50000000", 2, False)] * 2


async def test_tickers_tell_the_day_once_a_second_if_it_has_changed(floor):
    floor.do("ann", ask(100, 1), bid(90, 1))
    floor.do("bob", bid(100, 0.5))
    floor.advance(1)
    reader = await floor.follow("btcusdt@ticker", "!miniTicker@arr")
    floor.do("bob", market("ask", 0.5, **BTC))
    floor.advance(1)
    first, ticker, minis = reader.take()
    assert (first["c"], first["n"]) == ("100.00000000", 1)
    now_ms = T0 + 2_000
    assert ticker == {
        "e": "24hrTicker",
        "E": now_ms,
        "s": "BTCUSDT",
        "p": "-10.00000000",
        "P": "-10.000",
        "w": "95.00000000",
        "x": "100.00000000",
        "c": "90.00000000",
        "Q": "0.50000000",
        "b": "90.00000000",
        "B": "0.50000000",
        "a": "100.00000000",
        "A": "0.50000000",
        "o": "100.00000000",
        "h": "100.00000000",
        "l": "90.00000000",
        "v": "1.00000000",
        "q": "95.00000000",
        "O": now_ms - 86_400_000,
        "C": now_ms,
        "F": 1,
        "L": 2,
        "n": 2,
    }
    assert [(m["s"], m["c"], m["q"]) for m in minis] == [
        ("BTCUSDT", "90.00000000", "95.00000000"),
    ]
    floor.advance(3)
    assert reader.take() == []
    day = await floor.ask("ticker/24hr", symbol="BTCUSDT")
    names = {"priceChange": "p", "weightedAvgPrice": "w", "lastPrice": "c", "quoteVolume": "q"}
    assert {name: day[name] for name in names} == {n: ticker[k] for n, k in names.items()}


async def test_nobody_is_told_what_nobody_listens_to(floor):
    reader = await floor.follow("btcusdt@trade", "btcusdt@kline_1m")
    for name in ("btcusdt@trade", "btcusdt@kline_1m"):
        floor.market.streams.leave(name, reader)
    floor.do("ann", ask(100, 1))
    floor.do("bob", bid(100, 0.5))
    floor.advance(61)
    await settle()
    assert reader.take() == []


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@trade", "nope@trade", "btcusdt@kline_7m", "btcusdt@depth7", "btcusdt", "!x@arr"],
)
def test_there_is_no_such_stream(name):
    assert VenueFloor().market.streams.named(name) is None


async def test_very_many_trades_are_told_a_portion_at_a_time(floor, monkeypatch):
    monkeypatch.setattr(symbol_streams, "PORTION", 3)
    for n in range(10):
        floor.do("bob", ask(100 + n, 1))
    reader = await floor.follow("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@kline_1m")
    reader.frames.clear()
    events = floor.floor.do("ann", market("bid", 10, **BTC))
    floor.market.take_in([event for event in events if isinstance(event, OrderFilled)])
    counts = [0, *(len(reader.frames) for _ in floor.market.tell_fills()), len(reader.frames)]
    assert max(after - before for before, after in itertools.pairwise(counts)) < 2 * 3
    assert [frame["e"] for frame in reader.frames] == ["trade"] * 10 + ["aggTrade"] * 10
