"""How many commands may wait to become durable, whose, and when there will be room for others.

A user may hold as many of them as there is room left: one alone half of the room, n together
n/(n+1) of it. So there always is some for those who send little. Who is beyond that and holds much,
say a program that replays a day, is read more slowly and loses nothing. In a crowd orders are
refused, since a queue would only grow. Cancels have a reserve beyond the bound.
"""

from __future__ import annotations

from fastbook_server.channels.order_channel import Pressure
from fastbook_server.values.clock import Timers

MUCH_SHARE = 4
"""Who holds the fourth part of all room, or more, waits instead of being refused."""

CANCELS_SHARE = 4
"""The reserve for cancels: the fourth part of `commands_max`, and beyond it."""

RETRY_MAX_S = 1.0
"""No refused command is told to come back later than that."""

FORGETTING = 0.8
"""What a measured commit still counts after the next one."""

COMMAND_S = 1e-4
"""How long a command takes to become durable, as long as none has been measured."""

_NONE, _ORDERS, _ALL, _WAIT = Pressure  # an enumeration's member is slow to look up


class Room:
    """The bound of the commands that are not durable, and the pace at which they become so."""

    def __init__(self, commands_max: int, timers: Timers) -> None:
        self._commands_max = commands_max
        self._cancels_max = commands_max + commands_max // CANCELS_SHARE
        self._time = timers.time
        self._spent_s = COMMAND_S  # on the commits of late, and on how many commands
        self._committed = 1.0
        self._next_s = 0.0  # the turn of the next command that is refused

    def pressure(self, commands: int, of_user: int) -> Pressure:
        """Return how much there is room for beside so many commands, some of them the user's."""
        left = self._commands_max - commands
        if of_user < left:
            return _NONE
        if of_user * MUCH_SHARE >= self._commands_max:
            return _WAIT
        return _ORDERS if commands < self._cancels_max else _ALL

    def committed(self, commands: int, spent_s: float) -> None:
        """Learn how long a commit took."""
        self._spent_s = self._spent_s * FORGETTING + spent_s
        self._committed = self._committed * FORGETTING + commands

    def retry_after_ms(self, commands: int) -> int:
        """Return when one more will find room: once these `commands` are durable, and its turn.

        Each that asks gets its own turn, so that they do not all come back at once.
        """
        now_s = self._time()
        command_s = self._spent_s / self._committed
        turn_s = max(now_s + commands * command_s, self._next_s)
        self._next_s = turn_s = min(turn_s, now_s + RETRY_MAX_S)
        self._next_s += command_s
        return 1 + int((turn_s - now_s) * 1_000)
