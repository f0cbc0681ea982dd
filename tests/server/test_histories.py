"""Fifty clients follow one market: no gap, no contradiction, and all of it equal to SQL.

``FASTBOOK_TEST_COMMANDS=100000`` asks for as many commands; each client hears of every fill and of
every change of the book. It prints how many events that were.
"""

from __future__ import annotations

import asyncio
import os
import random

import aiohttp
import asyncpg
import msgspec
import pytest
from trading import SPECS

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.postgres import PostgresStore
from peers import Peer, order

COMMANDS = int(os.environ.get("FASTBOOK_TEST_COMMANDS", "3000"))
FOLLOWERS = 50
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + COMMANDS // 50)]


class Follower:
    """What one client hears: every fill, and the book by its changes."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.fills: list[tuple] = []
        self.book: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
        self.seq: int | None = None
        self.events = 0

    async def follow(self) -> None:
        async for message in self.ws:
            frame = msgspec.json.decode(message.data)
            if frame["event"] == "fills":
                self.events += len(frame["fills"])
                for fill in frame["fills"]:
                    assert fill["fillId"] == len(self.fills) + 1, "a gap in fills"
                    self.fills.append((fill["fillId"], fill["seq"], fill["price"], fill["amount"]))
            elif frame["event"] == "depth":
                assert frame["prevSeq"] == self.seq, "a gap in depth"
                self.seq = frame["seq"]
                for side, levels in self.book.items():
                    self.events += len(frame[side])
                    for level in frame[side]:
                        levels[level["price"]] = level["amount"]
                        if not level["amount"]:
                            del levels[level["price"]]


async def trade(peer: Peer, seed: int, count: int) -> None:
    """Place and delete orders around one price, fifty commands at a time."""
    draw = random.Random(seed)
    for start in range(0, count, 50):
        frame = []
        for n in range(start, min(start + 50, count)):
            side, price = draw.choice(("bid", "ask")), float(draw.randrange(95, 106))
            frame.append(order(side, price, float(draw.randrange(1, 9)), f"{seed}-{n}"))
        await peer.send(frame)
        answers = 0
        while answers < len(frame):
            answers += (await peer.next()).get("ref") is not None
        if draw.random() < 0.1:
            await peer.ask({"op": "deleteAll", "ref": f"{seed}-all-{start}"})


async def test_fifty_histories_agree_with_each_other_and_with_sql(postgres, join):
    server = await Server.start(Config(port=0, instruments=SPECS), PostgresStore(postgres.dsn))
    http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    try:
        followers = []
        for _ in range(FOLLOWERS):
            ws = await http.ws_connect(f"{server.url}/ws?feed=none", compress=0, max_msg_size=0)
            for channel in ("fills", "depth"):
                await ws.send_json({"op": "subscribe", "security": "COIN", "channel": channel})
            followers.append(Follower(ws))
        tasks = [asyncio.create_task(follower.follow()) for follower in followers]
        traders = [await join(server, feed="none") for _ in range(4)]
        await asyncio.gather(*(trade(t, n, COMMANDS // 4) for n, t in enumerate(traders)))
        await server.pipeline.stored()
        sql = await asyncpg.connect(postgres.dsn)
        await sql.execute("SET search_path = fastbook, public")
        seq = await sql.fetchval("SELECT seq FROM markets WHERE security = 'COIN'")
        fills = await sql.fetch(
            "SELECT fill_id, seq, price, amount FROM fills_as_numbers ORDER BY fill_id"
        )
        rows = await sql.fetch("SELECT type::text, price, amount FROM agg_order_book")
        await sql.close()
        async with asyncio.timeout(60):
            while any(f.seq != seq or len(f.fills) < len(fills) for f in followers):
                await asyncio.sleep(0.05)
                assert not any(task.done() for task in tasks), "a follower found a fault"
        book = {side: {r[1]: r[2] for r in rows if r[0] == side} for side in ("bid", "ask")}
        stored = [tuple(row) for row in fills]
        for follower in followers:
            assert (follower.fills, follower.book) == (stored, book)
        events = sum(f.events for f in followers)
        print(f"{FOLLOWERS} clients, {events:,} events, {len(stored):,} fills: all agree with SQL")
        for task in tasks:
            task.cancel()
    finally:
        await http.close()
        await server.stop()
