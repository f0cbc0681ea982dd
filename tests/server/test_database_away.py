"""The database goes away under load: orders are refused clearly, and all is well once it is back.

``FASTBOOK_TEST_AWAY_S=60`` asks for as long an absence.
"""

from __future__ import annotations

import asyncio
import os
import time

import asyncpg
import pytest
from trading import SPECS

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.postgres import PostgresStore
from peers import PATIENCE_S, get, order

AWAY_S = float(os.environ.get("FASTBOOK_TEST_AWAY_S", "3"))
BACK_S_MAX = 5.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + AWAY_S)]


async def test_a_database_that_is_away_stops_orders_and_not_the_truth(postgres, join):
    config = Config(port=0, instruments=SPECS, uncommitted_events_max=40)
    server = await Server.start(config, PostgresStore(postgres.dsn))
    try:
        ann, bob = await join(server, feed="none"), await join(server, feed="none")
        acknowledged = [(await ann.ask(order("bid", 10, 1, n)))["order"]["id"] for n in range(10)]
        await postgres.stop()
        for n in range(100, 200):  # nobody answers these until the database is back, or ever
            await ann.send(order("bid", 10, 1, n))
        gone_s = time.monotonic()
        while (left_s := gone_s + AWAY_S - time.monotonic()) > 0:
            for peer in (ann, bob):
                await peer.send({"op": "ping"})  # who says nothing for so long is cut off
            await asyncio.sleep(min(left_s, 5))
        refused = await bob.ask(order("bid", 10, 1, "refused"))
        assert refused["code"] in ("unavailable", "overloaded")
        assert refused["retryAfterMs"] > 0
        assert (await get(server, "/readyz"))[0] == 503

        await postgres.start()
        back_s = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await bob.ask(order("bid", 10, 1, "again"))
                if frame.get("status") == "open":
                    break
                await asyncio.sleep(0.05)
        took_s = time.monotonic() - back_s
        print(f"away {AWAY_S:g} s, back after {took_s:.2f} s")
        assert took_s <= BACK_S_MAX
        acknowledged.append(frame["order"]["id"])
        answers = []
        while len(answers) < 100:
            frame = await ann.next()
            if frame.get("ref") is not None:
                answers.append(frame)
        acknowledged += [f["order"]["id"] for f in answers if "order" in f]
        assert {f["code"] for f in answers if "code" in f} <= {"unavailable", "overloaded"}
        sql = await asyncpg.connect(postgres.dsn)
        stored = [str(row[0]) for row in await sql.fetch("SELECT id FROM fastbook.orders")]
        await sql.close()
        assert sorted(stored) == sorted(acknowledged), "all that was answered, and nothing else"
    finally:
        await server.stop()
