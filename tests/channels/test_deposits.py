"""Deposits on their way from a database to the matcher: each is made once."""

from __future__ import annotations

import pytest

from fastbook_server.channels.deposits import Deposits
from fastbook_server.channels.order_channel import Deposit, Unavailable
from fastbook_server.values.accounts import PendingDeposit
from fastbook_wire.words import Code

FIRST = PendingDeposit(1, "api#alice", "USDT", "1000")
SECOND = PendingDeposit(2, "api#bob", "BTC", "0.5")


class Line:
    """Takes what is submitted, as often as it has room."""

    def __init__(self, room: int = 9) -> None:
        self.room = room
        self.taken: list[tuple[str, int]] = []

    def submit(self, user_id: str, deposit: Deposit) -> None:
        if not self.room:
            raise Unavailable(Code.OVERLOADED, "no room", 100)
        self.room -= 1
        self.taken.append((user_id, deposit.number))


def test_a_deposit_that_is_still_pending_is_not_made_again():
    line = Line()
    deposits = Deposits(line.submit)
    deposits.make([FIRST])
    deposits.make([FIRST, SECOND])
    deposits.make([SECOND])
    assert line.taken == [("api#alice", 1), ("api#bob", 2)]
    assert deposits._made == {2}  # it remembers no more than are pending


def test_what_batches_have_held_is_not_made():
    line = Line()
    Deposits(line.submit, made=[1]).make([FIRST, SECOND])
    assert line.taken == [("api#bob", 2)]


def test_what_finds_no_room_follows_the_next_time():
    line = Line(room=1)
    deposits = Deposits(line.submit)
    with pytest.raises(Unavailable):
        deposits.make([FIRST, SECOND])
    line.room = 1
    deposits.make([FIRST, SECOND])
    assert line.taken == [("api#alice", 1), ("api#bob", 2)]
