"""What is particular to PostgreSQL: every table's rows, and how it refuses and fails."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from trading import SPECS, T0, Floor, bid

from fastbook_server import from_source
from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    StoreBroken,
    StoreError,
    StoreFenced,
    StoreRefused,
    StoreUnavailable,
    large_batches,
    postgres,
)
from fastbook_server.store.connection import store_error
from fastbook_server.values.events import PRIVATE, Traded
from fastbook_server.values.ids import EPOCH_MAX, INSTRUMENT_MAX
from fastbook_server.values.instruments import InstrumentSpec

WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_sql_knows_a_delisted_book_as_it_was_and_as_empty(
    make_postgres, dsn, sql, specs, flow
):
    store = make_postgres(dsn, checkpoint_every=1_000)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(150)))
    rest = [e for i in source.instruments for e in source.add_resting(i, 5)]
    await store.commit(store.prepare(source.close_batch(rest)))
    orders = [o for o, _, _ in source.resting.values() if o.instrument.security == "GAME"]
    seq = source.seqs["GAME"]
    await make_postgres(dsn).open(specs[:1], 0, delist=["GAME"])
    assert await sql.fetchval("SELECT count(*) FROM book_at('GAME', $1)", seq) > 0
    assert await sql.fetchval("SELECT count(*) FROM book_at('GAME', $1)", seq + 1) == 0
    rows = await sql.fetch(
        "SELECT seq, n, order_id::text, rested FROM cancellations WHERE reason = 'delisted'"
        " ORDER BY n"
    )
    assert [tuple(row) for row in rows] == [
        (seq + 1, n, order_id, True) for n, order_id in enumerate(sorted(o.id for o in orders))
    ]
    assert await sql.fetchval("SELECT DISTINCT security FROM open_orders") == "BTC-USD"


async def tuples(sql, query):
    """Return the rows of a query as tuples."""
    return [tuple(row) for row in await sql.fetch(query)]


async def test_the_rows_of_every_table(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn, checkpoint_every=3)
    source = flow(await store.open(specs, 0))
    t = source.time_ms
    btc = source.instruments[0]
    given = {
        "exec_type": "limit", "time_in_force": "gtc", "self_trade": "allow",
        "withdraw_on_close": False, "client_order_id": None,
    }  # fmt: skip
    ask = source.add(btc, side="ask", user_id="a", price=10_050, quantity=30_000, **given)
    low = source.add(btc, side="bid", user_id="b", price=10_000, quantity=5, **given)
    buy = source.add(
        btc, side="bid", user_id="c", price=10_060, quantity=10_000,
        **given | {"client_order_id": "mine", "time_in_force": "ioc", "withdraw_on_close": True},
    )  # fmt: skip
    gone = source.cancel([low[0].order.id])
    await store.commit(store.prepare(source.close_batch(ask + low + buy)))
    await store.commit(store.prepare(source.close_batch(gone)))
    ask_id, low_id, buy_id = (UUID(events[0].order.id) for events in (ask, low, buy))
    trade_id = next(UUID(event.id) for event in buy if isinstance(event, Traded))

    rows = partial(tuples, sql)
    limit, plain = ("BTC-USD", "bid", "limit"), ("gtc", False, "allow", None, False)
    assert await rows("SELECT * FROM orders ORDER BY seq") == [
        (ask_id, t, "a", "BTC-USD", "ask", "limit", 3.0, 100.5, 1, *plain, *[None] * 5),
        (low_id, t, "b", *limit, 5e-4, 100.0, 2, *plain, *[None] * 5),
        (buy_id, t, "c", *limit, 1.0, 100.6, 3, "ioc", False, "allow", "mine", True, *[None] * 5),
    ]
    assert await rows("SELECT * FROM trades") == [
        (trade_id, t, "c", "BTC-USD", "bid", 1.0, 100.5, buy_id, 3)
    ]
    assert await rows("SELECT * FROM fills") == [
        ("BTC-USD", 3, 0, t, "bid", 10_050, 10_000, ask_id, "a", buy_id, "c", 1, None, 1)
    ]
    assert await rows("SELECT * FROM cancellations") == [
        ("BTC-USD", 4, 0, t, low_id, "b", "bid", 10_000, 5, "user", True, None)
    ]
    assert await rows("SELECT * FROM open_orders") == [
        (
            ask_id, t, "a", "BTC-USD", "ask", 10_050, 30_000, 20_000, Decimal(100_500_000), 1,
            "gtc", False, "allow", None, False, "limit", False, None, None, None, None, 1, 0,
            None, None, None,
        )
    ]  # fmt: skip
    assert await rows("SELECT * FROM client_orders") == [("c", "mine", buy_id, t, t)]
    assert await rows("SELECT epoch, batch_no, time FROM engine_state") == [(1, 2, t)]
    assert await rows("SELECT * FROM markets WHERE seq>0") == [("BTC-USD", 4, 1, 10_050, 1, "main")]
    assert await rows("SELECT * FROM instruments ORDER BY 1") == [
        (1, "BTC-USD", "0.01", "0.0001", Decimal("0.01"), Decimal("0.0001")),
        (2, "GAME", "5", "0.25", Decimal(5), Decimal("0.25")),
    ]
    assert await rows("SELECT security, seq, time FROM book_checkpoints") == [("BTC-USD", 3, t)]
    assert await rows("SELECT price, amount, total FROM fills_as_numbers") == [(100.5, 1.0, 100.5)]
    assert await rows("SELECT price, amount, reason FROM cancellations_as_numbers") == [
        (100.0, 5e-4, "user")
    ]
    assert await rows("SELECT price, amount, remaining, avg_price FROM open_orders_as_numbers") == [
        (100.5, 3.0, 2.0, 100.5)
    ]


async def test_old_client_order_ids_are_purged_within_a_batch(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(50)))
    assert await sql.fetchval("SELECT count(*) FROM client_orders") > 5
    source.time_ms += CLIENT_ORDERS_KEPT_MS + 10_000
    await store.commit(store.prepare(source.close_batch([])))
    assert await sql.fetchval("SELECT count(*) FROM client_orders") == 0


async def test_expired_client_order_ids_are_purged_a_few_at_a_time(
    make_postgres, dsn, sql, specs, flow, monkeypatch
):
    """Every batch purges while there are more, then none until a minute has passed."""
    monkeypatch.setattr(postgres, "PURGE_ROWS_MAX", 3)
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))

    async def expire(count):
        await sql.execute(
            "INSERT INTO client_orders SELECT 'a', n::text, gen_random_uuid(), 0, 0"
            " FROM generate_series(1, $1::int) AS n",
            count,
        )

    async def left_after(pause_ms):
        source.time_ms += pause_ms
        await store.commit(store.prepare(source.close_batch([])))
        return await sql.fetchval("SELECT count(*) FROM client_orders")

    await expire(7)
    assert [await left_after(0) for _ in range(3)] == [4, 1, 0]
    await expire(1)
    assert await left_after(postgres.PURGE_EVERY_MS - 1) == 1
    assert await left_after(1) == 0


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM open_orders",
        "DELETE FROM engine_state",
        "ALTER TABLE orders DROP COLUMN price CASCADE",
        "TRUNCATE markets",
    ],
)
async def test_a_database_that_was_meddled_with_stops_the_server(
    make_postgres, dsn, sql, specs, flow, harm
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(50)))
    await sql.execute(harm)
    with pytest.raises((StoreBroken, StoreFenced)):
        await store.commit(store.prepare(source.batch(200)))


async def test_open_orders_that_contradict_the_view_are_refused(
    make_postgres, dsn, sql, specs, flow
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(50)))
    await sql.execute(
        "CREATE OR REPLACE VIEW agg_order_book AS SELECT security, type, 0::float8 AS price,"
        " 0::float8 AS amount, 0::float8 AS total, price_ticks, sum(remaining_lots + 1) AS"
        " quantity_lots FROM open_orders GROUP BY security, type, price_ticks"
    )
    with pytest.raises(StoreRefused, match="agg_order_book disagrees with open_orders at"):
        await make_postgres(dsn).open(specs, 0)


@pytest.mark.parametrize("change", ["UPDATE", "DELETE"])
async def test_an_open_order_that_is_missing_stops_the_server(
    make_postgres, dsn, sql, specs, flow, change
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    btc, given = source.instruments[0], {"exec_type": "limit", "time_in_force": "gtc", "price": 9}
    resting = source.add(btc, side="ask", user_id="a", quantity=5, **given)
    await store.commit(store.prepare(source.close_batch(resting)))
    await sql.execute("DELETE FROM open_orders")
    if change == "DELETE":
        events = source.cancel([resting[0].order.id])
    else:
        events = source.add(btc, side="bid", user_id="b", quantity=2, self_trade="allow", **given)
    with pytest.raises(StoreBroken, match=f"expected {change} 1, got {change} 0"):
        await store.commit(store.prepare(source.close_batch(events)))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("UPDATE orders SET price = price + 0.001", "order .*: expected multiples of tick 0.01"),
        ("UPDATE orders SET amount = amount + 0.00001", "order .* and lot 0.0001, got price"),
        ("UPDATE trades SET amount = amount + 0.00001", "trade .*: expected a multiple of lot"),
        ("DELETE FROM fills", "trade .* and fills, got amount .* and notional None"),
    ],
)
async def test_rows_that_no_server_wrote_are_refused_at_start(
    make_postgres, dsn, sql, specs, flow, harm, said
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(50)))
    await sql.execute(harm)
    with pytest.raises(StoreRefused, match=said):
        await make_postgres(dsn).open(specs[:1], 5)


async def test_a_database_out_of_epochs_is_refused(make_postgres, dsn, sql, specs):
    await make_postgres(dsn).open(specs, 0)
    await sql.execute("UPDATE engine_state SET epoch = $1", EPOCH_MAX)
    with pytest.raises(StoreRefused, match=f"at most {EPOCH_MAX}, got {EPOCH_MAX + 1}"):
        await make_postgres(dsn).open(specs, 0)
    assert await sql.fetchval("SELECT epoch FROM engine_state") == EPOCH_MAX


async def test_a_database_out_of_instrument_numbers_is_refused(make_postgres, dsn, sql, specs):
    await make_postgres(dsn).open(specs, 0)
    await sql.execute("UPDATE instruments SET number = $1 WHERE number = 2", INSTRUMENT_MAX)
    with pytest.raises(StoreRefused, match=f"expected at most {INSTRUMENT_MAX} instruments"):
        await make_postgres(dsn).open([InstrumentSpec.parse("NEW:1:1")], 0)
    assert len((await make_postgres(dsn).open(specs, 0)).instruments) == 2


async def test_a_database_without_a_position_says_so(make_postgres, dsn, sql, specs):
    store = make_postgres(dsn)
    await store.open(specs, 0)
    await sql.execute("DELETE FROM engine_state")
    with pytest.raises(StoreBroken, match="expected a row in engine_state, got none"):
        await store.position()


async def test_a_large_batch_is_netted_when_it_is_committed(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    batch = source.close_batch(source.add_resting(source.instruments[0], large_batches.LARGE))
    assert large_batches.is_large(batch)
    prepared = store.prepare(batch)
    assert isinstance(prepared, large_batches.LargeBatch)
    await store.commit(prepared)
    assert await sql.fetchval("SELECT count(*) FROM open_orders") == large_batches.LARGE
    assert prepared.is_done
    await store.commit(prepared)  # as after a commit whose answer was lost
    assert await sql.fetchval("SELECT count(*) FROM orders") == large_batches.LARGE


async def test_an_old_server_is_refused(make_postgres, dsn, specs, monkeypatch):
    monkeypatch.setattr(postgres, "SERVER_MAJOR_MIN", 99)
    with pytest.raises(StoreRefused, match=r"expected PostgreSQL 99 or later, got \d\d"):
        await make_postgres(dsn).open(specs, 0)


async def test_a_cancelled_commit_can_be_repeated(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    prepared = store.prepare(source.batch(50))
    await sql.execute("BEGIN; LOCK TABLE engine_state")
    task = asyncio.create_task(store.commit(prepared))
    watcher = await asyncpg.connect(dsn)
    while not await watcher.fetchval(WAITS):  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sql.execute("ROLLBACK")
    await store.commit(prepared)
    assert await watcher.fetchval("SELECT batch_no FROM fastbook.engine_state") == 1
    await watcher.close()


async def test_a_command_that_takes_too_long_is_given_up(
    make_postgres, dsn, sql, specs, flow, monkeypatch
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    prepared = store.prepare(source.batch())
    await sql.execute("BEGIN; LOCK TABLE engine_state")
    with monkeypatch.context() as patch:
        patch.setattr(store, "_command_timeout_s", 0.05)
        with pytest.raises(StoreUnavailable):
            await store.commit(prepared)
    await sql.execute("ROLLBACK")
    await store.commit(prepared)


@pytest.mark.skipif(from_source.is_wanted(), reason="from source, packing rows takes too long")
async def test_a_batch_of_many_rows_has_the_time_that_it_needs(make_postgres, dsn):
    """It is retried as it is: with too little time it would never come through."""
    store = make_postgres(dsn)
    floor = Floor(await store.open(SPECS, 0))
    for n in range(10_000):
        floor.do("ann", bid(n + 1, 1))
    stored = tuple(e for e in floor.events if type(e) not in PRIVATE)
    prepared = store.prepare(Batch(1, T0, stored))
    store._command_timeout_s = 0.05
    await store.commit(prepared)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://localhost:nonsense/", "cannot be used"),
        ("mysql://localhost/", "cannot be used"),
    ],
)
async def test_a_senseless_dsn_is_refused(make_postgres, specs, dsn, said):
    with pytest.raises(StoreRefused, match=said):
        await make_postgres(dsn).open(specs, 0)


async def test_an_unknown_database_is_refused_and_an_absent_server_is_unavailable(
    make_database, make_postgres, specs
):
    dsn = await make_database("postgres")
    with pytest.raises(StoreRefused, match="does not exist"):
        await make_postgres(dsn.replace("/fastbook_test", "/no_such")).open(specs, 0)
    with pytest.raises(StoreUnavailable):
        await make_postgres("postgresql:///x?host=/nowhere").open(specs, 0)


async def test_a_user_without_rights_is_told_so(make_database, make_postgres, sql_of, specs):
    dsn = await make_database("postgres")
    admin = await sql_of(dsn)
    await admin.execute("DROP ROLE IF EXISTS fastbook_reader; CREATE ROLE fastbook_reader LOGIN")
    with pytest.raises(StoreRefused, match="permission denied"):
        await make_postgres(dsn.replace("postgres@", "fastbook_reader@")).open(specs, 0)
    await admin.execute("DROP ROLE fastbook_reader")


async def test_commits_are_synchronous_whatever_the_database_says(make_postgres, dsn, sql, specs):
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = make_postgres(dsn)
    await store.open(specs, 0)
    assert await store._connection.fetchval("SHOW synchronous_commit") == "on"


async def test_commits_see_what_is_committed_whatever_the_database_says(
    make_postgres, dsn, sql, specs
):
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    store = make_postgres(dsn)
    await store.open(specs, 0)
    assert await store._connection.fetchval("SHOW transaction_isolation") == "read committed"


RETRIED = [
    "08006",
    "40001",
    "40P01",
    "53100",
    "53300",
    "57P01",
    "57P03",
    "57014",
    "58030",
    "25006",
    "55P03",
    "25P03",
]
FATAL = ["23505", "42703", "22003", "XX000", "42501", ""]


class Coded(asyncpg.PostgresError):
    def __init__(self, code):
        super().__init__("said")
        self.sqlstate = code


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        *(
            (Coded(code), StoreUnavailable)
            for code in ("08006", "40001", "40P01", "53100", "53300")
        ),
        *(
            (Coded(code), StoreUnavailable)
            for code in ("57P01", "57P03", "57014", "58030", "25006")
        ),
        *((Coded(code), StoreUnavailable) for code in ("55P03", "25P03")),
        *((Coded(code), StoreBroken) for code in ("23505", "42703", "22003", "XX000", "42501", "")),
        (ConnectionResetError("cut"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (OSError(28, "No space left on device"), StoreUnavailable),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable),
        (asyncpg.DataError("invalid input for query argument"), StoreBroken),
        (asyncpg.ClientConfigurationError("invalid DSN"), StoreBroken),
        (asyncpg.InternalClientError("cannot switch to state 12"), StoreUnavailable),
        (RuntimeError("unable to perform …; the handler is closed"), StoreUnavailable),
        (RuntimeError("not of the database"), None),
        (StoreFenced("already ours"), StoreFenced),
        (KeyError("not of the database"), None),
    ],
    ids=lambda value: getattr(value, "sqlstate", None) or repr(value),
)
def test_what_an_error_means(error, meaning):
    found = store_error(error)
    assert (found if found is None else type(found)) is meaning
    assert found is None or isinstance(found, StoreError)
