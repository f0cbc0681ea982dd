"""The outcome of a bench, as text and as JSON; and who set its limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fastbook_cli.bench.mix import KINDS
from fastbook_cli.bench.trader import Tally
from fastbook_cli.bench.waits import Waits

BUSY_MAX = 0.85
"""Beyond this share of one core, the bench itself may be what limits a rate or adds to a wait."""
LATE_MS_MAX = 2.0
LATE_SHARE_MAX = 0.25
"""A bench that sends 1 in 100 commands later than both bounds (the second: of the median wait)."""
REACHED = 0.98
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
BAR_COLUMNS = 40


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, and what was heard, within ``seconds``."""

    url: str
    security: str
    mix: str
    connections: int
    in_flight: int
    rate: float | None
    """Commands per second that were due; None: as many as the server answers."""
    seconds: float
    tally: Tally
    late: Waits
    held_back: int
    """Commands that had to wait for an earlier answer, and count from when they were due."""
    unsent: int
    """Commands that were due and could not be sent before the end."""
    cpu_share: float
    """The share of the time in which this process used a core."""
    starved_share: float
    """The share of the time in which it wanted a core and others had them all."""
    cancelled: int | None
    """Orders that were cancelled at the end; None: that was not answered in time."""

    @property
    def answers_per_s(self) -> float:
        """Commands answered per second."""
        return self.tally.answers / self.seconds if self.seconds else 0.0

    def own_limit(self) -> str | None:
        """Return why these figures are those of the bench, not of the server; None if not."""
        late_ms = self.late.percentile_ms(99)
        median_ms = self.tally.all_waits.percentile_ms(50)
        if self.cpu_share + self.starved_share > BUSY_MAX:
            return (
                f"it was busy for {self.cpu_share:.0%} of the time, "
                f"and waited for a core for {self.starved_share:.0%}"
            )
        if late_ms > LATE_MS_MAX and late_ms > LATE_SHARE_MAX * median_ms:
            return f"1 in 100 of its commands was sent more than {late_ms:.1f} ms late"
        return None

    def server_limit(self) -> str | None:
        """Return why the rate is more than the server can take; None if it is not."""
        if self.rate is None or self.answers_per_s >= REACHED * self.rate or self.own_limit():
            return None
        return f"it answered {self.answers_per_s:,.0f} of {self.rate:,.0f} commands/s"

    def _waits(self) -> Iterator[tuple[str, Waits]]:
        """Yield the kinds of commands that were answered, then all together."""
        for kind in KINDS:
            if self.tally.waits[kind].count:
                yield kind, self.tally.waits[kind]
        yield "all", self.tally.all_waits

    # ---- as text ------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"{name:<16} {value}" for name, value in self._figures()]
        lines += ["", *self._table(), "", *self._picture()]
        own, server = self.own_limit(), self.server_limit()
        if own:
            lines += [
                "",
                f"The bench was the limit, not the server: {own}.",
                "The server may be faster than this. Lower --rate, or run the bench elsewhere.",
            ]
        if server:
            lines += ["", f"The server could not take this rate: {server}."]
        return "\n".join(lines)

    def _figures(self) -> Iterator[tuple[str, str]]:
        tally, seconds = self.tally, self.seconds or 1.0
        rate = "as fast as answered" if self.rate is None else f"{self.rate:,.0f} commands/s"
        yield "asked", f"{rate} on {self.connections} connections, {self.security}, {self.mix}"
        yield "time", f"{self.seconds:.2f} s"
        yield "commands", f"{tally.answers:,} answered, {self.answers_per_s:,.0f}/s"
        yield "orders", f"{tally.orders:,} accepted, {tally.orders / seconds:,.0f}/s"
        yield "trades", f"{tally.trades:,}, {tally.trades / seconds:,.0f}/s"
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(tally.refused.items()))
        total = tally.refused.total()
        yield "refused", f"{total:,}: {codes}" if total else "0"
        if self.held_back:
            yield "held back", f"{self.held_back:,} by --in-flight {self.in_flight}"
        if self.unsent:
            yield "never sent", f"{self.unsent:,}: not among the waits below"
        late = f", sent late p99 {self.late.percentile_ms(99):.2f} ms" if self.late.count else ""
        starved = f", without a core for {self.starved_share:.0%}" if self.starved_share else ""
        yield "this bench", f"busy for {self.cpu_share:.0%} of the time{starved}{late}"
        left = "not answered" if self.cancelled is None else f"{self.cancelled:,} orders"
        yield "cancelled after", left

    def _table(self) -> Iterator[str]:
        heads = "".join(f"{_name(p):>10}" for p in PERCENTILES)
        yield f"{'wait in ms':<16}{heads}{'commands':>12}"
        for name, waits in self._waits():
            cells = "".join(f"{waits.percentile_ms(p):>10,.2f}" for p in PERCENTILES)
            yield f"{name:<16}{cells}{waits.count:>12,}"

    def _picture(self) -> Iterator[str]:
        waits = self.tally.all_waits
        bars = list(waits.bars())
        most = max((count for _, count in bars), default=1)
        for up_to_ms, count in bars:
            bar = "█" * round(BAR_COLUMNS * count / most) or ("▏" if count else "")
            yield f"up to {up_to_ms:>8,g} ms {count / waits.count:>7.2%}  {bar}".rstrip()

    # ---- as JSON ------------------------------------------------------------------------------

    def json(self) -> dict[str, Any]:
        """Return the report for programs; waits are in milliseconds."""
        tally, seconds = self.tally, self.seconds or 1.0
        return {
            "url": self.url,
            "security": self.security,
            "mix": self.mix,
            "connections": self.connections,
            "inFlight": self.in_flight,
            "rate": self.rate,
            "seconds": round(self.seconds, 3),
            "commands": tally.answers,
            "commandsPerSecond": round(self.answers_per_s, 1),
            "orders": tally.orders,
            "ordersPerSecond": round(tally.orders / seconds, 1),
            "trades": tally.trades,
            "tradesPerSecond": round(tally.trades / seconds, 1),
            "refused": dict(tally.refused),
            "heldBack": self.held_back,
            "neverSent": self.unsent,
            "waits": {name: _summary(waits) for name, waits in self._waits()},
            "histogram": [
                {"upToMs": up_to_ms, "count": count} for up_to_ms, count in tally.all_waits.bars()
            ],
            "bench": {
                "cpuShare": round(self.cpu_share, 3),
                "starvedShare": round(self.starved_share, 3),
                "lateMs": _summary(self.late),
            },
            "benchIsLimit": self.own_limit() is not None,
            "serverIsLimit": self.server_limit() is not None,
            "cancelledAfter": self.cancelled,
        }


def _name(percent: float) -> str:
    return "max" if percent == 100 else f"p{percent:g}"


def _summary(waits: Waits) -> dict[str, float]:
    found: dict[str, float] = {"count": waits.count}
    return found | {_name(p): round(waits.percentile_ms(p), 3) for p in PERCENTILES}
