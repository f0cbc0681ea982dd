"""Orders that are cancelled unasked: when a connection has ended, and at a deadline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, Floor, bid, cancel_after, delete_all, market, orders, recovered, restarted

from fastbook_server.channels.order_channel import CancelDue, Connected, Forget, Withdraw
from fastbook_server.matching.cancel_rules import CancelRules
from fastbook_server.values.events import CancelRuleChanged, OrderAccepted, OrderCancelled
from fastbook_server.values.persisted import CancelRule

# ---- on disconnect ------------------------------------------------------------------------------


def test_a_choice_is_an_event_once():
    floor = Floor()
    assert floor.brief("ann", Connected(None)) == []
    assert floor.brief("ann", Connected(5)) == [("rule", "ann", 5, None)]
    assert floor.brief("ann", Connected(5)) == []
    assert floor.brief("ann", Connected(0)) == [("rule", "ann", 0, None)]
    assert floor.brief("ann", Connected(None)) == [("rule", "ann", None, None)]


@pytest.mark.parametrize(("choice", "marked"), [(None, False), (0, True), (5, True)])
def test_an_order_records_whether_it_goes_with_its_users_connection(choice, marked):
    floor = Floor()
    floor.do("ann", Connected(choice))
    accepted = next(e for e in floor.do("ann", bid(10, 5)) if isinstance(e, OrderAccepted))
    assert accepted.order.withdraw_on_close == marked


def test_withdraw_takes_all_orders_of_a_user_and_uses_the_choice_up():
    floor = Floor()
    floor.do("ann", Connected(0))
    floor.do("ann", cancel_after(1_000))
    floor.do("ann", bid(10, 5))
    floor.do("bob", bid(10, 1))
    assert floor.brief("ann", Withdraw()) == [
        ("rule", "ann", None, T0 + 1_000),
        ("gone", 3, 0, 1, 5, "disconnect", "book", 1),
        ("ann", None, "cancelled/disconnect", 1, 5, 0),
    ]
    assert floor.brief("ann", Withdraw()) == []


# ---- at a deadline ------------------------------------------------------------------------------


def test_a_deadline_cancels_all_orders_of_its_user_in_every_book():
    floor = Floor()
    assert floor.brief("ann", cancel_after(1_000, "c")) == [
        ("rule", "ann", None, T0 + 1_000),
        ("ann", "c", "cancelAfter", T0, T0 + 1_000),
    ]
    floor.do("ann", bid(10, 5))
    floor.do("ann", bid(0.5, 1, security="FINE"))
    floor.do("bob", bid(10, 1))
    floor.now_ms = T0 + 999
    assert floor.brief("ann", CancelDue()) == []
    floor.now_ms = T0 + 1_000
    assert floor.brief("ann", CancelDue()) == [
        ("rule", "ann", None, None),
        ("gone", 3, 0, 1, 5, "cancel_after", "book", 1),
        ("gone", 2, 0, 1, 10_000, "cancel_after", "book", 0),
        ("ann", None, "cancelled/cancel_after", 1, 5, 0),
        ("ann", None, "cancelled/cancel_after", 1, 10_000, 0),
    ]
    assert floor.brief("ann", CancelDue()) == []
    assert floor.brief("bob", orders("o")) == [("bob", "o", "orders", [2])]


def test_each_command_starts_the_time_over_and_0_switches_it_off():
    floor = Floor()
    floor.do("ann", bid(10, 5))
    floor.do("ann", cancel_after(1_000))
    floor.now_ms += 900
    assert floor.brief("ann", cancel_after(1_000, "2")) == [
        ("rule", "ann", None, T0 + 1_900),
        ("ann", "2", "cancelAfter", T0 + 900, T0 + 1_900),
    ]
    floor.now_ms = T0 + 1_000
    assert floor.brief("ann", CancelDue()) == []
    assert floor.brief("ann", cancel_after(0, "3")) == [
        ("rule", "ann", None, None),
        ("ann", "3", "cancelAfter", T0 + 1_000, None),
    ]
    floor.now_ms = T0 + 10_000
    assert floor.brief("ann", CancelDue()) == []
    assert floor.brief("ann", cancel_after(0, "4")) == [
        ("ann", "4", "cancelAfter", T0 + 10_000, None)
    ]


def test_a_connection_that_chooses_leaves_the_deadline():
    floor = Floor()
    floor.do("ann", cancel_after(1_000))
    assert floor.brief("ann", Connected(7)) == [("rule", "ann", 7, T0 + 1_000)]
    assert floor.brief("ann", cancel_after(0)) == [
        ("rule", "ann", 7, None),
        ("ann", None, "cancelAfter", T0, None),
    ]


def test_a_user_who_is_forgotten_keeps_a_rule_only_with_open_orders():
    floor = Floor()
    floor.do("ann", Connected(7))
    floor.do("ann", cancel_after(1_000))
    floor.do("ann", bid(10, 5))
    assert floor.brief("ann", Forget()) == []
    floor.do("ann", delete_all())
    assert floor.brief("ann", Forget()) == [("rule", "ann", None, None)]
    assert floor.brief("ann", Forget()) == []


# ---- what holds of every run --------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(("ann", "bob")),
        st.one_of(
            st.builds(Connected, st.sampled_from((None, 0, 5))),
            st.builds(cancel_after, st.sampled_from((0, 1, 500, 2_000))),
            st.just(Withdraw()),
            st.just(CancelDue()),
            st.just(Forget()),
            st.just(bid(10, 2)),
            st.just(market("ask", 3)),
            st.just(delete_all()),
        ),
        st.sampled_from((0, 1, 700)),
    ),
    max_size=40,
)


@given(steps)
def test_the_rules_are_those_of_a_plain_model(script):
    """Whatever happens, orders end unasked only by a command that may end them, and all of them."""
    floor = Floor()
    choices, deadlines, told = {}, {}, {}
    for user_id, command, step_ms in script:
        floor.now_ms += step_ms
        had = len(floor.exchange._owners.open_orders(user_id))
        due = user_id in deadlines and deadlines[user_id] <= floor.now_ms
        events = floor.do(user_id, command)
        gone = [e.reason for e in events if isinstance(e, OrderCancelled) and e.rested]
        expected = []
        if isinstance(command, Connected):
            choices[user_id] = command.cancel_on_disconnect_s
        elif isinstance(command, Withdraw):
            choices[user_id] = None
            expected = ["disconnect"] * had
        elif isinstance(command, CancelDue) and due:
            del deadlines[user_id]
            expected = ["cancel_after"] * had
        elif isinstance(command, Forget) and not had:
            choices.pop(user_id, None)
            deadlines.pop(user_id, None)
        elif hasattr(command, "ms"):
            deadlines.pop(user_id, None)
            if command.ms:
                deadlines[user_id] = floor.now_ms + command.ms
        elif command == delete_all():
            expected = ["user"] * had
        assert gone == expected
        for event in events:
            if isinstance(event, CancelRuleChanged):
                assert told.get(event.user_id) != event, "a change that changes nothing"
                told[event.user_id] = event
        last = told.get(user_id, CancelRuleChanged(user_id, None, None))
        assert last == CancelRuleChanged(user_id, choices.get(user_id), deadlines.get(user_id))


@given(steps, steps)
def test_a_restart_changes_no_rule(before, after):
    floor = Floor()

    def play(on: Floor, script) -> list[str]:
        said = []
        for user_id, command, step_ms in script:
            on.now_ms += step_ms
            said.append(repr(on.do(user_id, command)))
        return said

    play(floor, before)
    again = restarted(floor)
    assert play(again, after) == play(floor, after)


def test_rules_come_back_as_recovered():
    past = recovered(cancel_rules={"ann": CancelRule(3, T0)})
    assert Floor(past).brief("ann", Connected(3)) == []
    assert Floor(past).brief("ann", CancelDue()) == [("rule", "ann", 3, None)]
    assert CancelRules({}).drop("ann") == []
