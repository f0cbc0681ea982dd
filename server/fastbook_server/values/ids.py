"""Ids of orders and trades: UUIDv7 texts whose free bits carry their origin.

RFC 9562 leaves 74 bits free beside the time. Here they carry, from the highest:

    epoch 20 | seq 40 | instrument 12 | kind 2

so ids sort by time and then by assignment, are unique across kinds, securities and restarts, and
lead back to their order without a dictionary.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from fastbook_server.values._uuid import low_bits, text_of

EPOCH_MAX = 2**20 - 1
SEQ_MAX = 2**40 - 1
INSTRUMENT_MAX = 2**12 - 1
PLACE_MAX = 2**52 - 1


class Kind(IntEnum):
    """What kind of thing an id identifies."""

    ORDER = 1
    TRADE = 2


class Id(NamedTuple):
    """The parts of an id; ``time_ms`` is Unix time in milliseconds."""

    time_ms: int
    epoch: int
    seq: int
    instrument: int
    kind: int


def encode(time_ms: int, epoch: int, seq: int, instrument: int, kind: int) -> str:
    """Return the id of these parts as a UUID text of 36 characters."""
    high = time_ms << 16 | 0x7000 | epoch >> 8
    return text_of(high, (epoch & 0xFF) << 54 | seq << 14 | instrument << 2 | kind)


def place(text: str) -> int:
    """Return ``seq << 12 | instrument`` of an id, or -1 if `text` cannot be one of ours.

    It is a claim, as with `decode`.
    """
    low = low_bits(text)
    return low if low < 0 else low >> 2 & PLACE_MAX


def decode(text: str) -> Id | None:
    """Return the parts of an id, or None if `text` cannot be one of ours.

    The parts are a claim: the caller must check that the order found really has this id.
    """
    if len(text) != 36:
        return None
    try:
        value = int(text.replace("-", ""), 16)
    except ValueError:
        return None
    free = (value >> 64 & 0xFFF) << 62 | value & 0x3FFF_FFFF_FFFF_FFFF
    return Id(value >> 80, free >> 54, free >> 14 & SEQ_MAX, free >> 2 & INSTRUMENT_MAX, free & 3)
