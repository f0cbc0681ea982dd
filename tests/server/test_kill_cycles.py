"""kill -9 of server and PostgreSQL, again and again under load: nothing lost, nothing doubled.

``FASTBOOK_TEST_KILLS=200`` asks for as many cycles; it prints its seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal

import asyncpg
import pytest

from fastbook_client.connection import dial
from fastbook_client.errors import FastbookError
from fastbook_server.store.verification import snapshot, verify

CYCLES = int(os.environ.get("FASTBOOK_TEST_KILLS", "10"))
SEED = int(os.environ.get("FASTBOOK_TEST_SEED", "14"))
TRADERS = 3
pytestmark = [
    pytest.mark.xdist_group("process"),
    pytest.mark.slow,
    pytest.mark.timeout(120 + 60 * CYCLES),
]


class Traders:
    """Clients that place orders under ids of their own, and note which were acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, str] = {}
        self.sent: set[str] = set()
        self.complaints: list[str] = []

    async def trade(self, url: str, name: int) -> None:
        draw = random.Random(f"{SEED} {name} {len(self.sent)}")
        with contextlib.suppress(FastbookError):
            async with dial(url, feed=False) as line:
                for n in range(10**6):
                    key = f"{name}-{len(self.sent)}-{n}"
                    self.sent.add(key)
                    side, price = draw.choice((("bid", 100.0), ("ask", 100.0), ("bid", 99.0)))
                    new = {"type": side, "execType": "limit", "price": price, "amount": 1.0}
                    await line.send({"op": "add", "ref": n, "order": new | {"clientOrderId": key}})
                    while (frame := await line.receive()).get("ref") != n:
                        pass
                    if "order" in frame:
                        self.acknowledged[key] = frame["order"]["id"]
                    else:
                        self.complaints.append(str(frame))


async def test_what_was_acknowledged_survives_every_kill(postgres, run):
    print(f"seed {SEED}, {CYCLES} cycles")
    draw, traders, log = random.Random(SEED), Traders(), ""
    server = await run("--database-url", postgres.dsn)
    for cycle in range(CYCLES):
        known = len(traders.acknowledged)
        running = [
            asyncio.create_task(traders.trade(server.url, cycle * TRADERS + n))
            for n in range(TRADERS)
        ]
        async with asyncio.timeout(60):
            while len(traders.acknowledged) < known + 20:  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0.005)
        await asyncio.sleep(draw.random() * 0.2)
        if cycle % 2:
            os.kill(postgres.pid, signal.SIGKILL)  # its keeper starts it again
            async with asyncio.timeout(60):
                known = len(traders.acknowledged)
                while len(traders.acknowledged) < known + 20:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        await server.end(signal.SIGKILL)
        log += server.log
        await asyncio.gather(*running)
        server = await run("--database-url", postgres.dsn)
    assert await server.end(signal.SIGTERM) == 0
    log += server.log
    sql = await asyncpg.connect(postgres.dsn)
    rows = await sql.fetch("SELECT id::text, client_order_id FROM fastbook.orders")
    await sql.close()
    stored = {row["client_order_id"]: row["id"] for row in rows}
    assert len(rows) == len(stored), "doubled"
    assert {k: v for k, v in traders.acknowledged.items() if stored.get(k) != v} == {}, "lost"
    assert stored.keys() <= traders.sent, "made up"
    async with snapshot(postgres.dsn) as moment:
        found = [f.check.name async for f in verify(moment) if f.faults]
    assert found == []
    assert "never retrieved" not in log
    print(f"{len(traders.acknowledged):,} acknowledged: none lost, none doubled")
