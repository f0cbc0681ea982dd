"""Instruments that a start leaves out: their open orders must not be left behind unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from fastbook_server.store import StoreRefused
from fastbook_server.values.events import OrderCancelled
from fastbook_server.values.persisted import OpenOrder


def check_left_out(left: Mapping[str, tuple[int, str]], delist: Collection[str]) -> None:
    """Check that no order is left open in a security that is neither listed nor delisted.

    `left` has the number of open orders of each security that is not listed, and the id of one.

    Raises:
        StoreRefused: there are such orders.
    """
    kept = {name: of_one for name, of_one in sorted(left.items()) if name not in delist}
    if kept:
        orders = ", ".join(
            f"{name} (open orders: {count}, such as {order_id})"
            for name, (count, order_id) in kept.items()
        )
        flags = " ".join(f"--delist {name}" for name in kept)
        raise StoreRefused(
            f"expected every security with open orders among the instruments, got none for {orders}"
            f": list what is missing again, or cancel its orders with {flags}"
        )


def cancel_all(
    open_orders: Iterable[OpenOrder], seqs: Mapping[str, int], time_ms: int
) -> tuple[OrderCancelled, ...]:
    """Return the cancellation of these orders, under one new ``seq`` per security; oldest first."""
    orders = sorted(open_orders, key=lambda resting: resting.order.id)
    levels: Counter[tuple[str, str, int | None]] = Counter()
    for resting in orders:
        levels[_level(resting)] += resting.visible
    counts: Counter[str] = Counter()
    events = []
    for resting in orders:
        security = resting.order.instrument.security
        levels[_level(resting)] -= resting.visible
        events.append(
            OrderCancelled(
                seqs[security] + 1,
                counts[security],
                time_ms,
                resting.order,
                resting.remaining,
                "delisted",
                rested=not resting.held,
                level_quantity=levels[_level(resting)],
                shown=resting.visible,
                held=resting.held,
            )
        )
        counts[security] += 1
    return tuple(events)


def _level(resting: OpenOrder) -> tuple[str, str, int | None]:
    order = resting.order
    return order.instrument.security, order.side, order.price
