"""RFC 6455, where aiohttp's WebSocket alone would fall short of it."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.gateway._frames import FRAGMENTS_MAX
from fastbook_server.gateway.http.requests import Requests
from peers import PATIENCE_S, order

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
BYE = b"\x03\xe8"
PING_UNMASKED = b"\x89\x00"


async def end_of(peer) -> bytes:
    """Return the payload of the server's close frame, which nothing follows."""
    while True:
        opcode, payload = await peer.next()
        if opcode == CLOSE:
            break
    async with asyncio.timeout(PATIENCE_S):
        assert await peer.reader.read() == b""
    return payload


def code(number: int) -> bytes:
    return number.to_bytes(2, "big")


# ---- closing (5.5.1, 7.4) ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4999])
async def test_a_close_is_answered_with_its_own_code(serve, raw, number):
    peer = await raw(await serve())
    peer.frame(CLOSE, code(number) + "é".encode())
    assert await end_of(peer) == code(number)


async def test_a_close_without_a_code_is_answered_without_one(serve, raw):
    peer = await raw(await serve())
    peer.frame(CLOSE, b"")
    assert await end_of(peer) == b""


@pytest.mark.parametrize("number", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535])
async def test_a_code_that_no_frame_may_carry_is_a_protocol_error(serve, raw, number):
    peer = await raw(await serve())
    peer.frame(CLOSE, code(number))
    assert (await end_of(peer))[:2] == code(1002)


@pytest.mark.parametrize(
    ("payload", "answer"), [(b"\x03", 1002), (BYE + b"\xff", 1007), (BYE + b"\xed\xa0\x80", 1007)]
)
async def test_a_close_of_the_wrong_form_is_named(serve, raw, payload, answer):
    peer = await raw(await serve())
    peer.frame(CLOSE, payload)
    assert (await end_of(peer))[:2] == code(answer)


async def test_what_was_asked_before_the_close_is_answered_before_it(serve, raw):
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    peer.text({"op": "ping", "ref": 1})
    peer.frame(CLOSE, code(3000))
    assert (await peer.event())["ref"] == 1
    assert await end_of(peer) == code(3000)


async def test_nothing_follows_a_close_frame(serve, join, raw):
    """Also not when it is the parser that closed, while books and trades go on for the others."""
    server = await serve()
    ann, peer = await join(server, feed="none"), await raw(server)
    peer.frame(3, b"")
    while (await peer.next())[0] != CLOSE:
        pass
    for n in range(5):
        await ann.ask(order("bid", 10 + n, 1, str(n)))
    peer.frame(CLOSE, (1000).to_bytes(2, "big"))
    async with asyncio.timeout(PATIENCE_S):
        assert await peer.reader.read() == b""


async def test_fragments_and_pings_between_them_are_one_frame(serve, raw):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.frame(TEXT, b'{"op":"pi', fin=False)
    peer.frame(PING, b"there?")
    peer.frame(0, b'ng","ref"', fin=False)
    peer.frame(0, b':"1"}')
    assert await peer.next() == (PONG, b"there?")
    assert (await peer.event())["ref"] == "1"


async def test_fragments_that_are_too_large_together_close(serve, raw):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    peer.frame(TEXT, b"x" * 40_000, fin=False)
    peer.frame(0, b"x" * 40_000)
    assert await peer.close_code() == 1009


# ---- masking (5.1) -------------------------------------------------------------------------------


async def test_an_unmasked_frame_is_refused_and_those_before_it_are_answered(serve, raw):
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    peer.frame(PING, b"first")
    peer.writer.write(PING_UNMASKED)
    peer.frame(PING, b"never read")
    assert await peer.next() == (PONG, b"first")
    said = b"expected a masked frame, got an unmasked one"
    assert await end_of(peer) == code(1002) + said


async def test_an_unmasked_frame_right_behind_the_handshake_is_refused(serve):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /ws?feed=none HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        + PING_UNMASKED
    )
    async with asyncio.timeout(PATIENCE_S):
        said = await reader.read()
    writer.close()
    assert b"\x88\x2e" + code(1002) + b"expected a masked" in said


@pytest.mark.parametrize("length", [0, 125, 126, 65_535])
@pytest.mark.parametrize("piece", [1, 2, 3, 5])
async def test_frames_in_pieces_are_followed_to_their_ends(serve, raw, length, piece):
    """Then the first unmasked one is found, wherever the pieces were cut."""
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    frames: list[bytes] = []
    peer.writer, writer = Recorder(frames), peer.writer
    payload = b'{"op":"ping","ref":1}'
    peer.text(payload + b" " * max(length - len(payload), 0) if length else payload)
    peer.frame(PING, b"x")
    peer.writer = writer
    data = b"".join(frames) + PING_UNMASKED
    head = min(len(data), 40)
    for start in range(0, head, piece):
        writer.write(data[start : min(start + piece, head)])
        await asyncio.sleep(0)
    writer.write(data[head:])
    got = [(await peer.next())[0] for _ in range(2)]
    assert (sorted(got), await end_of(peer)) == (
        [TEXT, PONG],
        code(1002) + b"expected a masked frame, got an unmasked one",
    )


class Recorder:
    """Keeps what a peer would have written."""

    def __init__(self, frames: list[bytes]) -> None:
        self.write = frames.append


# ---- fragments (5.4) -----------------------------------------------------------------------------


async def test_a_new_message_within_a_message_is_a_protocol_error(serve, raw):
    peer = await raw(await serve(), "/ws?feed=none")
    peer.frame(TEXT, b"", fin=False)
    peer.text({"op": "ping"})
    said = b"expected a continuation, got a new message"
    assert await end_of(peer) == code(1002) + said


async def test_a_message_has_a_bounded_number_of_fragments(serve, raw):
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    for number in range(2):
        peer.frame(TEXT, b'{"op":"ping"', fin=False)
        for _ in range(FRAGMENTS_MAX - 2):
            peer.frame(CONTINUATION, b"", fin=False)
        peer.frame(CONTINUATION, b',"ref":%d}' % number)
    assert [(await peer.event())["ref"] for _ in range(2)] == [0, 1]
    peer.frame(TEXT, b"", fin=False)
    for _ in range(FRAGMENTS_MAX):
        peer.frame(CONTINUATION, b"", fin=False)
    said = b"expected a message of at most 256 frames, got more"
    assert await end_of(peer) == code(1008) + said


# ---- beside aiohttp ------------------------------------------------------------------------------


async def test_after_the_handshake_nothing_passes_through_aiohttps_parser_of_requests(
    serve, raw, monkeypatch
):
    parsed: list[bytes] = []
    parse = Requests.data_received

    def parses(self, data):
        parsed.append(data)
        parse(self, data)

    monkeypatch.setattr(Requests, "data_received", parses)
    peer = await raw(await serve())
    peer.frame(PING, b"here")
    while (await peer.next()) != (PONG, b"here"):
        pass
    assert [data.partition(b" ")[0] for data in parsed] == [b"GET"]
