"""Clients over real sockets: one for ordinary use, one that can write and withhold every byte."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

PATIENCE_S = 20.0
Frame = dict[str, Any]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until what others do has come about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def get(server: Any, path: str, **headers: str) -> tuple[int, str]:
    """Return the status and the text of a plain request's answer."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path, headers=headers) as got:
        return got.status, await got.text()


class Web:
    """A client of ``/api`` of one server."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, Any]:
        """Return status, answer and headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}/api/{path}"
        async with self.http.request(method, url, headers=named) as got:
            body = await got.read()
            return got.status, msgspec.json.decode(body) if body else None, got.headers

    async def get(self, path: str) -> Any:
        """Return a good answer."""
        status, answer, headers = await self.ask(path)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        return answer


class Closed(Exception):
    """The server ended the connection."""


class Peer:
    """A connected client. ``frames`` are those that nobody has taken yet."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.welcome: Frame = {}
        self._syncs = itertools.count(1)

    @classmethod
    async def greeted(cls, ws: aiohttp.ClientWebSocketResponse) -> Peer:
        """Return a peer that has got its welcome."""
        peer = cls(ws)
        peer.welcome = await peer.next()
        return peer

    @property
    def user_id(self) -> str:
        """The user id of the welcome."""
        return self.welcome["userId"]

    @property
    def token(self) -> str:
        """The resume token of the welcome."""
        return self.welcome["resumeToken"]

    async def send(self, command: Any) -> None:
        """Send a command; a text or bytes go as they are."""
        if isinstance(command, bytes):
            await self.ws.send_bytes(command)
        elif isinstance(command, str):
            await self.ws.send_str(command)
        else:
            await self.ws.send_str(msgspec.json.encode(command).decode())

    async def next(self) -> Frame:
        """Return the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(self.ws.close_code)
        return msgspec.json.decode(message.data)

    async def take(self, count: int) -> list[Frame]:
        """Return the next `count` frames."""
        return [await self.next() for _ in range(count)]

    async def sync(self) -> list[Frame]:
        """Return all frames of what happened until now.

        A command's reply leaves in order, but before the trades and the book of its own batch: so
        the first round may share a batch with what was sent before, and the second one cannot.
        """
        frames = []
        for _ in range(2):
            ref = f"sync-{next(self._syncs)}"
            await self.send({"op": "orders", "ref": ref})
            while (frame := await self.next()).get("ref") != ref or frame.get("more"):
                if frame.get("ref") != ref:
                    frames.append(frame)
        return frames

    async def ask(self, command: Frame) -> Frame:
        """Send a command; return its reply, and drop what else has come."""
        await self.send(command)
        while (frame := await self.next()).get("ref") != command["ref"]:
            pass
        return frame

    async def close_code(self) -> int | None:
        """Read to the end; return the code of the server's close."""
        try:
            while True:
                await self.next()
        except Closed:
            return self.ws.close_code


class RawPeer:
    """A socket after the handshake; frames are built and read by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self.close_with: int | None = None

    @classmethod
    async def open(
        cls, port: int, path: str, *, headers: str = "", rcvbuf: int | None = None
    ) -> RawPeer:
        """Connect and shake hands; ``head`` is the server's answer."""
        sock = socket.socket()
        sock.setblocking(False)
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2**20)
        peer = cls(reader, writer)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{headers}\r\n".encode("latin-1")
        )
        async with asyncio.timeout(PATIENCE_S):
            peer.head = await reader.readuntil(b"\r\n\r\n")
        return peer

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0) -> None:
        """Write one masked frame."""
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65_536:
            size = bytes([0x80 | 126]) + length.to_bytes(2, "big")
        else:
            size = bytes([0x80 | 127]) + length.to_bytes(8, "big")
        mask = os.urandom(4)
        keys = (mask * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")
        first = bytes([fin << 7 | rsv << 4 | opcode])
        self.writer.write(first + size + mask + masked.to_bytes(length, "big"))

    def text(self, command: Any) -> None:
        """Write one whole text frame."""
        self.frame(1, command if isinstance(command, bytes) else msgspec.json.encode(command))

    async def next(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            first, length = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "servers send whole, uncompressed frames"
            if length >= 126:
                size = 2 if length == 126 else 8
                length = int.from_bytes(await self.reader.readexactly(size), "big")
            return first & 0x0F, await self.reader.readexactly(length)

    async def event(self) -> Frame:
        """Return the next text frame, decoded."""
        opcode, payload = await self.next()
        if opcode == 8:
            self.close_with = int.from_bytes(payload[:2], "big")
            raise Closed(self.close_with)
        assert opcode == 1, (opcode, payload)
        return msgspec.json.decode(payload)

    async def reply(self, ref: str) -> Frame:
        """Return the reply to a command, and drop what comes before."""
        while (frame := await self.event()).get("ref") != ref:
            pass
        return frame

    async def close_code(self) -> int:
        """Read to the server's close frame; return its code."""
        try:
            while True:
                await self.event()
        except Closed as closed:
            return closed.args[0]


def order(type_: str, price: float | None, amount: float, ref: str | None = None, **more: Any):
    """Return an ``add`` as a client writes it; no price: a market order."""
    new = {"type": type_, "execType": "limit" if price is not None else "market", "amount": amount}
    if price is not None:
        new["price"] = price
    return {"op": "add", "ref": ref, "order": new | more}
