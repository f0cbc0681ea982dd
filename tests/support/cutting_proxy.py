"""A proxy that cuts the connections through it, after some bytes or when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

CHUNK_BYTES = 4_096


class CuttingProxy:
    """Forwards connections of ``port`` to another port of 127.0.0.1, as a context manager.

    `bytes_of_next` says for each connection after how many bytes from the server it is cut, in the
    midst of a frame if it so happens; None: never. While ``is_deaf``, what clients send is lost.
    """

    def __init__(self, to_port: int, bytes_of_next: Callable[[], int | None]) -> None:
        self.to_port = to_port
        self.bytes_of_next = bytes_of_next
        self.port = 0
        self.cuts = 0
        self.is_deaf = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """Cut every connection now."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            onward = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:  # the server is down
            writer.transport.abort()
            return
        ends = {writer, onward[1]}
        self._open |= ends
        budget = self.bytes_of_next()
        await asyncio.gather(
            self._listen(reader, onward[1]), self._forward(onward[0], writer, budget)
        )
        self._open -= ends

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what a client sends, until it or the server closes."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if not self.is_deaf:
                    writer.write(data)
                    await writer.drain()
        writer.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None
    ) -> None:
        """Pass on what the server sends, until it closes or the budget is spent; then cut."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data[:budget])
                await writer.drain()
                if budget is not None and (budget := budget - len(data)) <= 0:
                    self.cuts += 1
                    writer.transport.abort()
                    break
        writer.close()
