"""A channel within one process: every message reaches every subscriber, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Subscriber(NamedTuple, Generic[T]):
    take: Callable[[T], None]
    take_in_steps: Callable[[T], Iterator[None]] | None


class Channel(Generic[T]):
    """A stream of messages. One is delivered to all subscribers before the next."""

    def __init__(self) -> None:
        self._subscribers: list[_Subscriber[T]] = []

    def subscribe(
        self,
        take: Callable[[T], None],
        take_in_steps: Callable[[T], Iterator[None]] | None = None,
    ) -> None:
        """Call `take` with every later message, after earlier subscribers; it must not block.

        Of large messages `take_in_steps`, if there is one, takes a portion at a time.
        """
        self._subscribers.append(_Subscriber(take, take_in_steps))

    def publish(self, message: T) -> None:
        """Deliver `message` to every subscriber, in the order of subscription."""
        for subscriber in self._subscribers:
            subscriber.take(message)

    def publish_in_steps(self, message: T) -> Iterator[None]:
        """Deliver a large message; nothing else may be published before the last step."""
        for subscriber in self._subscribers:
            if subscriber.take_in_steps is None:
                subscriber.take(message)
            else:
                yield from subscriber.take_in_steps(message)
            yield
