"""The fills channel: the last fills to a joiner, then every match once, whoever joins when."""

from __future__ import annotations

from typing import Any

from hall import Hall
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, ask, bid, market

from fastbook_server.gateway.feeds import fills


def fill(fill_id: int, seq: int, side: str, price: float, amount: float, time: int = T0) -> Any:
    numbers = {"fillId": fill_id, "seq": seq, "time": time, "price": price, "amount": amount}
    return numbers | {"type": side}


def test_a_joiner_gets_the_last_fills_then_those_of_each_batch_that_traded():
    hall = Hall(trades_max=2)
    hall.do("bob", ask(10, 1), ask(11, 1), ask(12, 9))
    hall.do("ann", market("bid", 4))
    reader = hall.follow("fills")
    hall.advance(0.01)
    hall.do("ann", bid(9, 5), bid(12, 1))
    hall.do("ann", bid(8, 1))
    hall.do("bob", ask(9, 2))
    frames = reader.take()
    assert {(f["event"], f["security"]) for f in frames} == {("fills", "COIN")}
    assert [f["fills"] for f in frames] == [
        [fill(2, 4, "bid", 11, 1), fill(3, 4, "bid", 12, 2)],
        [fill(4, 6, "bid", 12, 1, T0 + 10)],
        [fill(5, 8, "ask", 9, 2, T0 + 10)],
    ]


def test_without_readers_nothing_is_collected():
    hall = Hall()
    reader = hall.follow("fills")
    hall.do("bob", ask(10, 5))
    hall.feeds.leave(reader, "COIN", "fills")
    hall.do("ann", bid(10, 1))
    assert hall.view.take_fills() == []


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["bid", "ask"]), st.integers(8, 12), st.integers(1, 5)),
        max_size=30,
    ),
    joins=st.sets(st.integers(0, 30), max_size=4),
)
def test_whoever_joins_whenever_misses_no_number(steps, joins):
    hall = Hall(trades_max=3)
    readers = []
    for n, (side, price, amount) in enumerate(steps):
        if n in joins:
            readers.append(hall.follow("fills"))
        hall.do("ann", (bid if side == "bid" else ask)(price, amount))
    for reader in readers:
        ids = [f["fillId"] for frame in reader.take() for f in frame["fills"]]
        assert ids == list(range(ids[0], ids[-1] + 1)) if ids else True
        assert not ids or ids[-1] == hall.floor.exchange.markets["COIN"].fill_id


def test_very_many_fills_of_one_batch_come_in_pages_that_are_built_once(monkeypatch):
    monkeypatch.setattr(fills, "FILLS_PER_FRAME", 3)
    hall, built = Hall(trades_max=2), []
    frame = fills.FillsFeed._frame
    monkeypatch.setattr(
        fills.FillsFeed, "_frame", lambda feed, part: built.append(1) or frame(feed, part)
    )
    hall.do("bob", *(ask(10 + n, 1) for n in range(8)))
    readers = [hall.follow("fills"), hall.follow("fills")]
    built.clear()
    hall.do("ann", market("bid", 8))
    for reader in readers:
        ids = [[f["fillId"] for f in frame["fills"]] for frame in reader.take() if frame["fills"]]
        assert ids == [[1, 2, 3], [4, 5, 6], [7, 8]]
        assert reader.later == [8 * fills.FILL_BYTES]
    assert len(built) == 3
    assert [fill.fill_id for fill in hall.view.fills] == [7, 8]
