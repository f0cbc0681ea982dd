"""Into which shards a database is divided: a row of ``engine_state`` for each of them.

A server that decides all of it makes it one again. A cluster of several shards divides what is in
one piece, and no other: what is divided already has logs, which nobody could put together.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fastbook_server.store import StoreRefused
from fastbook_server.values.shards import Shards

if TYPE_CHECKING:
    from fastbook_server.store.connection import Connection

READ_STATE = "SELECT shard, epoch, batch_no, time, token_key FROM engine_state ORDER BY shard"
LOCK_STATE = f"{READ_STATE} FOR UPDATE"
ADD_SHARDS = """
INSERT INTO engine_state (shard, epoch, batch_no, time, token_key)
SELECT shard, $2, $3, $4, $5 FROM unnest($1::text[]) AS shard ON CONFLICT DO NOTHING
"""
DROP_SHARDS = "DELETE FROM engine_state WHERE shard <> ALL($1)"
# Of one shard's rules each of the new ones has a copy; of several, one has the last of them.
COPY_RULES = """
INSERT INTO cancel_rules (user_id, after_disconnect_s, deadline, shard)
SELECT user_id, max(after_disconnect_s), max(deadline), new.shard
FROM cancel_rules, unnest($1::text[]) AS new (shard) GROUP BY user_id, new.shard
ON CONFLICT (user_id, shard) DO UPDATE
SET after_disconnect_s = excluded.after_disconnect_s, deadline = excluded.deadline
"""
DROP_RULES = "DELETE FROM cancel_rules WHERE shard <> ALL($1)"
PLACE_ALL = "UPDATE markets SET shard = $1 WHERE shard <> $1"
PLACE = "UPDATE markets SET shard = $2 WHERE security = ANY($1) AND shard <> $2"
READ_PLACES = "SELECT security, shard FROM markets"
HAS_ACCOUNTS = "SELECT EXISTS (SELECT FROM accounts) OR EXISTS (SELECT FROM balances)"


async def divide(connection: Connection, shards: Shards, *, merges: bool) -> None:
    """Let the database be divided so, before its instruments are settled; in a transaction.

    Waits for batches that are being committed. Whoever has written to shards that are gone is
    fenced. What is divided otherwise becomes one again if the caller `merges`, and is refused else.

    Raises:
        StoreRefused: it is divided otherwise, or has accounts, whose ledger cannot be divided.
    """
    names = list(shards.names)
    found = await connection.fetch(LOCK_STATE)
    if not found:
        await connection.execute(ADD_SHARDS, names, 0, 0, 0, secrets.token_bytes(32))
        return
    if len(names) > 1 and await connection.fetchval(HAS_ACCOUNTS):
        raise StoreRefused(
            f"expected a database without accounts for {len(names)} shards, got one that has some: "
            "what an account may spend is for one matcher to know. Use one shard"
        )
    if {row["shard"] for row in found} == set(names):
        return
    if len(found) > 1 and not merges:
        raise StoreRefused(
            f"expected shards {', '.join(row['shard'] for row in found)}, as the database is "
            f"divided, got {', '.join(names)}: {HOW_TO_DIVIDE}"
        )
    last = [max(row[name] for row in found) for name in ("epoch", "batch_no", "time")]
    await connection.execute(ADD_SHARDS, names, *last, found[0]["token_key"])
    await connection.execute(DROP_SHARDS, names)
    await connection.execute(COPY_RULES, names)
    await connection.execute(DROP_RULES, names)
    await connection.execute(PLACE_ALL, shards.first)
    for shard in shards:
        await connection.execute(PLACE, list(shard.securities), shard.name)


HOW_TO_DIVIDE = (
    "to divide a market otherwise, stop the cluster once all is recorded, start and stop fastbook "
    "serve on the database, which makes it one again, and delete the logs of the old shards"
)


async def check_places(connection: Connection, shards: Shards) -> None:
    """Check that each security is where it was; in a transaction, once instruments are settled.

    Raises:
        StoreRefused: one has moved: its orders are in another shard's log.
    """
    for security, shard in await connection.fetch(READ_PLACES):
        if security in shards and shard != shards.of(security):
            raise StoreRefused(
                f"{security}: expected shard {shard}, as in its existing data, got "
                f"{shards.of(security)}: {HOW_TO_DIVIDE}"
            )
