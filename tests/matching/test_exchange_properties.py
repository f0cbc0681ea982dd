"""What holds of every run of commands: determinism, conservation, and that a restart is nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from trading import (
    HOUR_MS,
    T0,
    Floor,
    amend,
    ask,
    bid,
    by_total,
    cancel_after,
    delete,
    delete_all,
    market,
    orders,
    recovered,
    restarted,
    stop,
)

import fastbook.reference
from fastbook_server.channels.order_channel import CancelDue, Connected, Withdraw
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.matching.steps import finished
from fastbook_server.values import ids
from fastbook_server.values.events import (
    PUBLIC,
    CommandRefused,
    ExchangeEvent,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderTriggered,
    Traded,
)
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import Grid

USERS = ("ann", "bob", "cat", "dan")
STEPS_MS = (*[0] * 12, 1, 13 * HOUR_MS)
client_order_ids = st.sampled_from((*[None] * 8, "a", "b"))
self_trades = st.sampled_from(("allow", "cancelNewest", "cancelOldest", "cancelBoth", "decrement"))
sides = st.sampled_from(("bid", "ask"))
prices = st.integers(8, 12)
SCALES = {"COIN": (1, 1), "FINE": (100, 10_000)}


def limit(
    make: Any,
    security: str,
    price: int,
    amount: int,
    tif: str | None,
    post_only: bool,
    display: int,
    lives_ms: int | None,
):
    ticks, lots = SCALES[security]
    may_rest = tif in (None, "gtc")
    expires = may_rest and lives_ms is not None
    return lambda name, mode: make(
        price / ticks,
        amount / lots,
        security=security,
        time_in_force="gtt" if expires else tif,
        post_only=post_only and may_rest,
        display=min(display, amount) / lots if display and may_rest else None,
        expire_time=T0 + lives_ms if expires else None,
        client_order_id=name,
        self_trade=mode,
    )


adds = st.builds(
    lambda make, name, mode: make(name, mode),
    st.builds(
        limit,
        st.sampled_from((bid, ask)),
        st.sampled_from(("COIN", "COIN", "FINE")),
        st.integers(8, 12),
        st.integers(1, 6),
        st.sampled_from((None, "gtc", "gtc", "gtc", "ioc", "fok")),
        st.sampled_from((False, False, False, True)),
        st.sampled_from((0, 0, 1, 2, 3)),
        st.sampled_from((None, None, None, 1, 14 * HOUR_MS)),
    ),
    client_order_ids,
    self_trades,
)
markets = st.builds(
    lambda side, amount, tif, name, mode: market(
        side, amount, time_in_force=tif, client_order_id=name, self_trade=mode
    ),
    sides,
    st.integers(1, 8),
    st.sampled_from((None, "ioc", "fok")),
    client_order_ids,
    self_trades,
)
totals = st.builds(
    lambda side, total, name, mode: by_total(side, total, client_order_id=name, self_trade=mode),
    sides,
    st.integers(1, 90),
    client_order_ids,
    self_trades,
)
stops = st.builds(
    lambda side, trigger, amount, price, name, mode: stop(
        side,
        trigger,
        amount,
        client_order_id=name,
        self_trade=mode,
        **({} if price is None else {"price": float(price)}),
    ),
    sides,
    prices,
    st.integers(1, 6),
    st.none() | prices,
    client_order_ids,
    self_trades,
)
amends = st.builds(
    lambda nth, price, amount, name: ("amend", nth, price, amount, name),
    st.integers(0, 30),
    st.none() | prices,
    st.none() | st.integers(1, 8),
    client_order_ids,
).filter(lambda asked: asked[2:] != (None, None, None))
deletes = st.builds(lambda nth: ("delete", nth), st.integers(0, 30)) | st.builds(
    lambda name: delete(client_order_id=name), st.sampled_from(("a", "b"))
)
sweeps = st.sampled_from(
    (delete_all(), delete_all(security="COIN"), delete_all(type="bid"), orders())
)
unasked = st.sampled_from((Withdraw(), Connected(5), Connected(None), cancel_after(1), CancelDue()))
others = st.one_of(deletes, deletes, sweeps, unasked)
commands = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.one_of(*[adds] * 9, markets, totals, stops, stops, amends, amends, amends, others),
        st.sampled_from(STEPS_MS),
    ),
    min_size=12,
    max_size=80,
)


def play(floor: Floor, script: list[tuple[str, Any, int]]) -> list[ExchangeEvent]:
    """Apply a script; an order by number means the user's own nth order of all times."""
    start = len(floor.events)
    for user_id, command, step_ms in script:
        floor.now_ms += step_ms
        if isinstance(command, tuple):
            accepted = [e.order for e in floor.events if isinstance(e, OrderAccepted)]
            own = [o.id for o in accepted if o.user_id == user_id]
            if not own:
                continue
            command = of_order(own[command[1] % len(own)], command)
        floor.do(user_id, command)
    for market_ in floor.exchange.markets.values():
        market_.book.check_invariants()
    return floor.events[start:]


def of_order(order_id: str, asked: tuple[Any, ...]) -> Any:
    """Return the command that is asked for of an order."""
    if asked[0] == "delete":
        return delete(id=order_id)
    _, _, price, amount, name = asked
    security = {1: "COIN", 2: "FINE"}[ids.decode(order_id).instrument]
    ticks, lots = SCALES[security]
    return amend(
        id=order_id,
        price=None if price is None else price / ticks,
        amount=None if amount is None else amount / lots,
        new_client_order_id=name,
    )


@given(commands)
def test_the_same_commands_give_the_same_bytes_whichever_book_matches(script):
    runs = [
        play(Floor(), script),
        play(Floor(), script),
        play(Floor(book_type=fastbook.reference.OrderBook), script),
    ]
    one, again, by_reference = map(repr, runs)
    assert one == again == by_reference


@given(commands)
def test_every_accepted_lot_is_filled_cancelled_or_resting(script):
    floor = Floor()
    events = play(floor, script)
    accepted: dict[str, int] = {}
    ended: dict[str, int] = defaultdict(int)
    for event in events:
        if isinstance(event, OrderAccepted):
            accepted[event.order.id] = event.order.quantity
        elif isinstance(event, OrderFilled):
            ended[event.taker.id] += event.quantity
            ended[event.maker.id] += event.quantity
        elif isinstance(event, OrderAmended):
            accepted[event.order.id] += event.order.quantity - event.before.quantity
            assert event.remaining == accepted[event.order.id] - ended[event.order.id]
        elif isinstance(event, OrderCancelled):
            ended[event.order.id] += event.quantity
    resting = {
        state.order.id: state.remaining
        for market_ in floor.exchange.markets.values()
        for state in market_.open.values()
    }
    assert accepted == {i: ended[i] + resting.get(i, 0) for i in accepted}


@given(commands)
def test_numbers_have_no_gaps_and_a_refused_command_takes_none(script):
    floor = Floor()
    seqs: dict[str, list[int]] = {"COIN": [], "FINE": []}
    for event in play(floor, script):
        if isinstance(event, OrderAccepted):
            seqs[event.order.instrument.security].append(event.order.seq)
        elif (
            isinstance(event, OrderCancelled | OrderAmended | OrderTriggered)
            and event.seq not in seqs[event.order.instrument.security]
        ):
            seqs[event.order.instrument.security].append(event.seq)
    assert seqs == {name: list(range(1, len(given_) + 1)) for name, given_ in seqs.items()}
    assert {n: m.seq for n, m in floor.exchange.markets.items()} == {
        name: len(given_) for name, given_ in seqs.items()
    }


@given(commands)
def test_a_trade_is_the_sum_of_its_fills_and_no_one_meets_themselves_against_their_will(script):
    fills: dict[tuple[str, int], list[OrderFilled]] = defaultdict(list)
    for event in play(Floor(), script):
        if isinstance(event, OrderFilled):
            assert event.taker.self_trade == "allow" or event.taker.user_id != event.maker.user_id
            assert event.taker.side != event.maker.side
            fills[event.taker.instrument.security, event.seq].append(event)
        elif isinstance(event, Traded):
            own = fills[event.order.instrument.security, event.seq]
            assert [f.n for f in own] == list(range(len(own)))
            assert event.quantity == sum(f.quantity for f in own)
            assert event.notional == sum(f.quantity * f.price for f in own)


@given(commands)
def test_users_do_not_get_mixed_up(script):
    """Each is told of their own orders only, and `cancelNewest` strikes the own orders only."""
    floor = Floor()
    for event in play(floor, script):
        if type(event) in PUBLIC or isinstance(event, CommandRefused):
            continue
        if hasattr(event, "reports"):
            assert {r.order.user_id for r in event.reports} <= {event.user_id}
        elif hasattr(event, "user_id") and hasattr(event, "order"):
            assert event.order.user_id == event.user_id
    owners: dict[int, str] = {}
    for market_ in floor.exchange.markets.values():
        for resting in market_.book:
            user_id = market_.open[resting.order_id].order.user_id
            assert owners.setdefault(resting.owner, user_id) == user_id
    assert len(set(owners.values())) == len(owners)


TINY = Instrument(1, "COIN", Grid.parse("1e-12"), Grid.parse("1e-12"))
numbers = st.floats() | st.integers(0, 2**52).map(lambda n: n / 10**12)


@given(st.lists(st.tuples(st.sampled_from((bid, ask)), numbers, numbers), max_size=5))
def test_no_number_does_anything_but_trade_or_be_refused(terms):
    """Whatever else it did would stop the server."""
    floor = Floor(recovered(TINY))
    for make, price, amount in terms:
        assert floor.do("ann", make(price, amount))
        assert floor.do("bob", market("ask", amount))


@settings(max_examples=60)
@given(commands, commands)
def test_a_restart_changes_nothing(before, after):
    floor = Floor()
    play(floor, before)
    again = restarted(floor)
    assert play(again, after) == play(floor, after)


@settings(max_examples=60)
@given(commands)
def test_the_public_view_is_the_book_with_only_what_shows(script):
    floor = Floor()
    views = MarketViews(recovered())
    views.on_orders([e for e in play(floor, script) if type(e) in PUBLIC and type(e) is not Traded])
    for name, market_ in floor.exchange.markets.items():
        view, (bids, asks) = views.views[name], market_.book.depth()
        assert (view.depth.top(fastbook.Side.BID), view.depth.top(fastbook.Side.ASK)) == (
            bids,
            asks,
        )
        assert view.seq == market_.seq
        for progress in market_.open.values():
            resting = market_.book.get(progress.order.seq)
            if progress.is_held():
                assert resting is None
            else:
                assert (resting.quantity, resting.visible) == (
                    progress.remaining,
                    progress.visible(),
                )


@settings(max_examples=60)
@given(commands)
def test_no_order_lives_beyond_its_time_and_none_waits_beyond_its_trigger(script):
    floor = Floor()
    play(floor, script)
    finished(floor.exchange.expire(floor.now_ms))
    for market_ in floor.exchange.markets.values():
        for progress in market_.open.values():
            order = progress.order
            assert order.expire_ms is None or order.expire_ms > floor.now_ms
            if progress.is_held():
                assert not market_.stops.meets(order)
