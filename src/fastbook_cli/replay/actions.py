"""What a recording consists of once it is read: actions, the venue's own fills, and notes.

All prices and amounts are exact decimals, times are nanoseconds since 1970 or, where the file knows
no date, since midnight.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Literal

import msgspec

from fastbook_cli.errors import CommandError
from fastbook_wire.words import SideName

Op = Literal["add", "amend", "delete"]


class RecordingError(CommandError):
    """The file is not a recording; the message names the file, the place and what was expected."""

    exit_code = 2


class VenueFill(msgspec.Struct, frozen=True, gc=False):
    """One match at the venue: whose resting order, at which price, how much."""

    maker: str
    price: Decimal
    amount: Decimal


class Action(msgspec.Struct, frozen=True):
    """One command that replays a recording: place an order, amend it, or cancel it.

    ``number`` counts the actions from 1; ``line`` is where in the file it comes from: a line, or
    the number of a record or a byte (see ``Undecided.place``). A market order has no ``price``. An
    amend sets the whole ``amount``, what is filled included. ``fills`` is what the venue says that
    this order traded at once; None if the file does not say; ``passed`` is an order that it passed
    over, against price and time. ``terms`` are further fields of the wire, as an own export has.
    """

    op: Op
    number: int
    line: int
    time_ns: int
    order_id: str
    side: SideName
    price: Decimal | None = None
    amount: Decimal | None = None
    ioc: bool = False
    post_only: bool = False
    fills: tuple[VenueFill, ...] | None = None
    passed: str | None = None
    terms: dict[str, object] | None = None


ENDS_EARLY = "the file ends in the middle"


class Undecided:
    """What a reader could not decide from the file, counted by name; nothing is guessed silently.

    The names are those of the report: "hidden executions", "auctions", "stale orders". `place` is
    what the numbers of places count, in one word.
    """

    def __init__(self, place: str = "line") -> None:
        self.place = place
        self.counts: Counter[str] = Counter()
        self.first_lines: dict[str, int] = {}

    def count(self, name: str, line: int, times: int = 1) -> None:
        """Count something that happened at a place in the file."""
        self.counts[name] += times
        self.first_lines.setdefault(name, line)

    def cut_off(self, line: int) -> None:
        """The file ends in the middle, at a place or soon after it."""
        if not self.counts[ENDS_EARLY]:
            self.count(ENDS_EARLY, line)

    def lines(self) -> list[tuple[str, str]]:
        """Return the lines of a report."""
        lines = [
            ("not decided", f"{count:,} {name} (first: {self.place} {self.first_lines[name]:,})")
            for name, count in sorted(self.counts.items())
            if name != ENDS_EARLY
        ]
        if ENDS_EARLY in self.counts:
            at = f"{self.place} {self.first_lines[ENDS_EARLY]:,}"
            lines.append(("cut off", f"{ENDS_EARLY}, at {at}; what stands before was played"))
        return lines
