"""A market whose commands go through the exchange into a store, without a server in between."""

from __future__ import annotations

import random

from fastbook_server.matching.exchange import Exchange
from fastbook_server.values.events import (
    PRIVATE,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    PublicEvent,
)
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch, Recovered
from fastbook_wire.commands import Add, Delete, ExchangeCommand, NewOrder

SPEC = InstrumentSpec.parse("BTC-USD:0.01:0.0001")
START_MS = 1_700_006_400_000  # a midnight
USERS = 500
LIVE = 20_000
"""About how many orders rest: beyond it, half of the commands cancel."""
TAKING = 0.1
"""The share of orders that come to market."""
NAMED = 0.1
"""The share of orders that bear a client order id."""


class Market:
    """Limit orders around a moving price, market orders, and cancels; one seed, one market.

    ``orders`` counts those accepted, ``commands`` all that was tried.
    """

    def __init__(
        self,
        past: Recovered,
        seed: int = 1,
        *,
        live: int = LIVE,
        users: int = USERS,
        taking: float = TAKING,
    ) -> None:
        self._draw = random.Random(f"{seed} {past.batch_no}")
        self._exchange = Exchange(past)
        self._number = past.batch_no
        self._live_max, self._users, self._taking = live, users, taking
        self._live: list[tuple[str, str]] = []
        self._place: dict[str, int] = {}
        for resting in past.open_orders:
            self._opened(resting.order.user_id, resting.order.id)
        self._mid = past.last_prices.get(SPEC.security, 1_000_000)
        self.time_ms = max(past.time_ms, START_MS)
        self.orders = 0
        self.commands = 0

    def batch(self, commands: int, step_ms: float) -> Batch:
        """Return the next batch of so many commands, `step_ms` apart."""
        events: list[PublicEvent] = []
        start_ms = self.time_ms
        for n in range(commands):
            self.time_ms = start_ms + int((n + 1) * step_ms)
            user, command = self._next()
            for event in self._exchange.apply(user, command, self.time_ms):
                if type(event) not in PRIVATE:
                    events.append(event)
                    self._follow(event)
        self.commands += commands
        self._number += 1
        return Batch(self._number, self.time_ms, tuple(events))

    def _follow(self, event: PublicEvent) -> None:
        """Count orders, and know which of them rest."""
        if type(event) is OrderAccepted:
            self.orders += 1
        elif type(event) is OrderRested:
            self._opened(event.order.user_id, event.order.id)
        elif type(event) is OrderFilled and not event.maker_remaining:
            self._closed(event.maker.id)
        elif type(event) is OrderCancelled and event.rested:
            self._closed(event.order.id)

    def _opened(self, user: str, order_id: str) -> None:
        self._place[order_id] = len(self._live)
        self._live.append((user, order_id))

    def _closed(self, order_id: str) -> None:
        place, last = self._place.pop(order_id), self._live.pop()
        if place < len(self._live):
            self._live[place] = last
            self._place[last[1]] = place

    def _next(self) -> tuple[str, ExchangeCommand]:
        draw = self._draw
        if len(self._live) > self._live_max and draw.random() < 0.55:
            user, order_id = draw.choice(self._live)
            return user, Delete(id=order_id)
        self._mid += draw.randint(-3, 3)
        side = draw.choice(("bid", "ask"))
        user = f"user#{draw.randrange(self._users)}"
        named = f"{self.time_ms}-{draw.getrandbits(32)}" if draw.random() < NAMED else None
        amount = draw.randint(1, 5_000) / 10_000
        if draw.random() < self._taking:
            return user, Add(
                order=NewOrder(
                    type=side, exec_type="market", amount=amount, security=SPEC.security,
                    client_order_id=named,
                )
            )  # fmt: skip
        away = draw.randint(-10, 300)
        ticks = self._mid - away if side == "bid" else self._mid + away
        return user, Add(
            order=NewOrder(
                type=side, exec_type="limit", amount=amount, price=ticks / 100,
                security=SPEC.security, client_order_id=named,
            )
        )  # fmt: skip
