"""The order methods of a market: place, amend, cancel, list, and ask what became of an order."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal

from fastbook_client import arguments
from fastbook_client.arguments import AnySide, Number
from fastbook_client.errors import FastbookError, Rejected
from fastbook_client.events import OrderState
from fastbook_client.link import Link
from fastbook_client.order_entry import OrderEntry
from fastbook_client.order_fields import new_order, optional
from fastbook_client.order_names import named
from fastbook_wire.commands import (
    Amend,
    CancelAfter,
    Delete,
    DeleteAll,
    GetEndedOrders,
    GetFills,
    GetOrder,
    NewOrder,
    OrderCommand,
    Orders,
)
from fastbook_wire.frames import CancelAfterSet, EndedOrders, OrderFrame, OrderView, OwnFills
from fastbook_wire.words import Code, ExecType, SelfTradeName, TimeInForceName


class Trading(ABC):
    """The commands about orders; `fastbook_client.Market` says what each may raise."""

    def __init__(self) -> None:
        self._entry = OrderEntry()

    @property
    @abstractmethod
    def user_id(self) -> str:
        """The id of this user."""

    @property
    @abstractmethod
    def _link(self) -> Link:
        """The link over which commands are sent."""

    @abstractmethod
    def _named(self, security: str | None) -> str:
        """Return a security or, for None, the market's own."""

    async def limit(
        self,
        side: AnySide,
        price: Number,
        amount: Number,
        *,
        time_in_force: TimeInForceName | None = None,
        expire_time: int | None = None,
        display: Number | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a limit order; return its state after immediate matching.

        `side` is ``bid`` (or ``buy``) or ``ask`` (or ``sell``). `price` and `amount` must be
        multiples of the instrument's tick and lot size; a Decimal or Fraction is sent as the
        nearest double. With `display` the order is an iceberg, of which at most so much shows at a
        time. What remains at `expire_time`, in Unix ms, is cancelled. Defaults: `time_in_force`
        ``gtc``, or ``gtt`` with `expire_time`; `self_trade` ``allow``. Every order carries a client
        order id, generated if none is given, with which `outcome` finds the order after Unanswered.

        Raises:
            Rejected: the server refused the order, which had no effect.
            Unanswered: the connection was lost before the reply; see `outcome`.
            NotConnected: the client is reconnecting; the order was not sent.
            ConnectionClosed: the connection has ended for good; the order was not sent.
            TypeError, ValueError: an argument has a wrong type or cannot be sent; nothing was.
        """
        given = {
            "time_in_force": time_in_force,
            "expire_time": expire_time,
            "display": display,
            "client_order_id": client_order_id,
            "self_trade": self_trade,
        }
        order = new_order(
            "limit",
            side,
            given,
            price=price,
            amount=amount,
            post_only=post_only,
            security=self._named(security),
        )
        return await self._entry.place(self._link, order)

    async def market(
        self,
        side: AnySide,
        amount: Number | None = None,
        *,
        total: Number | None = None,
        time_in_force: Literal["ioc", "fok"] | None = None,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a market order; any unfilled remainder is cancelled.

        With `total` in place of `amount` it trades whole lots for at most that value.
        `time_in_force` is ``ioc`` (the default) or, with an amount, ``fok``: fill completely at
        once, or cancel. The other arguments, the result and the exceptions are those of `limit`.

        Raises:
            TypeError: both or neither of `amount` and `total` were given; nothing was sent.
        """
        if (amount is None) == (total is None):
            raise TypeError("expected an amount, or a total")
        given = {
            "amount": amount,
            "total": total,
            "time_in_force": time_in_force,
            "client_order_id": client_order_id,
            "self_trade": self_trade,
        }
        order = new_order("market", side, given, security=self._named(security))
        return await self._entry.place(self._link, order)

    async def stop(
        self,
        side: AnySide,
        trigger_price: Number,
        amount: Number,
        *,
        price: Number | None = None,
        takes_profit: bool = False,
        time_in_force: TimeInForceName | None = None,
        expire_time: int | None = None,
        display: Number | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a stop order or, with a `price`, a stop-limit order; return its state.

        It waits until something trades at `trigger_price` or beyond: at or above it for a bid, at
        or below it for an ask; with `takes_profit` the other way round. Then it enters the market
        as a market order, or as a limit order at `price`. The other arguments and the exceptions
        are those of `limit`; `display` and `post_only` need a `price`. The ``status`` of the result
        is ``untriggered`` unless the last trade has already met the trigger.
        """
        kinds: tuple[ExecType, ExecType] = ("stop", "stopLimit")
        if takes_profit:
            kinds = ("takeProfit", "takeProfitLimit")
        given = {
            "price": price,
            "time_in_force": time_in_force,
            "expire_time": expire_time,
            "display": display,
            "client_order_id": client_order_id,
            "self_trade": self_trade,
        }
        order = new_order(
            kinds[price is not None],
            side,
            given,
            trigger_price=trigger_price,
            amount=amount,
            post_only=post_only,
            security=self._named(security),
        )
        return await self._entry.place(self._link, order)

    async def amend(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
        price: Number | None = None,
        amount: Number | None = None,
        new_client_order_id: str | None = None,
    ) -> OrderState:
        """Change an open order; return its state after immediate matching.

        The order is named as in `cancel`; it keeps its id. `amount` is its whole amount, what is
        filled included: at exactly that, the rest is cancelled. At the same price and with no
        larger amount the order keeps its place in the queue; otherwise it enters like a new one.

        Raises:
            Rejected: the order is not open (``unknown_order``), or must not change like that.
            Unanswered: the connection was lost before the reply; repeating the call is safe, as an
                amend that changes nothing is answered with the order's state.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
            TypeError: both or neither of `order` and `client_order_id` were given, or no change.
        """
        changes = optional(price=price, amount=amount, new_client_order_id=new_client_order_id)
        if not changes:
            raise TypeError("expected a price, an amount or a new_client_order_id")
        order_id, client_order_id = named(order, client_order_id)
        command = Amend(id=order_id, client_order_id=client_order_id, **changes)
        return OrderState.of(await self._link.request(command))

    async def cancel(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Cancel an open order; return its final state.

        `order` is an order that a command returned or an event reported, or an id: a UUID is the
        server's id, any other string a client order id. Pass `client_order_id` instead of `order`
        for a client order id that is itself a UUID.

        Raises:
            Rejected: with ``unknown_order``, if this user has no such open order.
            Unanswered: the connection was lost before the reply; repeating the call is safe.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
            TypeError: both or neither of `order` and `client_order_id` were given.
        """
        order_id, client_order_id = named(order, client_order_id)
        command = Delete(id=order_id, client_order_id=client_order_id)
        reply = await self._link.request(command)
        return OrderState.of(reply)

    async def cancel_all(self, security: str | None = None, *, side: AnySide | None = None) -> int:
        """Cancel all open orders, or only those of `security`, of `side`; return how many."""
        command = DeleteAll(
            security=None if security is None else arguments.text("security", security),
            type=None if side is None else arguments.side_of(side),
        )
        count: int = (await self._link.request(command)).count
        return count

    async def cancel_after(self, seconds: Number) -> CancelAfterSet:
        """Have all open orders cancelled in `seconds`, unless it is called again; 0: never.

        A dead man's switch: each call starts the time over, up to 86,400 s. The server keeps it
        through lost connections and its own restarts. The result has the server's ``time`` and the
        ``trigger_time`` (None: never), both in Unix milliseconds.
        """
        given = arguments.number("seconds", seconds)
        command = CancelAfter(ms=math.ceil(given * 1_000))  # so that only 0 becomes 0
        reply: CancelAfterSet = await self._link.request(command)
        return reply

    async def orders(self) -> tuple[OrderView, ...]:
        """Return the open orders of all securities, oldest first."""
        orders: tuple[OrderView, ...] = (await self._link.request(Orders())).orders
        return orders

    async def fills(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> OwnFills:
        """Return a page of this user's own fills, oldest first, from all its connections.

        With `since` these are the first `limit` fills with a larger ``fill_id``; without it the
        last ones, or the last before `before`. Both fills of a self-trade count as one. ``more``
        tells whether there are others in that direction. Each fill also arrives as a `Fill` event,
        late if the connection was down.
        """
        command = GetFills(
            security=self._named(security),
            since=None if since is None else arguments.integer("since", since),
            before=None if before is None else arguments.integer("before", before),
            limit=arguments.integer("limit", limit),
        )
        page: OwnFills = await self._link.request(command)
        return page

    async def ended_orders(
        self, security: str | None = None, *, before: str | None = None, limit: int = 100
    ) -> EndedOrders:
        """Return a page of this user's orders that have ended, from all its connections.

        These are the last `limit` that were placed, or the last before the one whose id is
        `before`; oldest first. ``more`` tells whether there are older ones.
        """
        command = GetEndedOrders(
            security=self._named(security),
            before=None if before is None else arguments.text("before", before),
            limit=arguments.integer("limit", limit),
        )
        page: EndedOrders = await self._link.request(command)
        return page

    async def order(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Return the state of an order, open or ended.

        The order is named as in `cancel`. An ended order is known by its client order id for 24
        hours, and by the server's id for as long as the server keeps its history.

        Raises:
            Rejected: ``unknown_order``: the user has placed no such order.
            Unanswered, NotConnected, ConnectionClosed: as for every command.
        """
        order_id, client_order_id = named(order, client_order_id)
        command = GetOrder(id=order_id, client_order_id=client_order_id)
        return OrderState.of(await self._link.request(command))

    async def outcome(self, client_order_id: str) -> OrderState | None:
        """Return the state of an order that raised Unanswered, or None if it never arrived.

        Asking changes nothing. After None the order can no longer take effect: once a user has
        resumed, the server no longer reads from the connection before.

        Raises:
            FastbookError: the server has forgotten the user who placed it.
            Rejected: the server could not answer now (``rate_limited``, for one); try again later.
            Unanswered, NotConnected: the connection is lost or down; try again after `Resynced`.
            ConnectionClosed: the connection has ended for good.
        """
        self._entry.unsettled.check(
            arguments.text("client_order_id", client_order_id), self.user_id
        )
        try:
            state = await self.order(client_order_id=client_order_id)
        except Rejected as rejected:
            if rejected.code != Code.UNKNOWN_ORDER:
                raise
            return None
        self._entry.unsettled.answered(client_order_id)
        return state

    async def submit(
        self, commands: Iterable[NewOrder | OrderCommand]
    ) -> list[OrderState | int | FastbookError]:
        """Send 1 to 100 commands in one frame: nobody else's are executed between them.

        A NewOrder is placed; Add, Amend, Delete, DeleteAll and GetOrder are sent as they are.
        Returns for each command, in order, what the method for it would return or raise: the
        OrderState, the count of a DeleteAll, or Rejected or Unanswered. One that is refused does
        not keep the others from being executed.

        Raises:
            TypeError: something is no such command; nothing was sent.
            ValueError: no command, or more than 100; nothing was sent.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
        """
        return await self._entry.submit(self._link, commands)
