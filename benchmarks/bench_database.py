"""The database under volume and over years, into RESULTS.md.

    python -m benchmarks.bench_database                    10 million orders, 1,000 days
    python -m benchmarks.bench_database --orders 1000000
    python -m benchmarks.bench_database --url postgresql://…   beside a private PostgreSQL, this one
    python -m benchmarks.bench_database --without orders_user --orders 1000000   what an index costs

Each database is made for the measurement, and dropped at its end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks.database.volume import volume
from benchmarks.database.without import compare_without
from benchmarks.database.years import compare, compress_old, fill
from benchmarks.tables import heading, put_part, table
from fastbook_server.embedded.supervisor import EmbeddedPostgres


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_database",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--orders", type=int, default=10_000_000, help="0: no volume")
    parser.add_argument("--days", type=int, default=1_000, help="0: no years")
    parser.add_argument("--url", help="another server, such as one with TimescaleDB")
    parser.add_argument("--without", metavar="INDEX", help="measure what it costs, and only that")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastbook-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must be able to enter
        parts = asyncio.run(_measured(Path(folder) / "data", given))
    if given.without:
        print(*parts, sep="\n")
        return
    top = heading("make bench-database", changed=True, libraries=f"asyncpg {asyncpg.__version__}")
    text = "\n\n".join([top, *parts]) + "\n"
    print(text)
    put_part("make bench-database", text)


async def _measured(folder: Path, given: argparse.Namespace) -> list[str]:
    private = EmbeddedPostgres(folder)
    servers = [await private.start(), *([given.url] if given.url else [])]
    try:
        if given.without:
            return [await _without(servers[-1], given.without, given.orders)]
        parts = []
        if given.orders:
            parts.append(await _volumes(servers, given.orders))
        if given.days:
            parts += [await _years(server, given.days) for server in servers]
        return parts
    finally:
        await private.stop()


async def _volumes(servers: list[str], orders: int) -> str:
    columns = []
    for server in servers:
        async with _database(server) as dsn:
            columns.append(dict(await volume(dsn, orders, lambda line: print(line, flush=True))))
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [[name, *(column.get(name, "") for column in columns)] for name in names]
    return "## Volume\n\n" + table(["", *("" for _ in columns)], rows)


async def _without(server: str, index: str, orders: int) -> str:
    async with _database(server) as one, _database(server) as other:
        say = functools.partial(print, flush=True)
        rows = await compare_without(index, (one, other), orders, say)
    return table(["", f"with `{index}`", "without", "ratio"], rows)


async def _years(server: str, days: int) -> str:
    async with _database(server) as one, _database(server) as many:
        await fill(one, 1)
        await fill(many, days)
        times = await compare(one, many)
        async with _connected(many) as sql:
            await sql.execute("SET search_path = fastbook, public")
            version = await sql.fetchval("SHOW server_version")
            timescale = await sql.fetchval(
                "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
            )
            if timescale:
                await compress_old(sql)
        if timescale:
            again = await compare(one, many)
            times = {name: [*found, *again[name]] for name, found in times.items()}
    name = f"PostgreSQL {version.split()[0]}" + (f", TimescaleDB {timescale}" if timescale else "")
    head = ["ms", "1 day", f"{days:,} days", "ratio"]
    head += ["1 day again", f"{days:,} days, compressed", "ratio"] if timescale else []
    rows = []
    for asked, found in times.items():
        row = [asked]
        for first, later in zip(found[::2], found[1::2], strict=True):
            row += [f"{first:.1f}", f"{later:.1f}", f"{later / first:.2f}"]
        rows.append(row)
    return f"## History: {name}\n\n" + table(head, rows)


@contextlib.asynccontextmanager
async def _database(server: str) -> AsyncIterator[str]:
    name = f"fastbook_bench_{random.getrandbits(48):012x}"
    async with _connected(server) as admin:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
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
