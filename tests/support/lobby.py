"""The users of a gateway, with everything that they need in a test's hands."""

from __future__ import annotations

from fakes import T0, FakeClock, FakeReader
from hall import batch_of
from trading import Floor, bid, open_order
from trading import recovered as market_of

from fastbook_server.channels.order_channel import Unavailable, Withdraw
from fastbook_server.gateway.dead_man_switches import DeadManSwitches
from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.gateway.users import TokenMaker, Users
from fastbook_server.values.events import OrderRested
from fastbook_server.values.persisted import CancelRule, OpenOrder
from fastbook_wire.words import Code

KEY = bytes(range(32))
GRACE_S = 60.0


class Lobby:
    """Users with everything that they need in the test's hands.

    `recovered` tells of each user with an open order at the start after how many seconds it is
    cancelled; ``told`` is what the matcher was given, and ``withdrawn`` whose orders it cancelled.
    """

    def __init__(self, recovered=None, *, withdraw_all=False, suffixes=None, deadlines=()) -> None:
        self.timers = FakeClock()
        self.told: list[tuple[str, object]] = []
        self.available = True
        rules = {u: CancelRule(s) for u, s in (recovered or {}).items() if s is not None}
        rules |= {u: CancelRule(None, deadline_ms) for u, deadline_ms in deadlines}
        self.floor = Floor(market_of(cancel_rules=rules))
        resting = [self._rested(user_id) for user_id in recovered or {}]
        names = iter(suffixes or (f"n{n}" for n in range(100)))
        self.users = Users(
            TokenMaker(KEY),
            self.timers,
            grace_s=GRACE_S,
            submit=self.submit,
            open_orders=OpenOrderCounts(resting),
            switches=DeadManSwitches(self.timers, self.submit, rules),
            recovered=rules,
            withdraw_all=withdraw_all,
            new_suffix=lambda: next(names),
        )

    @property
    def withdrawn(self) -> list[str]:
        return [user_id for user_id, command in self.told if command == Withdraw()]

    def _rested(self, user_id: str) -> OpenOrder:
        events = self.floor.do(user_id, bid(1, 1))
        (rested,) = (e for e in events if isinstance(e, OrderRested))
        return open_order(rested)

    def place(self, user_id: str) -> None:
        """Let a user have one more open order."""
        self.submit(user_id, bid(1, 1))

    def submit(self, user_id: str, command: object) -> None:
        """Apply and publish a command, unless the matcher is not available."""
        if not self.available:
            raise Unavailable(Code.UNAVAILABLE, "away", 1_000)
        self.floor.now_ms = self.timers.now_ms()
        self.told.append((user_id, command))
        self.users.on_batch(batch_of(self.floor.do(user_id, command), T0))

    def connect(self, resume=None, *, cancel=None):
        """Return the new connection, its user id, and whether it was resumed."""
        reader = FakeReader()
        return (reader, *self.users.connect(reader, resume, cancel_on_disconnect_s=cancel))

    def lose(self, reader, user_id: str) -> None:
        """End a connection, and let what is to happen at once happen."""
        self.users.disconnect(user_id, reader)
        self.timers.advance(0)
