"""One order in place of another, with nothing of others between the two."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.order_answers import cancelled, placed
from fastbook_server.dialects.binance.orders import AccountOrders
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import (
    CANCEL_REFUSED,
    DialectRefusal,
)
from fastbook_server.dialects.binance.replies import Read, Replies, outcome_of
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.dialects.binance.trading import (
    TradingFunctions,
    new_client_id,
    response_type,
)
from fastbook_server.values.events import OrderReport
from fastbook_wire.commands import Add, Delete

PARTIALLY_FAILED = -2021
FAILED = -2022
_MODES = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
_EXCEEDED_MODES = ("DO_NOTHING", "CANCEL_ONLY")
_FAILED_CANCELS = (CANCEL_REFUSED, -2039)
_Outcome = msgspec.Raw | DialectRefusal | None


class CancelReplace:
    """Cancels an order and places another; one may succeed without the other."""

    def __init__(
        self, symbols: Symbols, orders: AccountOrders, replies: Replies, trading: TradingFunctions
    ) -> None:
        self._symbols = symbols
        self._orders = orders
        self._replies = replies
        self._trading = trading

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        path, name = "order/cancelReplace", "order.cancelReplace"
        given = ("POST", path, name, 1, self.replace)
        return [Offer(*given, signed=True, is_order=True, places=True, more=True)]

    async def replace(self, call: Call) -> dict[str, Any]:
        """Place an order in place of another.

        The new order's shape is checked before the old one is cancelled, its price afterwards: the
        old one's balance pays for it too.

        Who has placed too many orders may choose that the old one is cancelled nevertheless.

        Raises:
            DialectRefusal: one of both has failed, or both; its data says which and why.
        """
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        stops = params.one_of("cancelReplaceMode", _MODES) == "STOP_ON_FAILURE"
        cancels_only = _cancels_only(params)
        new, response = Add(order=self._trading.new_order(symbol, params)), response_type(params)
        cancel_id = params.client_id("cancelNewClientOrderId") or new_client_id()

        if call.too_many is not None and not cancels_only:
            raise call.too_many

        def read(report: OrderReport) -> msgspec.Raw:
            return msgspec.Raw(placed(self._orders.as_placed(report), response))

        try:
            known = self._trading.to_cancel(call, symbol, params, "cancel")
        except DialectRefusal as refused:
            if refused.code not in _FAILED_CANCELS:
                raise
            if call.too_many is not None:
                raise _over(call.too_many, refused, stops=stops) from None
            return told(refused, None if stops else await self._placed(call, new, read))
        self._orders.name_cancel(known.order.id, cancel_id)
        gone = (Delete(id=known.order.id), lambda _: msgspec.Raw(cancelled(known, cancel_id)))
        if call.too_many is not None:
            outcome = await outcome_of(self._replies.ask(call.user_id, *gone))
            raise _over(call.too_many, outcome, stops=stops)
        return told(*await self._replies.replace(call.user_id, gone, (new, read), stops=stops))

    async def _placed(self, call: Call, new: Add, read: Read) -> _Outcome:
        """Place the new order although the old one could not be cancelled."""
        return cast("_Outcome", await outcome_of(self._replies.ask(call.user_id, new, read)))


def _cancels_only(params: Parameters) -> bool:
    """Return whether who has placed too many orders wants the old one cancelled nevertheless."""
    name = "orderRateLimitExceededMode"
    return params.one_of(name, _EXCEEDED_MODES, "DO_NOTHING") == "CANCEL_ONLY"


def _over(too_many: DialectRefusal, cancel: _Outcome, *, stops: bool) -> DialectRefusal:
    """Return the refusal of a request whose new order was one too many."""
    failed = isinstance(cancel, DialectRefusal)
    try:
        told(cancel, None if failed and stops else too_many)
    except DialectRefusal as refused:
        if stops:
            refused.status, refused.retry_after_s = too_many.status, too_many.retry_after_s
        return refused
    raise AssertionError("the new order has failed")


def told(cancel: _Outcome, new: _Outcome) -> dict[str, Any]:
    """Return what the client is told of both outcomes; None: it was not tried.

    Raises:
        DialectRefusal: at least one has failed.
    """
    data = {
        "cancelResult": _word(cancel),
        "newOrderResult": _word(new),
        "cancelResponse": _response(cancel),
        "newOrderResponse": _response(new),
    }
    words = (data["cancelResult"], data["newOrderResult"])
    if words == ("SUCCESS", "SUCCESS"):
        return data
    if "SUCCESS" in words:
        raise DialectRefusal(
            PARTIALLY_FAILED, "Order cancel-replace partially failed.", 409, data=data
        )
    raise DialectRefusal(FAILED, "Order cancel-replace failed.", data=data)


def _word(outcome: _Outcome) -> str:
    if outcome is None:
        return "NOT_ATTEMPTED"
    return "FAILURE" if isinstance(outcome, DialectRefusal) else "SUCCESS"


def _response(outcome: _Outcome) -> dict[str, Any] | msgspec.Raw | None:
    return outcome.told() if isinstance(outcome, DialectRefusal) else outcome
