"""``fastbook demo`` as people start it: a process, its lines, its market, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marked import marked, new_mark

from fastbook_cli.demo import run as demo
from fastbook_cli.errors import OutputGoneError
from fastbook_cli.sim.settings import SimSettings
from fastbook_client.connection import Connection, dial
from fastbook_client.errors import ConnectError
from fastbook_client.market import connect
from fastbook_server.config import Config

# They start a PostgreSQL each, and what they wait for comes sooner if they do not compete.
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(120)]

FASTBOOK = (sys.executable, "-m", "fastbook_cli")
QUICK = ("--port", "0", "--rate", "300", "--noise", "4", "--past", "1")


class Demo:
    """A demo in a process group of its own, as a shell would start it."""

    def __init__(self, data_dir: Path, *options: str, stdout: int = subprocess.PIPE) -> None:
        self.mark = new_mark()
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [*FASTBOOK, "demo", "--data-dir", str(data_dir), *QUICK, *options],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            env={**os.environ, "TERM": "xterm", **self.mark},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def url(self) -> str:
        """Wait until it is ready; returns its WebSocket endpoint."""
        match = re.fullmatch(r"ready http://(\S+)\n", self.line())
        assert match is not None, self.process.stderr
        return f"ws://{match[1]}/ws"

    def end(self, number: signal.Signals) -> int:
        """Signal the whole group, as a terminal does; returns the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def processes(self) -> list[int]:
        """Return every living process that descends from it, PostgreSQL's own sessions too."""
        return marked(self.mark)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that the account of PostgreSQL may enter (pytest's own are closed)."""
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(data_dir: Path) -> Iterator[Callable[..., Demo]]:
    """Start demos on one data folder."""
    with contextlib.ExitStack() as ending:

        def start_(*options: str, stdout: int = subprocess.PIPE) -> Demo:
            started = Demo(data_dir, *options, stdout=stdout)
            ending.callback(started.close)
            return started

        yield start_


@pytest.fixture
def running(start: Callable[..., Demo]) -> Demo:
    return start()


async def both_sides(client: Connection) -> None:
    """Wait for a book with bids and asks."""
    while True:
        event = await client.receive()
        if event["event"] == "aggOrderBook" and all(event["aggOrderBook"].values()):
            return


async def test_market_moves_and_its_book_is_never_empty(running: Demo) -> None:
    """Watched until both sides have traded often; every book on the way has both sides."""
    made: Counter[str] = Counter()
    best = set()
    async with dial(running.url()) as client:
        await both_sides(client)
        while min(made["bid"], made["ask"]) < 25 or len(best) < 3:
            event = await client.receive()
            if event["event"] == "trades":
                made.update(trade["type"] for trade in event["trades"])
            else:
                book = event["aggOrderBook"]
                assert book["bid"]
                assert book["ask"]
                best.add(book["bid"][0]["price"])


def test_plain_lines_tell_of_the_market(running: Demo) -> None:
    running.url()
    number = r"\d+\.\d+"
    pattern = (
        rf"BTC-USD  seq \d+  bid {number} @ {number}  ask {number} @ {number}  "
        rf"last (bought|sold) {number} @ {number}  \d+ orders/s, {number} trades/s\n"
    )
    assert re.fullmatch(r"trade in a browser: http://\S+/\n", running.line())
    assert re.fullmatch(r"connect with: .* connect ws://\S+\n", running.line())
    lines = [running.line() for _ in range(2)]
    assert re.fullmatch(pattern, lines[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_ctrl_c_ends_everything_with_130_and_a_last_line(running: Demo) -> None:
    running.url()
    while "seq" not in running.line():
        pass
    postmaster = int((running.data_dir / "pgdata/postmaster.pid").read_text().split()[0])
    assert {running.process.pid, postmaster} <= set(running.processes())
    assert running.end(signal.SIGINT) == 130
    assert running.process.stdout is not None
    assert running.process.stderr is not None
    *_, last = running.process.stdout
    assert re.fullmatch(r"fastbook \S+: stopped after [\d,]+ trades at seq [\d,]+\n", last)
    assert "Traceback" not in running.process.stderr.read()
    assert running.processes() == []


async def test_restart_goes_on_from_the_old_price_without_old_orders(
    start: Callable[..., Demo],
) -> None:
    """The agents cancel their orders, so nothing piles up; another user's order stays."""
    first = start("--instrument", "COIN:1:1")
    async with dial(first.url()) as client:
        await both_sides(client)
        order = {"type": "bid", "execType": "limit", "price": 7, "amount": 3}
        await client.send({"op": "add", "order": order})
        missing = {"order", "trade"}
        while missing:
            event = await client.receive()
            missing.discard(event["event"])
            if event["event"] == "trades" and event["trades"]:
                missing.discard("trade")
    assert first.end(signal.SIGTERM) == 0

    again = start("--instrument", "COIN:1:1", "--rate", "0.1")
    async with dial(again.url(), security="COIN") as client:
        before, trades = await client.receive(), await client.receive()  # no agent has a seat yet
        last = trades["trades"][-1]["price"]
        book = before["aggOrderBook"]
        assert book == {"ask": [], "bid": [{"price": 7.0, "amount": 3.0, "total": 21.0}]}
        while not book["ask"]:
            event = await client.receive()
            if event["event"] == "aggOrderBook":
                book = event["aggOrderBook"]
    assert book["ask"][0]["price"] == pytest.approx(last, rel=0.02)


def test_in_a_terminal_it_takes_the_screen_and_gives_it_back(start: Callable[..., Demo]) -> None:
    ours, theirs = pty.openpty()
    running = start(stdout=theirs)
    os.close(theirs)
    seen = b""
    while b"seq" not in seen or b"spread" not in seen:
        seen += os.read(ours, 65_536)
    os.killpg(running.process.pid, signal.SIGINT)
    while True:
        try:
            seen += os.read(ours, 65_536)
        except OSError:  # how Linux tells that the other end is closed
            break
    assert running.process.wait(timeout=60) == 130
    os.close(ours)
    taken, given_back = seen.index(b"\x1b[?1049h"), seen.index(b"\x1b[?1049l")
    assert taken < seen.index(b"spread") < given_back < seen.index(b"stopped after")
    assert b"\x1b[?25h" in seen[given_back - 20 :]  # the cursor too


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--makers", "0"], "'--makers': expected a whole number from 1 to 50, got '0'"),
        (["--rate", "0"], "'--rate': expected a number from 0.1 to 2,000, got '0'"),
        (["--volatility", "nan"], "'--volatility': expected a number from 0.1 to 100, got 'nan'"),
        (["--once"], "--once needs --replay"),
        (["--seed", "x"], "'--seed': expected a whole number, got 'x'"),
        (["--port", "65536"], "--port: expected a whole number of at most 65535"),
    ],
)
def test_wrong_settings_are_said_in_one_line(options: list[str], expected: str) -> None:
    done = subprocess.run(
        [*FASTBOOK, "demo", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_named_with_what_to_do(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*FASTBOOK, "demo", "--data-dir", str(data_dir), "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"fastbook: port {port} of 127.0.0.1 is taken" in done.stderr
    assert "--port 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_own_data_folder_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "default_data_dir", lambda: Path("/var/lib/fastbook"))
    assert demo.with_own_data(Config()).data_dir == "/var/lib/fastbook-demo"
    assert demo.with_own_data(Config(data_dir="/mine")).data_dir == "/mine"
    elsewhere = Config(database_url="postgresql://localhost/x")
    assert demo.with_own_data(elsewhere) == elsewhere
    nowhere = Config(in_memory=True)
    assert demo.with_own_data(nowhere) == nowhere


async def test_of_several_failures_the_first_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The market and the view lose the server at the same moment."""

    async def fail(*_: object, **__: object) -> int:
        errors = [ConnectError("refused"), OSError("cut"), OutputGoneError("gone")]
        raise ExceptionGroup("both", [ExceptionGroup("market", errors[:2]), errors[2]])

    monkeypatch.setattr(demo.process, "serve", fail)
    with pytest.raises(demo.DemoError, match=r"^a client of the demo could not connect: refused$"):
        await demo.run(Config(), demo.DemoOptions(sim=SimSettings()))


async def test_it_opens_on_an_hour_of_candles_at_a_price_that_people_expect(
    start: Callable[..., Demo],
) -> None:
    running = start("--past", "60")
    async with connect(running.url()) as market:
        candles = await market.api.candles("BTC-USD", "1m")
    assert len(candles) >= 55
    assert all(50_000 < candle.close < 200_000 for candle in candles)


async def test_connect_prints_frames_and_sends_lines(running: Demo) -> None:
    process = await asyncio.create_subprocess_exec(
        *FASTBOOK,
        "connect",
        "--no-feed",
        running.url(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b'{"event":"welcome"')
    process.stdin.write(b'{"op":"ping","ref":"hello"}\n')
    assert (await process.stdout.readline()).startswith(b'{"event":"pong","ref":"hello"')
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
