"""The order channel: how a gateway submits commands to the matcher."""

from __future__ import annotations

from typing import Protocol

import msgspec

from fastbook_wire.commands import ExchangeCommand
from fastbook_wire.words import Code

OVERLOADED_RETRY_MS = 1_000
"""``retryAfterMs`` for a bound where only users can make room, say by cancelling orders."""


class Unavailable(Exception):
    """The matcher takes no command now: a bound is reached, or it is stopping."""

    def __init__(self, code: Code, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


# ---- the gateway's own commands; none of them has a reply --------------------------------------


class Connected(msgspec.Struct, tag_field="op", tag="connected", gc=False):
    """The user has connected, and chosen when a lost connection cancels the orders; None: never."""

    cancel_on_disconnect_s: int | None


class Withdraw(msgspec.Struct, tag_field="op", tag="withdraw", gc=False):
    """Cancel all orders of a user who has lost the connection; the choice is used up."""


class CancelDue(msgspec.Struct, tag_field="op", tag="cancelDue", gc=False):
    """Cancel all orders of a user if the deadline that the user has set is over."""


class Forget(msgspec.Struct, tag_field="op", tag="forget", gc=False):
    """Drop what is kept of a user who can no longer resume, unless the user has open orders."""


GatewayCommand = Connected | Withdraw | CancelDue | Forget


class Matcher(Protocol):
    """Takes commands; what they cause comes back over the trade channel, as committed batches."""

    @property
    def available(self) -> bool:
        """Whether commits succeed and keep up, and the matcher is not stopping."""

    @property
    def congested(self) -> bool:
        """Whether a sender should wait for ``progress`` before it submits more."""

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have been submitted and are not durable yet."""

    async def progress(self) -> None:
        """Wait until a batch has been committed, or long enough to ask again."""

    async def stored(self) -> None:
        """Wait until all that has been submitted is durable."""

    def submit(self, user_id: str, *commands: ExchangeCommand | GatewayCommand) -> None:
        """Submit commands of a user, with none of others between them; a later batch replies.

        Raises:
            Unavailable: none of the commands is taken, and nothing has changed.
        """
