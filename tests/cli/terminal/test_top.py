"""``fastbook top`` on a real server: what it prints, and what its keys do."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable

import pytest
from click.testing import CliRunner
from rich.console import Console
from textual.widgets import Static

from fastbook_cli.main import cli
from fastbook_cli.signals import EXIT_CODES
from fastbook_cli.terminal.top import Top, TopOptions, following, print_out
from fastbook_client.market import Market, connect
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

SPECS = tuple(map(InstrumentSpec.parse, ("BTC-USD:0.01:0.0001", "ETH-USD:0.01:0.001")))
PATIENCE_S = 20.0


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = await Server.start(Config(port=0, throttle_ms=0, instruments=SPECS), MemoryStore())
    yield server
    await server.stop()


@pytest.fixture
async def trader(server: Server) -> AsyncIterator[Market]:
    async with connect(server.url) as market:
        for n in range(5):
            await market.limit("ask", 101 + n, 1)
            await market.limit("bid", 99 - n, 1)
        await market.market("bid", 0.5)
        await market.limit("ask", 55.5, 2, security="ETH-USD")
        yield market


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def shown(app: Top) -> str:
    """What stands on the screen."""
    drawn = app.query_one("#market", Static).visual
    console = Console(width=app.size.width, height=app.size.height, force_terminal=True)
    with console.capture() as capture:
        console.print(getattr(drawn, "_renderable", drawn))
    return capture.get()


async def test_once_as_json_says_all_of_it(
    server: Server, trader: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    await print_out(TopOptions(url=server.url, depth=2), once=True, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    state = json.loads(line)
    assert (state["security"], state["bestBid"], state["bestAsk"], state["last"]) == (
        *("BTC-USD", 99.0, 101.0, 101.0),
    )
    assert [row["price"] for row in state["aggOrderBook"]["ask"]] == [101.0, 102.0]
    assert [trade["amount"] for trade in state["trades"]] == [0.5]
    assert state["roundTripMs"]["p50"] > 0


async def test_once_prints_the_screen(
    server: Server, trader: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    await print_out(TopOptions(url=server.url, security="ETH-USD"), once=True, as_json=False)
    text = capsys.readouterr().out
    assert "ETH-USD" in text
    assert "55.50" in text


async def test_keys(server: Server, trader: Market) -> None:
    app = Top(TopOptions(url=server.url))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: "105.00" in shown(app))
        await pilot.press("plus")
        for _ in range(9):
            await pilot.press("minus")
        await until(lambda: "2 rows per side" in shown(app))
        assert "103.00" not in shown(app)
        await pilot.press("0")
        await until(lambda: "105.00" in shown(app))

        await pilot.press("space")
        await until(lambda: "paused" in shown(app))
        await trader.limit("ask", 100.5, 1)
        held = shown(app)
        await pilot.press("space")
        await until(lambda: "100.50" in shown(app))
        assert "100.50" not in held

        await pilot.press("s")
        await until(lambda: "55.50" in shown(app))
        await trader.limit("ask", 55.25, 1, security="ETH-USD")
        await until(lambda: "55.25" in shown(app))
        await pilot.press("s")
        await until(lambda: "100.50" in shown(app))
        await pilot.press("q")
    assert app.failure is None


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", 130)])
async def test_a_key_that_quits_sets_the_exit_code(
    server: Server, trader: Market, key: str, code: int
) -> None:
    app = Top(TopOptions(url=server.url))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: "105.00" in shown(app))
        await pilot.press(key)
    assert (app.return_code, app.failure) == (code, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("screen", [True, False], ids=["screen", "lines"])
async def test_a_signal_ends_it_without_a_word(
    server: Server, trader: Market, screen: bool, number: signal.Signals
) -> None:
    """On a terminal and into a pipe; the terminal is left as it was."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(terminal)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "top", server.url),
        stdin=terminal,
        stdout=terminal if screen else subprocess.PIPE,
        stderr=subprocess.PIPE if not screen else terminal,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    shown = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(controller, lambda: shown.extend(os.read(controller, 65_536)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            if process.stdout is not None:
                shown += await process.stdout.readline()
            await until(lambda: b"99.00" in shown)
            process.send_signal(number)
            _, complaints = await process.communicate()
    finally:
        loop.remove_reader(controller)
        after = termios.tcgetattr(terminal)
        os.close(controller)
        os.close(terminal)
    assert process.returncode == EXIT_CODES[number]
    assert after == before
    assert b"Traceback" not in shown
    assert (complaints or b"").strip() == b""


async def test_lines_say_that_there_is_no_connection(
    server: Server, trader: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    options = TopOptions(url=server.url)
    printing = asyncio.create_task(print_out(options, once=False, as_json=False))
    said = ""

    def says(words: str) -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return words in said

    await until(lambda: says("@ 99.00"))
    await server.stop()
    await until(lambda: says("no connection: "))
    printing.cancel()


async def test_of_several_servers_it_shows_the_one_in_use(server: Server) -> None:
    config = Config(port=0, throttle_ms=0, instruments=SPECS)
    servers = [server, await Server.start(config, MemoryStore())]
    by_url = {each.url: each for each in servers}
    async with following(TopOptions(url=",".join(by_url))) as followed:
        await by_url.pop(followed.watch.url).stop()
        (left,) = by_url
        await until(lambda: followed.watch.url == left)
    await servers[1].stop()


@pytest.mark.parametrize("url", ["", "ftp://x", "http://[::1", "127.0.0.1:99999"])
@pytest.mark.parametrize("option", [[], ["--url"]])
@pytest.mark.parametrize("command", ["top", "connect", "sim", "bench"])
def test_what_is_no_url_is_one_line_and_exit_code_2(
    command: str, option: list[str], url: str
) -> None:
    ran = CliRunner().invoke(cli, [command, *option, url])
    assert ran.exit_code == 2
    assert "expected HOST:PORT, " in ran.output


def test_without_a_server_it_is_one_line_and_exit_code_1() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fastbook_cli", "top", "--once", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("fastbook: nothing listens at 127.0.0.1:1: ")
    assert ran.stderr.count("\n") == 1


async def test_the_last_price_is_that_of_a_fill_not_an_average(
    server: Server, trader: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    await trader.market("bid", 1.5)  # 0.5 at 101, 1 at 102
    await print_out(TopOptions(url=server.url), once=True, as_json=True)
    state = json.loads(capsys.readouterr().out)
    assert state["last"] == 102.0
    assert state["trades"][-1]["price"] == pytest.approx(101.6667, abs=1e-4)
