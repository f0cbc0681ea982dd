"""What an account may ask about itself: balances and trades."""

from __future__ import annotations

import zlib
from typing import Any

from fastbook_server.dialects.binance.balances import Balances
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.limits import Limits
from fastbook_server.dialects.binance.market import ROWS_MAX
from fastbook_server.dialects.binance.parameters import Parameters, times
from fastbook_server.dialects.binance.refused import DialectRefusal, busy, outcome_unknown
from fastbook_server.dialects.binance.symbols import Symbol, Symbols
from fastbook_server.gateway.http.history_queue import HistoryOverloaded, HistoryQueue
from fastbook_server.store import FillSpan, OwnFill, StoreUnavailable
from fastbook_server.values.ids import decode

_RATES = {
    "maker": "0.00000000",
    "taker": "0.00000000",
    "buyer": "0.00000000",
    "seller": "0.00000000",
}
PAGES_MAX = 100


class AccountFunctions:
    """Balances and trades of whoever has signed."""

    def __init__(
        self,
        symbols: Symbols,
        balances: Balances,
        history: HistoryQueue,
        limits: Limits,
    ) -> None:
        self._symbols = symbols
        self._balances = balances
        self._history = history
        self._limits = limits

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        return [
            Offer("GET", "account", "account.status", 20, self.account, signed=True),
            Offer(
                *("GET", "account/commission", "account.commission", 20, self.commission),
                signed=True,
            ),
            Offer(
                *("GET", "rateLimit/order", "account.rateLimits.orders", 40, self.order_counts),
                signed=True,
            ),
            Offer("GET", "myTrades", "myTrades", _trades_weight, self.trades, signed=True),
        ]

    async def account(self, call: Call) -> dict[str, Any]:
        """Return what the account may do and what it has."""
        assert call.account is not None, "signed"
        omit_zero = call.params.flag("omitZeroBalances")
        return {
            "makerCommission": 0,
            "takerCommission": 0,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": dict(_RATES),
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": call.now_ms,
            "accountType": "SPOT",
            "balances": self._balances.of(call.user_id, omit_zero=omit_zero),
            "permissions": ["SPOT"],
            "uid": zlib.crc32(call.account.name.encode()),
        }

    async def commission(self, call: Call) -> dict[str, Any]:
        """Return what the account pays for a trade in a symbol: nothing."""
        return {
            "symbol": self._symbols[call.params.text("symbol")].name,
            "standardCommission": dict(_RATES),
            "specialCommission": dict(_RATES),
            "taxCommission": dict(_RATES),
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": None,
                "discount": "0.00000000",
            },
        }

    async def order_counts(self, call: Call) -> list[dict[str, Any]]:
        """Return how many orders the account has placed, and how many it may; [] without limits."""
        return self._limits.of_account(call.user_id)

    async def trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the account's own trades, oldest first."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        limit, order_id = params.limit(500, ROWS_MAX), params.integer("orderId")
        from_id = params.integer("fromId")
        start_ms, end_ms = times(params)
        if from_id is not None and start_ms is not None:
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
        since = None if from_id is None else max(0, from_id - 1)
        span = FillSpan(
            since=since,
            start_ms=start_ms,
            end_ms=None if end_ms is None else end_ms + 1,
            limit=limit,
        )
        if order_id is not None:
            return await self._of_order(call, symbol, order_id, span)
        return [own_trade(symbol, own) for own in (await self._read(call, symbol, span))[0]][:limit]

    async def _of_order(
        self, call: Call, symbol: Symbol, order_id: int, span: FillSpan
    ) -> list[dict[str, Any]]:
        """Return the trades of one order, from the beginning of its life on."""
        found: list[dict[str, Any]] = []
        since = span.since or 0
        for _ in range(PAGES_MAX):
            page = FillSpan(since=since, end_ms=span.end_ms, start_ms=span.start_ms, limit=ROWS_MAX)
            rows, more = await self._read(call, symbol, page)
            trades = [own_trade(symbol, own) for own in rows]
            found += [t for t in trades if t["orderId"] == order_id]
            if not more or len(found) >= span.limit:
                break
            since = rows[-1].fill.fill_id
        return found[: span.limit]

    async def _read(self, call: Call, symbol: Symbol, span: FillSpan) -> tuple[list[OwnFill], bool]:
        try:
            found, more = await self._history.own_fills(call.user_id, symbol.security, span)
        except HistoryOverloaded:
            raise busy(None) from None
        except StoreUnavailable:
            raise outcome_unknown() from None
        return list(found), more


def own_trade(symbol: Symbol, own: OwnFill) -> dict[str, Any]:
    """Return a fill as its account sees it."""
    fill, claim = own.fill, decode(own.order_id)
    assert claim is not None, "an order's id is ours"
    bought = (fill.side == "bid") == (own.role == "taker")
    return {
        "symbol": symbol.name,
        "id": fill.fill_id,
        "orderId": symbol.order_id(claim.seq),
        "orderListId": -1,
        "price": symbol.price(fill.price),
        "qty": symbol.quantity(fill.quantity),
        "quoteQty": symbol.notional(fill.price * fill.quantity),
        "commission": "0.00000000",
        "commissionAsset": symbol.base if bought else symbol.quote,
        "time": fill.time_ms,
        "isBuyer": bought,
        "isMaker": own.role == "maker",
        "isBestMatch": True,
    }


def _trades_weight(params: Parameters) -> int:
    return 5 if "orderId" in params else 20
