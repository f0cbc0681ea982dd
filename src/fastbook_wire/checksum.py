"""The checksum of the ``depth`` channel, with which a client verifies its local book."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import islice

CHECKSUM_LEVELS = 100
"""Levels of each side that the checksum covers, counted from the best price."""


def checksum(asks: Iterable[tuple[int, int]], bids: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of a book whose sides are given as (ticks, lots), best price first.

    The input of the CRC is the ASCII text ``ticks:lots,ticks:lots,…|ticks:lots,…``: asks before the
    bar, bids after it, at most ``CHECKSUM_LEVELS`` of each. ``ticks`` is price / tick size and
    ``lots`` is amount / lot size, each rounded to the nearest integer.
    """
    sides = (
        ",".join(f"{p}:{q}" for p, q in islice(side, CHECKSUM_LEVELS)) for side in (asks, bids)
    )
    return zlib.crc32("|".join(sides).encode())
