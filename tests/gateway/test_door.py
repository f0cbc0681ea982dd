"""The door: who may come in, who is gone before that, and how everybody leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct

import aiohttp
import pytest
from aiohttp import web

from fastbook_server.gateway import door, listener
from fastbook_server.gateway.origins import Origins
from fastbook_server.store.memory import MemoryStore
from peers import PATIENCE_S, get, order, until


async def status_of_handshake(raw, server, path: str = "/ws", **headers: str) -> int:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    peer = await raw(server, path, headers=lines)
    return int(peer.head.split()[1])


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://127.0.0.1:{port}", 101),
        ("https://127.0.0.1:{port}", 101),
        ("https://shop.example", 101),
        ("https://shop.example.evil", 403),
        ("http://shop.example", 403),
        ("https://shop.example:444", 403),
        ("http://127.0.0.1", 403),
        ("http://127.0.0.1:{port}.evil", 403),
        ("http://localhost:{port}", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("\xff", 403),
    ],
)
async def test_programs_and_own_pages_are_welcome_foreign_pages_are_not(serve, raw, origin, status):
    server = await serve(allowed_origins=("https://shop.example",))
    headers = {} if origin is None else {"Origin": origin.replace("{port}", str(server.port))}
    assert await status_of_handshake(raw, server, **headers) == status


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1:1", 400), ("localhost:1", 400), ("evil.example:1", 403)]
)
async def test_a_page_is_not_our_own_because_its_name_leads_here(serve, host, status):
    """400: let in, but it is no WebSocket handshake."""
    server = await serve()
    answer, text = await get(server, "/ws", Host=host, Origin=f"http://{host}")
    assert (answer, "origin_refused" in text) == (status, status == 403)


async def test_on_a_network_a_program_that_makes_up_an_origin_is_welcome(serve, monkeypatch):
    """As websocket-client does by default; 400: let in, but it is no WebSocket handshake."""
    server = await serve()
    monkeypatch.setattr(server.gateway.door._admission, "_origins", Origins("0.0.0.0", ()))
    answer, _ = await get(server, "/ws", Host="fastbook:8080", Origin="http://fastbook:8080")
    assert answer == 400


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("security=NOPE", 404, "unknown_security"),
        ("security=", 404, "unknown_security"),
        ("security=coin", 404, "unknown_security"),
        ("feed=all", 400, "bad_request"),
        ("cancelOnDisconnect=yes", 400, "bad_request"),
        ("cancelOnDisconnect=", 400, "bad_request"),
        ("cancelOnDisconnect=0", 400, "bad_request"),
        ("cancelOnDisconnect=86401", 400, "bad_request"),
        ("cancelOnDisconnect=-1", 400, "bad_request"),
        ("cancelOnDisconnect=1.5", 400, "bad_request"),
        ("cancelOnDisconnect=%D9%A3", 400, "bad_request"),
        ("cancelOnDisconnect=99999999999999999999", 400, "bad_request"),
        ("sekurity=COIN", 400, "bad_request"),
        ("security=COIN&security=FINE", 400, "bad_request"),
    ],
)
async def test_a_wrong_query_is_refused_before_the_handshake(serve, query, status, code):
    server = await serve()
    got, text = await get(server, f"/ws?{query}")
    assert (got, code in text, query.partition("=")[0] in text) == (status, True, True)


@pytest.mark.parametrize(
    "query",
    [
        *("feed=NONE", "feed=none&cancelOnDisconnect=TRUE", "feed=none&resume=%FF"),
        *(f"feed=none&cancelOnDisconnect={value}" for value in ("False", 1, 86_400)),
    ],
)
async def test_a_right_query_is_right_in_any_case(serve, join, raw, query):
    server = await serve()
    peer, ann = await raw(server, f"/ws?{query}"), await join(server)
    await ann.ask(order("bid", 10, 1, "1"))
    peer.text({"op": "ping", "ref": "p"})
    assert [(await peer.event())["event"] for _ in range(2)] == ["welcome", "pong"]


async def test_a_wrong_time_until_orders_are_cancelled_is_told_the_right_ones(serve):
    _, text = await get(await serve(), "/ws?cancelOnDisconnect=0")
    assert json.loads(text)["message"] == (
        "cancelOnDisconnect: expected true (at once), 1 to 86400 (seconds) or false, got '0'"
    )


async def test_an_address_that_is_no_text_is_a_bad_request(serve, raw):
    assert await status_of_handshake(raw, await serve(), "/ws?resume=\xff\xfe") == 400


async def test_a_plain_request_to_the_endpoint_is_a_bad_one(serve):
    status, text = await get(await serve(), "/ws")
    assert (status, json.loads(text)["code"]) == (400, "bad_request")
    assert "expected a WebSocket handshake" in text


async def test_sessions_are_bounded_in_all_also_when_they_come_together(serve, join):
    server = await serve(sessions_max=5)
    results = await asyncio.gather(*(join(server) for _ in range(20)), return_exceptions=True)
    refused = [r.status for r in results if isinstance(r, aiohttp.WSServerHandshakeError)]
    assert refused == [503] * 15
    assert await get(server, "/ws") == (
        503,
        '{"code": "overloaded", "message": "sessions_max 5 reached"}',
    )
    await next(r for r in results if not isinstance(r, Exception)).ws.close()
    await until(lambda: len(server.gateway.door._sessions) == 4)
    await join(server)


async def test_sessions_of_one_address_are_bounded(serve, join):
    server = await serve(sessions_per_address_max=2)
    first, _ = await join(server), await join(server)
    assert await get(server, "/ws") == (
        429,
        '{"code": "overloaded", "message": "sessions_per_address_max 2 reached"}',
    )
    await first.ws.close()
    await until(lambda: server.gateway.door._per_address["127.0.0.1"] == 1)
    await join(server)


# ---- peers that are gone -------------------------------------------------------------------------

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING_FRAME = bytes((0x89, 0x80, 0, 0, 0, 0))


def reset_after(port: int, sent: bytes) -> None:
    """Connect, send something, and reset the connection."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.connect(("127.0.0.1", port))
        peer.sendall(sent)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        HANDSHAKE[:50],
        HANDSHAKE,
        HANDSHAKE + PING_FRAME * 1_000,
        HANDSHAKE + b"\xff" * 20,
        HANDSHAKE.replace(b"/ws", b"/ws?security=NOPE"),
        b"GET /api/book HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "half", "whole", "pings", "nonsense", "refused", "plain", "body"],
)
async def test_a_reset_leaves_no_trace_in_the_log(serve, caplog, sent):
    server = await serve()
    for _ in range(20):
        reset_after(server.port, sent)
    assert (await get(server, "/healthz"))[0] == 200  # all of them have come
    await until(lambda: not server._listener._runner.server.connections)
    assert server.gateway.door.session_count == 0
    assert [r for r in caplog.records if r.levelno >= logging.INFO or r.exc_info] == []


async def lost(request: web.Request) -> None:
    """Cut the connection of a request; return when aiohttp has noticed."""
    await cut(request)
    while request.transport is not None:  # noqa: ASYNC110 (nothing announces it)
        await asyncio.sleep(0)


async def cut(request: web.Request) -> None:
    """Cut the connection of a request, and leave it to others to notice."""
    if request.transport is not None:  # aiohttp prepares every response a second time
        request.transport.abort()


@pytest.mark.parametrize(
    ("when", "gone", "lines"),
    [
        ("before", cut, 1),
        ("before", lost, 1),
        ("during", lost, 1),
        ("after", lost, 1),
        ("during", cut, 0),  # nobody has noticed yet: the session does
        ("after", cut, 0),
    ],
)
async def test_who_is_gone_during_the_handshake_is_one_line_of_debugging(
    serve, caplog, monkeypatch, when, gone, lines
):
    prepare, start = web.WebSocketResponse.prepare, web.WebSocketResponse._start

    async def prepared(self, request):
        if when == "before":
            await gone(request)
        writer = await prepare(self, request)
        if when == "after":
            await gone(request)
        return writer

    async def started(self, request):
        writer = await start(self, request)
        if when == "during":
            await gone(request)
        return writer

    server = await serve()
    monkeypatch.setattr(web.WebSocketResponse, "prepare", prepared)
    monkeypatch.setattr(web.WebSocketResponse, "_start", started)
    caplog.set_level("DEBUG", "fastbook_server")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HANDSHAKE)
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    writer.close()
    await until(lambda: not server._listener._runner.server.connections)
    assert [r for r in caplog.records if r.levelno > logging.DEBUG or r.exc_info] == []
    said = [r.getMessage() for r in caplog.records if r.name == door.__name__]
    assert [text.partition(" was gone before the ")[0] for text in said] == ["127.0.0.1"] * lines
    assert (server.gateway.door.session_count, server.gateway.door._per_address) == (0, {})


async def test_nothing_follows_a_handshake_that_fails_at_its_end(serve, raw, monkeypatch):
    monkeypatch.setattr(door.socket, "SO_SNDBUF", 9_999)  # as if the socket were no more
    peer = await raw(await serve())
    assert peer.head.startswith(b"HTTP/1.1 101 ")
    with contextlib.suppress(ConnectionResetError):
        assert await peer.reader.read() == b""


# ---- heartbeats ----------------------------------------------------------------------------------


async def test_an_idle_client_that_answers_pings_stays(serve, raw, monkeypatch):
    monkeypatch.setattr(door, "HEARTBEAT_S", 0.4)
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    for _ in range(3):
        assert await peer.next() == (9, b"")
        peer.frame(10, b"")
    peer.text({"op": "ping", "ref": "1"})
    assert (await peer.event())["event"] == "pong"


async def test_a_client_that_answers_no_ping_is_dropped(serve, raw, monkeypatch):
    monkeypatch.setattr(door, "HEARTBEAT_S", 0.1)
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    assert await peer.next() == (9, b"")
    await until(lambda: server.gateway.door.session_count == 0)
    assert await peer.reader.read() == b""


async def test_a_dead_client_does_not_hold_its_place_by_what_it_was_sent(serve, raw, monkeypatch):
    monkeypatch.setattr(door, "HEARTBEAT_S", 0.1)
    server = await serve(outbox_bytes_max=10**9)
    dead = await raw(server, "/ws?feed=none", rcvbuf=4_096)
    monkeypatch.setattr(listener, "REQUEST_S", 0.1)
    (session,) = server.gateway.door._sessions
    dead.writer.transport.pause_reading()
    for _ in range(30_000):
        dead.frame(9, b"x" * 125)
    await until(lambda: session._transport.get_write_buffer_size() > 0)
    await until(lambda: server.gateway.door.session_count == 0)
    await until(lambda: not server._listener._runner.server.connections)


# ---- the end -------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_answer_a_goodbye_is_cut_off(serve, raw):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    await server.gateway.door.close_all(0.05)
    assert len(server.gateway.door._sessions) == 0
    assert await peer.close_code() == 1001
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            assert await peer.reader.read() == b""


async def test_a_stopping_server_commits_answers_and_closes_with_1001(serve, join):
    store = MemoryStore()
    server = await serve(store)
    ann, idle = await join(server, feed="none"), await join(server, feed="none")
    store.hold()
    await ann.send(order("bid", 10, 1, "1"))
    await until(lambda: server.pipeline.uncommitted_commands == 1)
    stopping = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    assert (await get(server, "/readyz"))[0] == 503
    assert (await get(server, "/ws"))[0] == 503
    await idle.send(order("bid", 10, 1, "2"))
    refused = await idle.next()
    store.release()
    reply = await ann.next()
    closes = [await peer.close_code() for peer in (ann, idle)]
    assert (refused["code"], reply["status"], closes) == ("unavailable", "open", [1001, 1001])
    assert await stopping
    assert len(store.data.open_orders) == 1


async def test_a_close_is_said_once(serve, join, raw):
    server = await serve()
    ann = await raw(server, "/ws?feed=none")
    welcome = await ann.event()
    await join(server, resume=welcome["resumeToken"])
    assert await ann.close_code() == 4001
    ann.frame(8, (4001).to_bytes(2, "big"))
    assert await ann.reader.read() == b""
