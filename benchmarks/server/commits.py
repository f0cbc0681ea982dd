"""What the database can take: bare loops that commit netted batches of orders, and nothing else.

    python -m benchmarks.server.commits DSN LIVE

Reads a command per line and answers each with a line of JSON, like ``load.c``; times are those of
whole transactions, in microseconds:

    loop SECONDS SIZE    a COPY for each table, one DELETE, one UPDATE: some ten round trips
    one SECONDS SIZE     the same rows in a single statement

Half of the commands place an order: 85% of these rest, the others trade with two resting ones. The
other half cancel. Some LIVE orders stay open, and random ones end, so that the table of open orders
is as large and as scattered as a real one. The tables have the server's keys and no further index.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
from typing import Any, NamedTuple

import asyncpg
import msgspec

from benchmarks.server.processes import Answer

SCHEMA = "bare"
COLUMNS = {
    "orders": "id uuid, time bigint, user_id text, security text, type side, exec_type exec_type, "
    "amount float8, price float8, seq bigint",
    "trades": "id uuid, time bigint, user_id text, security text, type side, amount float8, "
    "avg_price float8, order_id uuid, seq bigint",
    "fills": "security text, seq bigint, n int, time bigint, price bigint, quantity bigint, "
    "maker_order_id uuid, maker_user_id text, taker_order_id uuid, taker_user_id text",
    "cancellations": "security text, seq bigint, n int, time bigint, order_id uuid, "
    "quantity bigint, reason text",
    "open_orders": "id uuid, time bigint, user_id text, security text, type side, price bigint, "
    "remaining bigint, seq bigint",
}
KEYS = {
    "orders": "id, time",
    "trades": "id, time",
    "fills": "security, seq, n, time",
    "cancellations": "security, seq, n, time",
    "open_orders": "id",
}
STATE = "UPDATE engine_state SET batch_no = $1 WHERE epoch = 1 AND batch_no = $1 - 1"
GONE = "DELETE FROM open_orders o USING unnest($1::uuid[]) AS gone (id) WHERE o.id = gone.id"
Rows = list[tuple[Any, ...]]


class Batch(NamedTuple):
    """The rows of one transaction, and the open orders that leave with it."""

    rows: dict[str, Rows]
    gone: list[uuid.UUID]


class Flow:
    """Random netted batches over a set of open orders that keeps its size."""

    def __init__(self, live: int) -> None:
        self._chance = random.Random(1)
        self._wanted = live
        self._began_ms = int(time.time() * 1_000)
        self._seq = 0
        self._live: list[uuid.UUID] = []

    def first(self) -> Rows:
        """Return the open orders that are there at the start."""
        return [self._placed() for _ in range(self._wanted)]

    def batch(self, size: int) -> Batch:
        """Return the rows of `size` commands."""
        rows: dict[str, Rows] = {name: [] for name in COLUMNS}
        opened: dict[uuid.UUID, tuple[Any, ...]] = {}
        gone: list[uuid.UUID] = []
        for _ in range(size):
            lacking = (self._wanted - len(self._live)) / max(1, self._wanted)
            if self._chance.random() < 0.5 + lacking:
                self._place(rows, opened, gone)
            else:
                ended = self._leave(opened, gone)
                self._seq += 1
                row = ("BTC-USD", self._seq, 0, self._now_ms, ended, 150, "user")
                rows["cancellations"].append(row)
        rows["open_orders"] = list(opened.values())
        return Batch(rows, gone)

    def _place(self, rows: dict[str, Rows], opened: dict[Any, Any], gone: list[uuid.UUID]) -> None:
        row = self._placed()
        order_id, at, user, security, side, price, _, seq = row
        rows["orders"].append((order_id, at, user, security, side, "limit", 1.5, price / 100, seq))
        if self._chance.random() < 0.85:
            opened[order_id] = row
            return
        self._live.pop()
        trade = (self._id(2), at, user, security, side, 1.5, price / 100, order_id, seq)
        rows["trades"].append(trade)
        for n in range(min(2, len(self._live))):
            maker = self._leave(opened, gone)
            fill = (security, seq, n, at, price, 75, maker, user, order_id, user)
            rows["fills"].append(fill)

    def _placed(self) -> tuple[Any, ...]:
        self._seq += 1
        order_id, user = self._id(1), f"user#{self._chance.randrange(64)}"
        side, price = self._chance.choice(("bid", "ask")), self._chance.randrange(10_000)
        self._live.append(order_id)
        return (order_id, self._now_ms, user, "BTC-USD", side, price, 150, self._seq)

    def _leave(self, opened: dict[Any, Any], gone: list[uuid.UUID]) -> uuid.UUID:
        i = self._chance.randrange(len(self._live))
        self._live[i], self._live[-1] = self._live[-1], self._live[i]
        ended = self._live.pop()
        if opened.pop(ended, None) is None:
            gone.append(ended)
        return ended

    @property
    def _now_ms(self) -> int:
        return self._began_ms + self._seq // 50

    def _id(self, kind: int) -> uuid.UUID:
        return uuid.UUID(int=self._now_ms << 80 | 7 << 76 | 2 << 62 | self._seq << 2 | kind)


class Bare:
    """A connection to the bare tables, made anew."""

    def __init__(self, connection: Any, flow: Flow) -> None:
        self._connection = connection
        self._flow = flow
        self._batch_no = 0

    @classmethod
    async def open(cls, dsn: str, live: int) -> Bare:
        connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
        await connection.execute(_ddl())
        flow = Flow(live)
        await connection.copy_records_to_table(
            "open_orders", records=flow.first(), schema_name=SCHEMA
        )
        await connection.execute("ANALYZE open_orders")
        return cls(connection, flow)

    async def measure(self, kind: str, seconds: float, size: int) -> Answer:
        """Commit batches for some seconds; making them is not counted."""
        commit = self._in_trips if kind == "loop" else self._at_once
        times: list[float] = []
        cpu = 0.0
        while sum(times) < seconds:
            batch = self._flow.batch(size)
            began, began_cpu = time.perf_counter(), time.process_time()
            self._batch_no += 1
            await commit(batch)
            times.append(time.perf_counter() - began)
            cpu += time.process_time() - began_cpu
        order = sorted(t * 1e6 for t in times)
        cuts = {f"p{p}": order[len(order) * p // 100] for p in (50, 90, 99)}
        return Answer(
            **cuts,
            seconds=sum(times),
            cpu=cpu,
            replies=size * len(times),
            refused=0,
            deliveries=0,
            max=order[-1],
        )

    async def _in_trips(self, batch: Batch) -> None:
        connection = self._connection
        async with connection.transaction():
            for name, rows in batch.rows.items():
                if rows:
                    await connection.copy_records_to_table(name, records=rows, schema_name=SCHEMA)
            await connection.execute(GONE, batch.gone)
            assert await connection.execute(STATE, self._batch_no) == "UPDATE 1"

    async def _at_once(self, batch: Batch) -> None:
        columns = [column for name in COLUMNS for column in _columns(name, batch.rows[name])]
        done = await self._connection.fetchval(ONE, self._batch_no, batch.gone, *columns)
        assert done == 1


def _columns(name: str, rows: Rows) -> list[tuple[Any, ...]]:
    if not rows:
        return [()] * len(COLUMNS[name].split(", "))
    return list(zip(*rows, strict=True))


def _ddl() -> str:
    tables = [
        f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({KEYS[name]}))"
        for name, columns in COLUMNS.items()
    ]
    return ";".join(
        [
            f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE",
            f"CREATE SCHEMA {SCHEMA}",
            f"SET search_path = {SCHEMA}",
            "CREATE TYPE side AS ENUM ('bid', 'ask')",
            "CREATE TYPE exec_type AS ENUM ('limit', 'market')",
            *tables,
            "ALTER TABLE open_orders SET (fillfactor = 80)",
            "CREATE TABLE engine_state (epoch int NOT NULL, batch_no bigint NOT NULL)",
            "INSERT INTO engine_state VALUES (1, 0)",
        ]
    )


def _one() -> str:
    """Return the single statement: $1 the batch, $2 the ids that leave, then every column."""
    parts, number = [], 2
    for name, columns in COLUMNS.items():
        types = [column.split()[1] for column in columns.split(", ")]
        arrays = ", ".join(f"${number + n}::{t}[]" for n, t in enumerate(types, 1))
        number += len(types)
        parts.append(f"{name}_ AS (INSERT INTO {name} SELECT * FROM unnest({arrays}))")
    gone = GONE.replace("$1", "$2")
    return (
        f"WITH {', '.join(parts)}, gone_ AS ({gone}), "
        f"state_ AS ({STATE} RETURNING 1) SELECT count(*) FROM state_"
    )


ONE = _one()


async def serve(dsn: str, live: str) -> None:
    bare = await Bare.open(dsn, int(live))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        kind, seconds, size = line.split()
        answer = await bare.measure(kind, float(seconds), int(size))
        print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
