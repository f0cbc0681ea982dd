"""A channel within one process: every message reaches every subscriber, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """A stream of messages. One is delivered to all subscribers before ``publish`` returns."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[T], None]] = []

    def subscribe(self, subscriber: Callable[[T], None]) -> None:
        """Call `subscriber` with every later message, after earlier subscribers; must not block."""
        self._subscribers.append(subscriber)

    def publish(self, message: T) -> None:
        """Deliver `message` to every subscriber, in the order of subscription."""
        for subscriber in self._subscribers:
            subscriber(message)
