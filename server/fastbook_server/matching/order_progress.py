"""The progress of one order: what changes about it while it is matched, rests and ends."""

from __future__ import annotations

import msgspec

from fastbook_server.values.events import FillReport, Order, OrderReport
from fastbook_wire.words import Reason, Role, Status


class OrderProgress(msgspec.Struct, eq=False, gc=False):
    """What changes about an order: kept while it is open, longer if it has a client order id.

    There can be millions, and none is part of a cycle, so the garbage collector skips them.
    """

    order: Order
    remaining: int
    notional: int = 0
    status: Status = "open"
    reason: Reason | None = None
    ended_ms: int | None = None  # None while it is open

    def __post_init__(self) -> None:
        if self.status == "open" and self.remaining < self.order.quantity:
            self.status = "partiallyFilled"

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status == "open" or self.status == "partiallyFilled"

    def fill(self, price: int, quantity: int) -> None:
        """Add one fill of `quantity` lots at `price` ticks."""
        self.remaining -= quantity
        self.notional += price * quantity
        self.status = "partiallyFilled" if self.remaining else "filled"

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
