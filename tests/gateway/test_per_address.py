"""However many connections one address opens, the others find a place."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from fastbook_server import metrics
from fastbook_server.gateway.listener import SPARE_CONNECTIONS
from fastbook_server.gateway.per_address import SPARE_FOR_OTHERS, SPARE_PER_ADDRESS
from peers import RawPeer, get, until


def connect(server, address: str) -> socket.socket:
    """Open a connection from an address of the loopback network, and say nothing."""
    peer = socket.socket()
    peer.bind((address, 0))
    peer.connect(("127.0.0.1", server.port))
    return peer


async def is_answered(server, address: str) -> bool:
    """Return whether a request from an address is answered."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, local_addr=(address, 0)
    )
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        with contextlib.suppress(ConnectionError):
            return b" 200 " in await reader.read()
        return False
    finally:
        writer.close()


async def test_a_stranger_with_all_connections_locks_nobody_out_and_is_told_of(serve, caplog):
    """Silent connections are no sessions, and took every place that there is."""
    server = await serve(sessions_max=20, sessions_per_address_max=5)
    refused = metrics.CONNECTIONS_REFUSED.labels("connections_per_address_max")
    before = refused._value.get()
    peers = [connect(server, "127.0.0.2") for _ in range(20 + SPARE_CONNECTIONS)]
    over = len(peers) - 5 - SPARE_PER_ADDRESS
    await until(lambda: refused._value.get() == before + over)
    assert await is_answered(server, "127.0.0.1")
    assert not await is_answered(server, "127.0.0.2")
    said = [
        r.getMessage() for r in caplog.records if "connections_per_address_max" in r.msg % r.args
    ]
    assert said == ["127.0.0.2 was cut off: connections_per_address_max 21 reached"]
    for peer in peers:
        peer.close()
    await until(lambda: not server._listener._per_address._counts.get("127.0.0.2"))
    assert await is_answered(server, "127.0.0.2")


async def test_no_address_may_have_all_sessions_even_without_a_bound_of_its_own(serve):
    server = await serve(sessions_max=20)
    asks = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    asks += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    peers, answers = [], []
    for _ in range(20):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
        )
        writer.write(asks)
        answers.append((await reader.readline()).split()[1])
        peers.append(writer)
    assert answers == [b"101"] * 18 + [b"429"] * 2
    stranger = await RawPeer.open(server.port, "/ws")
    assert (await stranger.event())["event"] == "welcome"
    for peer in (*peers, stranger.writer):
        peer.close()


async def test_no_address_may_have_all_places_even_if_its_sessions_might(serve):
    server = await serve(sessions_max=20, sessions_per_address_max=20_000)
    peers = [connect(server, "127.0.0.2") for _ in range(20 + SPARE_CONNECTIONS)]
    bound = 20 + SPARE_CONNECTIONS - SPARE_FOR_OTHERS
    await until(lambda: server._listener._per_address._counts["127.0.0.2"] == bound)
    assert await is_answered(server, "127.0.0.1")
    for peer in peers:
        peer.close()


async def test_a_trusted_proxy_may_bring_any_number(serve):
    server = await serve(
        sessions_max=20, sessions_per_address_max=1, trusted_proxies=("127.0.0.2",)
    )
    peers = [connect(server, "127.0.0.2") for _ in range(SPARE_PER_ADDRESS + 10)]
    assert await is_answered(server, "127.0.0.2")
    for peer in peers:
        peer.close()


async def test_refused_sessions_are_counted_and_logged_once(serve, caplog):
    server = await serve(sessions_per_address_max=1)
    refused = metrics.CONNECTIONS_REFUSED.labels("sessions_per_address_max")
    before = refused._value.get()
    peer = await RawPeer.open(server.port, "/ws")
    for _ in range(5):
        assert (await get(server, "/ws"))[0] == 429
    assert refused._value.get() == before + 5
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said == ["session of 127.0.0.1 refused: sessions_per_address_max 1 reached"]
    peer.writer.close()


async def test_the_bound_of_all_connections_is_logged_too(serve, caplog):
    server = await serve(sessions_max=1, sessions_per_address_max=1)
    addresses = [f"127.0.0.{n}" for n in range(2, 8)]
    peers = [connect(server, a) for a in addresses for _ in range(SPARE_PER_ADDRESS)]
    await until(lambda: any("connections_max 65 reached" in r.getMessage() for r in caplog.records))
    for peer in peers:
        peer.close()
