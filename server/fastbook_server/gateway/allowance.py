"""What of a connection's frames may be handled: its rate, and the room that the matcher has."""

from __future__ import annotations

from typing import get_args

from fastbook_server.channels.order_channel import Matcher, Pressure
from fastbook_server.gateway import decode, reports
from fastbook_server.gateway.decode import ProtocolError
from fastbook_server.gateway.rate_limit import RateLimit
from fastbook_server.gateway.session_limits import SessionLimits
from fastbook_server.values.clock import Timers
from fastbook_wire.commands import Add, Amend, Command, Delete, DeleteAll, ExchangeCommand
from fastbook_wire.words import Code

_EXCHANGE_COMMANDS = frozenset(get_args(ExchangeCommand))
_CANCELS = (Delete, DeleteAll)
_NEW_WORK = (Add, Amend)
_NO_PRESSURE, _NO_ORDERS, _NOTHING, _WAIT = Pressure  # an enumeration's member is slow to look up

Against = tuple[Code, str, int | None]
"""Why a command is refused: the code, the message, and after how many ms it may be repeated."""


class Allowance:
    """The bounds of what one connection sends.

    ``rate`` counts all frames, ``refusals`` those that were refused by the peer's own fault.
    """

    def __init__(self, limits: SessionLimits, matcher: Matcher, timers: Timers) -> None:
        self.rate = RateLimit(limits.commands_per_second_max, timers)
        self.refusals = RateLimit(limits.refusals_per_second_max, timers)
        self._cancel_reserve = RateLimit(limits.cancels_per_second_reserve, timers)
        self._rate_max = limits.commands_per_second_max
        self._matcher = matcher
        self._pressure = _NO_PRESSURE

    def must_wait(self, user_id: str) -> bool:
        """Look how much room the matcher has now; return whether the user's frames must wait."""
        self._pressure = self._matcher.pressure(user_id)
        return self._pressure is _WAIT

    def turns_away(self, frame: bytes) -> bytes | None:
        """Return the ``ref``, as JSON, of a new order that need not be read: there is no room.

        In a crowd that is most of what arrives, and to read it would take time from all others.
        """
        if self._pressure is not _NO_ORDERS and self._pressure is not _NOTHING:
            return None
        ref = decode.ref_of_new_order(frame)
        return None if ref is None or self.rate.take() else ref

    def against(self, said: Command | ProtocolError) -> Against | None:
        """Charge a command to the rate; return why it is refused, or None."""
        wait_ms = self.rate.take()
        if wait_ms and type(said) in _CANCELS:  # who is over it may still get out
            wait_ms = min(wait_ms, self._cancel_reserve.take())
        if wait_ms:
            return Code.RATE_LIMITED, f"commands_per_second_max {self._rate_max} reached", wait_ms
        if type(said) is ProtocolError:
            return said.code, said.message, None
        if self._pressure is not _NO_PRESSURE and self._finds_no_room(said):
            return Code.OVERLOADED, reports.NO_ROOM, self._matcher.retry_after_ms()
        return None

    def _finds_no_room(self, said: Command) -> bool:
        if self._pressure is _NO_ORDERS:
            return type(said) in _NEW_WORK
        return self._pressure is _NOTHING and type(said) in _EXCHANGE_COMMANDS
