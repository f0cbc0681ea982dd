"""The byte form of the seam's messages, for a gateway that is not in the matcher's process.

MessagePack. A batch is ``[version, number, settled_ms, stored_ms, orders, events, taken, held]``:
each order stands once, as the row of its fields, and an event is ``[kind, field, ...]`` with an
order given by its row's index and an instrument by its number. Integers that do not fit 64 bits
travel as decimal text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

import msgspec

from fastbook_server.channels.order_channel import Command
from fastbook_server.channels.trade_channel import CommittedBatch, committed
from fastbook_server.values.events import (
    ExchangeEvent,
    Order,
    OrderReport,
)
from fastbook_server.values.instruments import Instrument

VERSION = 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_KINDS: tuple[type[Any], ...] = get_args(ExchangeEvent)
_KIND_OF = {kind: n for n, kind in enumerate(_KINDS)}
_RECORDS: tuple[type[Any], ...] = (Order, *_KINDS)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _RECORDS}
_ORDER_FIELDS = _NAMES[Order]

_encode = msgspec.msgpack.Encoder().encode


class MessageError(Exception):
    """Bytes that are no message of this version; the text says what was expected and got."""


class Submitted(msgspec.Struct, frozen=True, array_like=True):
    """Commands that a user has submitted together; the fields are those of `Matcher.submit`."""

    user_id: str
    commands: tuple[Command, ...]


class Submissions(msgspec.Struct, frozen=True, array_like=True):
    """Commands of a gateway to the matcher of an epoch; ``first`` is the number of the first.

    Without commands it is a sign of life, and ``first`` the number that would come next.
    """

    version: int
    gateway: str
    epoch: int
    first: int
    submitted: tuple[Submitted, ...] = ()


_submissions = msgspec.msgpack.Decoder(Submissions)
_batch = msgspec.msgpack.Decoder(
    tuple[int, int, int, int, list[list[Any]], list[list[Any]], dict[str, int], dict[str, str]],
    strict=True,
)


def encode_submissions(
    gateway: str, epoch: int, first: int, submitted: tuple[Submitted, ...] = ()
) -> bytes:
    """Return the bytes of submitted commands."""
    return _encode(Submissions(VERSION, gateway, epoch, first, submitted))


def decode_submissions(data: bytes) -> Submissions:
    """Return the submissions of these bytes.

    Raises:
        MessageError: they are none, or of another version.
    """
    try:
        submissions = _submissions.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"expected submissions: {error}") from None
    _check_version(submissions.version)
    return submissions


def encode_batch(batch: CommittedBatch) -> bytes:
    """Return the bytes of a committed batch."""
    table = _OrderTable()
    events = [
        [_KIND_OF[type(event)], *_pack(event, table.index)]
        for part in (
            *(batch.orders, batch.trades, batch.reports),
            *(batch.cancel_rules, batch.operator_actions, batch.balances),
        )
        for event in part
    ]
    marks = (batch.number, batch.settled_ms, batch.stored_ms)
    return _encode((VERSION, *marks, table.rows, events, batch.taken, batch.held))


def decode_batch(data: bytes, instruments: Mapping[int, Instrument]) -> CommittedBatch:
    """Return the batch of these bytes; `instruments` are the matcher's, by number.

    Raises:
        MessageError: they are none, of another version, or name an unknown instrument.
    """
    try:
        version, number, settled_ms, stored_ms, rows, packed, taken, held = _batch.decode(data)
        _check_version(version)
        orders = [_order(row, instruments) for row in rows]
        events = [_unpack(_KINDS[kind], values, orders) for kind, *values in packed]
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"expected a committed batch: {error!r}") from None
    return committed(
        events,
        number=number,
        settled_ms=settled_ms,
        stored_ms=stored_ms,
        taken=taken,
        held=held,
    )


def _check_version(version: int) -> None:
    if version != VERSION:
        raise MessageError(f"expected a message of version {VERSION}, got version {version}")


class _OrderTable:
    """The orders of one message, each once: the same order is part of up to six events."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self._index: dict[int, int] = {}  # by identity: equal orders are the same object

    def index(self, order: Order) -> int:
        """Return the index of an order's row; a new order gets the next one."""
        known = self._index.get(id(order))
        if known is None:
            known = self._index[id(order)] = len(self.rows)
            row = [_fitting(getattr(order, name)) for name in _ORDER_FIELDS]
            row[_ORDER_FIELDS.index("instrument")] = order.instrument.number
            self.rows.append(row)
        return known


def _pack(event: ExchangeEvent, index: Callable[[Order], int]) -> Iterable[Any]:
    for name in _NAMES[type(event)]:
        value = getattr(event, name)
        if type(value) is Order:
            yield index(value)
        elif type(value) is tuple:  # the reports of a list of orders
            yield [list(_pack(report, index)) for report in value]
        else:
            yield _fitting(value)


def _fitting(value: Any) -> Any:
    if type(value) is int and not _INT64_MIN <= value <= _INT64_MAX:
        return str(value)
    return value


class _Reading:
    """How the fields of one kind of event are read back."""

    def __init__(self, kind: type[Any]) -> None:
        types = [field.type for field in fields(kind)]  # as written in the source
        self.count = len(types)
        self.orders = _where(types, "Order")
        self.integers = _where(types, "int")
        self.reports = _where(types, "tuple[OrderReport, ...]")


def _where(types: list[Any], wanted: str) -> list[int]:
    return [n for n, name in enumerate(types) if name == wanted]


_READINGS = {kind: _Reading(kind) for kind in _KINDS}


def _unpack(kind: type[Any], values: list[Any], orders: list[Order]) -> Any:
    reading = _READINGS[kind]
    if len(values) != reading.count:
        raise ValueError(f"{kind.__name__}: expected {reading.count} fields, got {len(values)}")
    for n in reading.orders:
        values[n] = orders[values[n]]
    for n in reading.integers:
        values[n] = int(values[n])
    for n in reading.reports:
        values[n] = tuple(_unpack(OrderReport, report, orders) for report in values[n])
    return kind(*values)


def _order(row: list[Any], instruments: Mapping[int, Instrument]) -> Order:
    values = dict(zip(_ORDER_FIELDS, row, strict=True))
    values["instrument"] = instruments[values["instrument"]]
    values["former_client_order_ids"] = tuple(values["former_client_order_ids"])
    return Order(**values)
