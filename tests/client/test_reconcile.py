"""Each own fill once and every order's end, over lost connections: beside a model of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_server import INSTRUMENTS, SECURITIES, ModelClient, ModelServer, key

from fastbook_client import Event, Fill, OrderFrame, Resynced, TooSlow
from fastbook_client.events import OPEN
from fastbook_client.reconcile import QUESTIONS_AT_ONCE, OwnEvents
from fastbook_wire.commands import Add, GetFills, NewOrder, Orders
from fastbook_wire.frames import Error
from fastbook_wire.words import Role

Place = tuple[int, Role]


def place(fill: Fill) -> tuple[int, bool]:
    """Return what fills of a security are told in the order of."""
    return fill.fill_id, fill.role == "maker"


def check(client: ModelClient, since: Mapping[str, Place] | None = None) -> None:
    """Everything was told once and in order, and adds up to what the server knows."""
    after = {s: (fill_id, role == "maker") for s, (fill_id, role) in (since or {}).items()}
    server = client.server
    for security in SECURITIES:
        expected = [f for f in server.fills[security] if place(f) > after.get(security, (0, True))]
        told = [fill for fill in client.fills if fill.security == security]
        assert sorted(map(key, told)) == sorted(map(key, expected))
        assert {key(f): f for f in told} == {key(f): f for f in expected}
        assert told == sorted(told, key=place)
    ends = [e for e in client.told if isinstance(e, OrderFrame) and e.status not in OPEN]
    ends += [reply for reply in client.replies if reply.status not in OPEN]
    count = Counter(e.order.id for e in ends if e.order is not None)
    assert set(count.values()) <= {1}
    replied = {reply.order.id for reply in client.replies if reply.order is not None}
    filled = {fill.order_id for fill in client.fills}
    listed = {o.id for e in client.told if isinstance(e, Resynced) for o in e.orders}
    assert set(count) >= (replied | filled | listed) - set(server.open)
    assert own_open(client) == set(server.open)


def own_open(client: ModelClient) -> set[str]:
    """Return the orders that a program takes for open which reads the events alone."""
    last = max(n for n, e in enumerate(client.told) if isinstance(e, Resynced))
    resynced = client.told[last]
    assert isinstance(resynced, Resynced)
    found = {order.id for order in resynced.orders}
    for event in client.told[last:]:
        if isinstance(event, OrderFrame) and event.order is not None:
            (found.add if event.status in OPEN else found.discard)(event.order.id)
    return found


STEPS = st.one_of(
    st.tuples(st.just("rest"), st.sampled_from(SECURITIES), st.integers(1, 5)),
    st.tuples(st.just("hit"), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("take"), st.sampled_from(SECURITIES), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("deliver"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("connect"), st.just(0), st.just(0)),
)
SELF_TRADES = st.one_of(
    STEPS, st.tuples(st.just("self"), st.sampled_from(SECURITIES), st.integers(1, 3))
)


def play(client: ModelClient, steps: list[Any]) -> None:
    server = client.server
    for what, where, count in steps:
        resting = list(server.open)
        match what:
            case "rest":
                order_id = server.place(where, count)
                order = NewOrder(type="bid", exec_type="limit", amount=1.0, security=where)
                client.own.sent(Add(order=order))
                server.say(server.view(order_id), Add(order=order))
            case "hit" if resting:
                maker = resting[where % len(resting)]
                lots = min(count, round(server.orders[maker].remaining * 10))
                server.seq += 1
                server.match(server.orders[maker].security, None, [(maker, lots)])
            case "take" | "self":
                client.own.sent(Add(order=NewOrder(type="bid", exec_type="market", amount=1.0,
                                                   security=where)))  # fmt: skip
                makers = [server.place(where, 1) for _ in range(count)] if what == "self" else []
                for maker in makers:
                    server.say(server.view(maker), Add(order=NewOrder(
                        type="ask", exec_type="limit", amount=1.0, security=where)))  # fmt: skip
                taker = server.place(where, count)
                server.match(where, taker, [(m, 1) for m in makers or [None] * count])
            case "cancel" if resting:
                server.cancel(resting[where % len(resting)])
            case "deliver":
                client.deliver(where)
            case "connect":
                client.connect()
    client.connect()
    client.settle()


@settings(deadline=None, max_examples=400)
@example([("connect", 0, 0), ("take", "A", 1), ("deliver", 1, 0), ("take", "A", 1),
          ("deliver", 9, 0)], False)  # fmt: skip
@example([("rest", "A", 2), ("deliver", 9, 0), ("connect", 0, 0), ("cancel", 0, 0),
          *(("deliver", 9, 0),) * 3], True)  # fmt: skip
@given(st.lists(SELF_TRADES, max_size=40), st.booleans())
def test_each_fill_and_each_end_is_told_once(steps: list[Any], relaxed: bool) -> None:
    client = ModelClient(ModelServer(relaxed))
    play(client, steps)
    check(client)


@settings(deadline=None, max_examples=200)
@example([("self", "A", 2), ("deliver", 9, 0)], 1, [])
@given(st.lists(SELF_TRADES, max_size=25), st.integers(0, 9), st.lists(SELF_TRADES, max_size=25))
def test_a_program_goes_on_from_the_fills_that_an_earlier_one_has_dealt_with(
    first: list[Any], unread: int, second: list[Any]
) -> None:
    earlier = ModelClient(ModelServer())
    play(earlier, first)
    server = earlier.server
    for security in SECURITIES:  # fills that the earlier program did not see
        server.match(security, None, [(server.place(security, 2), 1)])
    dealt_with = earlier.fills[: max(0, len(earlier.fills) - unread)]
    since = {fill.security: (fill.fill_id, fill.role) for fill in dealt_with}
    client = ModelClient(server, resumes=True, fills_since=since)
    client.connect()
    play(client, second)
    check(client, since)


@settings(deadline=None, max_examples=200)
@example([("rest", "A", 2)], [("deliver", 9, 0), ("hit", 0, 1)])
@example([("rest", "A", 2)], [("deliver", 9, 0), ("cancel", 0, 0)])
@given(st.lists(STEPS, max_size=25), st.lists(STEPS, max_size=25))
def test_without_them_a_resumed_user_is_told_what_comes_from_then_on(
    first: list[Any], second: list[Any]
) -> None:
    earlier = ModelClient(ModelServer())
    play(earlier, first)
    server = earlier.server
    since: dict[str, Place] = {s: (fill_id, "maker") for s, fill_id in server.fill_ids.items()}
    client = ModelClient(server, resumes=True)
    client.connect()
    while client.asked and isinstance(client.asked[0], GetFills):
        client.deliver(1)
    play(client, second)
    check(client, since)


# ---- single cases -------------------------------------------------------------------------------


def brief(told: list[Event]) -> list[Any]:
    """Return fills by their ids, orders by their status, lists by their orders."""
    found: list[Any] = []
    for event in told:
        match event:
            case Fill():
                found.append((event.fill_id, event.role, event.filled, event.remaining))
            case OrderFrame(status=status, order=order):
                found.append((status, None if order is None else order.id))
            case Resynced(_, same, orders):
                found.append((same, [order.id for order in orders]))
            case Error():
                found.append(event.code)
    return found


def resting(server: ModelServer, client: ModelClient, security: str, lots: int) -> str:
    """Place an order whose reply has arrived."""
    order_id = server.place(security, lots)
    add = Add(order=NewOrder(type="bid", exec_type="limit", amount=1.0, security=security))
    client.own.sent(add)
    server.say(server.view(order_id), add)
    client.deliver(1)
    return order_id


def test_first_the_missed_fills_then_the_ends_then_what_is_open() -> None:
    server = ModelServer()
    client = ModelClient(server)
    first, second = (resting(server, client, "A", 3) for _ in range(2))
    for maker in (first, second, first):
        server.seq += 1
        server.match("A", None, [(maker, 1)])
    server.cancel(first)
    client.connect()
    client.settle()
    assert brief(client.told) == [
        (1, "maker", 0.1, 0.2),
        (2, "maker", 0.1, 0.2),
        (3, "maker", 0.2, 0.1),
        ("cancelled", first),
        (True, [second]),
    ]


def test_fills_of_several_securities_come_by_time() -> None:
    server = ModelServer()
    client = ModelClient(server)
    orders = {security: resting(server, client, security, 5) for security in ("B", "A")}
    for security in ("B", "A", "A", "B"):
        server.seq += 1
        server.match(security, None, [(orders[security], 1)])
    client.connect()
    client.settle()
    assert [fill.security for fill in client.fills] == ["B", "A", "A", "B"]


def test_what_comes_live_meanwhile_is_told_after_what_was_missed() -> None:
    server = ModelServer()
    client = ModelClient(server)
    order_id = resting(server, client, "A", 5)
    server.seq += 1
    server.match("A", None, [(order_id, 1)])  # missed
    client.connect()
    client.deliver(1)  # the first fill, from the history
    for _ in range(2):
        server.seq += 1
        server.match("A", None, [(order_id, 1)])
    client.deliver(3)  # the list, and one of them before it or after
    assert client.steps is None or client.told == []
    client.settle()
    assert [e[:2] for e in brief(client.told)] == [
        *((1, "maker"), (True, [order_id])),
        *((2, "maker"), ("partiallyFilled", order_id), (3, "maker")),
        ("partiallyFilled", order_id),
    ]


def test_nothing_is_asked_of_a_user_who_never_had_orders() -> None:
    client = ModelClient(ModelServer())
    client.connect()
    assert client.asked == [Orders()]


def test_what_was_told_is_hardly_asked_for_again() -> None:
    server = ModelServer()
    client = ModelClient(server, resumes=True)
    client.connect()
    client.settle()
    for _ in range(9):
        client.own.sent(Add(order=NewOrder(type="bid", exec_type="market", amount=1.0,
                                           security="A")))  # fmt: skip
        server.match("A", server.place("A", 1), [(None, 1)])
    client.deliver(99)
    asked = []
    client.connect()
    while client.asked:
        asked += client.asked
        client.deliver(1)
    assert asked == [
        GetFills(security="A", since=8, limit=1_000),
        Orders(),
    ]


def test_of_a_user_that_the_server_has_forgotten_nothing_is_invented() -> None:
    server = ModelServer()
    client = ModelClient(server, resumes=True, fills_since={"A": (7, "maker")})
    client.steps = client.own.reconcile("new", INSTRUMENTS, lambda: False)
    client.go_on(None)
    client.settle()
    assert brief(client.told) == [(False, [])]
    order_id = resting(server, client, "A", 3)
    server.seq += 1
    server.match("A", None, [(order_id, 1)])  # its first fill, missed
    client.connect()
    client.settle()
    assert [fill.fill_id for fill in client.fills] == [1]


def test_after_it_has_forgotten_a_user_the_next_ones_fills_count_from_the_first() -> None:
    server = ModelServer()
    client = ModelClient(server)
    order_id = resting(server, client, "A", 9)
    for _ in range(3):
        server.match("A", None, [(order_id, 1)])
    client.deliver(9)
    client.own.forget()
    client.connect()
    assert client.asked == [Orders()]


def test_a_security_that_is_no_longer_listed_is_said_once() -> None:
    server = ModelServer()
    client = ModelClient(server)
    order_id = resting(server, client, "A", 3)
    server.cancel(order_id)
    server.unlisted = {"A"}
    for expected in (["unknown_security", ("cancelled", order_id), (True, [])], [(True, [])]):
        client.told.clear()
        client.connect()
        client.settle()
        assert brief(client.told) == expected


def test_of_an_order_that_the_history_lacks_the_missed_fills_are_all() -> None:
    server = ModelServer()
    client = ModelClient(server)
    order_id = resting(server, client, "A", 9)
    for _ in range(2):
        server.match("A", None, [(order_id, 2)])
    del server.orders[order_id]
    server.view = lambda _: OrderFrame(status="rejected", code="unknown_order")  # type: ignore[method-assign,assignment]
    client.connect()
    client.settle()
    assert brief(client.told) == [
        *((1, "maker", 0.2, 0.2), (2, "maker", 0.4, 0.0)),
        (True, []),
    ]


def test_more_than_it_may_hold_back_is_too_slow() -> None:
    told: list[Event] = []
    own = OwnEvents(told.append, held_max=2)
    own.reconcile("me", INSTRUMENTS, lambda: True).send(None)  # type: ignore[arg-type]
    server = ModelServer()
    order_id = server.place("A", 9)
    for _ in range(2):
        own.handle(server.view(order_id))
    own.handle(OrderFrame(status="rejected", code="halted"))  # changes nothing
    with pytest.raises(TooSlow):
        own.handle(server.view(order_id))
    assert brief(told) == [("rejected", None)]


def test_the_ends_of_many_orders_are_asked_for_in_parts() -> None:
    server = ModelServer()
    client = ModelClient(server)
    orders = [resting(server, client, "A", 1) for _ in range(150)]
    for order_id in orders:
        server.cancel(order_id)
    client.cut()
    client.connect()
    sizes: list[int] = []
    while server.way:
        sizes.append(len(client.asked))
        client.deliver(1)
    assert max(sizes) == QUESTIONS_AT_ONCE
    assert brief(client.told) == [*(("cancelled", i) for i in orders), (True, [])]
