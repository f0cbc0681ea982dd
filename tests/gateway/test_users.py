"""User ids: given, resumed with a secret, and gone after the grace time."""

from __future__ import annotations

import pytest
from fakes import T0, FakeClock, FakeReader
from hall import batch_of
from trading import Floor, bid, delete_all, market, orders

from fastbook_server.channels.order_channel import Withdraw
from fastbook_server.gateway.encode import ORDER_BYTES
from fastbook_server.gateway.open_order_counts import OpenOrderCounts, cancelled_with_their_user
from fastbook_server.gateway.users import TokenMaker, Users
from fastbook_server.values.events import OrderRested
from fastbook_server.values.persisted import OpenOrder

KEY = bytes(range(32))
GRACE_S = 60.0


class Lobby:
    """Users with everything that they need in the test's hands."""

    def __init__(self, recovered=None, *, withdraw_all=False, suffixes=None) -> None:
        self.timers = FakeClock()
        self.withdrawn: list[str] = []
        self.available = True
        self.floor = Floor()
        resting = [self._rested(user_id, goes) for user_id, goes in (recovered or {}).items()]
        names = iter(suffixes or (f"n{n}" for n in range(100)))
        self.users = Users(
            TokenMaker(KEY),
            self.timers,
            grace_s=GRACE_S,
            withdraw=self._withdraw,
            open_orders=OpenOrderCounts(resting),
            recovered=cancelled_with_their_user(resting),
            withdraw_all=withdraw_all,
            new_suffix=lambda: next(names),
        )

    def _rested(self, user_id: str, withdraw_on_close: bool) -> OpenOrder:
        events = self.floor.do(user_id, bid(1, 1), withdraw_on_close=withdraw_on_close)
        (rested,) = (e for e in events if isinstance(e, OrderRested))
        return OpenOrder(rested.order, rested.remaining, rested.notional)

    def place(self, user_id: str) -> None:
        """Let a user have one more open order."""
        self.users.on_batch(batch_of(self.floor.do(user_id, bid(1, 1)), T0))

    def _withdraw(self, user_id: str) -> bool:
        if self.available:
            self.withdrawn.append(user_id)
            self.users.on_batch(batch_of(self.floor.do(user_id, Withdraw()), T0))
        return self.available

    def connect(self, resume=None, *, cancel=False):
        """Return the new connection, its user id, and whether it was resumed."""
        reader = FakeReader()
        return (reader, *self.users.connect(reader, resume, withdraw_on_close=cancel))


def test_a_new_connection_is_a_new_user():
    lobby = Lobby()
    assert [lobby.connect()[1:] for _ in range(2)] == [("user#n0", False), ("user#n1", False)]


def test_an_id_that_is_taken_or_has_orders_is_not_given_out_again():
    lobby = Lobby({"user#b": False}, suffixes=("a", "a", "b", "c"))
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
    old, user_id, _ = lobby.connect(cancel=True)
    new, *again = lobby.connect(lobby.users.token(user_id), cancel=True)
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


def test_orders_are_withdrawn_after_the_grace_time_of_who_asked_for_it():
    lobby = Lobby()
    for cancel in (True, False):
        reader, user_id, _ = lobby.connect(cancel=cancel)
        lobby.place(user_id)
        lobby.users.disconnect(user_id, reader)
    lobby.timers.advance(GRACE_S - 0.01)
    assert lobby.withdrawn == []
    lobby.timers.advance(0.01)
    assert lobby.withdrawn == ["user#n0"]


def test_who_comes_back_in_time_keeps_their_orders():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=True)
    lobby.users.disconnect(user_id, reader)
    lobby.timers.advance(GRACE_S / 2)
    lobby.connect(lobby.users.token(user_id), cancel=True)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


def test_a_withdrawal_that_cannot_be_taken_now_is_tried_again():
    lobby = Lobby()
    reader, user_id, _ = lobby.connect(cancel=True)
    lobby.users.disconnect(user_id, reader)
    lobby.available = False
    lobby.timers.advance(GRACE_S + 5)
    assert lobby.withdrawn == []
    lobby.available = True
    lobby.timers.advance(1)
    assert lobby.withdrawn == [user_id]


def test_a_restart_is_one_more_lost_connection_to_its_users():
    lobby = Lobby({"user#a": True, "user#b": False})
    lobby.timers.advance(GRACE_S / 2)
    token = TokenMaker(KEY).token("user#a")
    assert lobby.connect(token, cancel=True)[1:] == ("user#a", True)
    lobby.timers.advance(10 * GRACE_S)
    assert lobby.withdrawn == []


def test_after_a_restart_the_orders_of_who_does_not_come_back_are_withdrawn():
    lobby = Lobby({"user#a": True, "user#b": False})
    lobby.timers.advance(GRACE_S)
    assert lobby.withdrawn == ["user#a"]
    everyone = Lobby({"user#a": True, "user#b": False}, withdraw_all=True)
    everyone.timers.advance(GRACE_S)
    assert everyone.withdrawn == ["user#a", "user#b"]


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
        ("order", None, "partiallyFilled"),
    ]
    assert [(f["event"], f.get("ref"), f.get("status")) for f in ann.frames] == [
        ("order", "2", "filled"),
        ("orders", "3", None),
        ("order", "5", "rejected"),
    ]


def test_many_orders_are_reported_as_they_are_read():
    lobby = Lobby()
    ann, ann_id, _ = lobby.connect()
    floor = Floor()
    for n in range(1, 502):
        lobby.users.on_batch(batch_of(floor.do(ann_id, bid(n, 1)), T0))
    ann.take()
    events = [*floor.do(ann_id, orders("1")), *floor.do(ann_id, delete_all("2"))]
    events += floor.do(ann_id, orders("3"))
    lobby.users.on_batch(batch_of(events, T0))
    frames = ann.take()
    assert [(f.get("ref"), len(f["orders"])) for f in frames if f["event"] == "orders"] == [
        *(("1", 500), ("1", 1), ("3", 0))
    ]
    assert (frames[2]["ref"], frames[2]["count"]) == ("2", 501)
    assert [f["order"]["price"] for f in frames[3:-1]] == list(range(1, 502))
    assert ann.later == [501 * ORDER_BYTES] * 2


def test_nothing_happens_to_anybody_after_the_stop():
    lobby = Lobby({"user#a": True})
    reader, user_id, _ = lobby.connect(cancel=True)
    lobby.users.disconnect(user_id, reader)
    lobby.users.stop()
    lobby.timers.advance(10 * GRACE_S)
    assert (lobby.withdrawn, lobby.timers.pending) == ([], 0)


def test_users_who_are_gone_for_good_leave_nothing_behind():
    lobby = Lobby()
    for _ in range(50):
        reader, user_id, _ = lobby.connect()
        lobby.users.disconnect(user_id, reader)
    lobby.timers.advance(GRACE_S)
    assert (len(lobby.users._users), lobby.timers.pending) == (0, 0)
