"""Compress the chunks of the history at once, instead of waiting for TimescaleDB's policy."""

from __future__ import annotations

from typing import Any

import asyncpg

from fastbook_server.store.timescale_policies import COMPRESSED

CHUNKS = "SELECT c::text FROM show_chunks($1::text::regclass, older_than => $2::bigint) AS c"


async def compress(sql: asyncpg.Connection[Any], before_ms: int) -> None:
    """Compress all chunks that end before a time, as ``compress_after_days`` would: one by one."""
    for table, order in COMPRESSED.items():
        await sql.execute(
            f"ALTER TABLE {table} SET (timescaledb.compress,"
            f" timescaledb.compress_segmentby = 'security',"
            f" timescaledb.compress_orderby = '{order}')"
        )
        for (chunk,) in await sql.fetch(CHUNKS, table, before_ms):
            await sql.execute(f"SELECT compress_chunk('{chunk}', true)")
        await sql.execute(f"ANALYZE {table}")


async def has_timescale(sql: asyncpg.Connection[Any]) -> bool:
    """Return whether the history is in hypertables, which can be compressed."""
    found: bool = await sql.fetchval(
        "SELECT to_regclass('timescaledb_information.chunks') IS NOT NULL"
    )
    return found
