"""The checksum of the ``depth`` channel: whether a book kept from its frames is the server's."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from itertools import islice

CHECKSUM_LEVELS = 100
"""How many levels of each side take part, from the best one on."""


def checksum(asks: Iterable[tuple[int, int]], bids: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of both sides, given as (ticks, lots), best first.

    It is that of the ASCII text ``ticks:lots,ticks:lots,…|ticks:lots,…``: asks before the bar, bids
    after it, at most ``CHECKSUM_LEVELS`` of each. A price is ``ticks`` times the tick size, an
    amount ``lots`` times the lot size, rounded to the nearest integer.
    """
    sides = (
        ",".join(f"{p}:{q}" for p, q in islice(side, CHECKSUM_LEVELS)) for side in (asks, bids)
    )
    return zlib.crc32("|".join(sides).encode())
