"""A market whose commands go through the exchange into a store, without a server in between."""

from __future__ import annotations

import random

from fastbook_server.matching.exchange import Exchange
from fastbook_server.values.events import PRIVATE, OrderAccepted, PublicEvent
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch, Recovered
from fastbook_wire.commands import Add, Delete, ExchangeCommand, NewOrder

SPEC = InstrumentSpec.parse("BTC-USD:0.01:0.0001")
START_MS = 1_700_006_400_000  # a midnight
USERS = 500
LIVE = 20_000
"""About how many orders rest: beyond it, half of the commands cancel."""


class Market:
    """Limit orders around a moving price, market orders, and cancels; one seed, one market.

    ``orders`` counts those accepted, ``commands`` all that was tried.
    """

    def __init__(self, past: Recovered, seed: int = 1, live: int = LIVE) -> None:
        self._draw = random.Random(seed)
        self._exchange = Exchange(past)
        self._number = past.batch_no
        self._live_max = live
        self._live: list[tuple[str, str]] = [
            (o.order.user_id, o.order.id) for o in past.open_orders
        ]
        self._mid = 1_000_000
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
                if type(event) is OrderAccepted:
                    self.orders += 1
                    if event.order.exec_type == "limit":
                        self._live.append((event.order.user_id, event.order.id))
        self.commands += commands
        self._number += 1
        return Batch(self._number, self.time_ms, tuple(events))

    def _next(self) -> tuple[str, ExchangeCommand]:
        draw = self._draw
        live = self._live
        if len(live) > self._live_max and draw.random() < 0.55:
            n = draw.randrange(len(live))
            live[n], live[-1] = live[-1], live[n]
            user, order_id = live.pop()
            return user, Delete(id=order_id)
        self._mid += draw.randint(-3, 3)
        side = draw.choice(("bid", "ask"))
        user = f"user#{draw.randrange(USERS)}"
        amount = draw.randint(1, 5_000) / 10_000
        if draw.random() < 0.1:
            order = NewOrder(type=side, exec_type="market", amount=amount, security=SPEC.security)
            return user, Add(order=order)
        away = draw.randint(-10, 300)
        ticks = self._mid - away if side == "bid" else self._mid + away
        order = NewOrder(
            type=side, exec_type="limit", amount=amount, price=ticks / 100, security=SPEC.security
        )
        return user, Add(order=order)
