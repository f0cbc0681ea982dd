"""The depth in plain Python; `fastbook.reference` shows it beside the plain book."""

from __future__ import annotations

import json

from fastbook import _errors
from fastbook._checks import as_int, check_count, check_int64, check_side
from fastbook._errors import INT64_MAX
from fastbook._types import Side


class Depth:
    """The quantity at each price on both sides; `fastbook.Depth` documents the calls."""

    def __init__(self, tick: tuple[int, int] = (1, 1), lot: tuple[int, int] = (1, 1)) -> None:
        """Create an empty depth; a tick and a lot are worth `numerator / denominator` each."""
        self._tick = _check_ratio("tick", tick)
        self._lot = _check_ratio("lot", lot)
        self._sides: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def set(self, side: int, price: int, quantity: int) -> None:
        """Set the quantity at a price; 0 removes the price."""
        levels = self._sides[check_side(side)]
        price, quantity = check_int64("price", price), check_int64("quantity", quantity)
        if price <= 0:
            raise _errors.expected("price", "a positive integer below 2**63", price)
        if quantity < 0:
            raise _errors.expected("quantity", "0 or a positive integer below 2**63", quantity)
        if quantity:
            levels[price] = quantity
        else:
            levels.pop(price, None)

    def get(self, side: int, price: int) -> int:
        """Return the quantity at a price, 0 if there is none."""
        return self._sides[check_side(side)].get(as_int("price", price), 0)

    def best(self, side: int) -> tuple[int, int] | None:
        """Return the best (price, quantity) of a side, or None if it is empty."""
        rows = self.top(side, 1)
        return rows[0] if rows else None

    def top(self, side: int, n: int = 0) -> list[tuple[int, int]]:
        """Return the best `n` (0: all) levels of a side as (price, quantity), best price first."""
        levels = self._sides[check_side(side)]
        rows = sorted(levels.items(), reverse=side == Side.BID)
        return rows[: check_count(n) or None]

    def levels(self, side: int) -> int:
        """Return the number of prices on a side."""
        return len(self._sides[check_side(side)])

    def clear(self) -> None:
        """Remove all prices from both sides."""
        self._sides = ({}, {})

    def rows_json(self, side: int, n: int = 0) -> bytes:
        """Return `top` as JSON rows with the numbers price, amount and total."""
        (price_up, price_down), (lot_up, lot_down) = self._tick, self._lot
        # Python rounds int / int to the nearest double, however large both are.
        rows = [
            {
                "price": price * price_up / price_down,
                "amount": quantity * lot_up / lot_down,
                "total": price * quantity * price_up * lot_up / (price_down * lot_down),
            }
            for price, quantity in self.top(side, n)
        ]
        return json.dumps(rows, separators=(",", ":")).encode()


def _check_ratio(name: str, ratio: tuple[int, int]) -> tuple[int, int]:
    words = "(numerator, denominator), both positive integers below 2**63"
    if not isinstance(ratio, tuple) or len(ratio) != 2:
        raise TypeError(f"{name}: expected {words}, got {ratio!r}")
    numerator, denominator = (as_int(name, part) for part in ratio)
    if not (0 < numerator <= INT64_MAX and 0 < denominator <= INT64_MAX):
        raise _errors.expected(name, words, ratio)
    return numerator, denominator
