"""The order channel and the trade channel: what has been matched and committed, for who listens.

They are in-process: a message reaches every subscriber before ``publish`` returns, so one batch is
seen whole or not at all. Gateways on other machines would read the same two streams from a broker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastbook_server.values.events import ExchangeEvent, Traded

T = TypeVar("T")


class Channel(Generic[T]):
    """An ordered stream of messages to every subscriber, in the order of subscription."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[T], None]] = []

    def subscribe(self, subscriber: Callable[[T], None]) -> None:
        """Call `subscriber` with every message from now on; it must not block."""
        self._subscribers.append(subscriber)

    def publish(self, message: T) -> None:
        """Hand `message` to every subscriber."""
        for subscriber in self._subscribers:
            subscriber(message)


class Channels:
    """Both channels, and the mark that a batch's messages are through.

    ``orders`` carries all events but trades, private reports included; ``trades`` the trades.
    """

    def __init__(self) -> None:
        self.orders: Channel[Sequence[ExchangeEvent]] = Channel()
        self.trades: Channel[Sequence[Traded]] = Channel()
        self.batch_ends: Channel[None] = Channel()

    def publish(self, events: Sequence[ExchangeEvent]) -> None:
        """Publish one committed batch: orders, then trades, then the mark."""
        trades = [e for e in events if type(e) is Traded]
        self.orders.publish([e for e in events if type(e) is not Traded] if trades else events)
        if trades:
            self.trades.publish(trades)
        self.batch_ends.publish(None)
