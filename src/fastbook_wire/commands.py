"""The commands that a client sends: one struct per ``op``."""

from __future__ import annotations

from typing import Annotated, Literal, final

from msgspec import Meta, Struct

from fastbook_wire.words import (
    CANCEL_AFTER_MS_MAX,
    LIMIT_MAX,
    Amount,
    Channel,
    FillId,
    Id,
    Price,
    Security,
    SelfTradeName,
    SideName,
    TimeInForceName,
    TimeMs,
)

ExecTypeGiven = Literal[
    "limit", "market", "immediate", "stop", "stopLimit", "takeProfit", "takeProfitLimit"
]
Ref = Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
CLIENT_ORDER_ID_PATTERN = r"^[^\x00-\x1f\x7f]+\Z"
"""No control characters: PostgreSQL's text cannot hold NUL, and no id needs the others.

It is for whoever decodes the frames of strangers to check: msgspec's search for it in every id
would take as long as all the rest of a command.
"""

ClientOrderId = Annotated[
    str,
    Meta(min_length=1, max_length=64, extra_json_schema={"pattern": CLIENT_ORDER_ID_PATTERN}),
]


class NewOrder(
    Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False
):
    """The order that an ``add`` places; ``security`` defaults to the connection's.

    An order needs an ``amount``; a market order may give a ``total`` instead, and trades whole lots
    for at most that value. A limit order needs a ``price``; a market order takes none, is ``ioc``
    or ``fok`` and cannot be ``post_only``. A ``stop`` waits for a fill at ``trigger_price`` or
    beyond and then is a market order; a ``stopLimit`` then is a limit order. A ``takeProfit`` and a
    ``takeProfitLimit`` wait for a price that is as good or better. A limit order with ``display``
    shows at most so much at a time. What remains at ``expire_time`` is cancelled: of an
    order with ``time_in_force`` ``gtt``, or of one that still waits for its
    trigger.

    ``post_only`` refuses the order if it would trade at once. ``client_order_id`` is
    unique per user for 24 hours, or longer while its order is open: sending the same order again
    returns the state of the first one and places nothing. ``self_trade`` decides what happens when
    the order would trade with another order of its user.
    """

    type: SideName
    exec_type: Annotated[ExecTypeGiven, Meta(description="`immediate` is an alias of `market`.")]
    amount: Amount | None = None
    total: Annotated[float, Meta(description="The most that a market order trades for.")] | None = (
        None
    )
    price: Price | None = None
    trigger_price: Price | None = None
    display: Amount | None = None
    security: Security | None = None
    time_in_force: TimeInForceName | None = None
    expire_time: Annotated[TimeMs, Meta(ge=0, le=2**53)] | None = None
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


@final
class Add(_Command, tag="add"):
    """Place an order; the reply shows its state after immediate matching."""

    order: NewOrder


@final
class Delete(_Command, tag="delete"):
    """Cancel one open order, named by exactly one of ``id`` and ``client_order_id``."""

    id: Id | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.client_order_id is None):
            raise ValueError("Expected exactly one of `id` and `clientOrderId`")


@final
class Amend(_Command, tag="amend"):
    """Change the price, the whole amount or the client order id of an open order.

    The order is named by exactly one of ``id`` and ``client_order_id``. At the same price and with
    no larger amount it keeps its place in the queue; otherwise it loses it and may match.
    ``amount`` includes what is filled: at exactly that, the rest is cancelled.
    """

    id: Id | None = None
    client_order_id: ClientOrderId | None = None
    price: Price | None = None
    amount: Amount | None = None
    new_client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.client_order_id is None):
            raise ValueError("Expected exactly one of `id` and `clientOrderId`")
        if (self.price, self.amount, self.new_client_order_id) == (None, None, None):
            raise ValueError("Expected `price`, `amount` or `newClientOrderId`")


class DeleteAll(_Command, tag="deleteAll"):
    """Cancel all open orders of the user, or only those of ``security``, of side ``type``."""

    security: Security | None = None
    type: SideName | None = None


class CancelAfter(_Command, tag="cancelAfter"):
    """Cancel all open orders of the user once ``ms`` have passed: a dead man's switch.

    Each command starts the time over, and 0 switches it off. It passes whether the user is
    connected or not, and while the server is down.
    """

    ms: Annotated[int, Meta(ge=0, le=CANCEL_AFTER_MS_MAX)]


class GetOrder(_Command, tag="order"):
    """Return the state of an order, open or ended, by exactly one of its two ids.

    An ended order is known by its client order id for 24 hours, and by its id for as long as the
    server keeps its history (its setting ``retain_days``; for ever by default).
    """

    id: Id | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.client_order_id is None):
            raise ValueError("Expected exactly one of `id` and `clientOrderId`")


class GetFills(_Command, tag="fills"):
    """List the user's own fills in a security, oldest first, from all its connections.

    With ``since`` the first ``limit`` fills with a larger ``fillId``; without it the last
    ``limit``, or the last before ``before``. Both fills of a self-trade count as one.
    ``security`` defaults to the connection's.
    """

    security: Security | None = None
    since: Annotated[FillId, Meta(ge=0, le=2**53)] | None = None
    before: Annotated[FillId, Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 100


class GetEndedOrders(_Command, tag="endedOrders"):
    """List the user's orders in a security that have ended, from all its connections.

    These are the last ``limit`` that were placed, or the last before the one whose id is
    ``before``; oldest first. ``security`` defaults to the connection's.
    """

    security: Security | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 100


class Orders(_Command, tag="orders"):
    """List the user's open orders in all securities."""


class Ping(_Command, tag="ping"):
    """Check that the server is alive and read its clock."""


class Subscribe(_Command, tag="subscribe"):
    """Subscribe to a channel of a security; ``book`` carries the aggregated book and the trades."""

    security: Security
    channel: Channel = "book"


class Unsubscribe(_Command, tag="unsubscribe"):
    """Unsubscribe from a channel of a security."""

    security: Security
    channel: Channel = "book"


ExchangeCommand = Add | Amend | Delete | DeleteAll | CancelAfter | GetOrder | Orders
FeedCommand = Ping | Subscribe | Unsubscribe
Command = ExchangeCommand | GetFills | GetEndedOrders | FeedCommand

OfOneOrder = Add | Amend | Delete | GetOrder
"""The commands about one order, whose refusal is a rejected ``order``."""

OrderCommand = Add | Amend | Delete | DeleteAll | GetOrder
"""The commands that may share a frame, as the elements of an array."""

COMMANDS_PER_FRAME_MAX = 100

COMMANDS = Command.__args__
OPS = tuple(str(command.__struct_config__.tag) for command in COMMANDS)
ORDER_OPS = tuple(str(command.__struct_config__.tag) for command in OrderCommand.__args__)
