"""What every store promises, held against the one in memory and the one in PostgreSQL."""

from __future__ import annotations

import random

import msgspec
import pytest

from fastbook_server.store import CLIENT_ORDERS_KEPT_MS, StoreFenced, StoreRefused
from fastbook_server.values.events import (
    CancelRuleChanged,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    Traded,
)
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch, CancelRule, ClientOrder, OpenOrder

BTC = InstrumentSpec.parse("BTC-USD:0.01:0.0001")


async def commit(store, batch):
    await store.commit(store.prepare(batch))


def expected(events):
    """Return what events leave behind: open orders, client orders, trades by security."""
    state, trades, ends = {}, {}, {}
    for event in events:
        if isinstance(event, OrderAccepted):
            state[event.order.id] = [event.order, event.order.quantity, 0, None, False]
        elif isinstance(event, OrderFilled):
            for order in (event.taker, event.maker):
                state[order.id][1] -= event.quantity
                state[order.id][2] += event.quantity * event.price
                if not state[order.id][1]:
                    ends[order.id] = event.time_ms
        elif isinstance(event, OrderRested):
            state[event.order.id][4] = True
        elif isinstance(event, OrderCancelled):
            state[event.order.id][3:] = [event.reason, False]
            ends[event.order.id] = event.time_ms
        elif isinstance(event, Traded):
            trades.setdefault(event.order.instrument.security, []).append(event)
    open_orders = [
        OpenOrder(order, left, cost, (order.seq, 0), left)
        for order, left, cost, _, rests in sorted(state.values(), key=lambda s: s[0].seq)
        if rests and left
    ]
    client_orders = []
    for order, left, cost, reason, _ in state.values():
        if order.client_order_id is not None and order.id in ends:
            status = "cancelled" if reason else "filled"
            client_orders.append(ClientOrder(order, status, left, cost, reason, ends[order.id]))
    client_orders.sort(key=lambda known: (known.ended_ms, known.order.id))
    return open_orders, client_orders, trades


async def test_a_new_database_has_no_past(make_store, specs):
    past = await make_store().open(specs, 50)
    assert (past.epoch, past.batch_no, past.time_ms) == (1, 0, 0)
    assert [i.security for i in past.instruments] == ["BTC-USD", "GAME"]
    assert [i.number for i in past.instruments] == [1, 2]
    assert past.seqs == {"BTC-USD": 0, "GAME": 0}
    assert past.last_trades == {"BTC-USD": (), "GAME": ()}
    assert past.open_orders == past.client_orders == ()
    assert len(past.token_key) == 32


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_committed_is_recovered(make_store, specs, flow, seed):
    """Also over several restarts, with orders of one life filled in the next."""
    store = make_store()
    past = await store.open(specs, 0)
    key, events = past.token_key, []
    for life in range(1, 4):
        source = flow(past, seed * 10 + life)
        for _ in range(5):
            await commit(store, source.batch(30))
        events += source.past
        await store.close()
        store = make_store()
        past = await store.open(specs, 0)
        open_orders, client_orders, trades = expected(events)
        assert (past.epoch, past.batch_no, past.time_ms) == (life + 1, life * 5, source.time_ms)
        assert past.seqs == source.seqs
        assert past.token_key == key
        assert sorted(past.open_orders, key=lambda o: o.order.id) == sorted(
            open_orders, key=lambda o: o.order.id
        )
        assert [o.order.seq for o in past.open_orders] == [o.order.seq for o in open_orders]
        assert past.client_orders == tuple(client_orders)
        assert past.last_trades == {name: tuple(trades.get(name, ())) for name in past.seqs}


async def test_the_last_trades_are_the_newest_oldest_first(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch(300))
    trades = expected(source.past)[2]
    assert all(len(of_one) > 3 for of_one in trades.values())
    past = await make_store().open(specs, 3)
    assert past.last_trades == {name: tuple(of_one[-3:]) for name, of_one in trades.items()}


async def test_committing_the_same_batch_again_changes_nothing(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    for _ in range(3):
        prepared = store.prepare(source.batch())
        await store.commit(prepared)
        await store.commit(prepared)
    past = await make_store().open(specs, 0)
    assert past.batch_no == 3
    assert list(past.open_orders) == expected(source.past)[0]


async def test_a_batch_without_events_moves_number_and_time(make_store, specs):
    store = make_store()
    await store.open(specs, 0)
    await commit(store, Batch(1, 1_000, ()))
    past = await make_store().open(specs, 0)
    assert (past.batch_no, past.time_ms) == (1, 1_000)


async def test_who_opens_last_fences_who_opened_before(make_store, specs, flow):
    first, second = make_store(), make_store()
    old = flow(await first.open(specs, 0))
    await commit(first, old.batch())
    new = flow(await second.open(specs, 0), seed=1)
    prepared = first.prepare(old.batch())
    with pytest.raises(StoreFenced, match="expected epoch 1 and batch 1"):
        await first.commit(prepared)
    await commit(second, new.batch())
    with pytest.raises(StoreFenced):
        await first.commit(prepared)
    assert (await make_store().open(specs, 0)).batch_no == 2


async def test_a_gap_in_the_batches_is_refused(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    source.batch()
    with pytest.raises(StoreFenced, match="batch 1"):
        await commit(store, source.batch())


@pytest.mark.parametrize("changed", ["BTC-USD:0.1:0.0001", "BTC-USD:0.01:0.001"])
async def test_a_changed_tick_or_lot_over_data_is_refused(make_store, specs, flow, changed):
    store = make_store()
    await store.open(specs, 0)
    # Nothing has happened yet: nothing contradicts the new one.
    tried = await make_store().open([InstrumentSpec.parse(changed)], 0)
    assert tried.instruments[0].number == 1
    store = make_store()
    past = await store.open(specs, 0)
    await commit(store, flow(past).batch(60))
    with pytest.raises(StoreRefused, match=r"tick 0\.01 and lot 0\.0001.*" + changed.split(":")[1]):
        await make_store().open([InstrumentSpec.parse(changed)], 0)
    # It did not claim the database: the running server goes on.
    await commit(store, Batch(past.batch_no + 2, past.time_ms, ()))
    same = await make_store().open([InstrumentSpec.parse("BTC-USD:0.010:1e-4")], 0)
    assert same.instruments[0].number == 1


async def test_an_instrument_without_open_orders_sleeps_while_it_is_not_configured(
    make_store, specs, flow
):
    store = make_store()
    source = flow(await store.open(specs, 0))
    btc, game = source.instruments
    limit = {"exec_type": "limit", "time_in_force": "gtc"}
    first = source.add(btc, price=10_000, user_id="a", **limit)
    second = source.add(game, price=10_000, user_id="a", **limit)
    gone = source.cancel([second[0].order.id])
    await commit(store, source.close_batch([*first, *second, *gone]))
    extra = InstrumentSpec.parse("NEW:1:1")
    past = await make_store().open([extra, BTC], 0)
    assert [(i.number, i.security) for i in past.instruments] == [(3, "NEW"), (1, "BTC-USD")]
    assert [(i.number, i.security, i.status) for i in past.unlisted] == [(2, "GAME", "halted")]
    assert (past.unlisted[0].tick, past.unlisted[0].lot) == (game.tick, game.lot)
    assert set(past.seqs) == set(past.last_trades) == {"NEW", "BTC-USD"}
    assert [o.order for o in past.open_orders] == [first[0].order]
    past = await make_store().open([*specs, extra], 0)
    assert (past.seqs, past.unlisted) == ({"BTC-USD": 1, "GAME": 2, "NEW": 0}, ())


async def test_open_orders_of_an_instrument_that_is_left_out_stop_the_start(
    make_store, specs, flow
):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch(100))
    game = sorted(
        o.order.id for o in expected(source.past)[0] if o.order.instrument.security == "GAME"
    )
    said = (
        rf"got none for GAME \(open orders: {len(game)}, such as {game[0]}\): "
        "list .* or cancel its orders with --delist GAME$"
    )
    for delist in ((), ("BTC",)):
        with pytest.raises(StoreRefused, match=said):
            await make_store().open([BTC], 0, delist=delist)
    # It did not claim the database: the running server goes on.
    await commit(store, source.batch(10))


async def test_a_delisted_instruments_orders_are_cancelled_and_never_live_again(
    make_store, specs, flow
):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch(150))
    rest = [e for i in source.instruments for e in source.add_resting(i, 5)]
    await commit(store, source.close_batch(rest))
    live = {name: [] for name in ("BTC-USD", "GAME")}
    for resting in expected(source.past)[0]:
        live[resting.order.instrument.security].append(resting)
    later_ms = source.time_ms + 5_000
    past = await make_store().open([BTC], 0, delist=["GAME"], now_ms=later_ms)
    assert list(past.open_orders) == live["BTC-USD"]
    assert (past.batch_no, past.time_ms) == (3, later_ms)
    named = {o.order.id for o in live["GAME"] if o.order.client_order_id is not None}
    ended = [
        (known.order.id, known.status, known.reason)
        for known in past.client_orders
        if known.ended_ms == later_ms
    ]
    assert ended == [(order_id, "cancelled", "delisted") for order_id in sorted(named)]
    assert named

    history = make_store().history((*past.instruments, *past.unlisted))
    for resting in live["GAME"]:
        found = await history.order(resting.order.id)
        state = (found.status, found.reason, found.remaining, found.notional)
        assert state == ("cancelled", "delisted", resting.remaining, resting.notional)
    await history.close()

    again = await make_store().open([BTC], 0, delist=["GAME", "NEVER-WAS"], now_ms=later_ms + 1)
    assert (again.batch_no, again.time_ms) == (3, later_ms), "there was nothing left to cancel"
    back = await make_store().open(specs, 0)
    assert list(back.open_orders) == live["BTC-USD"]
    assert back.seqs == source.seqs | {"GAME": source.seqs["GAME"] + 1}


async def test_a_delisting_is_never_stamped_before_what_it_follows(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch(100))
    past = await make_store().open([BTC], 0, delist=["GAME"], now_ms=source.time_ms - 1)
    assert (past.batch_no, past.time_ms) == (2, source.time_ms)


async def test_the_last_rule_of_each_user_is_recovered(make_store, specs):
    store = make_store()
    await store.open(specs, 0)
    kept: dict[str, CancelRule] = {}
    dice = random.Random(3)
    for number in range(1, 12):
        events = [
            CancelRuleChanged(
                dice.choice("abcd"), dice.choice((None, 0, 7)), dice.choice((None, 2**45))
            )
            for _ in range(dice.randrange(4))
        ]
        prepared = store.prepare(Batch(number, number, tuple(events)))
        await store.commit(prepared)
        await store.commit(prepared)
        kept |= {e.user_id: CancelRule(e.after_disconnect_s, e.deadline_ms) for e in events}
    past = await make_store().open(specs, 0)
    assert past.cancel_rules == {u: rule for u, rule in kept.items() if rule != CancelRule()}
    assert 0 < len(past.cancel_rules) < len(kept)


async def test_the_status_is_the_configured_one(make_store, specs):
    halted = msgspec.structs.replace(specs[0], status="halted")
    past = await make_store().open([halted, specs[1]], 0)
    assert [i.status for i in past.instruments] == ["halted", "open"]


async def test_client_orders_are_forgotten_a_day_after_their_end(make_store, specs, flow):
    """However long an order rests, its id is remembered for a day more; then it may come again."""
    store = make_store()
    source = flow(await store.open(specs, 0))
    btc = source.instruments[0]
    given = {
        "user_id": "user#1", "exec_type": "limit", "time_in_force": "gtc",
        "client_order_id": "mine",
    }  # fmt: skip
    first = source.add(btc, side="bid", price=90, quantity=5, **given)
    await commit(store, source.close_batch(first))
    source.time_ms += 2 * CLIENT_ORDERS_KEPT_MS
    taker = {"user_id": "user#2", "exec_type": "limit", "time_in_force": "gtc"}
    sold = source.add(btc, side="ask", price=90, quantity=5, **taker)
    await commit(store, source.close_batch(sold))
    ended_ms = source.time_ms

    for later_ms, remembered in ((CLIENT_ORDERS_KEPT_MS, True), (1, False)):
        source.time_ms += later_ms
        await commit(store, source.close_batch([]))
        store = make_store()
        past = await store.open(specs, 0)
        source.epoch = past.epoch
        known = [(k.order.id, k.status, k.ended_ms) for k in past.client_orders]
        assert known == [(first[0].order.id, "filled", ended_ms)] * remembered

    again = source.add(btc, side="bid", price=91, quantity=5, **given)
    await commit(store, source.close_batch(again))
    assert (await make_store().open(specs, 0)).client_orders == ()


async def test_a_notional_beyond_64_bits_is_exact(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    btc, most = source.instruments[0], 2**52
    given = {"exec_type": "limit", "time_in_force": "gtc", "price": most, "self_trade": "allow"}
    events = source.add(btc, side="ask", user_id="a", quantity=most, **given)
    bought = source.add(
        btc, side="bid", user_id="b", quantity=most - 1, client_order_id="x", **given
    )
    events += bought
    await commit(store, source.close_batch(events))
    past = await make_store().open(specs, 0)
    order = events[0].order
    assert past.open_orders == (OpenOrder(order, 1, most * (most - 1), (order.seq, 0), 1),)
    assert past.client_orders[0].notional == most * (most - 1)
    assert past.last_trades["BTC-USD"][0].notional == most * (most - 1)
    assert past.last_trades["BTC-USD"][0].quantity == most - 1
