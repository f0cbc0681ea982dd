"""``fastbook`` in processes that are forked from one which has imported all that it needs.

It is the program as the command line starts it. Only Python's start and the imports, nine tenths of
the time until a process is ready, are paid once.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Self

PATIENCE_S = 60.0

_context = multiprocessing.get_context("forkserver")
# pytest: a forked process imports the main module of the one that asks for it.
_context.set_forkserver_preload(
    [
        "pytest.__main__",
        "fastbook_cli.main",
        "fastbook_server.process",
        "fastbook_server.cluster.process",  # which does without, where nats-py is not installed
    ]
)


class Program:
    """A ``fastbook`` that serves: ``url`` once it is `ready`, ``log`` what it has said."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        _start_without_settings()
        self.url = ""
        self.log = ""
        out, out_of_child = _context.Pipe(duplex=False)
        err, err_of_child = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_run, args=(arguments, environment, out_of_child, err_of_child), daemon=True
        )
        self._process.start()
        out_of_child.close()
        err_of_child.close()
        self._printed = asyncio.ensure_future(_first_line(out))
        self._has_said = asyncio.Event()
        self._listens = asyncio.ensure_future(self._listen(err))

    @classmethod
    async def start(cls, *arguments: str, **environment: str) -> Self:
        """Return one that is ready."""
        server = cls(*arguments, **environment)
        await server.ready()
        return server

    async def ready(self) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(PATIENCE_S):
            line = await self._printed
        assert line.startswith("ready http://127.0.0.1:"), line + self.log
        self.url = line.removeprefix("ready ").strip()

    async def said(self, words: str) -> None:
        """Wait until its log says something."""
        async with asyncio.timeout(PATIENCE_S):
            while words not in self.log:
                await self._has_said.wait()
                self._has_said.clear()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or the negative number of the signal that killed it; None: it lives."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    async def end(self, number: int | None = None) -> int:
        """Send a signal, if any; wait until it has ended, and return its exit code."""
        if number is not None:
            self.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended, however long it lives, and return its exit code."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
            await asyncio.shield(self._listens)
        finally:
            loop.remove_reader(self._process.sentinel)
        await self._printed
        assert self.exit_code is not None
        return self.exit_code

    async def clear_away(self) -> None:
        """Kill it if it lives."""
        await self.end(signal.SIGKILL if self.exit_code is None else None)

    async def _listen(self, err: Connection) -> None:
        async with _reading(err) as reader:
            while line := await reader.readline():
                self.log += line.decode()
                self._has_said.set()


class Serving(Program):
    """A ``fastbook serve`` on a free port."""

    def __init__(self, *options: str, **environment: str) -> None:
        super().__init__("serve", "--port", "0", *options, **environment)


async def _first_line(out: Connection) -> str:
    async with _reading(out) as reader:
        return (await reader.readline()).decode()


@contextlib.asynccontextmanager
async def _reading(end: Connection):
    """The end of a pipe as a stream."""
    reader = asyncio.StreamReader()
    file = os.fdopen(os.dup(end.fileno()), "rb")
    end.close()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    try:
        yield reader
    finally:
        transport.close()


def _start_without_settings() -> None:
    """Start the process that forks; settings in this environment are not for it."""
    environment = dict(os.environ)
    for name in environment:
        if name.startswith("FASTBOOK_"):
            del os.environ[name]
    try:
        forkserver.ensure_running()
    finally:
        os.environ.update(environment)


def _run(
    arguments: tuple[str, ...], environment: dict[str, str], out: Connection, err: Connection
) -> None:
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    from fastbook_cli.entry import main

    os.environ.update(environment)
    sys.argv = ["fastbook", *arguments]
    main()
