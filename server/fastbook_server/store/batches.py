"""Make a batch durable: one statement does it all, and COPY carries the rows of large batches.

The batch is a value of the schema's type ``batch``, which `packing` writes. The statement moves a
row of ``engine_state`` first, that of its shard, and with it takes the lock that a successor waits
for: nothing else happens unless the batch is the next one of our epoch. Alone it is a transaction
of its own. Epochs of a log are claimed there: its batches raise the one in ``engine_state``.
"""

from __future__ import annotations

from typing import Any

from fastbook_server.store.connection import SCHEMA, Connection
from fastbook_server.store.large_batches import in_turns
from fastbook_server.store.packing import Field, Layout, Part, as_value, for_copy
from fastbook_server.store.rows import Rows

COPIED = {
    "orders": "orders",
    "trades": "trades",
    "fills": "fills",
    "cancellations": "cancellations",
    "order_changes": "order_changes",
    "opened": "open_orders",
}
"""The table of each part that a large batch copies."""
PORTION = 2_000
"""Rows of one COPY. Others have their turn between two; in the middle of one, whose connection may
be lost while its source waits, asyncpg would go on writing."""

READ_LAYOUT = """
SELECT f.attname::text AS part, f.atttypid AS array_oid, e.oid AS element_oid,
       coalesce(c.attname::text, '') AS name,
       coalesce(t.typname::text, e.typname::text) AS type, coalesce(t.oid, e.oid) AS oid
FROM pg_type AS b
JOIN pg_attribute AS f ON f.attrelid = b.typrelid
JOIN pg_type AS a ON a.oid = f.atttypid
JOIN pg_type AS e ON e.oid = a.typelem
LEFT JOIN pg_attribute AS c
    ON c.attrelid = e.typrelid AND e.typrelid <> 0 AND c.attnum > 0 AND NOT c.attisdropped
LEFT JOIN pg_type AS t ON t.oid = c.atttypid
WHERE b.oid = 'batch_parts'::regtype AND f.attnum > 0 AND NOT f.attisdropped
ORDER BY f.attnum, c.attnum
"""
# $1: epoch, $2: batch number, $3: time, $4: the batch, $5: the number of the batch before it,
# $6: the shard.
COMMIT_BATCH = """
WITH state AS (
    UPDATE engine_state SET epoch = $1, batch_no = $2, time = $3
    WHERE shard = $6 AND epoch <= $1 AND batch_no = $5 RETURNING true
), moved AS (
    UPDATE markets AS m SET
        seq = new.seq, fill_id = coalesce(new.fill_id, m.fill_id),
        agg_trade_id = coalesce(new.agg_trade_id, m.agg_trade_id),
        last_ticks = coalesce(new.last_ticks, m.last_ticks)
    FROM state, unnest(($4::batch).markets) AS new
    WHERE m.security = new.security RETURNING true
), deleted AS (
    DELETE FROM open_orders AS o USING state, unnest(($4).gone) AS gone (id)
    WHERE o.id = gone.id RETURNING true
), changed AS (
    UPDATE open_orders AS o SET remaining_lots = new.remaining_lots, notional = new.notional
    FROM state, unnest(($4).changed) AS new WHERE o.id = new.id RETURNING true
), sliced AS (  -- null: the slice has its old place in the queue
    UPDATE open_orders AS o SET
        remaining_lots = new.remaining_lots, notional = new.notional,
        visible_lots = new.visible_lots,
        queued_seq = coalesce(new.queued_seq, o.queued_seq),
        queued_n = coalesce(new.queued_n, o.queued_n)
    FROM state, unnest(($4).sliced) AS new WHERE o.id = new.id RETURNING true
), new_orders AS (
    INSERT INTO orders SELECT new.* FROM state, unnest(($4).orders) AS new
), new_trades AS (
    INSERT INTO trades SELECT new.* FROM state, unnest(($4).trades) AS new
), new_fills AS (
    INSERT INTO fills SELECT new.* FROM state, unnest(($4).fills) AS new
), new_cancellations AS (
    INSERT INTO cancellations SELECT new.* FROM state, unnest(($4).cancellations) AS new
), new_changes AS (
    INSERT INTO order_changes SELECT new.* FROM state, unnest(($4).order_changes) AS new
), opened AS (  -- an order that has changed is deleted first, then comes in anew
    INSERT INTO open_orders
    SELECT new.* FROM state, (SELECT count(*) FROM deleted) AS done, unnest(($4).opened) AS new
), new_client_orders AS (
    INSERT INTO client_orders SELECT new.* FROM state, unnest(($4).client_orders) AS new
), rules AS (
    INSERT INTO cancel_rules SELECT new.*, $6 FROM state, unnest(($4).cancel_rules) AS new
    WHERE coalesce(new.after_disconnect_s, new.deadline) IS NOT NULL
    ON CONFLICT (user_id, shard) DO UPDATE
    SET after_disconnect_s = excluded.after_disconnect_s, deadline = excluded.deadline
), no_rules AS (
    DELETE FROM cancel_rules AS c USING state, unnest(($4).cancel_rules) AS new
    WHERE c.user_id = new.user_id AND c.shard = $6
      AND coalesce(new.after_disconnect_s, new.deadline) IS NULL
){also}
SELECT
    expect('markets', 'UPDATE', cardinality(($4).markets), (SELECT count(*) FROM moved)),
    expect('open_orders', 'DELETE', cardinality(($4).gone), (SELECT count(*) FROM deleted)),
    expect('open_orders', 'UPDATE', cardinality(($4).changed), (SELECT count(*) FROM changed)),
    expect('open_orders', 'UPDATE', cardinality(($4).sliced), (SELECT count(*) FROM sliced))
FROM state
"""
ADD_CANDLES = """, candled AS (
    INSERT INTO candles AS c (
        security, interval_ms, time,
        open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
    )
    SELECT new.* FROM state, unnest(($4).candles) AS new
    ON CONFLICT (security, interval_ms, time) DO UPDATE SET
        high_ticks = greatest(c.high_ticks, excluded.high_ticks),
        low_ticks = least(c.low_ticks, excluded.low_ticks),
        close_ticks = excluded.close_ticks,
        volume_lots = c.volume_lots + excluded.volume_lots,
        trades = c.trades + excluded.trades
)"""
COMMIT_BATCH_ALONE = COMMIT_BATCH.replace("{also}", "")
COMMIT_BATCH_AND_CANDLES = COMMIT_BATCH.replace("{also}", ADD_CANDLES)


def new_rows(batch: Rows) -> int:
    """Return how many rows a batch adds to the tables that may be copied."""
    return sum(len(getattr(batch, name)) for name in COPIED)


async def read_layout(connection: Connection) -> Layout:
    """Return how this database reads batches, and let the connection send them as they are."""
    await connection.set_builtin_type_codec(
        "batch", schema=SCHEMA, codec_name="bytea", format="binary"
    )
    columns: dict[tuple[str, int, int], list[Field]] = {}
    for row in await connection.fetch(READ_LAYOUT):
        part = (row["part"], row["array_oid"], row["element_oid"])
        columns.setdefault(part, []).append(Field(row["name"], row["type"], row["oid"]))
    return Layout(Part(*part, of_part) for part, of_part in columns.items())


async def apply(
    connection: Connection,
    layout: Layout,
    epoch: int,
    batch: Rows,
    *,
    shard: str,
    copies: bool,
    timeout_s: float,
) -> bool:
    """Write a batch; return False, with nothing done, if it is not the next one of this epoch.

    With `copies`, which needs a transaction that is open, each table gets its new rows by COPY,
    a portion at a time.

    Raises:
        asyncpg.PostgresError: among others, if a row that changes is not there.
    """
    value = await in_turns(as_value(layout, batch, without=COPIED if copies else ()))
    arguments = (epoch, batch.number, batch.time_ms, value, batch.follows, shard)
    statement = COMMIT_BATCH_AND_CANDLES if batch.candles else COMMIT_BATCH_ALONE
    if await connection.fetchrow(statement, *arguments, timeout=timeout_s) is None:
        return False
    for name, table in COPIED.items() if copies else ():
        rows, part = getattr(batch, name), layout.parts[name]
        for start in range(0, len(rows), PORTION):
            source: Any = for_copy(part, rows[start : start + PORTION])  # the stubs know no buffers
            await connection.copy_to_table(
                table,
                source=source,
                schema_name=SCHEMA,
                columns=part.names,
                format="binary",
                timeout=timeout_s,
            )
    return True
