"""``fastbook sim`` as people start it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

TOKEN = "a token of 20 signs!"
"""Of the server; test_live has one that wants none."""
FASTBOOK = (sys.executable, "-m", "fastbook_cli")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_it_trades_until_a_signal_and_cancels_its_orders(serve, number, code) -> None:
    server = await serve(token=TOKEN)
    process = await asyncio.create_subprocess_exec(
        *(*FASTBOOK, "sim", "--url", server.url, "--rate", "500", "--noise", "2"),
        env=os.environ | {"FASTBOOK_TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = await process.stdout.readline()
    assert (
        first
        == b"trading BTC-USD at 500 commands/s, volatility 3 % a day; Ctrl-C cancels the orders\n"
    )
    market = server.pipeline.exchange.markets["BTC-USD"]
    while market.seq < 200:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    process.send_signal(number)
    last = await process.stdout.read()
    assert await process.wait() == code
    assert last.startswith(b"stopped after ")
    assert await process.stderr.read() == b""
    assert len(market.open) == 0


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--rate", "0"], 2, "'--rate': expected a number from 0.1 to 2,000, got '0'"),
        (["--volatility", "101"], 2, "expected a number from 0.1 to 100, got '101'"),
        (["--volatility", "nan"], 2, "expected a number from 0.1 to 100, got 'nan'"),
        (["--makers", "0"], 2, "'--makers': expected a whole number from 1 to 50, got '0'"),
        (["--speed", "x"], 2, "'--speed': expected a number from 0.01 to 100, got 'x'"),
        (["--url", "gopher://x"], 2, "'--url': expected HOST:PORT, "),
        (["--url", "http://127.0.0.1:1"], 1, "nothing listens at 127.0.0.1:1"),
        (["127.0.0.1:1"], 1, "nothing listens at 127.0.0.1:1"),
        (["ws://127.0.0.1:1/ws"], 1, "nothing listens at 127.0.0.1:1"),
        (["127.0.0.1:1", "--url", "x:2"], 2, "expected one server, got '127.0.0.1:1' and --url"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, code, expected) -> None:
    done = subprocess.run(
        [*FASTBOOK, "sim", *options], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


async def test_a_security_that_is_not_traded_is_one_line_and_exit_code_1(serve) -> None:
    server = await serve()
    process = await asyncio.create_subprocess_exec(
        *(*FASTBOOK, "sim", "--url", server.url, "--security", "GAME"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err == b"fastbook: security: expected one of BTC-USD, got 'GAME'\n"
