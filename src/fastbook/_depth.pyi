"""The depth of a book, without its orders, and its rows as JSON."""

from typing import final

@final
class Depth:
    """The quantity at each price on both sides of a book.

    Prices are integer ticks and quantities integer lots. A tick is worth `tick[0] / tick[1]`, a lot
    `lot[0] / lot[1]`; only `rows_json` uses these.
    """

    def __init__(self, tick: tuple[int, int] = (1, 1), lot: tuple[int, int] = (1, 1)) -> None:
        """Create an empty depth.

        Raises:
            ValueError: a numerator or denominator is not in 1 .. 2**63 - 1.
            TypeError: `tick` or `lot` is not a pair of integers.
        """

    def set(self, side: int, price: int, quantity: int) -> None:
        """Set the quantity at a price; 0 removes the price. O(1) on average.

        Raises:
            ValueError: `side` is not 0 or 1, `price` not in 1 .. 2**63 - 1 or `quantity` not in
                0 .. 2**63 - 1.
        """

    def get(self, side: int, price: int) -> int:
        """Return the quantity at a price, 0 if there is none. O(1)."""

    def best(self, side: int) -> tuple[int, int] | None:
        """Return the best (price, quantity) of a side, or None if it is empty. O(1)."""

    def top(self, side: int, n: int = 0) -> list[tuple[int, int]]:
        """Return the best `n` (0: all) levels of a side as (price, quantity), best price first."""

    def levels(self, side: int) -> int:
        """Return the number of prices on a side. O(1)."""

    def clear(self) -> None:
        """Remove all prices from both sides."""

    def rows_json(self, side: int, n: int = 0) -> bytes:
        """Return `top` as JSON: `[{"price":101.0,"amount":3.0,"total":303.0},...]`.

        Each number is the double nearest to the exact value, formatted as by `repr`. The price is
        ticks times tick, the amount lots times lot, and the total their product, rounded once.
        """
