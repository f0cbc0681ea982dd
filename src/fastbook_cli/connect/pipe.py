"""``fastbook connect`` in a pipe: prints each frame, sends each line, ends with its input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from rich.console import Console

from fastbook_cli.access import server_token
from fastbook_cli.connect.conversation import Conversation
from fastbook_cli.connect.words import Glance, WordError
from fastbook_cli.errors import NoServerError
from fastbook_cli.output import abandon_stdout
from fastbook_client.connection import Connection, dial, new_http
from fastbook_client.errors import ConnectError, ConnectionClosed

STDIN = 0
ANSWERS_S = 10.0
"""How long replies may take to come after the end of the input."""


async def run(url: str, *, security: str | None, feed: bool) -> int:
    """Talk to a server until Ctrl-C, ``quit``, the end of the input or that of stdout's reader.

    At the end of the input it waits for the replies to what was sent. Returns the exit code, 1 if a
    word was not understood.

    Raises:
        NoServerError: the connection could not be opened or was closed, or a reply is missing.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        async with (
            new_http() as http,
            dial(url, security=security, feed=feed, token=server_token(), http=http) as connection,
        ):
            _print(connection.opened_by)
            talk = Conversation(connection, url, http, console.print)
            tasks = (
                asyncio.create_task(_receive(connection, talk), name="frames"),
                asyncio.create_task(_type(talk, url), name="lines"),
            )
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                return next(task.result() for task in tasks if task in done)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    except BrokenPipeError:
        abandon_stdout()
        return 0
    except (ConnectError, ConnectionClosed) as error:
        raise NoServerError.at(url, error) from None


async def _receive(connection: Connection, talk: Conversation) -> int:
    while True:
        payload = await connection.receive_bytes()
        if talk.heard(payload):
            continue
        _print(payload)
        talk.awaited.came(payload)


async def _type(talk: Conversation, url: str) -> int:
    """Do what the lines say; return the exit code once all has been answered."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    threading.Thread(target=_read_lines, args=(loop, lines), daemon=True).start()
    code = 0
    while (line := await lines.get()) is not None:
        try:
            meant = talk.speaker.understand(line.decode(errors="replace"))
        except WordError as error:
            print(f"fastbook: {error}", file=sys.stderr)
            code = 1
            continue
        if isinstance(meant, Glance):
            if meant.what == "quit":
                break
            await talk.look(meant)
        else:
            talk.send(meant or line)
    try:
        async with asyncio.timeout(ANSWERS_S):
            await talk.awaited.none()
    except TimeoutError:
        missing = f"{len(talk.awaited)} of the replies did not come within {ANSWERS_S:g} s"
        raise NoServerError(f"{url}: {missing}") from None
    return code


def _print(frame: bytes) -> None:
    print(frame.decode(), flush=True)


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes | None]) -> None:
    """Put each line of stdin into the queue, and None at its end.

    It reads the file descriptor itself: the process could not exit while a thread waits in
    ``sys.stdin``.
    """

    def put(line: bytes | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lines.put_nowait, line)

    rest = b""
    while chunk := _read():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in filter(None, map(bytes.strip, whole)):
            put(line)
    if rest.strip():
        put(rest.strip())
    put(None)


def _read() -> bytes:
    try:
        return os.read(STDIN, 65_536)
    except OSError:  # it was closed, or its terminal has gone
        return b""
