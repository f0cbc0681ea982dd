"""Commands whose server is not there, or is no fastbook, say so in people's words."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

FASTBOOK = [sys.executable, "-m", "fastbook_cli"]
COMMANDS = [
    ["top", "--once", "--url"],
    ["connect", "--url"],
    ["sim", "--url"],
    ["bench", "--url"],
    ["admin", "--admin-token", "t" * 16, "--url"],
]
OF_LIBRARIES = ("ssl:", "Errno", "Connect call", "aiohttp", "Traceback", "Error:")


def ended(command: list[str], url: str) -> str:
    """Return the line that a command says of a server; it must be one line, and a failure."""
    after = ["sessions"] if "admin" in command else []
    done = subprocess.run(
        [*FASTBOOK, *command, url, *after],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert [word for word in OF_LIBRARIES if word in done.stderr] == []
    return done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_where_nothing_listens(command: list[str]) -> None:
    said = ended(command, "127.0.0.1:1")
    assert said.startswith("fastbook: nothing listens at 127.0.0.1:1: start a server with ")


@pytest.mark.parametrize("command", COMMANDS[:3], ids=lambda command: command[0])
def test_where_nothing_listens_at_any_of_several(command: list[str]) -> None:
    said = ended(command, "127.0.0.1:1,127.0.0.1:2")
    assert said.startswith("fastbook: none of 2 servers can be reached: http://127.0.0.1:")
    assert [n for n in (1, 2) if f"nothing listens at 127.0.0.1:{n}" in said] == [1, 2]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_host_that_does_not_exist(command: list[str]) -> None:
    assert "no-such-host.invalid" in ended(command, "no-such-host.invalid:80")


@pytest.fixture
async def stranger() -> AsyncIterator[str]:
    """The address of something that is no HTTP server."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 mail.example.org\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
async def test_what_is_no_server_of_ours(command: list[str], stranger: str) -> None:
    assert stranger in await asyncio.to_thread(ended, command, stranger)
