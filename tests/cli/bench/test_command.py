"""``fastbook bench`` as people start it: reports, exit codes, and no order left behind."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest

from fastbook_server.app import Server
from fastbook_server.values.instruments import InstrumentSpec
from peers import order, until

FASTBOOK = (sys.executable, "-m", "fastbook_cli")
BRIEF = ("--seconds", "0.5", "--warm-up", "0.1")


async def start(url: str, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*FASTBOOK, "bench", "--url", url, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def bench(url: str, *options: str) -> tuple[int, str, str]:
    process = await start(url, *options)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def market(server: Server, security: str = "BTC-USD"):
    return server.pipeline.exchange.markets[security]


async def test_commands_at_a_rate_and_their_waits(serve) -> None:
    server = await serve()
    options = ("--rate", "400", "--connections", "4", "--mix", "place=4,cancel=3,amend=1,take=2")
    code, out, err = await bench(server.url, *BRIEF, *options, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    waits = report["waits"]
    assert set(waits) == {"place", "cancel", "amend", "take", "all"}
    assert sum(waits[k]["count"] for k in waits if k != "all") == waits["all"]["count"]
    assert sum(bar["count"] for bar in report["histogram"]) == waits["all"]["count"]
    assert waits["all"]["p50"] <= waits["all"]["p99"] <= waits["all"]["max"]
    assert report["orders"] > report["trades"] > 0
    assert (report["refused"], report["neverSent"]) == ({}, 0)
    assert (report["rate"], report["connections"], report["security"]) == (400.0, 4, "BTC-USD")


async def test_no_order_is_left_and_those_of_others_stay(serve, join) -> None:
    server = await serve()
    ann = await join(server, feed="none")
    await ann.ask(order("bid", 1, 1, "far below", security="BTC-USD"))
    code, out, _ = await bench(server.url, *BRIEF, "--json", "--mix", "place=1", "--rate", "200")
    assert code == 0
    report = json.loads(out)
    assert report["cancelledAfter"] > 0
    assert len(market(server).open) == 1


async def test_it_trades_around_the_middle_of_the_book(serve, join) -> None:
    server = await serve()
    ann = await join(server, feed="none")
    for side, price in (("bid", 500), ("ask", 502)):
        await ann.ask(order(side, price, 1, side, security="BTC-USD"))
    watcher = await join(server)
    await bench(server.url, *BRIEF, "--mix", "place=1", "--rate", "100", "--connections", "1")
    seen = [level["price"] for level in await prices_of(watcher)]
    assert all(500 <= price <= 502 for price in seen)


async def prices_of(watcher) -> list[dict]:
    """Return the levels of the first book that has more than two."""
    while True:
        frame = await watcher.next()
        book = frame.get("aggOrderBook", {})
        if len(levels := [*book.get("bid", ()), *book.get("ask", ())]) > 2:
            return levels


async def test_as_many_as_are_answered(serve) -> None:
    server = await serve()
    options = ("--rate", "max", "--connections", "2", "--in-flight", "8")
    code, out, err = await bench(server.url, *BRIEF, *options)
    assert (code, err) == (0, "")
    assert "asked            as fast as answered on 2 connections, BTC-USD" in out
    assert "held back" not in out
    assert "wait in ms" in out


async def test_a_rate_beyond_the_bound_of_the_server_is_refused_and_said(serve) -> None:
    server = await serve(commands_per_second_max=50)
    options = ("--rate", "200", "--connections", "1", "--mix", "place=1")
    code, out, _ = await bench(server.url, *BRIEF, *options)
    assert code == 0
    assert "rate_limited" in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it_with_its_report_and_without_its_orders(serve, number, code) -> None:
    server = await serve()
    process = await start(server.url, "--seconds", "3600", "--rate", "300")
    await until(lambda: market(server).seq > 400)
    process.send_signal(number)
    out, err = await process.communicate()
    assert (process.returncode, err) == (code, b"")
    assert b"commands " in out
    assert len(market(server).open) == 0


async def test_a_kill_leaves_no_order_either(serve) -> None:
    server = await serve()
    process = await start(server.url, "--seconds", "3600", "--mix", "place=1")
    await until(lambda: len(market(server).open) > 50)
    process.kill()
    await process.wait()
    await until(lambda: len(market(server).open) == 0)


async def test_a_server_that_goes_ends_it_with_what_was_measured(serve) -> None:
    server = await serve()
    process = await start(server.url, "--seconds", "3600", "--warm-up", "0", "--rate", "300")
    await until(lambda: market(server).seq > 100)
    await server.stop()
    out, err = await process.communicate()
    assert process.returncode == 1
    assert b"commands " in out
    assert err.startswith(f"fastbook: {server.url}: ".encode())
    assert err.count(b"\n") == 1


async def test_a_halted_security_takes_no_orders(serve) -> None:
    server = await serve(InstrumentSpec.build("COIN", "1", "1", "halted"))
    code, out, err = await bench(server.url)
    assert (code, out, err) == (1, "", "fastbook: COIN is halted: it takes no orders\n")


async def test_an_unknown_security_is_named(serve) -> None:
    server = await serve()
    code, out, err = await bench(server.url, "--security", "GOLD")
    assert (code, out) == (1, "")
    assert "expected one of BTC-USD, got 'GOLD'" in err


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--rate", "0"], 2, "'--rate': expected max or a number from 0.1 to 1,000,000, got '0'"),
        (["--rate", "nan"], 2, "'--rate': expected max or a number from 0.1 to 1,000,000"),
        (["--mix", "buy=1"], 2, "'--mix': expected KIND=WEIGHT of place, cancel, amend, take"),
        (["--connections", "0"], 2, "'--connections': expected a whole number from 1 to 10,000"),
        (["--url", "gopher://x"], 2, "'--url': expected HOST:PORT, "),
        (["--seconds", "x"], 2, "'--seconds': expected a number from 0.1 to 86,400, got 'x'"),
        (["--url", "http://127.0.0.1:1"], 1, "nothing listens at 127.0.0.1:1"),
        (["127.0.0.1:1"], 1, "nothing listens at 127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, code, expected) -> None:
    done = subprocess.run(
        [*FASTBOOK, "bench", *options], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
