"""The messages of the log: batches, claims of a new owner, and the owner's farewell.

A message is ``[version, kind, claim, epoch, until_ms, batch]`` in MessagePack, with the batch in
the seam's byte form. It travels in parts, each a message of the log: a byte of flags (1: the first
part, 2: the last), the CRC-32 of the whole message, then the bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import msgspec

from fastbook_server.channels.messages import MessageError, decode_batch, encode_batch
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.log import LogBroken, LogEntry
from fastbook_server.values.instruments import Instrument

VERSION = 1
PART_BYTES = 512 * 1_024
_FIRST, _LAST = 1, 2
_HEAD_BYTES = 5


class MessageKind(IntEnum):
    """What a message says."""

    BATCH = 0
    CLAIM = 1  # a matcher has taken over: everything unanswered has not happened, and never will
    RELEASE = 2  # the owner has stopped, in order


class LogMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message: who wrote it, under which `epoch`, and how far time is settled with it.

    ``claim`` is the random name of the writer's claim; ``batch`` is empty but for batches.
    """

    version: int
    kind: MessageKind
    claim: str
    epoch: int
    until_ms: int
    batch: bytes = b""


class Numbering(NamedTuple):
    """A whole message, and the numbers in the log of its parts: after the one, up to the other."""

    message: LogMessage
    previous: int
    number: int


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(LogMessage)


def message(
    kind: MessageKind, claim: str, epoch: int, until_ms: int, batch: CommittedBatch | None = None
) -> LogMessage:
    """Return a message of this version."""
    packed = b"" if batch is None else encode_batch(batch)
    return LogMessage(VERSION, kind, claim, epoch, until_ms, packed)


def parts(message: LogMessage, part_bytes: int = PART_BYTES) -> list[bytes]:
    """Return what is appended to the log, one after the other."""
    whole = _encode(message)
    check = zlib.crc32(whole).to_bytes(4, "big")
    starts = range(0, len(whole), part_bytes)
    return [
        bytes([(_FIRST if start == 0 else 0) | (_LAST if start == starts[-1] else 0)])
        + check
        + whole[start : start + part_bytes]
        for start in starts
    ]


def ends_message(entry: LogEntry) -> bool:
    """Return whether this is the last part of a message."""
    return bool(entry.data[:1] and entry.data[0] & _LAST)


class Assembly:
    """Puts parts together. A first part voids what its writer's predecessor has not finished."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._previous = 0  # the number before the first of them

    def add(self, entry: LogEntry) -> Numbering | None:
        """Return the message that ends with this part, if one does.

        Raises:
            LogBroken: the bytes are not those of a message, or of another version.
        """
        flags, data = entry.data[0] if entry.data else 0, entry.data[_HEAD_BYTES:]
        if flags & _FIRST:
            self._parts, self._previous = [], entry.number - 1
        elif not self._parts:
            return None  # the rest of a message that began before we read
        self._parts.append(data)
        if not flags & _LAST:
            return None
        whole, self._parts = b"".join(self._parts), []
        if zlib.crc32(whole).to_bytes(4, "big") != entry.data[1:_HEAD_BYTES]:
            raise LogBroken(f"the log's message {entry.number} is not what was written")
        return Numbering(_decoded(whole, entry.number), self._previous, entry.number)


def batch_of(numbered: Numbering, instruments: Mapping[int, Instrument]) -> CommittedBatch:
    """Return what a message tells gateways, under its number in the log.

    Raises:
        LogBroken: its bytes are no batch of this version.
    """
    message, _, number = numbered
    marks = (message.until_ms, message.until_ms)
    if not message.batch:
        return CommittedBatch(number=number, settled_ms=marks[0], stored_ms=marks[1])
    try:
        batch = decode_batch(message.batch, instruments)
    except MessageError as error:
        raise LogBroken(f"the log's message {number}: {error}") from None
    return msgspec.structs.replace(
        batch, number=number, settled_ms=message.until_ms, stored_ms=message.until_ms
    )


def _decoded(whole: bytes, number: int) -> LogMessage:
    try:
        message = _decoder.decode(whole)
    except (msgspec.DecodeError, ValueError) as error:
        raise LogBroken(f"the log's message {number}: {error}") from None
    if message.version != VERSION:
        raise LogBroken(
            f"the log's message {number}: expected version {VERSION}, got {message.version}: "
            "stop what reads before what writes when you upgrade"
        )
    return message
