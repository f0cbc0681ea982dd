"""A ``fastbook serve`` process that can be killed and started again, and what its database says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
from replay_fold import Book, Fill

from fastbook_client.connection import dial
from fastbook_client.errors import ConnectError, ConnectionClosed
from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.store.history import PostgresHistory
from fastbook_server.values.candles import Candle, CandleSeries
from fastbook_wire.words import INTERVALS, Interval

SECURITY = "BTC-USD"


class ServerProcess:
    """The server on one port and one data folder, through all its lives."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        (self._port,) = free_ports(1)
        self.url = f"ws://127.0.0.1:{self._port}/ws"
        self._data_dir = data_dir
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it serves."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastbook_cli", "serve"),
            *("--port", str(self._port), "--data-dir", str(self._data_dir)),
            *("--instrument", f"{SECURITY}:0.1:1e-8", "--depth", "0", "--last-trades", "0"),
            *("--throttle-ms", "1000", "--log-level", "warning", *self._options),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert (await self._process.stdout.readline()).startswith(b"ready ")

    async def kill(self) -> None:
        """Kill it with no chance to do anything more."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            assert await self._process.wait() == 0

    @property
    def dsn(self) -> str:
        """Where its database is while it runs."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._data_dir / 'run'), safe='')}"

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection]:
        """Look into the database while the server runs."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("SET search_path = fastbook, public")
            yield connection
        finally:
            await connection.close()


async def live_book(url: str) -> tuple[int, Book]:
    """Return the book that a newcomer is shown, and its ``seq``."""
    async with dial(url, security=SECURITY) as client:
        while (event := await client.receive())["event"] != "aggOrderBook":
            pass
    book = event["aggOrderBook"]
    rows = {
        (side, round(row["price"] * 10)): round(row["amount"] * 10**8)
        for side in ("bid", "ask")
        for row in book[side]
    }
    assert [r["price"] for r in book["bid"]] == sorted((p / 10 for s, p in rows if s == "bid"))[
        ::-1
    ]
    assert [r["price"] for r in book["ask"]] == sorted(p / 10 for s, p in rows if s == "ask")
    return event["seq"], rows


async def view_book(sql: asyncpg.Connection) -> tuple[int, Book]:
    """Return the view ``agg_order_book`` and the last ``seq``, as of one moment."""
    async with sql.transaction(isolation="repeatable_read"):
        seq = await sql.fetchval("SELECT seq FROM markets WHERE security = $1", SECURITY)
        rows = await sql.fetch(
            "SELECT type, price_ticks, quantity_lots FROM agg_order_book WHERE security = $1",
            SECURITY,
        )
    return seq, _as_book(rows)


async def past_book(sql: asyncpg.Connection, seq: int) -> Book:
    """Return ``book_at`` of a ``seq``."""
    return _as_book(await sql.fetch("SELECT * FROM book_at($1, $2)", SECURITY, seq))


def _as_book(rows: list[asyncpg.Record]) -> Book:
    return {(r["type"], r["price_ticks"]): int(r["quantity_lots"]) for r in rows}


async def all_fills(sql: asyncpg.Connection) -> list[Fill]:
    """Return every fill in order, with its orders by their recorded ids."""
    rows = await sql.fetch(
        "SELECT f.seq, f.n, t.client_order_id AS taker, m.client_order_id AS maker,"
        " f.price_ticks, f.quantity_lots"
        " FROM fills AS f JOIN orders AS t ON t.id = f.taker_order_id"
        " JOIN orders AS m ON m.id = f.maker_order_id"
        " ORDER BY f.seq, f.n"
    )
    return [Fill(*row) for row in rows]


async def check_candles(sql: asyncpg.Connection, dsn: str) -> dict[str, int]:
    """Hold every candle to the fills, in SQL and page by page; return how many there are."""
    fills = await sql.fetch("SELECT seq, n, time, price_ticks, quantity_lots FROM fills")
    fills.sort(key=lambda fill: (fill["seq"], fill["n"]))
    history = PostgresHistory(dsn, ())
    counts = {}
    for interval, interval_ms in INTERVALS.items():
        series = CandleSeries(interval_ms, 0)
        for fill in fills:
            series.add(fill["time"], fill["price_ticks"], fill["quantity_lots"], fill["n"] == 0)
        expected = list(series.candles)
        rows = await sql.fetch(
            "SELECT time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots::bigint,"
            f" trades FROM candles_{interval} WHERE security = $1 ORDER BY time",
            SECURITY,
        )
        assert [Candle(*row) for row in rows] == expected
        assert await _paged(history, interval) == expected
        counts[interval] = len(expected)
    await history.close()
    return counts


async def _paged(history: PostgresHistory, interval: Interval, limit: int = 7) -> list[Candle]:
    """Return all candles, as who pages back from the newest gets them."""
    found: list[Candle] = []
    end_ms = None
    while page := await history.candles(
        SECURITY, interval, start_ms=None, end_ms=end_ms, limit=limit
    ):
        found = [*page, *found]
        end_ms = page[0].start_ms
    return found


class Watcher:
    """A second client, who writes down every public trade and comes back whenever it is cut off."""

    def __init__(self, url: str) -> None:
        self.trades: dict[str, tuple[int, float, float]] = {}
        self._url = url

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with dial(self._url, security=SECURITY) as client:
                    while True:
                        self._note(await client.receive_bytes())
            except (ConnectError, ConnectionClosed):
                await asyncio.sleep(0.02)

    def _note(self, payload: bytes) -> None:
        if not payload.startswith(b'{"event":"trades"'):
            return
        for trade in json.loads(payload)["trades"]:
            self.trades[trade["id"]] = (trade["seq"], trade["price"], trade["amount"])
