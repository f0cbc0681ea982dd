"""A connection leaves nothing to Python's collector of circles, which stops everybody.

It looks at all that is alive. So a stranger who connects again and again could make it look at
every order as often as he likes, and meanwhile what he has sent would stay in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator

import pytest

from peers import RawPeer, until

ROUNDS = 5
SERVERS = ("fastbook_server", "aiohttp.web_request", "aiohttp.web_protocol", "aiohttp._websocket")
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ENDED = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
SAID = {
    "a close": HANDSHAKE + b"\x88\x82\0\0\0\0\x03\xe8",
    "many closes": HANDSHAKE + b"\x88\x82\0\0\0\0\x03\xe8" * 2_000,
    "binary frames": HANDSHAKE + b"\x82\x80\0\0\0\0" * 2_000,
    "an unmasked frame": HANDSHAKE + b"\x81\x01a",
    "a reserved bit": HANDSHAKE + b"\xc1\x80\0\0\0\0",
    "half a frame": HANDSHAKE + b"\x81\xfe\x10\0\0\0\0\0half",
    "a page": b"GET /" + ENDED + b"\r\n",
    "no such path": b"GET /nowhere" + ENDED + b"\r\n",
    "no such method": b"POST /" + ENDED + b"\r\n",
    "no handshake": b"GET /ws" + ENDED + b"\r\n",
    "no such parameter": b"GET /api/book?x=1" + ENDED + b"\r\n",
    "no HTTP": b"HELLO\r\n\r\n",
    "headers without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 15_000,
    "a body that is none": b"POST /api/book" + ENDED + b"Content-Encoding: gzip\r\n"
    b"Content-Length: 3\r\n\r\nabc",
    "chunks that are none": b"POST /api/book" + ENDED + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "nothing": b"",
}


async def visit(server, said: bytes) -> None:
    """Connect, say something, listen for a moment, and cut the line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(said)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.05):
            while await reader.read(2**20):
                pass
    writer.transport.abort()
    await until(lambda: not server.gateway.door.session_count)
    await asyncio.sleep(0.02)  # a request has no such sign of its end


@contextlib.contextmanager
def circles() -> Iterator[set[str]]:
    """What of a server's is left in circles; known once the block has ended."""
    left: set[str] = set()
    gc.collect()
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = map(type, gc.garbage)
        left |= {kind.__qualname__ for kind in kinds if kind.__module__.startswith(SERVERS)}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("name", SAID)
async def test_a_visit_leaves_no_circle(serve, name):
    server = await serve()
    await visit(server, SAID[name])
    with circles() as left:
        for _ in range(ROUNDS):
            await visit(server, SAID[name])
    assert left == set()


async def test_a_trader_who_leaves_leaves_no_circle(serve):
    server = await serve()
    add = b'{"op":"add","ref":"1","order":{"type":"bid","execType":"limit","price":10,"amount":1}}'
    with circles() as left:
        for _ in range(ROUNDS):
            peer = await RawPeer.open(server.port, "/ws?cancelOnDisconnect=true")
            for said in (add, b'{"op":"fills","ref":"2"}', b'{"op":"orders","ref":"3"}'):
                peer.text(said)
            await peer.reply("3")
            peer.writer.transport.abort()
            await until(lambda: not server.gateway.door.session_count)
            await asyncio.sleep(0.01)
    assert left == set()
