"""The ticker channel: what a plain fold over the last 24 hours says, whenever it changes."""

from __future__ import annotations

from hall import INTERVAL_S, Hall
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, ask, bid, delete_all, market

from fastbook_server.values.candles import Candle
from fastbook_server.values.events import OrderFilled

DAY_S = 86_400.0


def ticker(seq, time, prices, volume, best) -> dict:
    """Return a frame; `prices` are open, high, low and last, `best` those of bid and ask."""
    open_, high, low, last = prices
    return {
        "event": "ticker",
        "security": "COIN",
        "seq": seq,
        "time": time,
        "open": open_,
        "high": high,
        "low": low,
        "last": last,
        "volume": volume,
        "change": None if open_ is None else last - open_,
        **dict(zip(("bestBid", "bestAsk"), best, strict=True)),
    }


NOTHING = (None, None, None, None)


def test_it_comes_at_first_and_then_with_trades_and_best_prices_at_most_so_often():
    hall = Hall()
    reader = hall.follow("ticker")
    hall.do("bob", ask(10, 2), ask(12, 5))
    hall.do("bob", ask(13, 5), bid(8, 1))
    hall.do("bob", bid(9, 1))
    hall.advance(INTERVAL_S)
    hall.do("ann", market("bid", 3))
    assert reader.take() == [
        ticker(0, T0, NOTHING, 0.0, (None, None)),
        ticker(2, T0, NOTHING, 0.0, (None, 10.0)),
        ticker(5, T0, NOTHING, 0.0, (9.0, 10.0)),
    ]
    hall.advance(INTERVAL_S)
    assert reader.take() == [ticker(6, T0 + 100, (10.0, 12.0, 10.0, 12.0), 3.0, (9.0, 12.0))]


def test_a_change_behind_the_best_price_is_none():
    hall = Hall()
    hall.do("bob", bid(9, 1))
    reader = hall.follow("ticker")
    hall.do("bob", bid(8, 1), bid(9, 3))
    hall.advance(1)
    assert len(reader.take()) == 1


def test_who_was_behind_and_alone_knows_of_a_change_hears_of_its_end():
    hall = Hall()
    hall.do("bob", bid(9, 1))
    slow, fast = hall.follow("ticker"), hall.follow("ticker")
    slow.behind = True
    hall.do("bob", bid(10, 1))
    hall.advance(1.5 * INTERVAL_S)
    hall.do("bob", bid(11, 1))
    hall.do("cat", bid(12, 1))  # is due for all at 2.5 intervals
    slow.behind = False
    hall.advance(0.6 * INTERVAL_S)
    assert [f["bestBid"] for f in slow.take()] == [9.0, 12.0]
    hall.do("cat", delete_all())
    hall.advance(1)
    assert [f["bestBid"] for f in slow.take()] == [11.0]
    assert [f["bestBid"] for f in fast.take()] == [9.0, 10.0, 11.0, 11.0]


def test_what_changes_and_changes_back_within_an_interval_is_none_for_those_who_know():
    hall = Hall()
    hall.do("bob", bid(9, 1))
    early = hall.follow("ticker")
    hall.do("bob", bid(10, 1))
    hall.do("cat", bid(11, 1))
    late = hall.follow("ticker")  # knows of 11
    hall.do("cat", delete_all())
    hall.advance(1)
    assert [f["bestBid"] for f in early.take()] == [9.0, 10.0, 10.0]
    assert [f["bestBid"] for f in late.take()] == [11.0, 10.0]
    hall.do("cat", bid(11, 1))
    hall.do("cat", delete_all())
    hall.advance(1)
    assert [f["bestBid"] for f in early.take()] == [11.0, 10.0]


def test_minutes_that_grow_too_old_roll_out_by_themselves():
    hall = Hall()
    hall.do("bob", ask(10, 1), ask(15, 1), ask(12, 9))
    hall.do("ann", market("bid", 1))
    hall.advance(3_600)
    reader = hall.follow("ticker")
    hall.do("ann", market("bid", 9))
    reader.take()
    hall.advance(DAY_S - 3_600 + 59)
    assert reader.take() == []
    hall.advance(1)
    (frame,) = reader.take()
    assert frame == ticker(5, T0 + 86_460_000, (12.0, 12.0, 12.0, 12.0), 9.0, (None, 15.0)) | {
        "high": 12.0
    }
    hall.advance(3_600)
    (frame,) = reader.take()
    assert frame == ticker(5, T0 + 90_060_000, (None, None, None, 12.0), 0.0, (None, 15.0))
    hall.feeds.leave(reader, "COIN", "ticker")
    assert hall.timers.pending == 0


def test_the_last_price_is_that_of_the_newest_fill_however_old():
    hall = Hall(candles={"COIN": {"1m": [Candle(T0 - 40 * 86_400_000, 5, 6, 4, 5, 9, 3)]}})
    (frame,) = hall.follow("ticker").take()
    assert frame == ticker(0, T0, (None, None, None, 5.0), 0.0, (None, None))


def expected(hall: Hall, now_ms: int) -> tuple:
    """Return open, high, low, last and volume, by the definition."""
    fills = [e for e in hall.floor.events if isinstance(e, OrderFilled)]
    some = [e for e in fills if e.time_ms // 60_000 * 60_000 + 60_000 > now_ms - 86_400_000]
    prices = [e.price for e in some]
    last = fills[-1].price if fills else None
    if not some:
        return None, None, None, last, 0
    return prices[0], max(prices), min(prices), last, sum(e.quantity for e in some)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0.0, 0.01, 0.1, 30.0, 60.0, 3_600.0, 40_000.0, DAY_S)),
            st.sampled_from(("bid", "ask", "buy", "sell", "join", "delete")),
            st.integers(1, 9),
        ),
        max_size=30,
    )
)
def test_what_everybody_knows_at_last_is_a_plain_fold(script):
    hall = Hall()
    readers = [hall.follow("ticker")]
    for gap, step, price in script:
        hall.advance(gap)
        if step == "join":
            readers.append(hall.follow("ticker"))
        elif step == "delete":
            hall.do("ann", delete_all())
        elif step in ("bid", "ask"):
            hall.do("ann", (bid if step == "bid" else ask)(price, price))
        else:
            hall.do("bob", market("bid" if step == "buy" else "ask", price))
    hall.advance(1)
    bids, asks = hall.floor.exchange.markets["COIN"].book.depth(1)
    for reader in readers:
        frame = reader.take()[-1]
        shown = tuple(frame[k] for k in ("open", "high", "low", "last", "volume"))
        assert shown == expected(hall, hall.now_ms())
        assert (frame["bestBid"], frame["bestAsk"]) == (
            bids[0][0] if bids else None,
            asks[0][0] if asks else None,
        )
        if shown[0] is not None:
            assert frame["change"] == shown[3] - shown[0]
