"""A sound database passes every check, and each of many corruptions is found."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from urllib.parse import urlsplit, urlunsplit

import pytest
from every_kind import EveryKind
from trading import SPECS, Floor

from fastbook_server.store import StoreRefused, StoreUnavailable
from fastbook_server.store.contradictions import CHECKS
from fastbook_server.store.shared_snapshot import SharedSnapshot
from fastbook_server.store.verification import snapshot, verify
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.persisted import Batch

CORRUPTIONS = {
    "a fill is lost": "DELETE FROM fills WHERE {fill}",
    "a fill is doubled": "INSERT INTO fills SELECT security, seq, 900, time, type, price_ticks,"
    " quantity_lots, maker_order_id, maker_user_id, taker_order_id, taker_user_id, fill_id,"
    " refill_lots, agg_trade_id FROM fills WHERE {fill}",
    "a fill is larger": "UPDATE fills SET quantity_lots = quantity_lots + 1 WHERE {fill}",
    "a fill is dearer": "UPDATE fills SET price_ticks = price_ticks + 1 WHERE {fill}",
    "a fill has turned": "UPDATE fills SET type = (CASE type WHEN 'bid' THEN 'ask' ELSE 'bid' END)"
    "::side WHERE {fill}",
    "a fill is another user's": "UPDATE fills SET maker_user_id = 'user#eve' WHERE {fill}",
    "an aggregate trade is another": "UPDATE fills SET agg_trade_id = agg_trade_id + 1"
    " WHERE {fill}",
    "the last fill is lost": "DELETE FROM fills WHERE fill_id = (SELECT max(fill_id) FROM fills)",
    "an order is lost": "DELETE FROM orders WHERE {order}",
    "an order is larger": "UPDATE orders SET amount = amount * 2 WHERE {order}",
    "a change was of more": "UPDATE order_changes SET quantity_lots_before ="
    " quantity_lots_before + 1 WHERE {change}",
    "a cancellation is lost": "DELETE FROM cancellations WHERE {cancellation}",
    "a cancellation is smaller": "UPDATE cancellations SET quantity_lots = quantity_lots - 1"
    " WHERE {cancellation}",
    "an open order is lost": "DELETE FROM open_orders WHERE {open}",
    "an open order is larger": "UPDATE open_orders SET remaining_lots = remaining_lots + 1"
    " WHERE {open}",
    "an open order has moved": "UPDATE open_orders SET price_ticks = price_ticks + 1"
    " WHERE {open} AND NOT held",
    "a bid crosses": "UPDATE open_orders SET price_ticks = 1000000 WHERE id ="
    " (SELECT id FROM open_orders WHERE type = 'bid' AND NOT held LIMIT 1)",
    "a trade is lost": "DELETE FROM trades WHERE {trade}",
    "a trade is dearer": "UPDATE trades SET avg_price = avg_price * 1.01 WHERE {trade}",
    "a candle is wrong": "UPDATE candles SET volume_lots = volume_lots + 1 WHERE {candle}",
    "a candle is lost": "DELETE FROM candles WHERE {candle}",
    "a market is ahead": "UPDATE markets SET seq = seq + 1 WHERE security = 'COIN'",
    "a market's fills are ahead": "UPDATE markets SET fill_id = fill_id + 1 WHERE fill_id > 0",
    "a market's aggregate trades are ahead": "UPDATE markets SET agg_trade_id = agg_trade_id + 1"
    " WHERE fill_id > 0",
    "a price is wrong": "UPDATE markets SET last_ticks = last_ticks + 1 WHERE fill_id > 0",
    "the state is behind": "UPDATE engine_state SET time = time - 100000",
    "the state is lost": "DELETE FROM engine_state",
    "the epoch is behind": "UPDATE engine_state SET epoch = epoch - 1",
    "the key of the tokens is lost": "UPDATE engine_state SET token_key = ''",
    "a market is lost": "DELETE FROM markets WHERE security = 'COIN'",
    "a lot has grown": "UPDATE instruments SET lot_size = lot_size * 2 WHERE security = 'COIN'",
    "a tick has grown": "UPDATE instruments SET tick_size = tick_size * 2 WHERE security = 'COIN'",
    "an order is another user's": "UPDATE orders SET user_id = 'user#eve' WHERE {order}",
    "an order has turned": "UPDATE orders SET type = (CASE type WHEN 'bid' THEN 'ask' ELSE 'bid'"
    " END)::side WHERE {order}",
    "an order is later": "UPDATE orders SET time = time + 1 WHERE {order}",
    "an order is elsewhere": "UPDATE orders SET seq = seq + 5000 WHERE {order}",
    "an order is off the grid": "UPDATE orders SET amount = amount + 0.00001 WHERE {order}",
    "an order is no number": "UPDATE orders SET amount = 'NaN' WHERE {order}",
    "an open order is another user's": "UPDATE open_orders SET user_id = 'user#eve' WHERE {open}",
    "an open order has another name": "UPDATE open_orders SET client_order_id = 'eve' WHERE {open}",
    "an open order is younger": "UPDATE open_orders SET seq = seq + 1000 WHERE {open}",
    "an open order was larger": "UPDATE open_orders SET quantity_lots = quantity_lots + 1"
    " WHERE {open}",
    "an open order has cost more": "UPDATE open_orders SET notional = coalesce(notional, 0) + 1"
    " WHERE {open}",
    "an open order expires": "UPDATE open_orders SET expire_time = time + 1 WHERE {open}",
    "a held order has moved": "UPDATE open_orders SET trigger_ticks = trigger_ticks + 1 WHERE id ="
    " (SELECT id FROM open_orders WHERE held LIMIT 1)",
    "a trade has turned": "UPDATE trades SET type = (CASE type WHEN 'bid' THEN 'ask' ELSE 'bid'"
    " END)::side WHERE {trade}",
    "a trade is later": "UPDATE trades SET time = time + 1 WHERE {trade}",
    "a trade has another id": "UPDATE trades SET id = gen_random_uuid() WHERE {trade}",
    "a trade is no number": "UPDATE trades SET avg_price = 'NaN' WHERE {trade}",
    "a fill is later": "UPDATE fills SET time = time + 1 WHERE {fill}",
    "a cancellation is another user's": "UPDATE cancellations SET user_id = 'user#eve'"
    " WHERE {cancellation}",
    "a cancellation has moved": "UPDATE cancellations SET price_ticks ="
    " coalesce(price_ticks, 0) + 1 WHERE {cancellation}",
    "a cancellation has turned": "UPDATE cancellations SET type = (CASE type WHEN 'bid' THEN 'ask'"
    " ELSE 'bid' END)::side WHERE {cancellation}",
    "a cancellation is later": "UPDATE cancellations SET time = time + 1000000"
    " WHERE {cancellation}",
    "a change is of another price": "UPDATE order_changes SET price_ticks_before ="
    " coalesce(price_ticks_before, 0) + 1 WHERE {change}",
    "a change is another user's": "UPDATE order_changes SET user_id = 'user#eve' WHERE {change}",
    "a name leads elsewhere": "UPDATE client_orders SET order_id = gen_random_uuid() WHERE {name}",
    "a name is another user's": "UPDATE client_orders SET user_id = 'user#eve' WHERE {name}",
    "a day begins later": "UPDATE days SET seq = seq + 1",
    "a day begins after another fill": "UPDATE days SET fill_id = fill_id + 1",
    "a day is lost": "DELETE FROM days WHERE security = 'COIN'",
}
ROWS = {
    "fill": ("fills", "(security, seq, n)"),
    "order": ("orders", "id"),
    "change": ("order_changes", "(security, seq, n)"),
    "cancellation": ("cancellations", "(security, seq, n)"),
    "open": ("open_orders", "id"),
    "trade": ("trades", "id"),
    "name": ("client_orders", "(user_id, client_order_id)"),
    "candle": ("candles", "(security, interval_ms, time)"),
}


def broken(statement: str, draw: random.Random) -> str:
    """Return the statement with a random row in place of each ``{table}``."""
    for name, (table, key) in ROWS.items():
        columns = key.strip("()")
        some = (
            f"{key} IN (SELECT {columns} FROM {table} ORDER BY {columns} OFFSET"
            f" (SELECT {draw.random()} * count(*) FROM {table})::integer % (SELECT count(*)"
            f" FROM {table}) LIMIT 1)"
        )
        statement = statement.replace(f"{{{name}}}", some)
    return statement


async def findings(sql) -> dict[str, tuple[str, ...]]:
    return {f.check.name: f.shown async for f in verify(SharedSnapshot(sql)) if f.faults}


@pytest.fixture
async def busy(make_postgres, dsn, sql):
    """A database in which orders of every kind have come and gone."""
    store = make_postgres(dsn, checkpoint_every=150)
    floor, flow = Floor(await store.open(SPECS, 0)), EveryKind(7)
    for number in range(1, 13):
        seen = len(floor.events)
        for _ in range(40):
            floor.now_ms += 1
            flow.now_ms = floor.now_ms
            floor.do(*flow.next())
        events = tuple(e for e in floor.events[seen:] if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(number, floor.now_ms, events)))
        floor.now_ms += 40_000
    return sql


async def test_a_sound_database_passes_and_corruptions_are_found(busy):
    """One database for all: each corruption is rolled back."""
    assert await findings(busy) == {}
    draw = random.Random(14)
    missed, by_check = [], set()
    told_twice = await busy.fetchval("SELECT to_regclass('candles') IS NOT NULL")
    corruptions = {n: s for n, s in CORRUPTIONS.items() if told_twice or "{candle}" not in s}
    for name, statement in corruptions.items():
        for _ in range(2):
            transaction = busy.transaction()
            await transaction.start()
            done = await busy.execute(broken(statement, draw))
            found = await findings(busy)
            if done.endswith(" 0") or not found:
                missed.append((name, done))
            by_check |= found.keys()
            await transaction.rollback()
    assert missed == []
    followed = set() if told_twice else {"candles = fills"}  # what is computed at each query
    assert by_check >= {c.name for c in CHECKS} - {"buys = sells"} - followed


HELD = """
SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE a.datname = current_database() AND a.application_name = 'fastbook verify'
  AND l.locktype = 'relation'
"""


async def test_all_checks_see_one_moment_and_none_holds_the_locks_of_another(busy, dsn):
    async with snapshot(dsn) as moment:
        found = []
        async for verdict in verify(moment):
            found.append(verdict.faults)
            assert await busy.fetchval(HELD) == 0
            if len(found) == 1:
                await busy.execute("DELETE FROM fills WHERE fill_id = 3")
    assert found == [0] * len(CHECKS)
    assert "fillId is gapless" in await findings(busy)


async def test_an_empty_database_is_sound(make_postgres, dsn, sql):
    await make_postgres(dsn).open(SPECS, 0)
    assert await findings(sql) == {}


async def test_no_check_looks_rows_up_one_by_one(make_postgres, dsn):
    """Of millions, in hundreds of chunks: without statistics the planner would."""
    await make_postgres(dsn).open(SPECS, 0)
    of_orders = [query for c in CHECKS for query in c.contradictions if "id_time(" in query]
    assert len(of_orders) > 3
    async with snapshot(dsn) as moment, moment.transaction() as connection:
        for query in of_orders:
            lines = await connection.fetch(f"EXPLAIN (COSTS off) {query}")
            plan = "\n".join(line[0] for line in lines)
            assert "Nested Loop" not in plan, plan


async def test_the_command_says_what_is_wrong(busy, dsn):
    """As an operator runs it."""
    good = await program("verify", "--database-url", dsn)
    assert (good[0], good[1][-1]) == (0, "the database is sound")
    assert [line[:6] for line in good[1][:-1]] == ["ok    "] * len(CHECKS)
    await busy.execute("DELETE FROM fills WHERE fill_id = 3")
    code, lines = await program("verify", "--database-url", dsn)
    assert code == 1
    assert "WRONG  fillId is gapless" in lines
    assert "         COIN: fill 4 follows 2" in lines
    code, lines = await program("verify", "--database-url", dsn, "--json")
    assert (code, json.loads(lines[0])["faults"] > 0) == (1, True)
    assert (await program("verify", "--database-url", f"{dsn}_not_there"))[0] == 2


def not_there(dsn: str) -> str:
    """Return the DSN of a database that the same server does not have."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(path=f"{parts.path}_not_there"))


@pytest.mark.parametrize(
    ("dsn_of", "kind", "said"),
    [
        (lambda dsn: "postgresql://postgres@/x?host=/nowhere", StoreUnavailable, "no such file"),
        (not_there, StoreRefused, "does not exist"),
        (lambda dsn: dsn, StoreRefused, "expected a database with this version's schema"),
    ],
    ids=["away", "absent", "empty"],
)
async def test_a_database_that_cannot_be_read_says_why(dsn, dsn_of, kind, said):
    with pytest.raises(kind) as error:
        async with snapshot(dsn_of(dsn)):
            pass
    assert said in str(error.value).lower()


async def test_a_database_that_goes_away_meanwhile_is_unavailable(make_postgres, dsn):
    await make_postgres(dsn).open(SPECS, 0)
    with pytest.raises(StoreUnavailable):
        async with snapshot(dsn) as moment, moment.transaction() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def program(*arguments: str) -> tuple[int, list[str]]:
    """Run ``fastbook``; return its exit code and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines()
