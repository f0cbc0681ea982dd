"""Orders of any age: those of memory, and what the database knows of those that ended long ago."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import msgspec

from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.market import ROWS_MAX
from fastbook_server.dialects.binance.order_answers import queried, self_trade_mode
from fastbook_server.dialects.binance.orders import AccountOrder, AccountOrders, recalled
from fastbook_server.dialects.binance.parameters import times
from fastbook_server.dialects.binance.refused import DialectRefusal, busy, outcome_unknown
from fastbook_server.dialects.binance.symbols import ORDER_IDS, Symbol, Symbols
from fastbook_server.dialects.binance.trading import TradingFunctions, check_names
from fastbook_server.gateway.http.history_queue import HistoryOverloaded, HistoryQueue
from fastbook_server.store import Amendment, OrderSpan, StoreUnavailable

T = TypeVar("T")


class OrderHistory:
    """Answers questions about an account's orders, open and ended."""

    def __init__(
        self,
        symbols: Symbols,
        orders: AccountOrders,
        trading: TradingFunctions,
        history: HistoryQueue,
    ) -> None:
        self._symbols = symbols
        self._orders = orders
        self._trading = trading
        self._history = history

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        return [
            Offer("GET", "order", "order.status", 4, self.order, signed=True),
            Offer(
                *("GET", "openOrders", "openOrders.status", _open_weight, self.open_orders),
                signed=True,
            ),
            Offer("GET", "allOrders", "allOrders", 20, self.all_orders, signed=True),
            Offer(
                *("GET", "myPreventedMatches", "myPreventedMatches", _match_weight, self.prevented),
                signed=True,
            ),
        ]

    async def order(self, call: Call) -> msgspec.Raw:
        """Return the state of an order; by its client order id only while memory has it."""
        symbol = self._symbols[call.params.text("symbol")]
        known = await self.find(call, symbol)
        if known is None:
            raise DialectRefusal(-2013, "Order does not exist.")
        return queried(known)

    async def find(self, call: Call, symbol: Symbol) -> AccountOrder | None:
        """Return the order that a request names, however long ago it ended, or None."""
        known = self._trading.named(call, symbol, call.params)
        order_id = call.params.integer("orderId")
        if known is None and order_id is not None:
            seq, number = divmod(order_id, ORDER_IDS)
            if number == symbol.instrument.number:
                span = OrderSpan(since=seq - 1, before=seq + 1, limit=1)
                known = next(iter(await self._ended(call, symbol, span)), None)
        if known is not None:
            check_names(known, call.params.optional("origClientOrderId"))
        return known

    async def amendments(self, known: AccountOrder) -> Sequence[Amendment]:
        """Return how an order has been changed by its user, oldest first."""
        return await _asked(self._history.amendments(known.order.id))

    async def open_orders(self, call: Call) -> list[msgspec.Raw]:
        """Return the open orders, of one symbol or of all."""
        name = call.params.optional("symbol")
        symbol = None if name is None else self._symbols[name]
        return [queried(known) for known in self._orders.open_of(call.user_id, symbol)]

    async def all_orders(self, call: Call) -> list[msgspec.Raw]:
        """Return orders in the order of their ids: the first from an id or a time on, or the last.

        What the database says of the ended ones is never newer than what memory says.
        """
        params = call.params
        symbol, limit = self._symbols[params.text("symbol")], params.limit(500, ROWS_MAX)
        start_ms, end_ms = times(params)
        order_id = params.integer("orderId")
        span = OrderSpan(
            since=None if order_id is None else symbol.seq_from(order_id) - 1,
            start_ms=start_ms,
            end_ms=None if end_ms is None else end_ms + 1,
            limit=limit,
        )
        found = {known.order.seq: known for known in await self._ended(call, symbol, span)}
        for known in self._orders.all_of(call.user_id, symbol):
            if span.has(known.order):
                found[known.order.seq] = known
        told = [queried(found[seq]) for seq in sorted(found)]
        return told[:limit] if span.ascends else told[-limit:]

    async def prevented(self, call: Call) -> list[dict[str, Any]]:
        """Return matches of the account with itself that were prevented, by their id or an order's.

        Memory has them, of this start of the server.
        """
        params = call.params
        symbol, limit = self._symbols[params.text("symbol")], params.limit(500, ROWS_MAX)
        match_id, order_id = params.integer("preventedMatchId"), params.integer("orderId")
        since = params.integer("fromPreventedMatchId")
        if (match_id is None) == (order_id is None) or (match_id is not None and since is not None):
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
        found = [
            match.told(self_trade_mode(match.taker.order))
            for match in self._orders.prevented.of(call.user_id, symbol)
            if match_id in (None, match.id)
            and order_id in (None, match.taker.order_id, match.maker.order_id)
            and match.id >= (since or 0)
        ]
        return found[:limit]

    async def _ended(self, call: Call, symbol: Symbol, span: OrderSpan) -> list[AccountOrder]:
        """Return the ended orders of a span, as the database knows them."""
        asked = self._history.ended_orders(call.user_id, symbol.security, span)
        found, _ = await _asked(asked)
        return [
            recalled(symbol, ended.order, ended.remaining, ended.notional, ended.reason, at_ms)
            for ended in found
            if (at_ms := ended.ended_ms) is not None
        ]


async def _asked(answer: Awaitable[T]) -> T:
    """Wait for what the history says; DialectRefusal if it says nothing."""
    try:
        return await answer
    except HistoryOverloaded:
        raise busy(None) from None
    except StoreUnavailable:
        raise outcome_unknown() from None


def _match_weight(params: Any) -> int:
    return 20 if "orderId" in params else 2


def _open_weight(params: Any) -> int:
    return 6 if "symbol" in params else 80
