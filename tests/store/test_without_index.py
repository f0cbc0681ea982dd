"""What an index costs is measured on two databases, one of which lacks it."""

from __future__ import annotations

from benchmarks.database.without import compare_without


async def test_the_same_orders_go_through_both(make_database, sql_of):
    dsns = (await make_database("postgres"), await make_database("postgres"))
    told: list[str] = []
    rows = await compare_without("orders_user", dsns, 2_000, told.append)
    assert [row[0] for row in rows] == [
        "commands/s, in batches of 1,000",
        "bytes per order on disk, all tables and indexes",
        "of which `orders_user`",
    ]
    assert told
    counts = []
    for dsn in dsns:
        sql = await sql_of(dsn)
        orders = await sql.fetchval("SELECT count(*) FROM fastbook.orders")
        has = await sql.fetchval("SELECT to_regclass('fastbook.orders_user') IS NOT NULL")
        counts.append((orders, has))
    assert counts[0][0] == counts[1][0] >= 2_000
    assert [has for _, has in counts] == [True, False]
    assert int(rows[2][1].replace(",", "")) > 0
