"""Rows about the Binance dialect: what a bot's order costs beside one of the native socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import random
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import uvloop

from benchmarks.server.processes import LoadError, Server, bare, cpu_s, fastbook, running
from benchmarks.server.row import LIVE, Figure, Measure, Open, Size, in_turns, side
from benchmarks.server.venue import ACCOUNT, SYMBOL

CONNECTIONS = 64
READERS = 1_000
LEVELS = 10
"""So many levels change at a time."""
SIDE_PRICES = 5_000
_TERMS = f"symbol={SYMBOL}&type=LIMIT&timeInForce=GTC&quantity=1.5"
_SECRET = ACCOUNT.secret.encode()
_TEXT, _LONG, _LONGER, _MASKED = 0x81, 126, 127, 0x80
_KEY = base64.b64encode(bytes(16)).decode()


class Line(asyncio.Protocol):
    """A connection to a server, until it is closed."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where requests go to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, error: Exception | None) -> None:
        """Let its loop be closed; `error` is the server's, or that of an answer nobody expected."""
        self._error = error
        self._lost.set()

    def check(self) -> None:
        """Do nothing as long as it is open.

        Raises:
            LoadError: it has been closed.
        """
        if self._lost.is_set():
            raise LoadError(f"a connection has ended: {self._error!r}")

    def write(self, data: bytes) -> None:
        """Write to the server."""
        assert self._transport is not None, "it is connected"
        self._transport.write(data)

    async def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()


def end(loop: asyncio.AbstractEventLoop, lines: Iterable[Line]) -> None:
    """Close connections, and then their loop: uvloop's waits for ever for those that are left."""

    async def closed() -> None:
        for line in lines:
            await line.close()

    loop.run_until_complete(closed())
    loop.close()


class Bot(Line, ABC):
    """One connection that places orders and cancels them again, one request at a time.

    Its orders never meet: as in the native load, half of the commands cancel.
    """

    def __init__(self, number: int, live: int) -> None:
        super().__init__()
        self.answered = 0
        self.until = 0.0
        self.idle = asyncio.Event()
        self._chance = random.Random(number)
        self._live = live
        self._open: list[int] = []
        self._received = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Let nobody wait for it any more."""
        super().connection_lost(error)
        self.idle.set()

    def data_received(self, data: bytes) -> None:
        """Take answers; each is followed by the next request."""
        self._received += data
        while (body := self._taken()) is not None:
            self.answered += 1
            self._note(body)
            self.ask()

    def ask(self) -> None:
        """Send the next request, unless the time is over."""
        if time.perf_counter() >= self.until:
            self.idle.set()
            return
        lacking = (self._live - len(self._open)) / self._live
        self.write(
            self._command(cancels=bool(self._open) and self._chance.random() > 0.5 + lacking)
        )

    def _price(self) -> tuple[str, str]:
        """Return a side and a price that nobody meets."""
        steps = self._chance.randrange(1, SIDE_PRICES)
        if self._chance.random() < 0.5:
            return "SELL", f"{(10_000 + steps) / 100:.2f}"
        return "BUY", f"{(10_000 - steps) / 100:.2f}"

    def _gone(self) -> int:
        return self._open.pop(self._chance.randrange(len(self._open)))

    def _note(self, body: bytes) -> None:
        answer = self._result(json.loads(body))
        if answer["status"] == "NEW":
            self._open.append(answer["orderId"])

    @abstractmethod
    def _command(self, *, cancels: bool) -> bytes: ...

    @abstractmethod
    def _taken(self) -> bytes | None:
        """Return the next whole answer, if it is there."""

    @abstractmethod
    def _result(self, answer: dict[str, Any]) -> dict[str, Any]: ...


class RestBot(Bot):
    """Signs each request over HTTP."""

    def _command(self, *, cancels: bool) -> bytes:
        now = f"timestamp={int(time.time() * 1_000)}"
        if cancels:
            method, query = "DELETE", f"symbol={SYMBOL}&orderId={self._gone()}&{now}"
        else:
            side_, price = self._price()
            method, query = "POST", f"{_TERMS}&side={side_}&price={price}&{now}"
        signature = hmac.new(_SECRET, query.encode(), hashlib.sha256).hexdigest()
        return (
            f"{method} /binance/api/v3/order?{query}&signature={signature} HTTP/1.1\r\n"
            f"Host: 127.0.0.1\r\nX-MBX-APIKEY: {ACCOUNT.key}\r\nContent-Length: 0\r\n\r\n"
        ).encode()

    def _taken(self) -> bytes | None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return None
        self._received = rest[length:]
        return rest[:length]

    def _result(self, answer: dict[str, Any]) -> dict[str, Any]:
        assert "code" not in answer, answer
        return answer


class SocketBot(Bot):
    """Logs on once, and then asks on its socket."""

    upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the socket and log on."""
        super().connection_made(transport)
        self.write(upgrade("/binance/ws-api/v3?returnRateLimits=false"))
        given = {"timestamp": int(time.time() * 1_000)}
        self._log_on = self._request("session.logon", signed(given))

    def _command(self, *, cancels: bool) -> bytes:
        now_ms = int(time.time() * 1_000)
        if cancels:
            given = {"symbol": SYMBOL, "orderId": self._gone(), "timestamp": now_ms}
            return self._request("order.cancel", given)
        side_, price = self._price()
        terms = {"symbol": SYMBOL, "type": "LIMIT", "timeInForce": "GTC", "quantity": "1.5"}
        placed = terms | {"side": side_, "price": price, "timestamp": now_ms}
        return self._request("order.place", placed)

    def _request(self, method: str, params: dict[str, object]) -> bytes:
        text = json.dumps({"id": self.answered, "method": method, "params": params})
        return frame(text.encode())

    def _taken(self) -> bytes | None:
        """Return the next whole answer; once the socket is open, log on."""
        if not self.upgraded:
            _, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return None
            self.upgraded, self._received = True, rest
            self.write(self._log_on)
        body, self._received = unframed(self._received)
        return body

    def _result(self, answer: dict[str, Any]) -> dict[str, Any]:
        assert answer["status"] == 200, answer
        result: dict[str, Any] = answer["result"]
        return {"status": ""} | result


class SigningBot(SocketBot):
    """Signs each request on its socket, as most clients do."""

    def _request(self, method: str, params: dict[str, object]) -> bytes:
        return super()._request(method, params if "signature" in params else signed(params))


def signed(params: dict[str, object]) -> dict[str, object]:
    """Return the parameters of a request on a socket, with their signature."""
    given = params | {"apiKey": ACCOUNT.key}
    payload = "&".join(f"{k}={v}" for k, v in sorted(given.items())).encode()
    return given | {"signature": hmac.new(_SECRET, payload, hashlib.sha256).hexdigest()}


def upgrade(path: str) -> bytes:
    """Return the request that opens a socket."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n"
    ).encode()


def frame(text: bytes) -> bytes:
    """Return a client's frame, with a mask of zeros."""
    size = len(text)
    if size < _LONG:
        return bytes((_TEXT, _MASKED | size)) + bytes(4) + text
    return bytes((_TEXT, _MASKED | _LONG)) + struct.pack(">H", size) + bytes(4) + text


def unframed(data: bytes) -> tuple[bytes | None, bytes]:
    """Return the body of a server's first frame, None unless it is whole, and what follows."""
    if len(data) < 2:
        return None, data
    size, start = data[1], 2
    if size == _LONG:
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size == _LONGER:
        size, start = int.from_bytes(data[2:10], "big"), 10
    if len(data) < start + size or start > len(data):
        return None, data
    return data[start : start + size], data[start + size :]


class Bots:
    """Bots on connections that stay, in a loop of their own."""

    def __init__(self, server: Server, kind: Callable[[int, int], Bot], size: Size) -> None:
        self._server = server
        self._loop = uvloop.new_event_loop()
        self._bots = [kind(n, size.of(LIVE)) for n in range(size.of(CONNECTIONS))]
        self._loop.run_until_complete(self._connect())

    def measured(self, seconds: float) -> Figure:
        """Return the CPU of the server per request, in a closed loop."""
        before, own, starved = self._server.cpu_s, cpu_s(os.getpid()), self._server.starved_s
        count, took = self._loop.run_until_complete(self._trade(seconds))
        spent_us = (self._server.cpu_s - before) / count * 1e6
        busy = (cpu_s(os.getpid()) - own) / took
        return Figure(spent_us, spent_us, busy, (self._server.starved_s - starved) / took)

    def close(self) -> None:
        """End all connections."""
        end(self._loop, self._bots)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for bot in self._bots:
            await loop.create_connection(lambda bot=bot: bot, "127.0.0.1", self._server.port)
            if isinstance(bot, SocketBot):  # until it has logged on
                await bot.idle.wait()
                bot.check()

    async def _trade(self, seconds: float) -> tuple[int, float]:
        began = time.perf_counter()
        before = sum(bot.answered for bot in self._bots)
        for bot in self._bots:
            bot.until = began + seconds
            bot.idle.clear()
            bot.ask()
        await asyncio.gather(*(bot.idle.wait() for bot in self._bots))
        for bot in self._bots:
            bot.check()
        return sum(bot.answered for bot in self._bots) - before, time.perf_counter() - began


def beside_native(kind: Callable[[int, int], Bot]) -> Open:
    """Return what measures the CPU of a bot's request beside that of a native command."""

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            bots = Bots(stack.enter_context(running("benchmarks.server.venue")), kind, size)
            stack.callback(bots.close)
            native = side(stack, fastbook())
            native.connect(size.of(CONNECTIONS))
            native.trade(size.of(LIVE))
            bots.measured(size.seconds)  # its book fills
            native.load.ask(f"run {size.seconds / 2} 1")
            ours = partial(bots.measured, size.seconds)
            yield in_turns(ours, partial(native.cpu, f"run {size.seconds} 1"))

    return opened


class Reader(Line):
    """A connection that keeps the last that it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()
        self.last = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Let nobody wait for it any more."""
        super().connection_lost(error)
        self.told.set()

    def data_received(self, data: bytes) -> None:
        """Take what the server sends."""
        self.last = data
        self.told.set()


class Fan:
    """Readers of one stream, and a native trader who makes it tell something."""

    def __init__(self, server: Server, path: str, count: int, orders: int) -> None:
        self._server = server
        self._orders = orders  # that make it tell one thing
        self._loop = uvloop.new_event_loop()
        self._readers = [Reader() for _ in range(count)]
        self._trader = Reader()
        self._prices = itertools.cycle(range(100, 1_000))
        self._loop.run_until_complete(self._connect(path))
        self.event = ""
        self.measured(1)

    def measured(self, times: int) -> Figure:
        """Return the CPU of the server per delivery of a frame, what it tells of included."""
        before, own = self._server.cpu_s, cpu_s(os.getpid())
        began, starved = time.perf_counter(), self._server.starved_s
        for _ in range(times):
            self._loop.run_until_complete(self._tell())
        took = time.perf_counter() - began
        spent_us = (self._server.cpu_s - before) / (times * len(self._readers)) * 1e6
        busy, starved = (cpu_s(os.getpid()) - own) / took, self._server.starved_s - starved
        return Figure(spent_us, spent_us, busy, starved / took)

    async def _connect(self, path: str) -> None:
        """Open all sockets."""
        loop = asyncio.get_running_loop()
        paths = [(self._trader, "/ws?feed=none"), *((reader, path) for reader in self._readers)]
        for reader, wanted in paths:
            made = partial(_same, reader)
            await loop.create_connection(made, "127.0.0.1", self._server.port)
            reader.write(upgrade(wanted))
            await reader.told.wait()
            reader.check()

    async def _tell(self) -> None:
        """Change some levels of the book, and wait until all readers know."""
        for reader in self._readers:
            reader.told.clear()
        orders = [
            '{"op":"add","order":{"type":"bid","execType":"limit","price":%s,"amount":1.5}}'
            % (next(self._prices) / 100)
            for _ in range(self._orders)
        ]
        self._trader.write(frame(f"[{','.join(orders)}]".encode()))
        for reader in self._readers:
            await reader.told.wait()
            reader.check()
        self.event = (unframed(self._readers[0].last)[0] or b"").decode()

    def close(self) -> None:
        """End all connections."""
        end(self._loop, (self._trader, *self._readers))


def _same(reader: Reader) -> Reader:
    return reader


@contextmanager
def one_difference(size: Size) -> Iterator[Measure]:
    """Measure the CPU per delivery of a difference of the book, the orders included."""
    with ExitStack() as stack:
        count, times = size.of(READERS), max(2, int(size.seconds * 5))
        server = stack.enter_context(running("benchmarks.server.venue"))
        path = f"/binance/ws/{SYMBOL.lower()}@depth@100ms"
        ours = Fan(server, path, count, LEVELS)
        stack.callback(ours.close)
        assert len(json.loads(ours.event)["b"]) == LEVELS, "one difference tells of all orders"
        # The bare server writes the event once for each bid that it is sent.
        base = Fan(stack.enter_context(bare("fan", ours.event)), "/ws", count, 1)
        stack.callback(base.close)
        yield in_turns(partial(ours.measured, times), partial(base.measured, times))
