"""Floods of requests: none keeps the loop for itself, and none fills the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest
from loop_turns import TURN_MS_MAX, longest_turn_ms

CONNECTIONS = 8
POST = b"POST /api/book HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "tiny chunks": CHUNKED + b"1\r\na\r\n" * 160_000,
    "chunks with extensions": CHUNKED + b"1;a=b\r\na\r\n" * 90_000,
    "trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * 150_000,
    "headers without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 150_000,
    "pipelined": b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000,
    "pipelined, bodies": (POST + b"Content-Length: 1\r\n\r\na") * 15_000,
    "pipelined, refused": b"GET /api/candles?limit=x HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000,
}


async def flood(server, said: bytes, patience_s: float) -> bytes:
    """Say something, and read what comes back for a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(said)
    heard = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(patience_s):
            while data := await reader.read(2**20):
                heard += data
    writer.close()
    return heard


@pytest.mark.parametrize("name", FLOODS)
async def test_no_flood_of_requests_keeps_the_loop(serve, join, name):
    server = await serve()
    ann = await join(server, feed="none")
    stop = asyncio.Event()
    meter = asyncio.ensure_future(longest_turn_ms(stop))
    floods = [flood(server, FLOODS[name], 1.0) for _ in range(CONNECTIONS)]
    _, *heard = await asyncio.gather(ann.ask({"op": "ping", "ref": 1}), *floods)
    stop.set()
    assert await meter < TURN_MS_MAX
    assert all(answer.startswith(b"HTTP/1.") for answer in heard)
    assert (await ann.ask({"op": "ping", "ref": 2}))["event"] == "pong"


SECRET = b"s3cr3t-s3cr3t-s3cr3t"
MALFORMED = {
    "version": b"GET /ws?resume=" + SECRET + b" HTTP/9.9\r\nHost: x\r\n\r\n",
    "query": b"GET /ws?resume=" + SECRET + b"\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "header": b"GET / HTTP/1.1\r\nAuthorization: Bearer " + SECRET + b"\0\r\n\r\n",
    "name of a header": b"GET / HTTP/1.1\r\nX\x1b[2J: " + SECRET + b"\r\n\r\n",
    "length": b"GET / HTTP/1.1\r\nX: " + SECRET * 1_000 + b"\r\n\r\n",
    "body": POST + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + SECRET,
    "chunk": CHUNKED + SECRET + b"\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_the_log_neither_repeats_nor_counts_out_what_is_malformed(serve, name, caplog):
    caplog.set_level(logging.INFO)
    server = await serve()
    for _ in range(20):
        assert await flood(server, MALFORMED[name], 5.0)
    assert SECRET.decode() not in caplog.text
    assert "Traceback" not in caplog.text
    assert caplog.text.count("malformed") == 1


async def test_a_handshake_may_be_followed_by_more_than_a_portion(serve):
    """What arrives in one read is handled in order: the handshake, and then frames."""
    server = await serve()
    ping = b'\x81\x8d\0\0\0\0{"op":"ping"}'
    said = (
        b"GET /ws?feed=none HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ) + ping * 2_000  # fmt: skip
    heard = await flood(server, said + b"\x88\x82\0\0\0\0\x03\xe8", 20.0)
    assert heard.count(b'"event":"pong"') == 2_000
    assert heard.endswith(b"\x88\x02\x03\xe8")


async def test_a_large_body_is_read_in_order(serve):
    """A request behind a body of many portions is answered, and no other."""
    server = await serve()
    body = b"x" * 100_000
    said = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    heard = await flood(server, said * 3 + last, 20.0)
    assert heard.count(b"HTTP/1.1 405") == 3
    assert heard.count(b"HTTP/1.1 200") == 1
