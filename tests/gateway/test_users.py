"""User ids: given, resumed with a secret, and gone after the grace time."""

from __future__ import annotations

import pytest
from fakes import T0
from hall import batch_of
from lobby import GRACE_S, KEY, Lobby
from trading import Floor, bid, cancel_after, market, orders

from fastbook_server.channels.order_channel import Connected, Forget, Unavailable
from fastbook_server.gateway.users import TokenMaker


def test_a_new_connection_is_a_new_user():
    lobby = Lobby()
    assert [lobby.connect()[1:] for _ in range(2)] == [("user#n0", False), ("user#n1", False)]


def test_an_id_that_is_taken_or_has_orders_is_not_given_out_again():
    lobby = Lobby({"user#b": None}, suffixes=("a", "a", "b", "c"))
    lobby.timers.advance(GRACE_S)
    assert [lobby.connect()[1] for _ in range(2)] == ["user#a", "user#c"]


def test_who_has_the_token_gets_the_id_back_within_the_grace_time():
    lobby = Lobby()
    first, user_id, _ = lobby.connect()
    token = lobby.users.token(user_id)
    lobby.users.disconnect(user_id, first)
    lobby.timers.advance(GRACE_S - 0.01)
    _, *again = lobby.connect(token)
    assert again == [user_id, True]
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.connect(token)[1:] == (user_id, True)


def test_after_the_grace_time_a_token_gives_a_new_id_unless_orders_are_open():
    lobby = Lobby()
    lobby.timers.advance(GRACE_S)  # a start is a grace time for everybody
    for has_orders in (False, True):
        reader, user_id, _ = lobby.connect()
        token = lobby.users.token(user_id)
        if has_orders:
            lobby.place(user_id)
        lobby.users.disconnect(user_id, reader)
        lobby.timers.advance(GRACE_S)
        _, again, resumed = lobby.connect(token)
        assert (again == user_id, resumed) == (has_orders, has_orders)


def test_the_old_socket_is_replaced_and_its_end_means_nothing():
    lobby = Lobby()
    old, user_id, _ = lobby.connect(cancel=0)
    new, *again = lobby.connect(lobby.users.token(user_id), cancel=0)
    assert (old.was_replaced, new.was_replaced, again) == (True, False, [user_id, True])
    lobby.users.disconnect(user_id, old)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: ("B" if t[0] != "B" else "C") + t[1:],
        lambda t: t.partition(".")[0],
        lambda t: t.partition(".")[0] + ".",
        lambda t: t.replace(".", "", 1),
        lambda t: "",
        lambda t: "\ud800",
        lambda t: "é.é",
    ],
)
def test_a_token_that_differs_is_nobodys(change):
    lobby = Lobby()
    _, user_id, _ = lobby.connect()
    assert lobby.connect(change(lobby.users.token(user_id)))[1:] == ("user#n1", False)


def test_a_start_is_a_grace_time_for_users_without_orders_too():
    token = TokenMaker(KEY).token("user#a")
    lobby = Lobby()
    lobby.timers.advance(GRACE_S - 0.01)
    assert lobby.connect(token)[1:] == ("user#a", True)
    late = Lobby()
    late.timers.advance(GRACE_S)
    assert late.connect(token)[1:] == ("user#n0", False)


def test_tokens_are_secret_to_a_database_and_survive_a_restart():
    assert TokenMaker(KEY).user_id(TokenMaker(KEY).token("user#a")) == "user#a"
    assert TokenMaker(bytes(32)).user_id(TokenMaker(KEY).token("user#a")) is None


# ---- cancelled with the connection ---------------------------------------------------------------


def test_orders_of_who_asked_for_it_are_withdrawn_as_soon_as_the_connection_ends():
    lobby = Lobby()
    for cancel in (0, None):
        reader, user_id, _ = lobby.connect(cancel=cancel)
        lobby.place(user_id)
        lobby.lose(reader, user_id)
    assert lobby.withdrawn == ["user#n0"]
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == ["user#n0"]


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 86_400])
def test_orders_wait_as_many_seconds_as_the_connection_asked_for(seconds):
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=seconds)
    lobby.place(user_id)
    lobby.lose(reader, user_id)
    lobby.timers.advance(seconds - 0.01)
    assert lobby.withdrawn == []
    lobby.timers.advance(0.01)
    assert lobby.withdrawn == [user_id]


def test_only_the_orders_go_at_once_the_user_may_come_back_for_the_grace_time():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=0)
    lobby.place(user_id)
    token = lobby.users.token(user_id)
    lobby.lose(reader, user_id)
    lobby.timers.advance(GRACE_S - 0.01)
    reader, *again = lobby.connect(token, cancel=0)
    assert again == [user_id, True]
    lobby.lose(reader, user_id)
    lobby.timers.advance(GRACE_S)
    assert lobby.connect(token)[1:] == ("user#n1", False)


def test_who_comes_back_in_time_keeps_their_orders():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=5)
    lobby.lose(reader, user_id)
    lobby.timers.advance(4.99)
    lobby.connect(lobby.users.token(user_id), cancel=5)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


def test_the_newest_connection_decides():
    for first, second, withdrawn in ((0, None, []), (None, 0, ["user#n0"])):
        lobby = Lobby()
        _, user_id, _ = lobby.connect(cancel=first)
        lobby.place(user_id)
        reader, *_ = lobby.connect(lobby.users.token(user_id), cancel=second)
        lobby.lose(reader, user_id)
        lobby.timers.advance(10 * GRACE_S)
        assert lobby.withdrawn == withdrawn


def test_where_all_orders_go_those_of_who_did_not_ask_wait_for_the_grace_time():
    lobby = Lobby(withdraw_all=True)
    for cancel in (None, 5):
        reader, user_id, _ = lobby.connect(cancel=cancel)
        lobby.place(user_id)
        lobby.lose(reader, user_id)
    lobby.timers.advance(5)
    assert lobby.withdrawn == ["user#n1"]
    lobby.timers.advance(GRACE_S - 5)
    assert lobby.withdrawn == ["user#n1", "user#n0"]


def test_a_withdrawal_that_cannot_be_taken_now_is_tried_again():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=0)
    lobby.place(user_id)
    lobby.available = False
    lobby.lose(reader, user_id)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []
    lobby.available = True
    lobby.timers.advance(1)
    assert (lobby.withdrawn, lobby.timers.pending, len(lobby.users._users)) == ([user_id], 0, 0)


def test_who_comes_back_before_a_withdrawal_could_be_taken_keeps_their_orders():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=0)
    lobby.place(user_id)
    lobby.available = False
    lobby.lose(reader, user_id)
    lobby.connect(lobby.users.token(user_id))
    lobby.available = True
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


# ---- what the matcher is told --------------------------------------------------------------------


def test_the_matcher_is_told_of_a_choice_and_of_whoever_resumes():
    lobby = Lobby()
    for cancel in (None, 0, 7):
        lobby.connect(cancel=cancel)
    lobby.connect(lobby.users.token("user#n1"))
    assert lobby.told == [
        ("user#n1", Connected(0)),
        ("user#n2", Connected(7)),
        ("user#n1", Connected(None)),
    ]


def test_no_command_goes_before_a_choice_that_the_matcher_could_not_take():
    lobby = Lobby()
    lobby.available = False
    _, user_id, _ = lobby.connect(cancel=0)
    _, other_id, _ = lobby.connect()
    lobby.users.announce(other_id)
    with pytest.raises(Unavailable, match="away"):
        lobby.users.announce(user_id)
    lobby.available = True
    lobby.users.announce(user_id)
    lobby.users.announce(user_id)
    lobby.timers.advance(GRACE_S)
    assert lobby.told == [(user_id, Connected(0))]


def test_a_choice_that_could_not_be_taken_is_told_as_soon_as_possible():
    lobby = Lobby()
    lobby.available = False
    _, user_id, _ = lobby.connect(cancel=0)
    lobby.timers.advance(GRACE_S)
    lobby.available = True
    lobby.timers.advance(1)
    assert (lobby.told, lobby.timers.pending) == ([(user_id, Connected(0))], 0)


# ---- a restart -----------------------------------------------------------------------------------


def test_a_restart_is_one_more_lost_connection_to_its_users():
    lobby = Lobby({"user#a": 30, "user#b": None})
    lobby.timers.advance(29.99)
    token = TokenMaker(KEY).token("user#a")
    assert lobby.connect(token, cancel=30)[1:] == ("user#a", True)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


def test_after_a_restart_the_orders_of_who_does_not_come_back_are_withdrawn_when_they_asked():
    lobby = Lobby({"user#a": 30, "user#b": None, "user#c": 0, "user#d": 100})
    lobby.timers.advance(0)
    assert lobby.withdrawn == ["user#c"]
    lobby.timers.advance(30)
    assert lobby.withdrawn == ["user#c", "user#a"]
    lobby.timers.advance(70)
    assert lobby.withdrawn == ["user#c", "user#a", "user#d"]
    everyone = Lobby({"user#a": 10, "user#b": None}, withdraw_all=True)
    everyone.timers.advance(GRACE_S)
    assert everyone.withdrawn == ["user#a", "user#b"]


def test_a_deadline_survives_a_restart_and_needs_no_connection():
    lobby = Lobby({"user#a": None}, deadlines=[("user#a", T0 + 90_000)])
    lobby.timers.advance(89.99)
    assert "user#a" in lobby.users._open_orders
    lobby.timers.advance(0.01)
    assert "user#a" not in lobby.users._open_orders
    assert lobby.timers.pending == 0


# ---- deadlines -----------------------------------------------------------------------------------


def test_a_deadline_cancels_the_orders_of_who_is_connected_and_of_who_is_not():
    lobby = Lobby()
    for stays in (True, False):
        reader, user_id, _ = lobby.connect()
        lobby.place(user_id)
        lobby.submit(user_id, cancel_after(5_000, "c"))
        if not stays:
            lobby.lose(reader, user_id)
    lobby.timers.advance(4.99)
    assert list(lobby.users._open_orders) == ["user#n0", "user#n1"]
    lobby.timers.advance(0.01)
    assert list(lobby.users._open_orders) == []


def test_what_is_kept_of_who_cannot_come_back_goes_with_the_grace_time():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect()
    lobby.submit(user_id, cancel_after(86_400_000))
    lobby.lose(reader, user_id)
    lobby.timers.advance(GRACE_S)
    assert lobby.told[-1] == (user_id, Forget())
    assert (lobby.timers.pending, len(lobby.users._users)) == (0, 0)


def test_a_deadline_of_open_orders_outlives_the_grace_time():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect()
    lobby.place(user_id)
    lobby.submit(user_id, cancel_after(3_600_000))
    lobby.lose(reader, user_id)
    lobby.timers.advance(3_599.99)
    assert user_id in lobby.users._open_orders
    lobby.timers.advance(0.01)
    assert user_id not in lobby.users._open_orders


# ---- reports, and the end ------------------------------------------------------------------------


def test_private_events_reach_their_user_alone():
    lobby = Lobby()
    ann, ann_id, _ = lobby.connect()
    bob, bob_id, _ = lobby.connect()
    floor = Floor()
    for user_id, command in (
        (bob_id, bid(10, 2, "1")),
        (ann_id, market("ask", 1, "2")),
        (ann_id, orders("3")),
        ("user#gone", bid(9, 1, "4")),
        (ann_id, bid(1.5, 1, "5")),
    ):
        lobby.users.on_batch(batch_of(floor.do(user_id, command), T0))
    assert [(f["event"], f.get("ref"), f.get("status")) for f in bob.frames] == [
        ("order", "1", "open"),
        ("fill", None, None),
        ("order", None, "partiallyFilled"),
    ]
    assert [(f["event"], f.get("ref"), f.get("status")) for f in ann.frames] == [
        ("fill", None, None),
        ("order", "2", "filled"),
        ("orders", "3", None),
        ("order", "5", "rejected"),
    ]


def test_nothing_happens_to_anybody_after_the_stop():
    lobby = Lobby({"user#a": 5}, deadlines=[("user#b", T0 + 5_000)])
    reader, user_id, _ = lobby.connect(cancel=5)
    lobby.users.disconnect(user_id, reader)
    lobby.available = False
    lobby.connect(cancel=5)
    lobby.users.stop()
    lobby.available = True
    lobby.timers.advance(10 * GRACE_S)
    assert (lobby.told, lobby.timers.pending) == ([(user_id, Connected(5))], 0)


def test_users_who_are_gone_for_good_leave_nothing_behind():
    lobby = Lobby()
    for _ in range(50):
        reader, user_id, _ = lobby.connect()
        lobby.users.disconnect(user_id, reader)
    lobby.timers.advance(GRACE_S)
    assert (len(lobby.users._users), lobby.timers.pending) == (0, 0)
