"""The server beside what a user might install instead: `matching-engine`, durable against durable.

`matching-engine` answers each HTTP request once its log is on disk. It needs Python 3.12 or newer;
``FASTBOOK_BENCH_PEER_PYTHON`` names one that has ``matching-engine[gateway]``, else this one is
asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.server.databases import cluster
from benchmarks.server.processes import Server, cores, cpu_s, fastbook, pin
from benchmarks.server.row import LIVE, AbsentError, Figure, Measure, Size, in_turns, side

PYTHON = "FASTBOOK_BENCH_PEER_PYTHON"
CONNECTIONS = 64
START_S = 30.0


@contextmanager
def matching_engine() -> Iterator[Server]:
    """Run its gateway on the server's core, with its log in a temporary folder.

    Raises:
        AbsentError: it is not installed.
    """
    python = os.environ.get(PYTHON, sys.executable)
    asked = [python, "-c", "import matching_engine.gateway.app"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        raise AbsentError(f"matching-engine[gateway] is not installed; see {PYTHON}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fastbook-bench-") as folder:
        process = subprocess.Popen(
            [python, "-m", "matching_engine", "serve", "--port", str(port)],
            env=os.environ | {"ME_DATA_DIR": folder, "ME_MARKETS": "S0:0.01:0.1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pin(process.pid, cores().server)
        try:
            _wait_for(port)
            yield Server(process.pid, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > until:
            raise AbsentError("matching-engine did not start")
        time.sleep(0.05)


class Trader:
    """One HTTP connection that places and cancels orders, one request at a time."""

    def __init__(self, account: int, live: int) -> None:
        self._chance = random.Random(account)
        self._account = account
        self._wanted = live
        self._open: list[int] = []

    async def trade(self, port: int, until: float) -> int:
        """Send requests until a moment; return how many were answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        try:
            while time.perf_counter() < until:
                writer.write(self._request())
                order_id = (await _answer(reader)).get("order_id")
                if order_id is not None:
                    self._open.append(order_id)
                count += 1
        finally:
            writer.close()
        return count

    def _request(self) -> bytes:
        lacking = (self._wanted - len(self._open)) / self._wanted
        if self._open and self._chance.random() > 0.5 + lacking:
            order_id = self._open.pop(self._chance.randrange(len(self._open)))
            return _http("DELETE", f"/markets/S0/orders/{order_id}?account={self._account}")
        side_ = self._chance.choice(("buy", "sell"))
        steps = self._chance.randrange(1, 5_000)
        cents = 10_000 + steps if side_ == "sell" else 10_000 - steps
        order = {"account": self._account, "side": side_, "quantity": "1.5"}
        return _http("POST", "/markets/S0/orders", order | {"price": f"{cents / 100:.2f}"})


def _http(method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    content = json.dumps(body).encode() if body else b""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body: dict[str, Any] = json.loads(await reader.readexactly(length))
    if not head.startswith("http/1.1 2"):
        raise OSError(f"matching-engine answered {head.partition(chr(13))[0]}: {body}")
    return body if body.get("status") == "resting" else {}


@contextmanager
def beside_matching_engine(size: Size) -> Iterator[Measure]:
    """Measure commands per second, 64 connections x 1, each durable before its answer."""
    with ExitStack() as stack:
        theirs = stack.enter_context(matching_engine())
        database = stack.enter_context(cluster().database())
        ours = side(stack, fastbook("--database-url", database))
        ours.connect(size.of(CONNECTIONS))
        ours.trade(size.of(LIVE))
        traders = [Trader(n, size.of(LIVE)) for n in range(1, size.of(CONNECTIONS) + 1)]

        async def all_trade() -> int:
            until = time.perf_counter() + size.seconds
            return sum(await asyncio.gather(*(t.trade(theirs.port, until) for t in traders)))

        def of_theirs() -> Figure:
            began, before, own = time.perf_counter(), theirs.cpu_s, cpu_s(os.getpid())
            count = asyncio.run(all_trade())
            took = time.perf_counter() - began
            spent_us = (theirs.cpu_s - before) / count * 1e6
            return Figure(count / took, spent_us, (cpu_s(os.getpid()) - own) / took)

        of_theirs()  # its book fills
        yield in_turns(lambda: ours.rate(f"run {size.seconds} 1"), of_theirs)
