"""The database under volume and over years, into RESULTS.md.

    python -m benchmarks.bench_database                    10 million orders, 1,000 days, a year
    python -m benchmarks.bench_database --orders 1000000
    python -m benchmarks.bench_database --url postgresql://…   beside a private PostgreSQL, this one
    python -m benchmarks.bench_database --folder ~/bench       go on where the last run ended
    python -m benchmarks.bench_database --without orders_user --orders 1000000   what an index costs

What is not measured keeps its section of RESULTS.md. Each database is made for the measurement, and
dropped at its end; with ``--folder`` those of the days are kept, there and on the server of
``--url``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks.database import year
from benchmarks.database.compression import compress, has_timescale
from benchmarks.database.volume import volume
from benchmarks.database.without import compare_without
from benchmarks.database.years import DAY_MS, compare, fill
from benchmarks.tables import heading, put_sections, table
from fastbook_server.embedded.supervisor import EmbeddedPostgres

COMMANDS_A_DAY = 2_000
LIVE = 300
USERS = 50
UNCOMPRESSED_DAYS = 7


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_database",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--orders", type=int, default=10_000_000, help="0: no volume")
    parser.add_argument("--days", type=int, default=1_000, help="0: no comparison of them with one")
    parser.add_argument("--year", type=int, default=year.DAYS, help="days of the year; 0: none")
    parser.add_argument("--url", help="another server, such as one with TimescaleDB")
    parser.add_argument("--folder", type=Path, help="keep the databases of days, and go on there")
    parser.add_argument("--without", metavar="INDEX", help="measure what it costs, and only that")
    given = parser.parse_args()
    with _folder(given.folder) as folder:
        parts = asyncio.run(_measured(folder / "data", given))
    if given.without:
        print(*parts, sep="\n")
        return
    top = heading("make bench-database", changed=True, libraries=f"asyncpg {asyncpg.__version__}")
    print("\n\n".join([top, *parts]))
    put_sections("make bench-database", top, parts)


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="fastbook-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must be able to enter
        yield Path(folder)


async def _measured(folder: Path, given: argparse.Namespace) -> list[str]:
    private = EmbeddedPostgres(folder)
    servers = [await private.start(), *([given.url] if given.url else [])]
    keeps = given.folder is not None
    try:
        if given.without:
            return [await _without(servers[-1], given.without, given.orders)]
        parts = []
        if given.orders:
            parts.append(await _volumes(servers, given.orders))
        if given.days:
            parts += [await _days(server, given.days, keeps) for server in servers]
        if given.year:
            parts += [await _year(server, given.year, keeps) for server in servers]
        return parts
    finally:
        await private.stop()


async def _volumes(servers: list[str], orders: int) -> str:
    found = []
    for server in servers:
        async with _database(server, "volume", keeps=False) as dsn:
            found.append(await volume(dsn, orders, lambda line: print(line, flush=True)))
    return "## Volume\n\n" + table(["", *("" for _ in found)], year.columns(found))


async def _without(server: str, index: str, orders: int) -> str:
    async with (
        _database(server, "with", keeps=False) as one,
        _database(server, "without", keeps=False) as other,
    ):
        say = functools.partial(print, flush=True)
        rows = await compare_without(index, (one, other), orders, say)
    return table(["", f"with `{index}`", "without", "ratio"], rows)


async def _days(server: str, days: int, keeps: bool) -> str:
    async with (
        _database(server, "day", keeps=keeps) as one,
        _database(server, "days", keeps=keeps) as many,
    ):
        for dsn, length in ((one, 1), (many, days)):
            await fill(dsn, length, COMMANDS_A_DAY, live=LIVE, users=USERS)
            await _vacuum(dsn)
        times = await compare(one, many)
        name, timescale = await _named(many)
        if timescale:
            await _compress(one, 0)
            await _compress(many, UNCOMPRESSED_DAYS)
            again = await compare(one, many)
            times = {asked: [*found, *again[asked]] for asked, found in times.items()}
    head = ["ms", "1 day", f"{days:,} days", "ratio"]
    head += ["1 day, compressed", f"{days:,} days, compressed", "ratio"] if timescale else []
    rows = []
    for asked, found in times.items():
        row = [asked]
        for first, later in zip(found[::2], found[1::2], strict=True):
            row += [f"{first:.1f}", f"{later:.1f}", f"{later / first:.2f}"]
        rows.append(row)
    about = f"{COMMANDS_A_DAY:,} commands a day, {LIVE} open orders."
    return f"## Days of history: {name}\n\n{about}\n\n" + table(head, rows)


async def _year(server: str, days: int, keeps: bool) -> str:
    async with _database(server, "year", keeps=keeps) as dsn:
        await fill(dsn, days, year.COMMANDS_A_DAY, taking=year.TAKING)
        await _vacuum(dsn)
        found = [await year.year(dsn)]
        name, timescale = await _named(dsn)
        if timescale:
            await _compress(dsn, UNCOMPRESSED_DAYS)
            found.append(await year.year(dsn))
    head = ["", "measured", "compressed"][: 1 + len(found)]
    return f"## A year: {name}\n\n" + table(head, year.columns(found))


async def _named(dsn: str) -> tuple[str, bool]:
    """Return the name of a database for people, and whether its history is in hypertables."""
    async with _connected(dsn) as sql:
        version = await sql.fetchval("SHOW server_version")
        timescale = await sql.fetchval(
            "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
        )
        name = f"PostgreSQL {version.split()[0]}"
        return name + (f", TimescaleDB {timescale}" if timescale else ""), timescale is not None


async def _compress(dsn: str, but_days: int) -> None:
    """Compress all but the last days, if that is possible; a kept database stays compressed."""
    async with _connected(dsn) as sql:
        await sql.execute("SET search_path = fastbook, public")
        if await has_timescale(sql):
            newest_ms = await sql.fetchval("SELECT max(time) FROM days")
            await compress(sql, newest_ms + (1 - but_days) * DAY_MS)


async def _vacuum(dsn: str) -> None:
    """Leave nothing for autovacuum to do while the clock runs."""
    async with _connected(dsn) as sql:
        await sql.execute("VACUUM ANALYZE")


@contextlib.asynccontextmanager
async def _database(server: str, name: str, *, keeps: bool) -> AsyncIterator[str]:
    name = f"fastbook_bench_{name}"
    async with _connected(server) as admin:
        if not keeps:
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            if not keeps:
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
