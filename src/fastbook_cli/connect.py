"""``fastbook connect``: the wire by hand. Prints each frame, sends each line that is typed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from fastbook_cli.errors import NoServerError
from fastbook_cli.output import abandon_stdout
from fastbook_client.connection import dial
from fastbook_client.errors import ConnectError, ConnectionClosed

STDIN = 0
ANSWERS_S = 10.0
"""How long replies may take to come after the end of the input."""
_EVENTS = {
    "add": "order",
    "amend": "order",
    "cancelAfter": "cancelAfterSet",
    "delete": "order",
    "deleteAll": "deletedAll",
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

    def __len__(self) -> int:
        return len(self._replies)

    def sent(self, line: bytes) -> None:
        """Await what answers a line: one reply, or one for each command of an array."""
        frame = _decoded(line)
        for command in frame if isinstance(frame, list) and frame else [frame]:
            given: dict[str, Any] = command if isinstance(command, dict) else {}
            ref = given.get("ref")
            self._replies.append(
                (ref if isinstance(ref, str | int) else None, _EVENTS.get(str(given.get("op")), ""))
            )

    def came(self, payload: bytes) -> None:
        """Take a frame from the server for the reply that it is, if it is one."""
        frame = _decoded(payload)
        if not isinstance(frame, dict) or "lastPrice" in frame:  # a later change of an order
            return
        ref, event = frame.get("ref"), frame.get("event")
        if event == "orders" and frame.get("more") is True:
            return
        for reply in self._replies:
            if reply[0] == ref and (ref is not None or event in (reply[1], "error")):
                self._replies.remove(reply)
                return


async def run(url: str, *, security: str | None, feed: bool) -> int:
    """Talk to a server until Ctrl-C, the end of the input or that of stdout's reader.

    At the end of the input it waits for the replies to what was sent. Returns the exit code.

    Raises:
        NoServerError: the connection could not be opened or was closed, or a reply is missing.
    """
    loop = asyncio.get_running_loop()
    awaited = Awaited()
    try:
        async with dial(url, security=security, feed=feed) as client, asyncio.timeout(None) as end:

            def send(line: bytes | None) -> None:
                if line is not None:
                    awaited.sent(line)
                    client.send_many((line,))
                else:
                    end.reschedule(loop.time() + (ANSWERS_S if awaited else 0.0))

            _print(client.opened_by)
            typing = threading.Thread(target=_read_lines, args=(loop, send), daemon=True)
            typing.start()
            while awaited or end.when() is None:
                payload = await client.receive_bytes()
                _print(payload)
                awaited.came(payload)
    except TimeoutError:
        if awaited:
            missing = f"{len(awaited)} of the replies did not come within {ANSWERS_S:g} s"
            raise NoServerError(f"{url}: {missing}") from None
    except BrokenPipeError:
        abandon_stdout()
    except (ConnectError, ConnectionClosed) as error:
        raise NoServerError(f"{url}: {error}") from None
    return 0


def _decoded(frame: bytes) -> Any:
    try:
        return msgspec.json.decode(frame)
    except msgspec.DecodeError:
        return None


def _print(frame: bytes) -> None:
    print(frame.decode(), flush=True)


def _read_lines(loop: asyncio.AbstractEventLoop, send: Callable[[bytes | None], None]) -> None:
    """Send each line of stdin, and None at its end.

    It reads the file descriptor itself: the process could not exit while a thread waits in
    ``sys.stdin``.
    """
    rest = b""
    while chunk := _read():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, map(bytes.strip, lines)):
            loop.call_soon_threadsafe(send, line)
    if rest.strip():
        loop.call_soon_threadsafe(send, rest.strip())
    loop.call_soon_threadsafe(send, None)


def _read() -> bytes:
    try:
        return os.read(STDIN, 65_536)
    except OSError:  # it was closed, or its terminal has gone
        return b""
