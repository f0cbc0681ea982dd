"""How many TCP connections there may be, and what each must do to stay."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref

import aiohttp
import pytest
from aiohttp import web

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway import listener as listener_module
from fastbook_server.gateway.http.requests import Requests
from fastbook_server.gateway.listener import (
    KEEP_ALIVE_S,
    REQUEST_S,
    SPARE_CONNECTIONS,
    Listener,
    ListenError,
    check_address,
)
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.store.memory import MemoryStore
from peers import PATIENCE_S, until


@pytest.fixture
def silent():
    """Return sockets that have begun a request and say no more."""
    sockets = []

    def connect(server) -> socket.socket:
        peer = socket.create_connection((server.host, server.port))
        peer.setblocking(False)
        peer.sendall(b"GET /heal")
        sockets.append(peer)
        return peer

    yield connect
    for peer in sockets:
        peer.close()


async def is_cut_off(peer: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(peer, 1) == b""
    except ConnectionResetError:
        return True


async def test_who_sends_no_whole_request_is_cut_off_and_who_did_stays(
    serve, join, silent, patience
):
    server = await serve()
    peer = await join(server)
    await peer.take(2)
    late = silent(server)
    await until(lambda: len(server._listener._runner.server.connections) == 2)
    patience.advance(REQUEST_S + 1)
    assert await is_cut_off(late)  # it came later, so the time of the peer is over, too
    assert await peer.ask({"op": "ping", "ref": 1})


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def listen():
    """Return a function that serves routes; its keywords are the listener's patience in seconds."""
    listeners = []

    async def start(*routes: web.RouteDef) -> tuple[Listener, int]:
        per_address = PerAddress(Proxies(), sessions_max=99, connections_max=99)
        listeners.append(Listener(list(routes), 10, per_address))
        return listeners[-1], await listeners[-1].start("127.0.0.1", 0)

    yield start
    for listener in listeners:
        await listener.stop()


async def whole_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return await reader.readexactly(length)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Return True once the server has closed or cut the connection."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    return True


@pytest.mark.parametrize("second", [b"", b"GET /heal"], ids=["idle", "dribbling"])
@pytest.mark.parametrize("enough", ["KEEP_ALIVE_S", "REQUEST_S"])
async def test_a_connection_that_has_been_answered_must_ask_again(
    serve, monkeypatch, patience, second, enough
):
    """aiohttp and our own deadline would each be enough, for bytes do not prolong either."""
    enough_s = getattr(listener_module, enough)
    for name in {"KEEP_ALIVE_S", "REQUEST_S"} - {enough}:
        monkeypatch.setattr(listener_module, name, 1e6)
    heard, hear = [], Requests.data_received

    def also_heard(self, data: bytes) -> None:
        heard.append(data)
        hear(self, data)

    monkeypatch.setattr(Requests, "data_received", also_heard)
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(3):
        writer.write(GET)
        assert await whole_answer(reader) == b'{"status": "ok"}'
    patience.advance(enough_s - 0.5)
    writer.write(second)
    await until(lambda: b"".join(heard) == 3 * GET + second)
    patience.advance(1.0)
    assert await ended(reader)
    writer.close()


@pytest.mark.parametrize("requests", [1, 2], ids=["first", "second"])
async def test_a_body_must_arrive_in_time_too(listen, patience, requests):
    asked = []

    async def echo(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=await request.read())

    _, port = await listen(web.put("/", echo))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    for _ in range(requests - 1):
        writer.write(head + b"body")
        assert await whole_answer(reader) == b"body"
    writer.write(head + b"bod")
    await until(lambda: len(asked) == requests)
    patience.advance(REQUEST_S + 1)
    assert await ended(reader)
    writer.close()


async def test_a_handler_may_take_its_time(listen, patience):
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        asked.set()
        await may_answer.wait()
        return web.Response(text="done")

    _, port = await listen(web.get("/slow", slow))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asked.wait()
    patience.advance(10 * max(REQUEST_S, KEEP_ALIVE_S))
    may_answer.set()
    assert await whole_answer(reader) == b"done"
    writer.close()


async def test_a_connection_that_is_gone_or_is_to_go_is_forgotten(listen):
    asked, may_answer = asyncio.Queue(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        asked.put_nowait(request.protocol)
        await may_answer.wait()
        return web.Response(text="done")

    listener, port = await listen(web.get("/", slow))
    _, gone = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for each in (gone, writer):
        each.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    protocols = [await asked.get() for _ in range(2)]
    gone.transport.abort()
    await until(lambda: any(p.transport is None for p in protocols))

    stopping = asyncio.ensure_future(listener.stop())
    await until(lambda: listener._stopping)
    may_answer.set()
    assert await whole_answer(reader) == b"done"
    await stopping
    assert listener._deadlines == {}
    writer.close()


async def test_who_does_not_read_an_answer_is_cut_off(listen, patience):
    answered = asyncio.Event()

    async def large(_request: web.Request) -> web.Response:
        answered.set()
        return web.Response(body=b"x" * 2**23)

    listener, port = await listen(web.get("/", large))
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(peer, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await answered.wait()
        (connection,) = listener._runner.server.connections
        await until(lambda: connection.transport.get_write_buffer_size())
        patience.advance(2 * REQUEST_S + 1)
        await until(lambda: not listener._runner.server.connections)


class Unread:
    """A connection, and its transport, of which so many bytes are unsent at each deadline."""

    def __init__(self, *unsent: int) -> None:
        self.transport = self
        self.unsent = list(unsent)
        self.cut = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0)

    def abort(self) -> None:
        self.cut.set()


@pytest.mark.parametrize(
    ("unsent", "left"),
    [((0, 9), [9]), ((300, 200, 0, 9), [9]), ((300, 200, 200, 9), [9]), ((300, 400, 9), [9])],
    ids=["asks for nothing", "has read all", "has stopped", "asks for more, reads nothing"],
)
async def test_who_reads_an_answer_slowly_has_as_long_as_it_goes_on(
    listen, monkeypatch, unsent, left
):
    monkeypatch.setattr(listener_module, "REQUEST_S", 0.001)
    listener, _ = await listen()
    peer = Unread(*unsent)
    listener._expect_request(peer)
    await peer.cut.wait()
    assert (peer.unsent, listener._deadlines) == (left, {})


async def test_silent_connections_are_bounded_with_the_others(serve, silent, monkeypatch):
    monkeypatch.setattr(listener_module, "REQUEST_S", 1e6)  # only the bound cuts off
    server = await serve(sessions_max=1)
    peers = [silent(server) for _ in range(SPARE_CONNECTIONS + 1 + 8)]
    waiting = [asyncio.ensure_future(is_cut_off(peer)) for peer in peers]
    cuts = asyncio.as_completed(waiting)
    assert [await next(cuts) for _ in range(8)] == [True] * 8
    for left in waiting:
        left.cancel()


async def test_an_address_that_cannot_be_had_is_named_before_anything_is_started(serve):
    server = await serve()
    with pytest.raises(ListenError, match=rf"port {server.port} of 127.0.0.1 is taken.*--port 0"):
        await check_address("127.0.0.1", server.port)
    with pytest.raises(ListenError, match=r"cannot listen on 256\.1\.1\.1, port 0"):
        await check_address("256.1.1.1", 0)
    await check_address("127.0.0.1", 0)


async def test_a_server_that_has_stopped_is_forgotten():
    server = await Server.start(Config(port=0), MemoryStore())
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/healthz") as answer:
        assert answer.status == 200
    await server.stop()
    kept = weakref.ref(server.pipeline.exchange)
    del server
    gc.collect()
    assert kept() is None


async def test_what_is_no_http_is_one_line_of_the_log(serve, caplog):
    server = await serve()
    caplog.set_level("INFO", "fastbook_server.gateway.listener")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nBroken header\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()

    (said,) = (r for r in caplog.records if r.name == "fastbook_server.gateway.listener")
    assert (said.levelname, said.exc_info) == ("INFO", None)
    assert "\n" not in said.getMessage()
    assert said.getMessage().endswith("malformed: Invalid header token")
