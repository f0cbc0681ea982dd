"""The checksum of a book as docs/protocol.md specifies it, computed without the library."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from fastbook_wire.checksum import checksum

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_documents_vector() -> None:
    text = "10100:30000,10150:5|10050:20000"
    found = checksum([(10100, 30000), (10150, 5)], [(10050, 20000)])
    assert found == zlib.crc32(text.encode("ascii")) == 1591544603
    page = PROTOCOL.read_text(encoding="utf-8")
    assert text in page
    assert str(found) in page


@pytest.mark.parametrize("levels", [0, 99, 100, 101, 250])
def test_the_best_hundred_of_each_side_take_part(levels: int) -> None:
    asks = [(1000 + n, n + 1) for n in range(levels)]
    bids = [(999 - n, 2 * n + 1) for n in range(levels)]
    sides = (",".join(f"{p}:{q}" for p, q in side[:100]) for side in (asks, bids))
    assert checksum(iter(asks), iter(bids)) == zlib.crc32("|".join(sides).encode("ascii"))
