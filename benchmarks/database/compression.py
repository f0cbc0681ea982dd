"""Compress the chunks of the history at once, instead of waiting for TimescaleDB's policy."""

from __future__ import annotations

from typing import Any

import asyncpg

from fastbook_server.store.timescale_policies import COMPRESSED


async def compress(sql: asyncpg.Connection[Any], before_ms: int) -> None:
    """Compress all chunks that end before a time, as ``compress_after_days`` would."""
    for table, order in COMPRESSED.items():
        await sql.execute(
            f"ALTER TABLE {table} SET (timescaledb.compress,"
            f" timescaledb.compress_segmentby = 'security',"
            f" timescaledb.compress_orderby = '{order}')"
        )
        await sql.execute(
            f"SELECT compress_chunk(c, true)"
            f" FROM show_chunks('{table}', older_than => {before_ms}::bigint) AS c"
        )
