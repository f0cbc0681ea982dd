"""What market data costs order entry: the server's CPU per order, with and without readers.

    python -m benchmarks.market_data

A dedicated server with a private PostgreSQL receives orders through one socket at a fixed rate;
half of them trade. The load changes every few seconds: none; 100 requests a second for the same
candles; 100 a second for different candles, so that each queries the database; one subscriber of
depth, ticker and candles. Each load is then repeated without orders, so that its own cost can be
subtracted. The figures are those of the server process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

CHANNELS = ("depth", "ticker", "candles:1s", "candles:1m")
TURN_S = 0.01
Load = Callable[[float], Coroutine[Any, Any, int]]


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server; return its process and its URL before it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*(sys.executable, "-m", "fastbook_cli", "serve", "--port", str(port))]
    command += ["--data-dir", folder, "--log-level", "error"]
    command += ["--instrument", "COIN:0.01:0.0001"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL), f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def server(folder: str) -> AsyncIterator[tuple[int, str]]:
    """Run a server; yields its process id and URL once it is ready."""
    process, url = started(folder)
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if (await http.get(f"{url}/readyz")).status == 200:
                        break
                await asyncio.sleep(0.1)
        yield process.pid, url
    finally:
        process.terminate()
        process.wait(30)


class Window(NamedTuple):
    """One measurement: CPU us per order, in all and of the load alone; latencies; requests."""

    spent_us: float
    alone_us: float
    p50_ms: float
    p99_ms: float
    requests: int


class Trader:
    """One socket that places orders at a fixed rate and records the latency of each reply."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, rate: int) -> None:
        self.ws = ws
        self.rate = rate
        self.latencies_ms: list[float] = []
        self._sent: dict[int, float] = {}
        self._number = 0

    async def listen(self) -> None:
        """Record the latency of every reply."""
        async for message in self.ws:
            frame = msgspec.json.decode(message.data)
            sent = self._sent.pop(frame.get("ref"), None)
            if sent is not None:
                self.latencies_ms.append((time.perf_counter() - sent) * 1_000)

    async def trade(self, seconds: float) -> int:
        """Place orders for `seconds`; return how many, after the last reply."""
        began, count = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds:
            while count < now * self.rate:
                self._number += 1
                count += 1
                side, price = ("ask", "bid")[self._number % 2], 100 + self._number // 2 % 50 / 100
                order = {"type": side, "execType": "limit", "price": price, "amount": 0.5}
                self._sent[self._number] = time.perf_counter()
                command = {"op": "add", "ref": self._number, "order": order}
                await self.ws.send_str(msgspec.json.encode(command).decode())
            await asyncio.sleep(TURN_S)
        while self._sent:  # noqa: ASYNC110
            await asyncio.sleep(TURN_S)
        return count


async def request(
    http: aiohttp.ClientSession, url: str, seconds: float, rate: int, many: bool
) -> int:
    """Request candles at a fixed rate, with `many` ever different ones; return how often."""
    began, count = time.perf_counter(), 0
    running: set[asyncio.Task[None]] = set()

    async def one(limit: int) -> None:
        async with http.get(f"{url}/api/candles?interval=1s&limit={limit}") as got:
            assert got.status == 200, await got.text()
            await got.read()

    while (now := time.perf_counter() - began) < seconds:
        while count < now * rate:
            count += 1
            running.add(asyncio.ensure_future(one(500 - count % 100 if many else 500)))
        await asyncio.sleep(TURN_S)
        running = {task for task in running if not task.done() or task.result()}
    await asyncio.gather(*running)
    return count


async def subscribe(http: aiohttp.ClientSession, url: str, seconds: float) -> int:
    """Subscribe to the channels for `seconds`; return how many frames arrived."""
    frames = 0
    async with http.ws_connect(f"{url}/ws?feed=none", compress=0, max_msg_size=0) as ws:
        for channel in CHANNELS:
            await ws.send_json({"op": "subscribe", "security": "COIN", "channel": channel})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for _ in ws:
                    frames += 1
    return frames


async def measure(seconds: float, rounds: int, orders: int, requests: int) -> None:
    """Measure every load in interleaved windows and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        async with server(f"{folder}/data") as (pid, url), aiohttp.ClientSession() as http:
            ws = await http.ws_connect(f"{url}/ws?feed=none", compress=0)
            trader = Trader(ws, orders)
            listening = asyncio.ensure_future(trader.listen())
            loads: dict[str, Load | None] = {
                "nothing else": None,
                f"{requests}/s for the same candles": lambda s: request(
                    http, url, s, requests, many=False
                ),
                f"{requests}/s for different candles": lambda s: request(
                    http, url, s, requests, many=True
                ),
                "one subscriber of " + ", ".join(CHANNELS): lambda s: subscribe(http, url, s),
            }
            await trader.trade(seconds)  # warm up
            found: dict[str, list[Window]] = {n: [] for n in loads}
            for _ in range(rounds):
                for name, load in loads.items():
                    trader.latencies_ms.clear()
                    before = cpu_s(pid)
                    work = [trader.trade(seconds), *([load(seconds)] if load else [])]
                    count, *extra = await asyncio.gather(*work)
                    between = cpu_s(pid)
                    if load is not None:
                        await load(seconds)
                    alone = (cpu_s(pid) - between) / count * 1e6
                    spent = (between - before) / count * 1e6
                    cuts = statistics.quantiles(trader.latencies_ms, n=100)
                    handled = extra[0] if extra else 0
                    found[name].append(Window(spent, alone, cuts[49], cuts[98], handled))
            listening.cancel()
            await ws.close()
    report(found, seconds, orders)


def report(found: dict[str, list[Window]], seconds: float, orders: int) -> None:
    """Print one row per load with the medians of its windows."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, {orders} orders/s\n")
    print("| load | CPU per order | without the load's own | the load's own | p50 | p99 |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, windows in found.items():
        spent, alone, p50, p99, handled = (
            statistics.median(column) for column in zip(*windows, strict=True)
        )
        each = f"{alone * seconds * orders / handled:.0f} us each" if handled else ""
        print(
            f"| {name} | {spent:.1f} us | {spent - alone:.1f} us | {each} "
            f"| {p50:.1f} ms | {p99:.1f} ms |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a window in seconds")
    parser.add_argument("--rounds", type=int, default=5, help="windows per load")
    parser.add_argument("--orders", type=int, default=1_000, help="orders per second")
    parser.add_argument("--requests", type=int, default=100, help="requests per second")
    given = parser.parse_args()
    asyncio.run(measure(given.seconds, given.rounds, given.orders, given.requests))


if __name__ == "__main__":
    main()
