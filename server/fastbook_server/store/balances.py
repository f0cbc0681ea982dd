"""The balances of accounts in the database: part of each batch that changes one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from fastbook_server.store.rows import Rows

if TYPE_CHECKING:
    from fastbook_server.store.connection import Connection

READ = "SELECT user_id, asset, total FROM balances"
WRITE = """
INSERT INTO balances (user_id, asset, total)
SELECT user_id, asset, total::numeric
FROM unnest($1::text[], $2::text[], $3::text[]) AS new (user_id, asset, total)
ON CONFLICT (user_id, asset) DO UPDATE SET total = excluded.total
"""
NOTE_DEPOSITS = "UPDATE deposits SET batch_no = $2 WHERE number = ANY($1::bigint[])"


async def read_balances(connection: Connection) -> dict[tuple[str, str], Decimal]:
    """Return what accounts have, free and locked together, by user id and asset."""
    return {(row["user_id"], row["asset"]): row["total"] for row in await connection.fetch(READ)}


async def write_balances(connection: Connection, batch: Rows, *, timeout_s: float) -> None:
    """Write the balances that a batch changes, and which deposits it holds."""
    users, assets, totals = zip(*batch.balances, strict=True)
    await connection.execute(WRITE, users, assets, totals, timeout=timeout_s)
    if batch.deposits:
        await connection.execute(NOTE_DEPOSITS, batch.deposits, batch.number, timeout=timeout_s)
