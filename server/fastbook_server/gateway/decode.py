"""From bytes to commands: the only place where they are parsed and their shape is checked.

Whether the rules of the market allow a well-formed command is for the exchange to say.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
from msgspec import Struct

from fastbook_wire.commands import OPS, Command, Ref
from fastbook_wire.words import Channel, Code, SelfTradeName, SideName, TimeInForceName

MESSAGE_LENGTH_MAX = 300


class ProtocolError(Exception):
    """Bytes that are not a command; carries the code, and the ``ref`` if it could be read."""

    def __init__(self, code: Code, message: str, ref: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ref = ref


_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _OnlyRef(Struct):
    ref: Ref = None


_ref_decoder = msgspec.json.Decoder(_OnlyRef)


def decode(frame: bytes) -> Command:
    """Return the command in the payload of a text frame, which must be valid UTF-8.

    Raises:
        ProtocolError: the payload is not a command; the message names the path of the field.
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
    """Cut the middle out of a message that quotes a long frame; its end names the field."""
    if len(message) <= MESSAGE_LENGTH_MAX:
        return message
    half = MESSAGE_LENGTH_MAX // 2 - 2
    return f"{message[:half]}...{message[-half:]}"


# The members of each enumeration, which msgspec does not name in its errors.
_CHOICES = {
    f"`$.{name}`": " or ".join(get_args(choices))
    for name, choices in (
        ("channel", Channel),
        ("type", SideName),
        ("order.type", SideName),
        ("order.execType", Literal["limit", "market", "immediate"]),
        ("order.timeInForce", TimeInForceName),
        ("order.selfTrade", SelfTradeName),
    )
}


def _ref_of(frame: bytes) -> str | int | None:
    try:
        return _ref_decoder.decode(frame).ref
    except (msgspec.DecodeError, RecursionError):
        return None
