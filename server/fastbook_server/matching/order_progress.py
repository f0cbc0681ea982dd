"""The progress of one order: what changes about it while it is matched, rests and ends."""

from __future__ import annotations

from dataclasses import dataclass

import cython

from fastbook_server.values.events import FillReport, Order, OrderReport
from fastbook_wire.words import Reason, Role, Status


@cython.freelist(1024)
@cython.no_gc
@dataclass(eq=False)
@cython.cclass
class OrderProgress:
    """What changes about an order: kept while it is open, longer if it has a client order id.

    There can be millions, and none is part of a cycle, so the garbage collector skips them.
    """

    order: Order
    remaining: int
    notional: int = 0
    status: Status = "open"
    reason: Reason | None = None
    ended_ms: int | None = None  # None while it is open
    slice: int = 0  # what shows of an iceberg
    queued_seq: int = 0  # the command that gave it its place in the queue; 0: that which placed it
    queued_n: int = 0

    def is_open(self) -> bool:
        """Whether it may still trade."""
        # Most are open, and that is quick to see.
        return self.status == "open" or self.status not in ("filled", "cancelled")

    def is_held(self) -> bool:
        """Whether it waits for its trigger."""
        return self.order.trigger_price is not None and self.status == "untriggered"

    def visible(self) -> int:
        """What shows of it in the book, in lots; only of a resting order."""
        return self.slice if self.order.display else self.remaining

    def fill(self, price: int, quantity: int) -> bool:
        """Add one fill of `quantity` lots at `price` ticks.

        Returns whether a resting iceberg then shows a new slice.
        """
        self.remaining -= quantity
        self.notional += price * quantity
        self.status = "partiallyFilled" if self.remaining else "filled"
        if not self.slice:
            return False
        self.slice -= quantity
        if self.slice or not self.remaining:
            return False
        self.slice = min(self.order.display, self.remaining)
        return True

    def rest(self, seq: int) -> None:
        """Show the remainder, or the first slice of it, behind all others at its price."""
        order = self.order
        self.status = "partiallyFilled" if self.remaining < order.quantity else "open"
        if order.display:
            self.slice = min(order.display, self.remaining)
        self.requeue(seq, 0)

    def requeue(self, seq: int, n: int) -> None:
        """Note the command, and the event of it, that gave it its place in the queue."""
        self.queued_seq, self.queued_n = seq if seq != self.order.seq else 0, n

    def amend(self, order: Order) -> None:
        """Replace the terms; what is filled stays, so ``remaining`` changes with the quantity."""
        self.remaining += order.quantity - self.order.quantity
        self.order = order
        if not self.is_held():
            self.status = "partiallyFilled" if self.remaining < order.quantity else "open"
        self.slice = min(self.slice, self.remaining)  # hidden lots go first

    def cancel(self, reason: Reason) -> None:
        """Mark the order cancelled; ``remaining`` stays the quantity that was not filled."""
        self.status = "cancelled"
        self.reason = reason

    def fill_report(
        self, role: Role, fill_id: int, seq: int, time_ms: int, price: int, quantity: int
    ) -> FillReport:
        """Return the report to the owner of a fill that `fill` has just added."""
        return FillReport(
            self.order.user_id,
            self.order,
            role,
            fill_id,
            seq,
            time_ms,
            price,
            quantity,
            self.order.quantity - self.remaining,
        )

    def report(
        self,
        ref: str | int | None = None,
        last_price: int | None = None,
        last_quantity: int | None = None,
    ) -> OrderReport:
        """Return the report to the owner; `ref` makes it the reply to a command."""
        return OrderReport(
            self.order.user_id,
            ref,
            self.order,
            self.status,
            self.remaining,
            self.notional,
            self.reason,
            last_price,
            last_quantity,
        )
