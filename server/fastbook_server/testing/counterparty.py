"""The other traders, as a test scripts them: without connection, delay or faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from fastbook_server.testing.clock import Clock
from fastbook_wire.commands import Add, Amend, Delete, DeleteAll, ExchangeCommand, NewOrder
from fastbook_wire.frames import DeletedAll, OrderFrame, OrderView
from fastbook_wire.words import ExecType, SideName

_KINDS: dict[tuple[bool, bool], ExecType] = {
    (True, False): "limit",
    (False, False): "market",
    (True, True): "stopLimit",
    (False, True): "stop",
}
"""The kind of an order, by whether it has a price and a trigger price."""


class RefusedError(AssertionError):
    """The exchange refused a command of a test's counterparty."""


class Outcome(msgspec.Struct, frozen=True):
    """The immediate outcome of a command; `Counterparty.orders` shows what happens later."""

    status: str
    order: OrderView | None
    reason: str | None = None
    code: str | None = None
    message: str | None = None

    @property
    def id(self) -> str:
        """The order's id; empty if it was refused."""
        return self.order.id if self.order is not None else ""

    @property
    def remaining(self) -> float:
        """The unfilled amount."""
        return self.order.remaining if self.order is not None else 0.0

    @property
    def filled(self) -> float:
        """The filled amount."""
        return self.order.filled if self.order is not None else 0.0


class Floor(Protocol):
    """The server, as a counterparty sees it."""

    clock: Clock

    def command(self, user_id: str, command: ExchangeCommand) -> OrderFrame | DeletedAll:
        """Execute a command; return its reply once every client has been told."""

    def orders_of(self, user_id: str) -> list[OrderView]:
        """Return a user's open orders."""


class Counterparty:
    """A participant that does at once what the test says.

    Every method returns when the command is committed and every client has been told. A refusal
    raises `RefusedError`, because it usually means a mistake in the test; with ``check=False``
    the method returns the refusal.
    """

    def __init__(self, floor: Floor, name: str, security: str) -> None:
        self._floor = floor
        self.name = name
        self.user_id = f"user#test-{name}"
        self.security = security
        self._refs = itertools.count(1)

    def bid(self, price: float, amount: float, *, check: bool = True, **options: Any) -> Outcome:
        """Place a limit bid; `options` are fields of ``add``, such as ``post_only=True``.

        With a ``trigger_price`` it is a stop-limit order; with an ``exec_type``, of that kind.
        """
        return self._add("bid", amount, check, {"price": price, **options})

    def ask(self, price: float, amount: float, *, check: bool = True, **options: Any) -> Outcome:
        """Place a limit ask; `options` as in `bid`."""
        return self._add("ask", amount, check, {"price": price, **options})

    def buy(self, amount: float | None = None, *, check: bool = True, **options: Any) -> Outcome:
        """Place a market bid; any unfilled remainder is cancelled (``no_liquidity``).

        With ``total`` in place of `amount` it trades for at most that value; with a
        ``trigger_price`` it is a stop order.
        """
        return self._add("bid", amount, check, options)

    def sell(self, amount: float | None = None, *, check: bool = True, **options: Any) -> Outcome:
        """Place a market ask; otherwise like `buy`."""
        return self._add("ask", amount, check, options)

    def amend(
        self, order: Outcome | OrderView | str, *, check: bool = True, **changes: Any
    ) -> Outcome:
        """Change an open order's ``price``, ``amount`` or ``new_client_order_id``."""
        order_id = order if isinstance(order, str) else order.id
        return self._told(Amend(id=order_id, ref=self._ref(), **changes), check)

    def cancel(self, order: Outcome | OrderView | str, *, check: bool = True) -> Outcome:
        """Cancel an order, given as an outcome, an order view or an id."""
        order_id = order if isinstance(order, str) else order.id
        return self._told(Delete(id=order_id, ref=self._ref()), check)

    def cancel_all(self, security: str | None = None) -> int:
        """Cancel all open orders, or those of one security; return how many there were."""
        reply = self._floor.command(self.user_id, DeleteAll(security=security, ref=self._ref()))
        assert isinstance(reply, DeletedAll), reply
        return reply.count

    @property
    def orders(self) -> list[OrderView]:
        """The open orders, oldest first."""
        return self._floor.orders_of(self.user_id)

    def at(self, seconds: float, action: Callable[[Counterparty], Any]) -> None:
        """Run an action once the clock has advanced by `seconds` from now."""
        self._floor.clock.at(seconds, lambda: action(self))

    def script(self, actions: Iterable[tuple[float, Callable[[Counterparty], Any]]]) -> None:
        """Run several actions, each at its moment, in seconds from now."""
        for seconds, action in actions:
            self.at(seconds, action)

    def _add(
        self, side: SideName, amount: float | None, check: bool, options: dict[str, Any]
    ) -> Outcome:
        options.setdefault("security", self.security)
        kind = _KINDS["price" in options, "trigger_price" in options]
        new = NewOrder(**{"type": side, "exec_type": kind, "amount": amount} | options)
        return self._told(Add(order=new, ref=self._ref()), check)

    def _told(self, command: Add | Amend | Delete, check: bool) -> Outcome:
        reply = self._floor.command(self.user_id, command)
        assert isinstance(reply, OrderFrame), reply
        if check and reply.status == "rejected":
            text = msgspec.json.encode(command).decode()
            raise RefusedError(f"{self.name}: {reply.code}: {reply.message} (of {text})")
        return Outcome(reply.status, reply.order, reply.reason, reply.code, reply.message)

    def _ref(self) -> str:
        return f"{self.name}-{next(self._refs)}"

    def __repr__(self) -> str:
        return f"<counterparty {self.name}>"
