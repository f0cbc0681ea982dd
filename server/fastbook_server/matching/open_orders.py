"""The open orders of all users and books: what comes, what leaves, what expires."""

from __future__ import annotations

from fastbook_server.matching.expiries import Expiries
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owner, Owners
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.values.events import OrderCancelled
from fastbook_wire.words import Reason


class OpenOrders:
    """Keeps owners, expiries and books of one mind about which orders are open."""

    def __init__(self, owners: Owners) -> None:
        self.expiries = Expiries()
        self._owners = owners

    def came(self, market: SecurityBook, owner: Owner, progress: OrderProgress) -> None:
        """Note an order that came to rest, or to wait for its trigger."""
        market.open[progress.order.seq] = progress
        self._owners.opened(owner, progress)
        if progress.order.expire_ms is not None:
            self.expiries.add(progress, progress.order.expire_ms)

    def left(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        time_ms: int,
        taker: OrderProgress | None = None,
    ) -> None:
        """Note an order that has ended; the taker's owner keeps its number."""
        del market.open[progress.order.seq]
        self._owners.ended(progress, time_ms)
        if progress.order.expire_ms is not None:
            self.expiries.ended()
        owner = self._owners.closed(progress)
        if taker is None or taker.order.user_id != owner.user_id:
            self._owners.release_if_idle(owner)

    def cancel(
        self, market: SecurityBook, progress: OrderProgress, n: int, time_ms: int, reason: Reason
    ) -> OrderCancelled:
        """Cancel an open order as the `n`-th under the security's newest ``seq``."""
        order, held, shown, level = progress.order, progress.is_held(), 0, 0
        if held:
            market.stops.release(progress)
        else:
            shown = progress.visible()
            level = market.book.cancel(order.seq).level_quantity
        progress.cancel(reason)
        self.left(market, progress, time_ms)
        return OrderCancelled(
            market.seq,
            n,
            time_ms,
            order,
            progress.remaining,
            reason,
            not held,
            level,
            shown,
            held,
        )
