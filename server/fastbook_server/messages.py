"""The client's side of the wire: bytes to commands, checked for shape once; and the codes.

``decode`` is the only place where bytes become commands. What a rule of the market has to say
about a well-formed command is the exchange's business.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from fastbook_server.events import SelfTradeName, SideName, TimeInForceName

Ref = Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)] | None
# No control characters: PostgreSQL's text cannot hold NUL, and nobody means the others.
ClientOrderId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
MESSAGE_LENGTH_MAX = 300
OVERLOADED_RETRY_MS = 1_000
"""What ``retryAfterMs`` says of a bound that others, or the client itself, must make room in."""


class Code(StrEnum):
    """Why a frame, a command or a connection was refused: the one list of stable codes."""

    BAD_FRAME = "bad_frame"
    UNKNOWN_OP = "unknown_op"
    INVALID_PRICE = "invalid_price"
    INVALID_AMOUNT = "invalid_amount"
    INVALID_ORDER = "invalid_order"
    UNKNOWN_SECURITY = "unknown_security"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE_CLIENT_ORDER_ID = "duplicate_client_order_id"
    POST_ONLY_WOULD_CROSS = "post_only_would_cross"
    HALTED = "halted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    TOO_MANY_ORDERS = "too_many_orders"


class ProtocolError(Exception):
    """Bytes that are no command; carries the code, and the ``ref`` if it could be read."""

    def __init__(self, code: Code, message: str, ref: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ref = ref


class NewOrder(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False):
    """The order of an ``add``; ``security`` defaults to the connection's."""

    type: SideName
    exec_type: Literal["limit", "market", "immediate"]
    amount: float
    price: float | None = None
    security: str | None = None
    time_in_force: TimeInForceName | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None
    self_trade: SelfTradeName = "allow"


class _Command(
    Struct, tag_field="op", rename="camel", forbid_unknown_fields=True, kw_only=True, gc=False
):
    ref: Ref = None


class Add(_Command, tag="add"):
    """Bring a new order."""

    order: NewOrder


class Delete(_Command, tag="delete"):
    """Withdraw one open order, by exactly one of its two ids."""

    id: str | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        if (self.id is None) == (self.client_order_id is None):
            raise ValueError("Expected exactly one of `id` and `clientOrderId`")


class DeleteAll(_Command, tag="deleteAll"):
    """Withdraw all open orders of the user, or those of one security."""

    security: str | None = None


class Orders(_Command, tag="orders"):
    """List the user's open orders."""


class Ping(_Command, tag="ping"):
    """Ask for a sign of life and the server's time."""


class Subscribe(_Command, tag="subscribe"):
    """Follow the book and the trades of one more security."""

    security: str


class Unsubscribe(_Command, tag="unsubscribe"):
    """Stop following a security."""

    security: str


ExchangeCommand = Add | Delete | DeleteAll | Orders
FeedCommand = Ping | Subscribe | Unsubscribe
Command = ExchangeCommand | FeedCommand

OPS = tuple(str(c.__struct_config__.tag) for c in Command.__args__)

_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _OnlyRef(Struct):
    ref: Ref = None


_ref_decoder = msgspec.json.Decoder(_OnlyRef)


def decode(frame: bytes) -> Command:
    """Return the command of one text frame's bytes (valid UTF-8).

    Raises:
        ProtocolError: the frame is no command; the message names the field's path.
    """
    try:
        return _decoder.decode(frame)
    except msgspec.ValidationError as error:
        message, code = str(error), Code.BAD_FRAME
        if message.startswith("Invalid value ") and message.endswith("`$.op`"):
            code = Code.UNKNOWN_OP
            message = f"Expected one of {', '.join(OPS)}, got {message[14:]}"
        elif message.startswith("Invalid enum value "):
            message = f"Expected {_CHOICES[message.rpartition(' ')[2]]}, got {message[19:]}"
        raise ProtocolError(code, _shortened(message), _ref_of(frame)) from None
    except msgspec.DecodeError as error:
        raise ProtocolError(Code.BAD_FRAME, str(error)) from None
    except RecursionError:
        raise ProtocolError(Code.BAD_FRAME, "Expected a flat object, got deep nesting") from None


def _shortened(message: str) -> str:
    """Leave out the middle of what quotes a long frame: the end names the field."""
    if len(message) <= MESSAGE_LENGTH_MAX:
        return message
    half = MESSAGE_LENGTH_MAX // 2 - 2
    return f"{message[:half]}...{message[-half:]}"


# What msgspec does not say of an enumeration: its members.
_CHOICES = {
    f"`$.order.{name}`": " or ".join(get_args(choices))
    for name, choices in (
        ("type", SideName),
        ("execType", Literal["limit", "market", "immediate"]),
        ("timeInForce", TimeInForceName),
        ("selfTrade", SelfTradeName),
    )
}


def _ref_of(frame: bytes) -> str | int | None:
    try:
        return _ref_decoder.decode(frame).ref
    except (msgspec.DecodeError, RecursionError):
        return None
