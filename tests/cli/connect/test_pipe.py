"""``fastbook connect`` in a pipe: what it sends, what it prints, and when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

import pytest

from fastbook_cli.connect import Awaited
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

TOKEN = "a token of 20 signs!"
"""Of the server; the prompt's tests have one that wants none."""
BID = '{"op":"add"%s,"order":{"type":"bid","execType":"limit","price":9,"amount":%d}}'


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = await Server.start(Config(port=0, token=TOKEN), MemoryStore())
    yield running
    await running.stop()


async def connected(
    server: Server, text: str, url: str | None = None
) -> tuple[int | None, list[str], str]:
    """Give a text to ``fastbook connect``; return its exit code, the replies and its stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "connect", url or server.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"FASTBOOK_TOKEN": TOKEN},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(text.encode())
    frames = [json.loads(line) for line in out.splitlines()]
    public = ("welcome", "aggOrderBook", "trades", "depth", "fills")
    return (
        process.returncode,
        [f["event"] for f in frames if f["event"] not in public],
        err.decode(),
    )


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        ([], []),
        (['{"op":"orders"}'], ["orders"]),
        (['{"op":"ping","ref":1}', "", '{"op":"ping"}'], ["pong", "pong"]),
        ([BID % ("", 1), BID % (',"ref":"b"', 2), '{"op":"deleteAll"}'],
         ["order", "order", "deletedAll"]),
        ([f"[{BID % ('', 1)},{BID % ('', 0)}]", '{"op":"fills"}'], ["order", "order", "ownFills"]),
        (['{"nonsense', '{"op":"nope"}', "[]"], ["error"] * 3),
        (['{"op":"cancelAfter","ms":0}', '{"op":"order","ref":7,"id":"x"}'],
         ["cancelAfterSet", "order"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "\n"])
async def test_at_the_end_of_its_input_it_ends_with_the_last_reply(
    server: Server, lines: list[str], events: list[str], end: str
) -> None:
    code, told, err = await connected(server, "\n".join(lines) + end)
    assert (code, err) == (0, "")
    assert sorted(told[: len(events)]) == sorted(events)


def frame(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_only_replies_count_as_replies() -> None:
    awaited = Awaited()
    for line in ('{"op":"add","ref":"1"}', '{"op":"delete"}', '{"op":"orders","ref":2}'):
        awaited.sent(line.encode())
    for other in (
        frame(event="order", status="filled", lastPrice=1.0),
        frame(event="order", ref="x"),
        frame(event="fill", fillId=1),
        frame(event="orders", ref=2, more=True),
        frame(event="trades", seq=3),
    ):
        awaited.came(other)
    assert len(awaited) == 3
    for n, reply in enumerate(
        (frame(event="error", ref="1"), frame(event="order"), frame(event="orders", ref=2))
    ):
        awaited.came(reply)
        assert len(awaited) == 2 - n


async def test_words_are_commands_and_pictures_stand_between_the_frames(server: Server) -> None:
    text = "sell 2 101\nbuy 1 99.5\nbook 5\nposition\ncancel 2\nquit\nping"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "connect", server.url, "--no-feed"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"FASTBOOK_TOKEN": TOKEN},
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(text.encode())
    lines = out.decode().splitlines()
    frames = [json.loads(line) for line in lines if line.startswith("{")]
    told = [(f["event"], f.get("status"), f.get("order", {}).get("price")) for f in frames[1:]]
    assert (process.returncode, told) == (
        0,
        [("order", "open", 101.0), ("order", "open", 99.5), ("order", "cancelled", 99.5)],
    )
    picture = [line.split()[:2] for line in lines if not line.startswith("{")]
    book = [["101.00", "2.0000"], ["1.50", "spread"], ["99.50", "1.0000"]]
    assert picture == [*book, ["no", "position"]]


async def test_a_word_that_is_not_understood_is_said_and_the_rest_is_done(server: Server) -> None:
    code, told, err = await connected(server, "buy much\nping\n")
    assert (code, told, err) == (1, ["pong"], "fastbook: expected an amount, got 'much'\n")


async def test_of_several_servers_it_talks_to_one_that_is_there(server: Server) -> None:
    for _ in range(2):
        done = await connected(server, '{"op":"orders"}', f"127.0.0.1:1,{server.url}")
        assert done == (0, ["orders"], "")
