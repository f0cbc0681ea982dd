"""Tells rows that were written twice from equal executions that follow each other.

A venue may take as much from one order twice at one time, so that two rows are equal. Whether the
second one happened is seen later: what the file says of its order fits only one of both. Where it
says nothing more, the rest of the file decides: whether it repeats rows that cannot happen twice.
"""

from __future__ import annotations

from collections.abc import Callable


class Repeats:
    """The doubtful rows of a first reading, which carries none of them out.

    ``rows`` are the numbers of those that never happened; ``is_doubled``: a row that cannot happen
    twice stood there twice.
    """

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.is_doubled = False
        self._open: dict[str, tuple[list[int], int]] = {}

    def __contains__(self, order_id: str) -> bool:
        """Return whether some row of an order is in doubt."""
        return order_id in self._open

    def doubt(self, order_id: str, row: int, amount: int, left: int) -> None:
        """A row takes as much from an order as the one before it, which left so much."""
        rows, total = self._open.get(order_id, ([], 0))
        if amount + total > left:
            self.rows.add(row)
        else:
            self._open[order_id] = ([*rows, row], total + amount)

    def taken(self, order_id: str, amount: int, left: int) -> None:
        """Another row takes so much of what is left without the doubtful ones."""
        if amount > left - self._open[order_id][1]:
            self.rows.update(self._open.pop(order_id)[0])

    def ended(self, order_id: str, told: int, left: int) -> None:
        """An order goes, and the file tells how much was left of it."""
        rows, total = self._open.pop(order_id)
        if told != left - total:
            self.rows.update(rows)

    def finish(self, left_of: Callable[[str], int]) -> frozenset[str]:
        """Decide the rest; return the orders that rows which did happen twice have ended."""
        if self.is_doubled:
            for rows, _ in self._open.values():
                self.rows.update(rows)
            self._open.clear()
        return frozenset(i for i, (_, total) in self._open.items() if total == left_of(i))
