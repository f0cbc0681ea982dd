"""From bytes to commands: the only place where they are parsed and their shape is checked.

Whether the rules of the market allow a well-formed command is for the exchange to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import final, get_args

import msgspec
from msgspec import Raw, Struct

from fastbook_server.gateway import _commands
from fastbook_wire.commands import (
    CLIENT_ORDER_ID_PATTERN,
    COMMANDS,
    COMMANDS_PER_FRAME_MAX,
    OPS,
    ORDER_OPS,
    Add,
    Amend,
    Command,
    Delete,
    ExecTypeGiven,
    GetOrder,
    NewOrder,
    OrderCommand,
    Ref,
)
from fastbook_wire.words import Channel, Code, SelfTradeName, SideName, TimeInForceName

MESSAGE_LENGTH_MAX = 300


@final
class ProtocolError(Exception):
    """Bytes that are not a command; carries the code, and the ``ref`` if it could be read."""

    def __init__(self, code: Code, message: str, ref: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ref = ref


Array = list[OrderCommand | ProtocolError]
Said = Command | Array | ProtocolError

_decode: Callable[[bytes], Command] = msgspec.json.Decoder(Command).decode
_array_decoder = msgspec.json.Decoder(list[Raw])
_PATH = " - at `$"


_NEW_ORDER = re.compile(rb'\{"op":"add","ref":(0|[1-9][0-9]{0,14}|"[ !#-\[\]-~]{1,64}"),').match


class _OnlyRef(Struct):
    ref: Ref = None


class _OnlyOp(Struct):
    op: str = ""


_ref_decoder = msgspec.json.Decoder(_OnlyRef)
_op_decoder = msgspec.json.Decoder(_OnlyOp)


_MALFORMED = {"Input data was truncated": "JSON is malformed: it, or a text in it, is incomplete"}
"""What msgspec says in words of its own, as the rest is said."""


def said(frame: bytes) -> Said:
    """Return what a text frame says: a command, the commands of an array, or why it is neither."""
    try:
        if frame.startswith(b"{") or not frame.lstrip().startswith(b"["):
            return decode(frame)
        return decode_array(frame)
    except ProtocolError as error:
        return error


def ref_of_new_order(frame: bytes) -> bytes | None:
    """Return the JSON of the ``ref`` of a new order that is written as most programs write one.

    Its sender can be told that there is no room for it, whatever else it says. None: decode it.
    """
    found = _NEW_ORDER(frame)
    return None if found is None else found[1]


def decode(frame: bytes) -> Command:
    """Return the command in the payload of a text frame, which must be valid UTF-8.

    Raises:
        ProtocolError: the payload is not a command; the message names the path of the field.
    """
    most = _commands.read(frame)
    if most is not None:
        return most
    try:
        command = _decode(frame)
    except msgspec.ValidationError as error:
        message, code = str(error), Code.BAD_FRAME
        if message.startswith("Invalid value ") and message.endswith("`$.op`"):
            code = Code.UNKNOWN_OP
            message = f"Expected one of {', '.join(OPS)}, got {message[14:]}"
        elif message.startswith("Invalid enum value "):
            message = f"Expected {_CHOICES[message.rpartition(' ')[2]]}, got {message[19:]}"
        elif message.startswith(_UNKNOWN_FIELD):
            message = f"Expected {_fields_of(frame, message)}, got {message[len(_UNKNOWN_FIELD) :]}"
        raise ProtocolError(code, _shortened(message), _ref_of(frame)) from None
    except msgspec.DecodeError as error:
        raise ProtocolError(Code.BAD_FRAME, _MALFORMED.get(str(error), str(error))) from None
    except RecursionError:
        raise ProtocolError(Code.BAD_FRAME, "Expected a flat object, got deep nesting") from None
    if b"\\" in frame or b"\x7f" in frame:  # else there is no control character in any text
        _check_client_order_ids(command)
    return command


def decode_array(frame: bytes) -> Array:
    """Return the order commands in the array of a text frame, each or why it is none.

    Raises:
        ProtocolError: the payload is no array of a permitted length.
    """
    try:
        elements = _array_decoder.decode(frame)
    except msgspec.DecodeError as error:
        raise ProtocolError(Code.BAD_FRAME, _MALFORMED.get(str(error), str(error))) from None
    except RecursionError:
        raise ProtocolError(Code.BAD_FRAME, "Expected a flat array, got deep nesting") from None
    if not 1 <= len(elements) <= COMMANDS_PER_FRAME_MAX:
        message = f"Expected 1 to {COMMANDS_PER_FRAME_MAX} commands, got {len(elements)}"
        raise ProtocolError(Code.BAD_FRAME, message)
    return [_element(bytes(element), at) for at, element in enumerate(elements)]


def _element(payload: bytes, at: int) -> OrderCommand | ProtocolError:
    try:
        command = decode(payload)
    except ProtocolError as error:
        head, sign, path = error.message.rpartition(_PATH)
        message = f"{head}{_PATH}[{at}]{path}" if sign else f"{path}{_PATH}[{at}]`"
        return ProtocolError(error.code, message, error.ref)
    if isinstance(command, OrderCommand):
        return command
    op = command.__struct_config__.tag
    message = f"Expected one of {', '.join(ORDER_OPS)} in an array, got '{op}'{_PATH}[{at}].op`"
    return ProtocolError(Code.BAD_FRAME, message, command.ref)


def _check_client_order_ids(command: Command) -> None:
    if isinstance(command, Add):
        given = {"order.clientOrderId": command.order.client_order_id}
    elif isinstance(command, Delete | GetOrder):
        given = {"clientOrderId": command.client_order_id}
    elif isinstance(command, Amend):
        given = {
            "clientOrderId": command.client_order_id,
            "newClientOrderId": command.new_client_order_id,
        }
    else:
        return
    for path, name in given.items():
        if name is not None and not re.search(CLIENT_ORDER_ID_PATTERN, name):
            message = f"Expected `str` matching regex {CLIENT_ORDER_ID_PATTERN!r}{_PATH}.{path}`"
            raise ProtocolError(Code.BAD_FRAME, message, command.ref)


def _fields_of(frame: bytes, message: str) -> str:
    """Return the fields that the object may have of which an error of msgspec's speaks."""
    if message.endswith(f"{_PATH}.order`"):
        return f"one of {', '.join(NewOrder.__struct_encode_fields__)}"
    try:
        command = _COMMANDS.get(_op_decoder.decode(frame).op)
    except (msgspec.DecodeError, RecursionError):
        command = None
    if command is None:  # there is something wrong with what follows, too
        return "only the fields of its op"
    return f"one of op, {', '.join(command.__struct_encode_fields__)}"


def _shortened(message: str) -> str:
    """Cut the middle out of a message that quotes a long frame; its end names the field."""
    if len(message) <= MESSAGE_LENGTH_MAX:
        return message
    half = MESSAGE_LENGTH_MAX // 2 - 2
    return f"{message[:half]}...{message[-half:]}"


_UNKNOWN_FIELD = "Object contains unknown field "
_COMMANDS = dict(zip(OPS, COMMANDS, strict=True))

# The members of each enumeration, which msgspec does not name in its errors.
_CHOICES = {
    f"`$.{name}`": " or ".join(get_args(choices))
    for name, choices in (
        ("channel", Channel),
        ("type", SideName),
        ("order.type", SideName),
        ("order.execType", ExecTypeGiven),
        ("order.timeInForce", TimeInForceName),
        ("order.selfTrade", SelfTradeName),
    )
}


def _ref_of(frame: bytes) -> str | int | None:
    try:
        return _ref_decoder.decode(frame).ref
    except (msgspec.DecodeError, RecursionError):
        return None
