"""What every answer has in common, whoever gives it."""

from __future__ import annotations

import asyncio
import json

import pytest

from fastbook_server import metrics
from peers import RawPeer

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


async def exchange(server, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the answer to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
    has_body = not request.startswith(b"HEAD")
    body = await reader.readexactly(int(headers.get("content-length", 0)) * has_body)
    writer.close()
    return int(head[0].split()[1]), headers, body


def ask(method: str, path: str, **headers: str) -> bytes:
    named = {"Host": "x"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


REFUSED = {
    "no such path": (404, ask("GET", "/nowhere")),
    "no such file": (404, ask("GET", "/web/nothing")),
    "no such method of a page": (405, ask("POST", "/")),
    "no such method of nothing": (405, ask("DELETE", "/nowhere")),
    "no such method of the socket": (405, ask("PUT", "/ws")),
    "no such method of documents": (405, ask("POST", "/docs")),
    "no such method of /api": (405, ask("POST", "/api/book")),
    "an expectation": (417, ask("GET", "/", Expect="the Spanish Inquisition")),
    "an expectation of /api": (417, ask("GET", "/api/book", Expect="200-maybe")),
    "no HTTP": (400, b"GET / HTTP/1.1\r\nBroken header\r\n\r\n"),
    "no version": (400, b"HELLO\r\n\r\n"),
    "a plain request to the socket": (400, ask("GET", "/ws")),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_every_refusal_has_one_shape_and_quiet_headers(serve, name):
    status, request = REFUSED[name]
    got, headers, body = await exchange(await serve(), request)
    assert (got, headers["content-type"].partition(";")[0]) == (status, "application/json")
    assert {"code", "message"} <= json.loads(body).keys()
    assert headers["server"] == "fastbook"
    assert headers["x-content-type-options"] == "nosniff"
    if status == 405:
        assert "GET" in headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/version",
        "/docs",
        "/docs/openapi.json",
        "/api/book",
    ],
)
async def test_good_answers_tell_no_versions_either(serve, path):
    status, headers, _ = await exchange(await serve(), ask("GET", path))
    assert (status, headers["server"]) == (200, "fastbook")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("version", ["12", "8", "7", "14", "", "13x"])
async def test_another_version_of_websocket_is_told_ours(serve, version):
    given = HANDSHAKE | {"Sec-WebSocket-Version": version}
    status, headers, body = await exchange(await serve(), ask("GET", "/ws", **given))
    assert (status, headers["sec-websocket-version"]) == (426, "13")
    assert json.loads(body)["message"].startswith("Sec-WebSocket-Version: expected 13, got ")


@pytest.mark.parametrize("key", ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "!" * 24])
async def test_a_key_that_is_none_is_a_bad_request(serve, key):
    given = HANDSHAKE | {"Sec-WebSocket-Key": key}
    status, _, body = await exchange(await serve(), ask("GET", "/ws", **given))
    assert (status, json.loads(body)["code"]) == (400, "bad_request")


async def test_only_get_opens_a_socket(serve):
    status, _, _ = await exchange(await serve(), ask("HEAD", "/ws", **HANDSHAKE))
    assert status == 400


async def test_a_good_handshake_is_quiet_too(serve, raw):
    peer = await raw(await serve())
    assert b"\r\nServer: fastbook\r\n" in peer.head


def counted(counter) -> float:
    return counter._value.get()


async def test_foreign_subprotocols_are_counted_and_logged_once(serve, caplog):
    server = await serve()
    before = counted(metrics.FOREIGN_SUBPROTOCOLS)
    for _ in range(20):
        peer = await RawPeer.open(
            server.port, "/ws", headers="Sec-WebSocket-Protocol: chat, mqtt\r\n"
        )
        assert peer.head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol" not in peer.head.lower()
        peer.writer.close()
    assert counted(metrics.FOREIGN_SUBPROTOCOLS) == before + 20
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said == [
        "clients offer subprotocols that are not ours, such as 'chat, mqtt': none is agreed on"
    ]


async def test_what_is_no_http_does_not_fill_the_log(serve, caplog):
    server = await serve()
    caplog.set_level("INFO", "fastbook_server")
    before = counted(metrics.MALFORMED_REQUESTS)
    for _ in range(20):
        await exchange(server, b"GET / HTTP/1.1\r\nBroken header\r\n\r\n")
    assert counted(metrics.MALFORMED_REQUESTS) == before + 20
    assert len([r for r in caplog.records if "Error handling" in r.getMessage()]) == 1


@pytest.mark.parametrize(
    "offered",
    [
        "token.{}",
        "resume.{}",
        "chat, token.{}",
        "bearer, {}",
        "access_token, {}",
        "base64url.bearer.authorization.k8s.io.{}",
    ],
)
async def test_no_token_among_subprotocols_comes_into_the_log(serve, raw, caplog, offered):
    """A client that forgets to offer ours beside it is told nothing of it, nor is anybody else."""
    caplog.set_level("DEBUG")
    secret = "s3cr3ts3cr3ts3cr3ts3cr3t"
    server = await serve()
    headers = f"Sec-WebSocket-Protocol: {offered.format(secret)}\r\n"
    peer = await raw(server, headers=headers)
    assert (await peer.event())["event"] == "welcome"
    assert "none is agreed on" in caplog.text
    assert "s3cr3t" not in caplog.text


GOOD = b"\r\n".join(f"{name}: {value}".encode() for name, value in HANDSHAKE.items())
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    ("version", "headers", "said"),
    [
        (b"1.0", GOOD, "expected a WebSocket handshake"),
        (b"1.1", GOOD + b"\r\n" + KEY, "Sec-WebSocket-Key: expected once"),
        (b"1.1", GOOD + b"\r\nSec-WebSocket-Version: 8", "Sec-WebSocket-Version: expected once"),
        (
            b"1.1",
            GOOD.replace(b": websocket", b": h2c, websocket"),
            "Upgrade: expected websocket alone",
        ),
    ],
    ids=["version of HTTP", "keys", "versions", "upgrades"],
)
async def test_a_handshake_is_one_by_the_letter(serve, version, headers, said):
    """RFC 6455, 4.2.1 and 11.3."""
    request = b"GET /ws HTTP/" + version + b"\r\nHost: x\r\n" + headers + b"\r\n\r\n"
    status, _, body = await exchange(await serve(), request)
    assert (status, json.loads(body)["message"].partition(",")[0]) == (400, said)
