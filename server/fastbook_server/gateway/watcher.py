"""The matcher as those see it who may only watch: it takes no command of theirs."""

from __future__ import annotations

from fastbook_server.channels.order_channel import GatewayCommand, Matcher, Pressure, Unavailable
from fastbook_wire.commands import ExchangeCommand
from fastbook_wire.words import Code


class Watched:
    """A `Matcher` for sessions that were opened without the server's token."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    @property
    def available(self) -> bool:
        """Whether others may submit."""
        return self._matcher.available

    def pressure(self, _user_id: str) -> Pressure:
        """Return that nobody need wait: whose commands are refused at once takes no room."""
        return Pressure.NONE

    def retry_after_ms(self) -> int:
        """Return when there will be room for others."""
        return self._matcher.retry_after_ms()

    @property
    def uncommitted_commands(self) -> int:
        """How many commands of others are not durable yet."""
        return self._matcher.uncommitted_commands

    async def progress(self) -> None:
        """Wait until a batch has been committed, or long enough to ask again."""
        await self._matcher.progress()

    async def stored(self) -> None:
        """Wait until all that others have submitted is durable."""
        await self._matcher.stored()

    def submit(self, _user_id: str, *_commands: ExchangeCommand | GatewayCommand) -> None:
        """Take none.

        Raises:
            Unavailable: always.
        """
        said = "this connection may only watch: it was opened without the server's token"
        raise Unavailable(Code.UNAUTHORIZED, said, None)
