"""The order channel: how a gateway submits commands to the matcher."""

from __future__ import annotations

from enum import Enum
from typing import Protocol, final

import msgspec

from fastbook_wire.commands import Add, Delete, ExchangeCommand
from fastbook_wire.words import Code, OperatorAction

OVERLOADED_RETRY_MS = 1_000
"""``retryAfterMs`` for a bound where only users can make room, say by cancelling orders."""


class Unavailable(Exception):
    """The matcher takes no command now: a bound is reached, or it is stopping.

    It may be worth trying again after `retry_after_ms`; None: it never is.
    """

    def __init__(self, code: Code, message: str, retry_after_ms: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


class Pressure(Enum):
    """How much of what a user sends there is room for; a gateway refuses the rest, `overloaded`."""

    NONE = "for all of it"
    ORDERS = "for what makes no new work: new and amended orders are refused"
    ALL = "for nothing"
    WAIT = "for all of it, later: the user's next frames are read once there is ``progress``"


# ---- the gateway's own commands; none of them has a reply, but those within `Replace` -----------


class Connected(msgspec.Struct, tag_field="op", tag="connected", gc=False):
    """The user has connected, and chosen when a lost connection cancels the orders; None: never."""

    cancel_on_disconnect_s: int | None


class Withdraw(msgspec.Struct, tag_field="op", tag="withdraw", gc=False):
    """Cancel all orders of a user who has lost the connection; the choice is used up."""


class CancelDue(msgspec.Struct, tag_field="op", tag="cancelDue", gc=False):
    """Cancel all orders of a user if the deadline that the user has set is over."""


class Forget(msgspec.Struct, tag_field="op", tag="forget", gc=False):
    """Drop what is kept of a user who can no longer resume, unless the user has open orders."""


class Operate(msgspec.Struct, tag_field="op", tag="operate", gc=False):
    """Something that the operator does, in its place among the commands.

    ``halt`` and ``resume`` need a `security`, as does ``delist``, which halts it and cancels all
    orders in it. ``cancel`` cancels the orders of `user_id` (None: of all users) in `security`
    (None: in all). The others change nothing here, and are noted.
    """

    action: OperatorAction
    security: str | None = None
    user_id: str | None = None


class Deposit(msgspec.Struct, tag_field="op", tag="deposit", gc=False):
    """Add to what an account has of an asset: ``amount`` is a decimal text.

    ``number`` is that of the deposit, which the batch notes as done.
    """

    number: int
    asset: str
    amount: str


class Replace(msgspec.Struct, tag_field="op", tag="replace", gc=False):
    """Cancel an order and place another, paid for by what the first one has locked too.

    Nothing of others happens between them. Each has its reply; with `stops` the new order is not
    tried, and has none, if the old one cannot be cancelled.
    """

    delete: Delete
    add: Add
    stops: bool


GatewayCommand = Connected | Withdraw | CancelDue | Forget | Operate | Deposit | Replace
Command = ExchangeCommand | GatewayCommand


@final
class Numbered(msgspec.Struct, gc=False):
    """A command from a gateway in another process: the ``number``th that it has sent.

    The batch that holds what it causes also says that it is taken. Without a ``command`` that is
    all that happens.
    """

    gateway: str
    number: int
    command: Command | None


class Matcher(Protocol):
    """Takes commands; what they cause comes back over the trade channel, as committed batches."""

    @property
    def available(self) -> bool:
        """Whether commits succeed and keep up, and the matcher is not stopping."""

    def pressure(self, user_id: str) -> Pressure:
        """Return how much of what a user sends there is room for."""

    def retry_after_ms(self) -> int:
        """Return when there will be room for one more refused command; each gets a later time."""

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have been submitted and are not durable yet."""

    async def progress(self) -> None:
        """Wait until a batch has been committed, or long enough to ask again."""

    async def stored(self) -> None:
        """Wait until all that has been submitted is durable.

        Raises:
            Unavailable: that will never be.
        """

    def submit(self, user_id: str, *commands: Command) -> None:
        """Submit commands of a user, with none of others between them; a later batch replies.

        Raises:
            Unavailable: none of the commands is taken, and nothing has changed.
        """
