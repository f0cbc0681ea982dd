"""Compares what orders traded here with what the venue says that they traded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from fastbook_cli.replay.actions import Action

Match = tuple[str | None, float, float]
"""A match of one order: whose order it met (None: somebody else's), the price, the amount."""

Operation = tuple[int, str, tuple[Match, ...], tuple[Match, ...]]
"""The time and side of an order, and its matches at the venue and here."""

RECENT = 20
_SUMS = ("operations", "agreed", "fills", "fills_agreed", "passed", "extra", "unseen", "impact")
IMPACT_MIN = 0.005
"""Less than this is noise of the arithmetic."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A matching operation that came out otherwise; each match as maker, price and amount."""

    line: int
    order_id: str
    side: str
    venue: tuple[Match, ...]
    here: tuple[Match, ...]
    passed: str | None = None

    def text(self, place: str = "line") -> str:
        """Return the difference with its reason, in one line; `place` is what ``line`` counts."""
        if self.passed is not None:
            why = f"the venue passed over order {self.passed}, which has priority by price and time"
        elif any(maker is None for maker, _, _ in self.here):
            why = "it met orders of others, who trade here"
        elif not self.here:
            why = "here nothing was left to trade with"
        else:
            why = "here other orders had priority"
        return (
            f"{place} {self.line:,}, {self.side} {self.order_id}: "
            f"the venue has {_listed(self.venue)}, here {_listed(self.here)}: {why}"
        )


class Agreement:
    """Counts the venue's matching operations, each all that one order traded at once.

    An operation agrees if the same makers traded the same amounts at the same prices. `passed`
    counts those in which the venue passed over orders with priority by price and time: they never
    agree. `extra` counts the orders that traded here and not at the venue. `impact` is how much
    more the takers have paid for what they got here (less, if they sold) than at the venue.
    """

    def __init__(self) -> None:
        self.operations = 0
        self.agreed = 0
        self.fills = 0
        self.fills_agreed = 0
        self.passed = 0
        self.extra = 0
        self.unseen = 0
        self.impact = 0.0
        self.recent: deque[Operation] = deque(maxlen=RECENT)
        self.first: Difference | None = None

    def compare(self, action: Action, here: Sequence[Match]) -> None:
        """Count one order that was placed, or amended to trade, and what it traded here."""
        if action.fills is None:
            return
        if not action.fills:
            self.extra += bool(here)
            return
        venue = tuple((f.maker, float(f.price), float(f.amount)) for f in action.fills)
        self.operations += 1
        self.passed += action.passed is not None
        self.fills += len(venue)
        there_sums, here_sums = _sums(venue), _sums(here)
        self.fills_agreed += sum(here_sums.get(m[:2]) == there_sums[m[:2]] for m in venue)
        if there_sums != here_sums:
            self.impact += _impact(action.side, venue, here)
        self.recent.append((action.time_ns, action.side, venue, tuple(here)))
        if action.passed is None and there_sums == here_sums:
            self.agreed += 1
        elif self.first is None:
            self.first = Difference(
                line=action.line,
                order_id=action.order_id,
                side=action.side,
                venue=venue,
                here=tuple(here),
                passed=action.passed,
            )

    def miss(self, action: Action) -> None:
        """Count an order whose matches were told while the connection was lost."""
        if action.fills:
            self.unseen += 1

    def __iadd__(self, other: Agreement) -> Agreement:
        """Count all that `other` has counted."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recent.extend(other.recent)
        if self.first is None or (other.first is not None and other.first.line < self.first.line):
            self.first = other.first or self.first
        return self

    @property
    def percent(self) -> float | None:
        """The share of the venue's operations that agree; None if the file has none."""
        return 100 * self.agreed / self.operations if self.operations else None

    def lines(self, place: str = "line") -> list[tuple[str, str]]:
        """Return the lines of a report; `place` is what the numbers of places count."""
        if self.percent is None:
            return [("agreement", "unknown: the file has no fills of the venue")]
        lines = [
            (
                "agreement",
                f"{_floor(self.percent)}% of the venue's {self.operations:,} matching operations: "
                f"{self.agreed:,} with the same makers, prices and amounts",
            ),
            ("venue's fills", f"{self.fills:,}, of which {self.fills_agreed:,} are the same here"),
        ]
        if self.passed:
            others = self.operations - self.agreed - self.passed
            lines.append(
                (
                    "against priority",
                    f"{self.passed:,} of those that differ: the venue passed over orders with "
                    f"priority by price and time; {others:,} differ otherwise",
                )
            )
        if abs(self.impact) >= IMPACT_MIN:
            lines.append(("impact", f"{self.impact:+,.2f} for the takers, in money"))
        if self.extra:
            lines.append(("traded only here", f"{self.extra:,} orders"))
        if self.unseen:
            lines.append(("not compared", f"{self.unseen:,}: the connection was lost meanwhile"))
        if self.first is not None:
            lines.append(("first difference", self.first.text(place)))
        return lines


def _impact(side: str, venue: Sequence[Match], here: Sequence[Match]) -> float:
    """Return what a taker has lost by other prices: as much as it got here, priced as there."""
    amount = sum(match[2] for match in here)
    there = sum(price * amount for _, price, amount in venue) / sum(m[2] for m in venue)
    paid = sum(price * amount for _, price, amount in here)
    return (paid - there * amount) * (1 if side == "bid" else -1)


def _floor(percent: float) -> str:
    """Return a share that says 100 only if it is all."""
    return "100" if percent == 100 else f"{int(percent * 100) / 100:.2f}"


def _sums(matches: Sequence[Match]) -> dict[tuple[str | None, float], float]:
    sums: dict[tuple[str | None, float], float] = {}
    for maker, price, amount in matches:
        sums[maker, price] = round(sums.get((maker, price), 0.0) + amount, 12)
    return sums


def _listed(matches: Sequence[Match]) -> str:
    if not matches:
        return "nothing"
    shown = ", ".join(
        f"{amount:g} at {price:g} of {maker or 'somebody else'}"
        for maker, price, amount in matches[:3]
    )
    return shown + (f" and {len(matches) - 3} more" if len(matches) > 3 else "")
