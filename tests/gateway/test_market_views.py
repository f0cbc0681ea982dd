"""The public view: built from events alone, it equals the books at every moment."""

from __future__ import annotations

import pytest
from hall import batch_of
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, Floor, as_json, ask, bid, delete_all, market, open_order, recovered

import fastbook
from fastbook_server.gateway.market_views import MarketViews


class Watched:
    """An exchange and the public view of it."""

    def __init__(self, past=None, **options) -> None:
        past = past or recovered()
        self.floor = Floor(past)
        self.data = MarketViews(past, **options)
        self.view = self.data.views["COIN"]

    def do(self, user_id, *commands):
        """Apply commands as one batch; return the changed securities and the trades frames."""
        events = [e for command in commands for e in self.floor.do(user_id, command)]
        batch = batch_of(events, T0)
        changed = self.data.on_orders(batch.orders)
        frames = self.data.on_trades(batch.trades)
        return changed, [(security, trades, as_json(frame)) for security, trades, frame in frames]

    def book(self):
        """Return the book frame of COIN."""
        return as_json(self.view.book_frame())


def row(price, amount):
    return {"price": price, "amount": amount, "total": price * amount}


def test_the_book_has_the_best_first_and_totals():
    watched = Watched()
    watched.do("ann", bid(9, 1), bid(10, 2), bid(10, 3), ask(12, 4), ask(11, 5))
    assert watched.book() == {
        "event": "aggOrderBook",
        "security": "COIN",
        "seq": 5,
        "time": T0,
        "aggOrderBook": {"ask": [row(11, 5), row(12, 4)], "bid": [row(10, 5), row(9, 1)]},
    }


def test_trades_of_one_batch_share_a_frame_and_the_chain_of_numbers_is_unbroken():
    watched = Watched()
    watched.do("bob", ask(10, 9))
    _, first = watched.do("ann", market("bid", 1), market("bid", 2))
    _, second = watched.do("ann", market("bid", 3))
    shown = [
        (frame["seq"], frame["prevSeq"], [(t["seq"], t["amount"]) for t in frame["trades"]])
        for _, _, frame in first + second
    ]
    assert shown == [(3, None, [(2, 1), (3, 2)]), (4, 3, [(4, 3)])]


def test_the_opening_trades_are_the_last_ones_at_the_books_number():
    watched = Watched(trades_max=2)
    watched.do("bob", ask(10, 9))
    watched.do("ann", market("bid", 1), market("bid", 2), market("bid", 3), bid(1, 1))
    frame = as_json(watched.view.last_trades_frame())
    assert (frame["seq"], frame["prevSeq"]) == (watched.book()["seq"], None) == (5, None)
    assert [t["seq"] for t in frame["trades"]] == [3, 4]
    assert watched.view.last_trade_seq == 4


def test_rows_are_bounded_and_0_means_all():
    few, all_ = Watched(rows_max=2), Watched(rows_max=0)
    for watched in (few, all_):
        watched.do("ann", *(bid(price, 1) for price in range(1, 101)))
    assert len(few.book()["aggOrderBook"]["bid"]) == 2
    assert len(all_.book()["aggOrderBook"]["bid"]) == 100


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (bid(9, 1), {"COIN"}),
        (market("bid", 1), {"COIN"}),
        (bid(9, 1, time_in_force="ioc"), set()),
        (bid(99, 100, time_in_force="fok"), set()),
        (delete_all(), {"COIN"}),
        (bid(1, 1, security="FINE"), {"FINE"}),
    ],
)
def test_only_a_changed_book_is_announced(command, changed):
    watched = Watched()
    watched.do("ann", ask(10, 5))
    assert watched.do("ann", command)[0] == changed


def test_a_number_passes_even_where_the_book_stays():
    watched = Watched()
    watched.do("ann", bid(9, 1, time_in_force="ioc"))
    assert watched.book()["seq"] == 1


def test_the_view_of_a_restart_has_the_levels_the_number_and_the_trades():
    before = Floor()
    before.do("bob", ask(10, 5))
    before.do("cat", ask(10, 2))
    trade = before.do("ann", bid(10, 1))[2]
    past = recovered(
        seqs={"COIN": 3},
        time_ms=T0,
        open_orders=tuple(open_order(s) for s in before.exchange.markets["COIN"].open.values()),
        last_trades={"COIN": (trade,)},
    )
    watched = Watched(past)
    assert watched.book()["aggOrderBook"] == {"ask": [row(10, 6)], "bid": []}
    assert (watched.book()["seq"], watched.view.last_trade_seq) == (3, 3)
    _, ((_, _, frame),) = watched.do("ann", market("bid", 1))
    assert (frame["prevSeq"], frame["seq"]) == (3, 4)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("ann", "bob")),
            st.builds(
                lambda make, price, amount, mode: make(price, amount, self_trade=mode),
                st.sampled_from((bid, ask)),
                st.integers(8, 12),
                st.integers(1, 5),
                st.sampled_from(("allow", "cancelNewest", "cancelOldest", "cancelBoth")),
            )
            | st.just(delete_all()),
        ),
        max_size=40,
    )
)
def test_the_view_equals_the_matchers_book_after_every_command(script):
    watched = Watched()
    for user_id, command in script:
        watched.do(user_id, command)
        bids, asks = watched.floor.exchange.markets["COIN"].book.depth()
        depth = watched.view.depth
        assert as_json(depth.rows_json(fastbook.Side.BID, 0)) == [row(p, q) for p, q in bids]
        assert as_json(depth.rows_json(fastbook.Side.ASK, 0)) == [row(p, q) for p, q in asks]
        assert watched.view.seq == watched.floor.exchange.markets["COIN"].seq
