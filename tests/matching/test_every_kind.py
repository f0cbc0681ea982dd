"""Long random flows of every kind of order: both books, a restart, and the view agree."""

from __future__ import annotations

from collections import Counter

import pytest
from every_kind import WEIGHTS, EveryKind
from fakes import T0
from trading import Floor, recovered, restarted

import fastbook.reference
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.values.events import (
    PUBLIC,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderTriggered,
    Traded,
)

COMMANDS = 4_000


def run(floor: Floor, seed: int, commands: int = COMMANDS) -> Floor:
    """Let a flow happen on a floor, a millisecond now and then."""
    flow = EveryKind(seed)
    for n in range(commands):
        floor.now_ms = T0 + n // 5
        flow.now_ms = floor.now_ms
        floor.do(*flow.next())
    return floor


@pytest.mark.parametrize("seed", range(4))
def test_both_books_cause_the_same_events(seed):
    one = run(Floor(), seed)
    other = run(Floor(book_type=fastbook.reference.OrderBook), seed)
    assert repr(one.events) == repr(other.events)
    for floor in (one, other):
        floor.exchange.markets["COIN"].book.check_invariants()


def test_everything_happens():
    events = run(Floor(), 3).events
    reasons = Counter(e.reason for e in events if isinstance(e, OrderCancelled))
    assert set(reasons) >= {
        *("user", "expired", "no_liquidity", "total", "ioc", "fok", "self_trade")
    }
    amended = Counter((e.cause, e.in_book, e.stays) for e in events if isinstance(e, OrderAmended))
    assert set(amended) == {
        *(("user", True, True), ("user", True, False), ("user", False, True)),
        *(("user", False, False), ("self_trade", True, True), ("self_trade", False, True)),
    }
    assert min(amended.values()) > 2, amended
    assert sum(e.refilled for e in events if isinstance(e, OrderFilled)) > 20
    assert sum(isinstance(e, OrderTriggered) for e in events) > 50


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_changes_nothing(seed):
    floor = run(Floor(), seed, 1_000)
    again = restarted(floor)
    seen = len(floor.events)
    flow = EveryKind(seed)
    for n in range(3_000):
        user, command = flow.next()
        if n < 1_000:
            continue
        floor.now_ms = T0 + n // 5
        flow.now_ms = floor.now_ms
        again.now_ms = floor.now_ms
        assert again.do(user, command) == floor.do(user, command), (n, command)
        if n % 500 == 0:
            again = restarted(floor)
    assert len(floor.events) > seen


@pytest.mark.parametrize("seed", range(4))
def test_the_public_view_is_the_book_with_only_what_shows(seed):
    floor, views, flow = Floor(), MarketViews(recovered()), EveryKind(seed)
    view, market = views.views["COIN"], floor.exchange.markets["COIN"]
    for n in range(COMMANDS):
        floor.now_ms = T0 + n // 5
        flow.now_ms = floor.now_ms
        events = floor.do(*flow.next())
        views.on_orders([e for e in events if type(e) in PUBLIC and type(e) is not Traded])
        assert (view.seq, view.fills[-1].fill_id if view.fills else 0) == (
            *(market.seq, market.fill_id),
        )
        bids, asks = market.book.depth()
        assert view.depth.top(fastbook.Side.BID) == bids
        assert view.depth.top(fastbook.Side.ASK) == asks
    for progress in market.open.values():
        resting = market.book.get(progress.order.seq)
        assert (resting is None) == progress.is_held()
        if resting is not None:
            assert (resting.quantity, resting.visible) == (progress.remaining, progress.visible())


def test_the_flow_has_every_kind():
    flow = EveryKind(1)
    for _ in range(1_000):
        flow.next()
    assert set(flow.counts) == set(WEIGHTS)
    assert min(flow.counts.values()) > 0
