"""``fastbook connect``: the wire by hand. Prints every frame, sends every line that is typed."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable

from fastbook_client.connection import dial
from fastbook_client.errors import ConnectError, ConnectionClosed

STDIN = 0


class NoServerError(OSError):
    """There is no such server, it refused the connection, or it has ended it."""


async def run(url: str, *, security: str | None, feed: bool) -> None:
    """Talk to ``ws://HOST:PORT/ws`` until Ctrl-C, or until nobody reads the output any more.

    Raises:
        NoServerError: there is no connection, or none any more.
    """
    if not url.startswith(("ws://", "wss://", "http://", "https://")):
        raise NoServerError(f"expected a URL such as ws://127.0.0.1:8080/ws, got {url!r}")
    loop = asyncio.get_running_loop()
    try:
        async with dial(url, security=security, feed=feed) as client:

            def send(line: bytes) -> None:
                client.send_many((line,))

            _say(client.opened_by)
            typing = threading.Thread(target=_read_lines, args=(loop, send), daemon=True)
            typing.start()
            while True:
                _say(await client.receive_bytes())
    except BrokenPipeError:  # as of | head; nor shall the interpreter complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ConnectError, ConnectionClosed) as error:
        raise NoServerError(f"{url}: {error}") from None


def _say(frame: bytes) -> None:
    print(frame.decode(), flush=True)


def _read_lines(loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None]) -> None:
    """Send what is typed, line by line, until its end.

    It reads the descriptor itself: a thread that waits in ``sys.stdin`` cannot be left behind.
    """
    rest = b""
    while chunk := os.read(STDIN, 65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, map(bytes.strip, lines)):
            loop.call_soon_threadsafe(send, line)
    if rest.strip():
        loop.call_soon_threadsafe(send, rest.strip())
