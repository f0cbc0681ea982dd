"""The schema's numbered migrations, read from ``schema/``. An applied migration never changes.

A file ``NNNN_name.sql`` runs in one transaction together with its entry in ``schema_migrations``.
A file with the line ``-- fastbook: no-transaction``, which some TimescaleDB calls require, runs
statement by statement; a statement ends at a line that ends in ``;`` and must be idempotent.
A migration can read ``current_setting('fastbook.timescale')``, ``on`` or ``off``, and
``fastbook.timescale_licence``: ``apache``, ``timescale`` (community) or empty.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fastbook_server.store import StoreRefused, StoreUnprepared

if TYPE_CHECKING:
    from fastbook_server.store.connection import Connection, Timescale

FOLDER = Path(__file__).parent / "schema"
NO_TRANSACTION = "-- fastbook: no-transaction"
STATEMENT_TIMEOUT_S = 3_600.0
"""A migration may have to scan the whole history."""


class Migration(msgspec.Struct, frozen=True):
    """One numbered migration; ``text`` is its file's SQL."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text as hex, independent of line endings."""
        return hashlib.sha256("\n".join(self.text.splitlines()).encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether the migration runs in one transaction."""
        return NO_TRANSACTION not in self.text.splitlines()

    @property
    def statements(self) -> list[str]:
        """The whole text, or each of its statements if it runs without a transaction."""
        if self.in_transaction:
            return [self.text]
        return [part for part in re.split(r"(?<=;)[ \t]*\n", self.text) if part.strip()]


def load_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Return the migrations in `folder`, by number.

    Raises:
        ValueError: a file is not named ``NNNN_name.sql``, or the numbers are not 1, 2, 3 …
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", path.name)
        if not match:
            raise ValueError(f"{path}: expected a name like 0001_tables.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"{folder}: expected migrations 1, 2, 3 …, got {numbers}")
    return found


async def migrate(
    connection: Connection,
    *,
    schema: str,
    timescale: Timescale | None,
    lock_key: int,
    migrations: Sequence[Migration] | None = None,
) -> int:
    """Apply the `migrations` that `schema` lacks, by default all of ours; return how many.

    `connection` must have `schema` first in its search path. Servers that start together take turns
    on the advisory lock `lock_key`. After an error close the connection: it still holds the lock.

    Raises:
        StoreRefused: the schema is newer than this program, or an applied migration differs.
    """
    known = load_migrations() if migrations is None else migrations
    await connection.execute("SELECT pg_advisory_lock($1)", lock_key)
    await connection.execute(
        "SELECT set_config('fastbook.timescale', $1, false),"
        " set_config('fastbook.timescale_licence', $2, false)",
        "on" if timescale else "off",
        timescale.licence if timescale else "",
    )
    if not await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", schema):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    await connection.execute(
        f'CREATE TABLE IF NOT EXISTS "{schema}".schema_migrations ('
        " number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await connection.fetch("SELECT number, name, checksum FROM schema_migrations")
    applied = {row["number"]: (row["name"], row["checksum"]) for row in rows}
    _check(known, applied)
    missing = [migration for migration in known if migration.number not in applied]
    for migration in missing:
        await _apply(connection, migration)
    await connection.execute("SELECT pg_advisory_unlock($1)", lock_key)
    return len(missing)


async def check_migrated(connection: Connection) -> None:
    """Check that the schema, first in the search path, is exactly this program's.

    Raises:
        StoreUnprepared: it is older, or there is none.
        StoreRefused: like `migrate`.
    """
    known = load_migrations()
    rows = []
    if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        rows = await connection.fetch("SELECT number, name, checksum FROM schema_migrations")
    _check(known, {row["number"]: (row["name"], row["checksum"]) for row in rows})
    if len(rows) < len(known):
        raise StoreUnprepared(
            f"expected a schema with {len(known)} migrations, got {len(rows)}: start a recorder "
            "of this version first, it prepares the database"
        )


def _check(known: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> None:
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in sorted(applied.items()):
        ours = by_number.get(number)
        if ours is None:
            raise StoreRefused(
                f"expected migrations up to {max(by_number, default=0):04d}, got "
                f"{number:04d}_{name} in the database: its schema is newer than this program, "
                "upgrade fastbook"
            )
        if (ours.name, ours.checksum) != (name, checksum):
            raise StoreRefused(
                f"migration {number:04d}: expected {ours.name} with checksum {ours.checksum[:12]}, "
                f"got {name} with {checksum[:12]} in the database: an applied migration must never "
                "change"
            )


async def _apply(connection: Connection, migration: Migration) -> None:
    async def run() -> None:
        for statement in migration.statements:
            await connection.execute(statement, timeout=STATEMENT_TIMEOUT_S)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )

    if migration.in_transaction:
        async with connection.transaction():
            await run()
    else:
        await run()
