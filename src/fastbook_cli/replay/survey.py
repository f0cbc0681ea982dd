"""Reads a recording once before it is played: its size, its grid, and what it presupposes."""

from __future__ import annotations

import msgspec

from fastbook_cli.replay.actions import Undecided
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.reader import RecordingReader


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of the file told; ``tick`` and ``lot`` divide every price and amount.

    A second reading may have a few more ``actions``, those which clear the way of others.
    """

    actions: int
    first_ns: int
    last_ns: int
    tick: str
    lot: str
    earlier: Earlier


def survey(reader: RecordingReader) -> Survey:
    """Read all of a recording, in memory that does not grow with it.

    Raises:
        RecordingError: it is malformed.
    """
    earlier = Earlier()
    ticks, lots = earlier.ticks, earlier.lots
    actions = first_ns = last_ns = 0
    for action in reader.actions(Undecided(), survey=earlier):
        if action.price is not None:
            ticks.see(action.price)
        if action.amount is not None:
            lots.see(action.amount)
        first_ns = first_ns or action.time_ns  # a book at the start may have no time
        actions += 1
        last_ns = max(last_ns, action.time_ns)
    return Survey(
        actions=actions + len(earlier.orders),
        first_ns=first_ns,
        last_ns=last_ns,
        tick=ticks.step,
        lot=lots.step,
        earlier=earlier,
    )
