"""Floods of every kind of frame: each costs its sender, and none keeps the loop for itself."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from fakes import FakeClock
from loop_turns import TURN_MS_MAX, longest_turn_ms

from fastbook_server.gateway._frames import FRAGMENTS_MAX, TAKEN_PER_TURN
from peers import get, until

MASK = b"\0\0\0\0"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame as a client sends it."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 65_536:
        size = b"\xfe" + length.to_bytes(2, "big")
    else:
        size = b"\xff" + length.to_bytes(8, "big")
    return bytes([fin << 7 | opcode]) + size + MASK + payload


def fragments(count: int) -> bytes:
    """Return an empty message in so many frames."""
    return frame(1, fin=False) + frame(0, fin=False) * (count - 2) + frame(0)


FLOODS = {
    "pings": frame(9) * 40_000,
    "pongs": frame(10, b"x" * 125) * 5_000,
    "fragments": fragments(FRAGMENTS_MAX) * 150,
    "two fragments": (frame(1, b'{"op":', fin=False) + frame(0, b'"ping"}')) * 8_000,
    "fragments and pings": (frame(1, fin=False) + frame(9) * 250 + frame(0)) * 150,
    "endless fragments": frame(1, fin=False) + frame(0, fin=False) * 40_000,
    "empty texts": frame(1) * 40_000,
    "no commands": frame(1, b"no") * 30_000,
    "commands": frame(1, b'{"op":"ping"}') * 10_000,
    "large frames": frame(1, b"[" + b"1," * 30_000 + b"1]") * 4,
    "arrays": frame(1, b"[" + b",".join([b'{"op":"delete","id":"x"}'] * 100) + b"]") * 300,
    "deep frames": frame(1, b"[" * 60_000) * 4,
    "binary frames": frame(2) * 40_000,
    "closes": frame(8, b"\x03\xe8") * 30_000,
}


@pytest.mark.parametrize("name", FLOODS)
async def test_no_flood_keeps_the_loop_and_who_floods_pays(serve, join, raw, name):
    server = await serve(commands_per_second_max=2_000, refusals_per_second_max=100)
    ann = await join(server, feed="none")
    eve = await raw(server, "/ws?feed=none")
    stop = asyncio.Event()
    meter = asyncio.ensure_future(longest_turn_ms(stop))
    eve.writer.write(FLOODS[name])  # the kernel takes most of it at once
    await ann.ask({"op": "ping", "ref": 1})
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        if name not in ("large frames", "deep frames"):  # few frames, however long
            while (told := await eve.next())[0] != 8:
                pass
            assert int.from_bytes(told[1][:2], "big") in (1000, 1003, 1008, 4029)
    stop.set()
    assert await meter < TURN_MS_MAX
    assert (await ann.ask({"op": "ping", "ref": 2}))["event"] == "pong"


async def test_each_fragment_costs_a_command(serve, raw):
    server = await serve(commands_per_second_max=10, refusals_per_second_max=10**6)
    server.gateway.door._clock = FakeClock()
    peer = await raw(server, "/ws?feed=none")
    peer.writer.write(frame(1, b'{"op":', fin=False))
    for _ in range(8):
        peer.writer.write(frame(0, fin=False))
    peer.writer.write(frame(0, b'"orders","ref":"1"}'))
    assert "code" not in await peer.reply("1")
    peer.writer.write(frame(1, b'{"op":"orders","ref":"2"}'))
    assert (await peer.reply("2"))["code"] == "rate_limited"


async def test_what_is_held_comes_before_the_end(serve, raw):
    """More frames than a turn takes, of every kind, and the end of the stream right behind them."""
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    count = 5 * TAKEN_PER_TURN
    add = b'{"op":"add","ref":%d,"order":{"type":"bid","execType":"limit","price":10,"amount":1}}'
    for n in range(count):
        peer.text(add % n)
        if n % 7 == 0:
            peer.frame(9, b"")
    peer.writer.write_eof()
    await until(lambda: server.gateway.door.session_count == 0)
    await server.pipeline.stored()
    _, book = await get(server, "/api/book")
    assert json.loads(book)["aggOrderBook"]["bid"] == [
        {"price": 10.0, "amount": float(count), "total": 10.0 * count}
    ]
