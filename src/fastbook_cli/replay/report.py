"""The outcome of a replay, as numbers and as the text printed at its end."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fastbook_cli.bench.waits import Waits
from fastbook_cli.replay.actions import Undecided
from fastbook_cli.replay.agreement import Agreement


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a replay, up to where it got.

    All sums are computed from the last known state of each order. ``cancelled`` counts the orders
    that a delete cancelled, ``gone`` the deletes of orders that had left the book before or never
    entered it, ``would_cross`` the post-only orders that did not enter. ``bought_lots`` and
    ``sold_lots`` are the total fills of each side; if nobody else traded, both equal the traded
    amount. ``fills`` counts the reports to makers, one per match. It alone misses the reports of a
    lost connection (see ``fills_exact``).
    """

    security: str
    clients: int
    lot: str  # a decimal number
    orders: int
    accepted: int
    would_cross: int
    refused: dict[str, int]
    deletes: int
    cancelled: int
    gone: int
    deletes_refused: dict[str, int]
    amends: int
    amended: int
    amends_refused: dict[str, int]
    open_orders: int
    fills: int
    fill_lots: int
    bought_lots: int
    sold_lots: int
    seconds: float
    waits: Waits
    reconnects: int
    resent: int
    postponed: int
    agreement: Agreement

    @property
    def commands(self) -> int:
        """The number of commands answered."""
        return self.waits.count

    @property
    def traded_lots(self) -> int:
        """The quantity traded between the orders of the replay, if nobody else traded."""
        return (self.bought_lots + self.sold_lots) // 2

    @property
    def fills_exact(self) -> bool:
        """Whether the counted fills add up to the traded quantity, so that none was missed."""
        return 2 * self.fill_lots == self.bought_lots + self.sold_lots

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the time to the acknowledgement; 0 if there were no commands."""
        return self.waits.percentile_ms(percent)

    @property
    def is_mostly_refused(self) -> bool:
        """Whether the server refused more than half of the orders."""
        return 2 * sum(self.refused.values()) > self.orders

    def amount(self, lots: int) -> str:
        """Return lots as an exact amount, with all decimals of the lot."""
        return f"{lots * Decimal(self.lot).normalize():,f}"

    def text(self, notes: Undecided | None = None) -> str:
        """Return the report as text; `notes` are what the file has left undecided."""
        rate = self.commands / self.seconds if self.seconds else 0.0
        orders_rate = self.orders / self.seconds if self.seconds else 0.0
        waits = "  ".join(
            f"{name} {self.percentile_ms(percent):,.2f} ms"
            for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
        )
        fills = f"{self.fills:,}" if self.fills_exact else f"at least {self.fills:,}"
        lines = [
            ("orders sent", f"{self.orders:,}"),
            ("accepted", f"{self.accepted:,}"),
            ("refused", _by_code(self.refused)),
            ("deletes", f"{self.deletes:,}: {self.cancelled:,} cancelled, {self.gone:,} too late"),
            ("fills", fills),
            ("traded amount", self._traded()),
            ("still open", f"{self.open_orders:,}"),
            ("time", f"{self.seconds:,.2f} s"),
            ("rate", f"{orders_rate:,.0f} orders/s  ({rate:,.0f} commands/s in all)"),
            ("acknowledgement", waits),
        ]
        extra = []
        if self.would_cross:
            extra.append(
                ("post-only", f"{self.would_cross:,} did not enter: they would have traded")
            )
        if self.deletes_refused:
            extra.append(("deletes refused", _by_code(self.deletes_refused)))
        if self.amends:
            late = self.amends - self.amended - sum(self.amends_refused.values())
            extra.append(("amends", f"{self.amends:,}: {self.amended:,} done, {late:,} too late"))
        if self.amends_refused:
            extra.append(("amends refused", _by_code(self.amends_refused)))
        lines[4:4] = extra
        if self.reconnects:
            lines.append(
                ("connection", f"lost {self.reconnects:,} times, {self.resent:,} commands resent")
            )
        if self.postponed:
            lines.append(("postponed", f"{self.postponed:,} by the server, so not all in sequence"))
        lines += self._agreement("line" if notes is None else notes.place)
        if notes is not None:
            lines += notes.lines()
        return "\n".join(f"{name:<16} {value}" for name, value in lines)

    def _agreement(self, place: str) -> list[tuple[str, str]]:
        if self.clients > 1:
            return [("agreement", "not measured: several clients do not keep the sequence")]
        return self.agreement.lines(place)

    def _traded(self) -> str:
        if self.bought_lots == self.sold_lots:
            return f"{self.amount(self.traded_lots)} ({self.security})"
        bought, sold = self.amount(self.bought_lots), self.amount(self.sold_lots)
        return f"bought {bought}, sold {sold}: others traded too ({self.security})"


def _by_code(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    if not total:
        return "0"
    parts = ", ".join(f"{code} {count:,}" for code, count in sorted(counts.items()))
    return f"{total:,}: {parts}"
