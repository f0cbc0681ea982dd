"""An export of a long history: one moment, read day by day, with the locks of one day at a time."""

from __future__ import annotations

import pytest

from fastbook_cli.export.source import read
from fastbook_cli.export.tables import Selection
from fastbook_server.store.days import DAY_MS
from fastbook_server.values.events import OrderFilled

# Of the session that reads, while it stands in a transaction: which one, and its locks on tables
# and indexes.
READING = """
SELECT (SELECT virtualxid FROM pg_locks WHERE pid = a.pid AND locktype = 'virtualxid'),
       (SELECT count(*) FROM pg_locks WHERE pid = a.pid AND locktype = 'relation')
FROM pg_stat_activity AS a
WHERE datname = current_database() AND application_name = 'fastbook export'
ORDER BY query LIKE '%pg_export_snapshot%' LIMIT 1
"""


@pytest.mark.parametrize("kind", ["postgres", "timescale"])
async def test_each_day_is_read_in_a_transaction_of_its_own_and_all_at_one_moment(
    kind, make_database, trade_for_days, sql_of
):
    dsn = await make_database(kind)
    fills = [e for e in await trade_for_days(dsn) if isinstance(e, OrderFilled)]
    sql = await sql_of(dsn)
    selection = Selection(table="fills", securities=("BTC-USD",))
    expected = [f.fill_id for f in fills if f.maker.instrument.security == "BTC-USD"]
    found, transactions, locks = [], [], []
    async with read(dsn) as source:
        assert await source.count(selection) == len(expected)
        async for rows in source.chunks(selection):
            if not found:  # what is committed now is of another moment
                await sql.execute("DELETE FROM fills WHERE time >= $1", rows[0]["time"] + DAY_MS)
            found += [row["fill_id"] for row in rows]
            assert len({row["time"] // DAY_MS for row in rows}) == 1
            transaction, held = await sql.fetchrow(READING)
            transactions.append(transaction)
            locks.append(held)
    assert found == expected
    assert len(set(transactions)) == len(transactions) > 30
    assert max(locks) < 2 * locks[0], "no more for the last day than for the first"
