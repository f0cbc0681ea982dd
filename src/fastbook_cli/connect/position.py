"""A user's position in a security, from its fills: its average price, and what it has earned."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from rich.text import Text

from fastbook_cli.connect.pictures import Ruler
from fastbook_cli.terminal.draw import ASK, BID, DIM
from fastbook_wire.frames import InstrumentView
from fastbook_wire.grid import Grid


class NetPosition:
    """Counted in lots, prices in ticks, money in ticks x lots: exactly."""

    def __init__(self, instrument: InstrumentView) -> None:
        self._security = instrument.security
        self._tick = Grid.of(instrument.tick_size)
        self._lot = Grid.of(instrument.lot_size)
        self.lots = 0
        self._cost = Fraction(0)  # what the open lots were traded at, together
        self._cash = 0  # what was sold less what was bought
        self._before: tuple[int, int, Fraction, int] | None = None

    def take(self, fill: dict[str, Any]) -> None:
        """Count a fill as the wire tells it; the second half of a self-trade undoes the first."""
        if fill["role"] == "maker" and self._before and self._before[0] == fill["fillId"]:
            _, self.lots, self._cost, self._cash = self._before
            return
        self._before = (fill["fillId"], self.lots, self._cost, self._cash)
        ticks, lots = self._tick.nearest(fill["price"]), self._lot.nearest(fill["amount"])
        signed = lots if fill["type"] == "bid" else -lots
        size = abs(self.lots)
        if self.lots * signed >= 0:
            self._cost += ticks * lots
        elif lots >= size:
            self._cost = Fraction(ticks * (lots - size))
        else:
            self._cost -= self._cost * lots / size
        self.lots += signed
        self._cash -= signed * ticks

    @property
    def average(self) -> float | None:
        """The average price of what is open; None if nothing is."""
        if not self.lots:
            return None
        return float(self._cost / abs(self.lots) * self._tick.numerator / self._tick.denominator)

    @property
    def realised(self) -> float:
        """What has been earned by what was closed."""
        return self._money(self._cash + _sign(self.lots) * self._cost)

    def unrealised(self, price: float) -> float:
        """Return what closing all of it at a price would earn."""
        return self._money(self.lots * self._tick.nearest(price) - _sign(self.lots) * self._cost)

    def line(self, ruler: Ruler, last: float | None) -> Text:
        """Return the position as a sentence; `last` is the price of the last trade."""
        if not self.lots:
            text = Text(f"no position in {self._security}")
        else:
            verb, colour = ("long", BID) if self.lots > 0 else ("short", ASK)
            amount = ruler.amount(self._lot.number(abs(self.lots)))
            text = Text(f"{verb} {amount} {self._security}", style=colour)
            text.append(f" at {ruler.price(self.average)} on average", style="default")
            if last is not None:
                text.append(f", unrealised {_profit(self.unrealised(last))}", style="default")
        return text.append(f", realised {_profit(self.realised)}", style=DIM)

    def _money(self, value: Fraction) -> float:
        scale = Fraction(self._tick.numerator, self._tick.denominator)
        return float(value * scale * self._lot.numerator / self._lot.denominator)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _profit(value: float) -> str:
    text = f"{value:+,.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text
