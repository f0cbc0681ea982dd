"""Who may hold a TCP connection open before a word has been said."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref

import aiohttp
import pytest

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway import listener as listener_module
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, ListenError, check_address
from fastbook_server.store.memory import MemoryStore


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
    serve, join, silent, monkeypatch
):
    monkeypatch.setattr(listener_module, "FIRST_REQUEST_S", 0.2)
    server = await serve()
    peer = await join(server)
    await peer.take(2)
    late = silent(server)
    assert await is_cut_off(late)  # it came after the peer, so the peer's time is over, too
    assert await peer.ask({"op": "ping", "ref": 1})


async def test_silent_connections_are_bounded_with_the_others(serve, silent, monkeypatch):
    monkeypatch.setattr(listener_module, "FIRST_REQUEST_S", 1e6)  # only the bound cuts off
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
    assert "Broken header" in said.getMessage()
