"""Work that takes long, in steps: between two of them others have their turn."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from fastbook_server.values.events import ExchangeEvent
from fastbook_server.values.portions import taken

PORTION = 250
"""Orders of which one step takes care: about a millisecond. Whoever asks something of the server
waits for two steps: the one that it arrives in, and the next, after which it is answered."""

JOINED = 20 * PORTION
"""Events that one step appends to others, or lets go of."""

Steps = Generator[None, None, list[ExchangeEvent]]
"""Steps of what a command causes; they return its events."""


def finished(begun: list[ExchangeEvent] | Steps) -> list[ExchangeEvent]:
    """Return the events of a command, after all of its steps."""
    if isinstance(begun, list):
        return begun
    while True:
        try:
            next(begun)
        except StopIteration as end:
            events: list[ExchangeEvent] = end.value
            return events


def joined(events: list[ExchangeEvent], *others: list[ExchangeEvent]) -> Steps:
    """Append what others hold, which is taken from them."""
    for more in others:
        if len(more) <= JOINED:
            events += more
            continue
        for part in taken(more, JOINED):
            events += part
            yield
    return events


def after(first: Sequence[ExchangeEvent], steps: Steps) -> Steps:
    """Let something happen after what has happened already."""
    events = yield from steps
    events[:0] = first
    return events


def followed_by(steps: Steps, last: ExchangeEvent) -> Steps:
    """Let something happen, and tell one thing more at its end."""
    events = yield from steps
    events.append(last)
    return events
