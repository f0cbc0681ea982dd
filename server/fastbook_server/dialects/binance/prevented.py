"""The matches of an account with itself that did not happen, since an order expired instead."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastbook_server.dialects.binance.symbols import ORDER_IDS, Symbol
from fastbook_server.values.events import OrderCancelled

if TYPE_CHECKING:
    from fastbook_server.dialects.binance.orders import AccountOrder

MATCHES_MAX = 1_000
"""So many prevented matches of one account are kept in each symbol, in memory."""


@dataclass
class PreventedMatch:
    """Two orders of one account that met; what is None has not expired."""

    id: int
    taker: AccountOrder
    maker: AccountOrder
    time_ms: int
    taker_lots: int | None = None
    maker_lots: int | None = None

    def other(self, known: AccountOrder) -> AccountOrder:
        """Return the other one of both orders."""
        return self.maker if known is self.taker else self.taker

    def told(self, mode: str) -> dict[str, Any]:
        """Return what a client is told of it."""
        symbol = self.maker.symbol
        told = {
            "symbol": symbol.name,
            "preventedMatchId": self.id,
            "takerOrderId": self.taker.order_id,
            "makerSymbol": symbol.name,
            "makerOrderId": self.maker.order_id,
            "tradeGroupId": 1,
            "selfTradePreventionMode": mode,
            "price": symbol.price(self.maker.order.price),
            "transactTime": self.time_ms,
        }
        if self.taker_lots is not None:
            told["takerPreventedQuantity"] = symbol.quantity(self.taker_lots)
        if self.maker_lots is not None:
            told["makerPreventedQuantity"] = symbol.quantity(self.maker_lots)
        return told


class PreventedMatches:
    """Notes who met whom: an order that enters a book is the taker of all that its command does."""

    def __init__(self) -> None:
        self._enters: dict[str, AccountOrder] = {}  # by security: which order last did
        self._of: dict[tuple[str, str], deque[PreventedMatch]] = defaultdict(
            lambda: deque(maxlen=MATCHES_MAX)
        )

    def of(self, user_id: str, symbol: Symbol) -> Iterable[PreventedMatch]:
        """Return what is known of an account in a symbol, oldest first."""
        return self._of.get((user_id, symbol.security), ())

    def enters(self, known: AccountOrder) -> None:
        """Note that an order enters its book now: placed, triggered or amended."""
        self._enters[known.symbol.security] = known

    def expired(
        self, known: AccountOrder, event: OrderCancelled, own: Iterable[AccountOrder]
    ) -> PreventedMatch | None:
        """Note that an order expired; `own` are the account's open orders in the symbol.

        Returns None if nobody knows whom it met.
        """
        user_id, security = known.order.user_id, known.symbol.security
        matches, taker = self._of[user_id, security], self._enters.get(security)
        if not event.rested:
            found = matches[-1] if matches and matches[-1].taker is known else None
            if found is None or found.maker.is_open or found.time_ms != event.time_ms:
                found = self._noted(matches, known, _met(known, own), event)
            if found is not None:
                found.taker_lots = event.quantity
            return found
        if taker is None or taker.order.user_id != user_id:
            return None
        found = matches[-1] if matches and matches[-1].maker is known else None
        found = found or self._noted(matches, taker, known, event)
        if found is not None:
            found.maker_lots = event.quantity
        return found

    def _noted(
        self,
        matches: deque[PreventedMatch],
        taker: AccountOrder,
        maker: AccountOrder | None,
        event: OrderCancelled,
    ) -> PreventedMatch | None:
        if maker is None:
            return None
        number = event.seq * ORDER_IDS + min(event.n, ORDER_IDS - 1)
        matches.append(PreventedMatch(number, taker, maker, event.time_ms))
        return matches[-1]


def _met(taker: AccountOrder, own: Iterable[AccountOrder]) -> AccountOrder | None:
    """Return the account's order on the other side that a taker meets first."""
    sign = 1 if taker.order.side == "bid" else -1
    others = [
        (sign * known.order.price, known.order.seq, known)
        for known in own
        if known.order.side != taker.order.side and known.is_working and known.order.price
    ]
    return min(others, key=lambda other: other[:2])[2] if others else None
