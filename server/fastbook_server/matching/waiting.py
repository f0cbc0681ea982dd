"""Commands that come while one that takes long is happening: they have their turn after it."""

from __future__ import annotations

from collections import deque

from fastbook_server.channels.order_channel import Command, Numbered, Unavailable
from fastbook_wire.words import Code

Commands = tuple[Command | Numbered, ...]

RETRY_MS = 100


class WaitingCommands:
    """What users have submitted together, first come first served; its length is in commands.

    Gateways hold back what they read meanwhile. What comes all the same is refused beyond
    `commands_max`.
    """

    def __init__(self, commands_max: int) -> None:
        self._commands_max = commands_max
        self._count = 0
        self._queue: deque[tuple[str, Commands]] = deque()

    def __len__(self) -> int:
        return self._count

    def add(self, user_id: str, commands: Commands) -> None:
        """Put commands at the end.

        Raises:
            Unavailable: there is no room for them.
        """
        if self._count + len(commands) > self._commands_max:
            message = (
                f"inbox_commands_max {self._commands_max} reached: a large command is happening"
            )
            raise Unavailable(Code.OVERLOADED, message, RETRY_MS)
        self._count += len(commands)
        self._queue.append((user_id, commands))

    def put_back(self, user_id: str, commands: Commands) -> None:
        """Put first what was taken, or begun, and must wait for another command after all."""
        self._count += len(commands)
        self._queue.appendleft((user_id, commands))

    def take(self) -> tuple[str, Commands]:
        """Return the first; there must be one."""
        user_id, commands = self._queue.popleft()
        self._count -= len(commands)
        return user_id, commands

    def clear(self) -> None:
        """Forget all of them."""
        self._count = 0
        self._queue.clear()
