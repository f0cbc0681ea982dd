"""``fastbook connect``: the wire by hand. Prints each frame, sends each line that is typed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

from fastbook_cli.errors import NoServerError
from fastbook_cli.output import abandon_stdout
from fastbook_client.connection import dial
from fastbook_client.errors import ConnectError, ConnectionClosed

STDIN = 0


async def run(url: str, *, security: str | None, feed: bool) -> int:
    """Talk to a server until Ctrl-C or until the reader of stdout has gone; return the exit code.

    Raises:
        NoServerError: the connection could not be opened, or was closed.
    """
    loop = asyncio.get_running_loop()
    try:
        async with dial(url, security=security, feed=feed) as client:

            def send(line: bytes) -> None:
                client.send_many((line,))

            _print(client.opened_by)
            typing = threading.Thread(target=_read_lines, args=(loop, send), daemon=True)
            typing.start()
            while True:
                _print(await client.receive_bytes())
    except BrokenPipeError:
        abandon_stdout()
        return 0
    except (ConnectError, ConnectionClosed) as error:
        raise NoServerError(f"{url}: {error}") from None


def _print(frame: bytes) -> None:
    print(frame.decode(), flush=True)


def _read_lines(loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None]) -> None:
    """Send each line of stdin, until its end.

    It reads the file descriptor itself: the process could not exit while a thread waits in
    ``sys.stdin``.
    """
    rest = b""
    while chunk := os.read(STDIN, 65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, map(bytes.strip, lines)):
            loop.call_soon_threadsafe(send, line)
    if rest.strip():
        loop.call_soon_threadsafe(send, rest.strip())
