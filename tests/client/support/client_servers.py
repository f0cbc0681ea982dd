"""Servers that clients are tested against: the real one, a scripted one, and a bad line."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from over_a_log import start_server

from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.words import RESUME_SUBPROTOCOL

SECURITY = "BTC-USD"
PATIENCE_S = 60.0
Json = dict[str, Any]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.001)


def asked(request: web.Request) -> Json:
    """Return what a connection asks for: its query, and the token that it offers to resume."""
    found = dict(request.query)
    for offer in request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(","):
        if offer.startswith(RESUME_SUBPROTOCOL):
            found["resume"] = offer.removeprefix(RESUME_SUBPROTOCOL)
    return found


@asynccontextmanager
async def small_server(
    database: MemoryDatabase | None = None,
    instruments: str = f"{SECURITY}:0.1:1e-8",
    store: MemoryStore | None = None,
    **more: Any,
) -> AsyncIterator[str]:
    """Serve on a free port with a store in memory; yields ``http://HOST:PORT``."""
    specs = tuple(map(InstrumentSpec.parse, instruments.split()))
    config = Config(**{"port": 0, "instruments": specs} | more)
    server = await start_server(config, store or MemoryStore(database or MemoryDatabase()))
    try:
        yield server.url
    finally:
        await server.stop()


class Line:
    """A TCP relay that cuts itself at random points of what the server sends.

    It cuts WebSockets ``cuts_max`` times, and other requests at most that often.
    """

    def __init__(self, url: str, seed: int = 0, bytes_mean: float = 1.0) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self.cuts = 0
        self.http_cuts = 0
        self.cuts_max = 0
        self.deaf = False
        """Whether what the client sends is lost on the way; ``swallowed`` counts the bytes."""
        self.mute = False
        """Whether what the server sends is lost."""
        self.swallowed = 0
        self.websockets = 0
        """How many WebSockets have been requested through it."""
        self.target = url
        self._target = (host, int(port))
        self._random = random.Random(seed)
        self._bytes_mean = bytes_mean
        self._ends: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Relay on a free port; yields the URL."""
        relay = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{relay.sockets[0].getsockname()[1]}"
        finally:
            relay.close()
            self.cut()

    def cut(self) -> None:
        """Cut every open connection."""
        for end in self._ends:
            end.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there_writer}
        self._ends |= ends
        upgraded: list[bool] = []
        ways = (
            asyncio.create_task(self._copy_there(reader, there_writer, upgraded)),
            asyncio.create_task(self._copy_back(there_reader, writer, upgraded)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copy_there(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, upgraded: list[bool]
    ) -> None:
        """Relay what a client sends; record in `upgraded` when it requests a WebSocket."""
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                if not upgraded and b"upgrade: websocket" in data.lower():
                    upgraded.append(True)
                    self.websockets += 1
                if self.deaf:
                    self.swallowed += len(data)
                    continue
                sink.write(data)
                await sink.drain()

    def _may_cut(self, is_websocket: bool) -> bool:
        if is_websocket:
            self.cuts += (may := self.cuts < self.cuts_max)
        else:
            self.http_cuts += (may := self.http_cuts < self.cuts_max)
        return may

    async def _copy_back(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, upgraded: list[bool]
    ) -> None:
        left = int(self._random.expovariate(1 / self._bytes_mean))
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                if len(data) > left and self._may_cut(bool(upgraded)):
                    sink.write(data[: self._random.randrange(len(data) + 1)])
                    await sink.drain()
                    return
                left -= len(data)
                if self.mute:
                    continue
                sink.write(data)
                await sink.drain()


def welcome(**other: Any) -> Json:
    """Return a ``welcome`` frame."""
    instruments = [
        {"security": name, "tickSize": 0.5, "lotSize": 0.25, "status": "open"}
        for name in (SECURITY, "COIN")
    ]
    return {
        "event": "welcome",
        "userId": "user#me",
        "resumeToken": "token",
        "security": SECURITY,
        "instruments": instruments,
        "throttleMs": 100,
        "protocol": 2,
        "epoch": 1,
        "time": 0,
    } | other


def trade(seq: int, time: int | None = None) -> Json:
    """Return a trade as on the wire."""
    return {
        "id": f"trade-{seq}",
        "seq": seq,
        "userId": "user#other",
        "security": SECURITY,
        "type": "bid",
        "time": 1_000 + seq if time is None else time,
        "price": 10.0,
        "amount": 1.0,
        "total": 10.0,
    }


def trades(prev_seq: int | None, *seqs: int, seq: int | None = None) -> Json:
    """Return a ``trades`` frame of the trades with these numbers."""
    return {
        "event": "trades",
        "security": SECURITY,
        "seq": seq if seq is not None else seqs[-1] if seqs else 0,
        "prevSeq": prev_seq,
        "trades": [trade(number) for number in seqs],
    }


def depth(seq: int, prev_seq: int | None, ask: dict[float, float], bid: dict[float, float]) -> Json:
    """Return a ``depth`` frame."""
    return {
        "event": "depth",
        "security": SECURITY,
        "seq": seq,
        "prevSeq": prev_seq,
        "time": seq,
        "ask": [{"price": p, "amount": a} for p, a in ask.items()],
        "bid": [{"price": p, "amount": a} for p, a in bid.items()],
    }


def order(client_order_id: str, **other: Any) -> Json:
    """Return an order as on the wire."""
    return {
        "id": f"id-of-{client_order_id}",
        "time": 1,
        "userId": "user#me",
        "security": SECURITY,
        "type": "bid",
        "execType": "limit",
        "price": 10.0,
        "amount": 1.0,
        "filled": 0.0,
        "remaining": 1.0,
        "avgPrice": None,
        "clientOrderId": client_order_id,
    } | other


class Peer:
    """One connection of the scripted server; ``got`` lists the commands received."""

    def __init__(self, ws: web.WebSocketResponse, query: Json) -> None:
        self.ws = ws
        self.query = query
        self.got: list[Json] = []

    async def say(self, *frames: Json | str) -> None:
        """Send frames; a string is sent unchanged."""
        for frame in frames:
            text = frame if isinstance(frame, str) else msgspec.json.encode(frame).decode()
            await self.ws.send_str(text)

    async def command(self, op: str) -> Json:
        """Wait until the last command is of this kind; return it."""
        await until(lambda: any(c["op"] == op for c in self.got))
        return next(c for c in reversed(self.got) if c["op"] == op)

    def cut(self) -> None:
        """Close the connection without a close frame."""
        assert self.ws._req is not None
        transport = self.ws._req.transport
        assert transport is not None
        transport.abort()


Answer = Callable[[Peer, Json], Awaitable[bool]]


class ScriptedServer:
    """A server that sends what the test wants; ``opening`` goes to every new connection.

    It answers commands like an empty market, except those in ``mute``; ``orders`` lists ``listed``.
    """

    def __init__(self) -> None:
        self.opening: list[Json] = [welcome()]
        self.peers: list[Peer] = []
        self.pages: list[Json | int] = []  # answers of /api/trades, or a status
        self.asked: list[Json] = []
        self.listed: list[Json] = []
        self.mute: set[str] = set()
        self.refuse: tuple[int, Json] | None = None

    async def peer(self, number: int) -> Peer:
        """Wait for the connection with this number, from 0; return it."""
        await until(lambda: len(self.peers) > number)
        return self.peers[number]

    async def on_ws(self, request: web.Request) -> web.StreamResponse:
        if self.refuse is not None:
            return web.json_response(self.refuse[1], status=self.refuse[0])
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        peer = Peer(ws, asked(request))
        await peer.say(*self.opening)
        self.peers.append(peer)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            command = msgspec.json.decode(message.data)
            peer.got.append(command)
            if command["op"] not in self.mute:
                await self._answer(peer, command)
        return ws

    async def _answer(self, peer: Peer, command: Json) -> None:
        ref = {"ref": command["ref"]}
        match command["op"]:
            case "orders":
                await peer.say({"event": "orders", "orders": self.listed} | ref)
            case "fills":
                page = {"security": command["security"], "fills": [], "more": False}
                await peer.say({"event": "ownFills"} | page | ref)
            case "ping":
                await peer.say({"event": "pong", "time": 7} | ref)
            case "subscribe" | "unsubscribe":
                about = {"channel": command.get("channel", "book"), "security": SECURITY}
                about["security"] = command["security"]
                await peer.say({"event": f"{command['op']}d"} | ref | about)
            case "add":
                placed = order(command["order"]["clientOrderId"])
                await peer.say({"event": "order", "status": "open", "order": placed} | ref)

    async def on_trades(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        page = self.pages.pop(0) if self.pages else 404
        if isinstance(page, int):
            body = {"code": "unavailable", "message": f"status {page}"}
            return web.json_response(body, status=page)
        return web.json_response(page)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[tuple[str, ScriptedServer]]:
    """Serve on a free port; yields the URL and the server."""
    server = ScriptedServer()
    app = web.Application()
    app.add_routes(
        [web.get("/ws", server.on_ws), web.get("/api/trades", server.on_trades)],
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        await runner.cleanup()
