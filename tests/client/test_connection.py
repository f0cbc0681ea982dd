"""The low-level connection: client frames as a strict server reads them, and every ending."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from client_servers import SECURITY, scripted_server, small_server

from fastbook_client import connect, connection
from fastbook_client.connection import dial, masked_text
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError, ConnectionClosed, Refused


def unmasked(frame: bytes) -> bytes:
    """Return the payload of a masked frame, decoded byte by byte as RFC 6455 specifies."""
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    length, start = frame[1] & 0x7F, 2
    if length == 126:
        length, start = int.from_bytes(frame[2:4], "big"), 4
        assert length > 125
    elif length == 127:
        length, start = int.from_bytes(frame[2:10], "big"), 10
        assert length > 65_535
    key, payload = frame[start : start + 4], frame[start + 4 :]
    assert len(payload) == length
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001])
def test_a_masked_frame_carries_its_payload(length: int) -> None:
    payload = bytes(i * 7 % 256 for i in range(length))
    assert unmasked(masked_text(payload)) == payload


def test_masks_differ() -> None:
    assert len({masked_text(b"the same payload") for _ in range(100)}) == 100


async def test_many_commands_in_one_write_are_answered_one_by_one() -> None:
    commands = [json.dumps({"op": "ping", "ref": n}).encode() for n in range(500)]
    async with small_server() as url, dial(url, security=SECURITY, feed=False) as client:
        client.send_many(commands)
        await client.send({"op": "ping", "ref": "last"})
        assert [(await client.receive())["ref"] for _ in range(501)] == [*range(500), "last"]


async def test_frames_are_bytes_also_beside_an_aiohttp_that_decodes_them(monkeypatch) -> None:
    monkeypatch.setattr(connection, "_AS_BYTES", {})  # as before 3.14
    async with small_server() as url, dial(url, security=SECURITY, feed=False) as client:
        assert client.welcome.user_id == client.user_id
        await client.send({"op": "ping", "ref": "é"})
        assert json.loads(await client.receive_bytes())["ref"] == "é"
        assert isinstance(client.opened_by, bytes)


@pytest.mark.parametrize(
    ("given", "said"),
    [(False, None), (True, "true"), (1, "1"), (86_400, "86400")],
)
async def test_when_to_cancel_orders_is_said_in_the_query(
    given: bool | int, said: str | None
) -> None:
    async with (
        scripted_server() as (url, server),
        dial(url, cancel_on_disconnect=given),
    ):
        assert (await server.peer(0)).query.get("cancelOnDisconnect") == said


@pytest.mark.parametrize("given", [0, -1, 86_401])
async def test_a_wrong_time_to_cancel_orders_is_refused_at_once(given: int) -> None:
    with pytest.raises(
        ValueError, match=r"True \(at once\), False \(never\) or 1 to 86400 seconds"
    ):
        connect("127.0.0.1:1", cancel_on_disconnect=given)
    with pytest.raises(ValueError, match=f"got {given}"):
        async with dial("127.0.0.1:1", cancel_on_disconnect=given):
            pass


async def test_the_end_of_a_connection_is_told_by_receive() -> None:
    async with (
        small_server() as url,
        dial(url, feed=False) as first,
        dial(url, feed=False, resume=first.resume_token) as second,
    ):
        assert second.user_id == first.user_id
        with pytest.raises(ConnectionClosed) as caught:
            await first.receive()
        assert caught.value.code == 4001
        first.send_many([b"{}"])
        with pytest.raises(ConnectionClosed):
            await first.receive()


async def test_a_server_that_hangs_up_before_its_first_word() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ConnectError, ConnectionClosed)):
            async with dial(f"ws://127.0.0.1:{port}/ws"):
                pass


async def test_what_the_server_refuses_is_said_in_its_own_words() -> None:
    async with small_server() as url:
        with pytest.raises(Refused, match="expected one of BTC-USD, got 'GAME'") as caught:
            async with dial(url, security="GAME"):
                pass
    assert (caught.value.status, caught.value.code) == (404, "unknown_security")
    with pytest.raises(ConnectError):
        async with dial("127.0.0.1:1"):
            pass


async def test_a_server_of_another_kind() -> None:
    async with scripted_server() as (url, server):
        server.opening = [{"hello": "world"}]
        with pytest.raises(ConnectError, match="not a fastbook server"):
            async with dial(url):
                pass


@pytest.mark.parametrize(
    ("url", "ws", "http"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws", "http://127.0.0.1:8080"),
        ("ws://[::1]:80/ws", "ws://[::1]:80/ws", "http://[::1]:80"),
        ("localhost:8080", "ws://localhost:8080/ws", "http://localhost:8080"),
        ("localhost", "ws://localhost:8080/ws", "http://localhost:8080"),
        (" ws://localhost:8080\n", "ws://localhost:8080/ws", "http://localhost:8080"),
        ("HTTP://localhost:8080/ws/", "ws://localhost:8080/ws", "http://localhost:8080"),
        ("https://x.org/venue/", "wss://x.org/venue/ws", "https://x.org/venue"),
    ],
)
def test_the_ways_to_write_down_where_a_server_is(url: str, ws: str, http: str) -> None:
    assert Endpoint.parse(url) == (ws, http)


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://x/ws?feed=none", "http://[::1", "x:99999", "x:y"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT, "):
        Endpoint.parse(url)


async def test_why_a_connection_failed_is_said_without_the_words_of_libraries() -> None:
    refused = "nothing listens at 127.0.0.1:1"
    for url, said in (("127.0.0.1:1", refused), ("no-such-host.invalid:1", "no-such-host.invalid")):
        with pytest.raises(ConnectError) as failed:
            async with dial(url):
                pass
        assert said in str(failed.value)
        assert "ssl" not in str(failed.value)
        assert "Errno" not in str(failed.value)


async def test_a_page_is_not_a_door() -> None:
    async with plain_server() as url:
        with pytest.raises(ConnectError, match="answered HTTP 200, where a WebSocket was expected"):
            async with dial(url):
                pass


async def test_tls_where_there_is_none() -> None:
    async with plain_server() as url:
        with pytest.raises(ConnectError, match="does not speak TLS: use http:// or ws://"):
            async with dial(url.replace("http://", "https://")):
                pass


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def plain_server() -> AsyncIterator[str]:
    """A web server that is no exchange."""
    app = web.Application()
    app.router.add_get("/{path:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()
