"""Which replies are still to come, and to which of them a frame from the server belongs."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

_EVENTS = {
    "add": "order",
    "amend": "order",
    "cancelAfter": "cancelAfterSet",
    "delete": "order",
    "deleteAll": "deletedAll",
    "endedOrders": "endedOrders",
    "fills": "ownFills",
    "order": "order",
    "orders": "orders",
    "ping": "pong",
    "subscribe": "subscribed",
    "unsubscribe": "unsubscribed",
}
"""What answers a command, unless it is an ``error``."""


class Awaited:
    """The replies that are still to come, told by the ``ref`` or, without one, by the event."""

    def __init__(self) -> None:
        self._replies: list[tuple[Any, str]] = []  # (ref, event)
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._replies)

    def sent(self, line: bytes) -> None:
        """Await what answers a line: one reply, or one for each command of an array."""
        frame = decoded(line)
        for command in frame if isinstance(frame, list) and frame else [frame]:
            given: dict[str, Any] = command if isinstance(command, dict) else {}
            ref = given.get("ref")
            self._replies.append(
                (ref if isinstance(ref, str | int) else None, _EVENTS.get(str(given.get("op")), ""))
            )
        self._none.clear()

    def came(self, payload: bytes) -> bool:
        """Take a frame from the server for the reply that it is; return whether it is one."""
        frame = decoded(payload)
        if not isinstance(frame, dict) or "lastPrice" in frame:  # a later change of an order
            return False
        ref, event = frame.get("ref"), frame.get("event")
        for reply in self._replies:
            if reply[0] == ref and (ref is not None or event in (reply[1], "error")):
                if not (event == "orders" and frame.get("more") is True):
                    self._replies.remove(reply)
                    if not self._replies:
                        self._none.set()
                return True
        return False

    async def none(self) -> None:
        """Wait until no reply is missing."""
        await self._none.wait()


def decoded(frame: bytes) -> Any:
    """Return a frame as Python values; None if it is no JSON."""
    try:
        return msgspec.json.decode(frame)
    except msgspec.DecodeError:
        return None
