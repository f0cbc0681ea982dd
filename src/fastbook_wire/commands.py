"""What a client may say: one struct per command, as it is sent."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastbook_wire.words import (
    Amount,
    Channel,
    Id,
    Price,
    Security,
    SelfTradeName,
    SideName,
    TimeInForceName,
)

Ref = Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
# No control characters: PostgreSQL's text cannot hold NUL, and nobody means the others.
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class NewOrder(
    Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False
):
    """The order of an ``add``; ``security`` defaults to the connection's."""

    type: SideName
    exec_type: Annotated[
        Literal["limit", "market", "immediate"], Meta(description="immediate is market.")
    ]
    amount: Amount
    price: Price | None = None
    security: Security | None = None
    time_in_force: TimeInForceName | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    self_trade: SelfTradeName = "allow"


class _Command(
    Struct,
    tag_field="op",
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
    gc=False,
):
    ref: Ref = None


class Add(_Command, tag="add"):
    """Bring a new order."""

    order: NewOrder


class Delete(_Command, tag="delete"):
    """Withdraw one open order, by exactly one of its two ids."""

    id: Id | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.client_order_id is None):
            raise ValueError("Expected exactly one of `id` and `clientOrderId`")


class DeleteAll(_Command, tag="deleteAll"):
    """Withdraw all open orders of the user, or those of one security."""

    security: Security | None = None


class Orders(_Command, tag="orders"):
    """List the user's open orders."""


class Ping(_Command, tag="ping"):
    """Ask for a sign of life and the server's time."""


class Subscribe(_Command, tag="subscribe"):
    """Follow a channel of a security: its book and trades, or a feed of another kind."""

    security: Security
    channel: Channel = "book"


class Unsubscribe(_Command, tag="unsubscribe"):
    """Stop following a channel of a security."""

    security: Security
    channel: Channel = "book"


ExchangeCommand = Add | Delete | DeleteAll | Orders
FeedCommand = Ping | Subscribe | Unsubscribe
Command = ExchangeCommand | FeedCommand

COMMANDS = Command.__args__
OPS = tuple(str(command.__struct_config__.tag) for command in COMMANDS)
