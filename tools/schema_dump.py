"""Dump a small database of the newest schema, for the tests to open with later versions.

    python tools/schema_dump.py            writes tests/store/dumps/NNNN.sql and NNNN.json

Run it once after a new migration, and commit both files; a dump of a released schema never changes.
The SQL holds the rows of every table, to be inserted where the migrations up to that number have
made the tables; the JSON holds what the server made of them: books, trades, candles, days, orders.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parent.parent
for folder in ("src", "server", "client/src", "tests/support"):
    sys.path.insert(0, str(ROOT / folder))

from every_kind import EveryKind  # noqa: E402
from trading import HOUR_MS, SPECS, Floor  # noqa: E402

from fastbook_server.embedded.supervisor import EmbeddedPostgres  # noqa: E402
from fastbook_server.store.history import PostgresHistory  # noqa: E402
from fastbook_server.store.migrations import load_migrations  # noqa: E402
from fastbook_server.store.postgres import PostgresStore  # noqa: E402
from fastbook_server.values.events import PRIVATE  # noqa: E402
from fastbook_server.values.persisted import Batch, Recovered  # noqa: E402
from fastbook_wire.words import INTERVALS  # noqa: E402

FOLDER = ROOT / "tests" / "store" / "dumps"
NUMBER = load_migrations()[-1].number
BATCHES, COMMANDS = 12, 10
PAUSE_MS = 7 * HOUR_MS
"""Between two batches: the days of the dump are some three, and no two seconds trade together."""
FIRST = ("schema_migrations", "engine_state", "instruments", "markets")
"""The tables that others refer to, or that are to be read first."""
TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'fastbook'::regnamespace AND c.relkind = 'r' ORDER BY 1
"""
COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''
ORDER BY attnum
"""


async def rows_of(sql: asyncpg.Connection[Any], table: str) -> list[str]:
    """Return one INSERT of all rows of a table, a line each, in the order of their text."""
    columns = [name for (name,) in await sql.fetch(COLUMNS, table) if name != "applied_at"]
    values = " || ',' || ".join(f"quote_nullable({name})" for name in columns)
    rows = [f"({row[0]})" for row in await sql.fetch(f"SELECT {values} FROM {table} ORDER BY 1")]
    if not rows:
        return []
    return [f"INSERT INTO {table} ({', '.join(columns)}) VALUES", ",\n".join(rows) + ";"]


async def dump(sql: asyncpg.Connection[Any]) -> str:
    """Return the rows of all tables as SQL."""
    found = [name for (name,) in await sql.fetch(TABLES)]
    lines = []
    for table in (*FIRST, *(name for name in found if name not in FIRST)):
        lines += await rows_of(sql, table)
    return "\n".join(lines) + "\n"


async def told(sql: asyncpg.Connection[Any], history: PostgresHistory, past: Recovered) -> Any:
    """Return what a server says of a database, as JSON holds it: books, trades, candles, orders."""
    candles = {
        name: {
            security: [
                list(vars_of(candle))
                for candle in await history.candles(
                    security, name, start_ms=None, end_ms=None, limit=1_000
                )
            ]
            for security in past.seqs
        }
        for name in INTERVALS
    }
    trades = {
        security: [
            [trade.id, trade.seq, trade.time_ms, trade.order.id, trade.quantity, trade.notional]
            for trade in await history.trades(security, before_seq=None, limit=1_000)
        ]
        for security in past.seqs
    }
    books = await sql.fetch("SELECT security, type, price, amount, total FROM agg_order_book")
    orders = []
    for (order_id,) in await sql.fetch("SELECT id::text FROM orders ORDER BY security, seq"):
        found = await history.order(order_id)
        assert found is not None, order_id
        orders.append([order_id, found.status, found.remaining, found.notional, found.reason])
    days = await sql.fetch("SELECT * FROM days ORDER BY security, time")
    return json.loads(
        json.dumps(
            {
                "seqs": past.seqs,
                "fill_ids": past.fill_ids,
                "last_prices": past.last_prices,
                "open_orders": [[o.order.id, o.remaining, o.notional] for o in past.open_orders],
                "books": [list(row) for row in books],
                "days": [list(row) for row in days],
                "orders": orders,
                "trades": trades,
                "candles": candles,
            }
        )
    )


def as_text(expected: dict[str, Any]) -> str:
    """Return a JSON object with a line for each of its members."""
    members = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items())
    return "{\n" + ",\n".join(members) + "\n}\n"


def vars_of(candle: Any) -> tuple[int, ...]:
    """Return the numbers of a candle."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (candle.start_ms, *prices, candle.volume, candle.trades)


async def play(store: PostgresStore, past: Recovered, flow: EveryKind) -> None:
    """Commit a small market of a few days."""
    floor = Floor(past)
    for number in range(1, BATCHES + 1):
        seen = len(floor.events)
        for _ in range(COMMANDS):
            floor.now_ms += 1
            flow.now_ms = floor.now_ms
            floor.do(*flow.next())
        events = tuple(e for e in floor.events[seen:] if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(past.batch_no + number, floor.now_ms, events)))
        floor.now_ms += PAUSE_MS


async def written(folder: Path) -> tuple[str, str]:
    """Play on a database in a folder; return its rows as SQL, and what a server says of them."""
    postgres = EmbeddedPostgres(folder)
    dsn = await postgres.start()
    try:
        store = PostgresStore(dsn, checkpoint_every=50)
        await play(store, await store.open(SPECS, 0), EveryKind(NUMBER))
        past = await store.open(SPECS, 0)
        history = store.history(past.instruments)
        sql = await asyncpg.connect(dsn)
        await sql.execute("SET search_path = fastbook, public")
        found = await dump(sql), as_text(await told(sql, history, past))
        await sql.close()
        await history.close()
        await store.close()
        return found
    finally:
        await postgres.stop()


def main() -> None:
    """Write the two files."""
    with tempfile.TemporaryDirectory(prefix="fastbook-dump-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must be able to enter
        rows, expected = asyncio.run(written(Path(folder) / "data"))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{NUMBER:04}.sql").write_text(rows)
    (FOLDER / f"{NUMBER:04}.json").write_text(expected)


if __name__ == "__main__":
    main()
