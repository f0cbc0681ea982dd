"""Exports: the rows of the database, whole or not at all, in flat memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import csv
import gzip
import io
import json
import lzma
import os
import signal
import sys
from datetime import datetime

import asyncpg
import pyarrow.parquet
import pytest

from fastbook_cli.export.files import Csv, harmless
from fastbook_cli.export.source import SETTINGS, private_database, read
from fastbook_cli.export.tables import WINDOWED, Column, Selection, Window, query
from fastbook_server.store.days import DAY_MS
from fastbook_server.values.events import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderTriggered,
    Traded,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T0 = 1_767_225_600_000
pytestmark = pytest.mark.xdist_group("export")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def optional(convert, value):
    """Return what a value or None is in a file."""
    return None if value in (None, 0) else convert(value)


def paid_for(events, order):
    """Return the lots that a market order by total has traded, or those that an order is of."""
    if order.budget is None:
        return order.quantity
    return sum(e.quantity for e in events if isinstance(e, OrderFilled) and e.taker.id == order.id)


def expected(events, table):
    """Return some fields of each row, as numbers of the wire, in the order of the file."""
    found = []
    for event in events:
        match event:
            case OrderAccepted(order) if table == "orders":
                instrument = order.instrument
                tick, lot = instrument.tick.number, instrument.lot.number
                terms = (
                    optional(tick, order.price), lot(paid_for(events, order)),
                    optional(tick, order.trigger_price), optional(lot, order.display),
                    optional(instrument.total, order.budget), optional(int, order.expire_ms),
                )  # fmt: skip
                found.append((instrument.security, order.seq, 0, order.id, *terms))
            case Traded() if table == "trades":
                instrument = event.order.instrument
                price = instrument.average(event.notional, event.quantity)
                row = (event.id, price, instrument.lot.number(event.quantity))
                found.append((instrument.security, event.seq, 0, *row))
            case OrderFilled() if table == "fills":
                instrument = event.maker.instrument
                price, amount = instrument.tick.number(event.price), instrument.lot.number
                row = (event.maker.id, price, amount(event.quantity), event.fill_id)
                found.append((instrument.security, event.seq, event.n, *row))
            case OrderCancelled() if table == "cancellations":
                order, instrument = event.order, event.order.instrument
                row = (order.id, optional(instrument.tick.number, order.price))
                gone = (instrument.lot.number(event.quantity), event.reason)
                found.append((instrument.security, event.seq, event.n, *row, *gone))
            case OrderTriggered(seq, _, order) if table == "order_changes":
                found.append(change(seq, 0, order, order, "trigger"))
            case OrderAmended() if table == "order_changes":
                found.append(change(event.seq, event.n, event.before, event.order, event.cause))
    return sorted(found, key=lambda row: row[:3])


def change(seq, n, before, order, cause):
    """Return the row of a change."""
    tick, lot = order.instrument.tick.number, order.instrument.lot.number
    terms = [(optional(tick, o.price), lot(o.quantity)) for o in (before, order)]
    names = (before.client_order_id, order.client_order_id)
    return (order.instrument.security, seq, n, order.id, *terms[0], *terms[1], cause, *names)


COLUMNS = {
    "orders": ("id", "price", "amount", "trigger_price", "display", "total", "expire_time"),
    "order_changes": (
        *("order_id", "price_before", "amount_before", "price", "amount", "cause"),
        *("client_order_id_before", "client_order_id"),
    ),
    "cancellations": ("order_id", "price", "amount", "reason"),
    "trades": ("id", "price", "amount"),
    "fills": ("maker_order_id", "price", "amount", "fill_id"),
}


def read_back(rows, table):
    return [
        (
            *(row["security"], int(row["seq"]), int(row.get("n", 0))),
            *(value(name, row[name]) for name in COLUMNS[table]),
        )
        for row in rows
    ]


def value(name, text):
    """Return a value of a file as it was before."""
    if text in ("", None):
        return None
    if name in ("cause", "reason", "id") or (
        name.endswith(("_id", "_id_before")) and name != "fill_id"
    ):
        return text
    if isinstance(text, datetime):
        return round(text.timestamp() * 1_000)
    return int(text) if name in ("fill_id", "expire_time") else float(text)


@pytest.mark.parametrize("table", ["orders", "order_changes", "cancellations", "trades", "fills"])
def test_a_table_in_both_formats_is_what_happened(traded, export, tmp_path, table):
    wanted = expected(traded.events, table)
    assert len(wanted) > 50
    done = export(table, "--output", "-")
    assert (done.returncode, done.stderr) == (0, "")
    text = rows_of(done.stdout)
    assert read_back(text, table) == wanted
    file = tmp_path / f"{table}.parquet"
    done = export(table, "--output", file)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{file}: {len(wanted):,} rows\n"
    binary = pyarrow.parquet.read_table(file)
    assert binary.column_names == list(text[0])
    assert read_back(binary.to_pylist(), table) == wanted
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_integers_are_ticks_and_lots(traded, export):
    fills = rows_of(export("fills", "--integers", "--output", "-").stdout)
    wanted = sorted(
        (e.maker.instrument.security, e.seq, e.n, e.price, e.quantity)
        for e in traded.events
        if isinstance(e, OrderFilled)
    )
    columns = ("seq", "n", "price_ticks", "quantity_lots")
    assert [(row["security"], *(int(row[c]) for c in columns)) for row in fills] == wanted
    trades = rows_of(export("trades", "--integers", "--output", "-").stdout)
    assert sum(int(row["notional"]) for row in trades) == sum(row[3] * row[4] for row in wanted)
    orders = rows_of(export("orders", "--integers", "--output", "-").stdout)
    assert {row["client_order_id"] for row in orders} > {"", 'a "quoted", 10'}
    assert {row["post_only"] for row in orders} == {"false", "true"}
    terms = sorted(
        (o.instrument.security, o.seq, o.trigger_price or 0, o.display, o.budget or 0)
        for o in (e.order for e in traded.events if isinstance(e, OrderAccepted))
    )
    columns = ("seq", "trigger_ticks", "display_lots", "budget")
    assert [(row["security"], *(int(row[c] or 0) for c in columns)) for row in orders] == terms
    changes = rows_of(export("order_changes", "--integers", "--output", "-").stdout)
    amended = [e for e in traded.events if isinstance(e, OrderAmended)]
    for before in (False, True):
        suffix = "_before" if before else ""
        told = {(int(row["seq"]), row["quantity_lots" + suffix]) for row in changes}
        quantities = {(e.seq, str((e.before if before else e.order).quantity)) for e in amended}
        assert told >= quantities


def test_candles_of_an_interval(traded, export, tmp_path):
    volume = {}
    for fill in traded.events:
        if isinstance(fill, OrderFilled) and fill.maker.instrument.security == "GAME":
            start = fill.time_ms // 60_000 * 60_000
            volume[start] = volume.get(start, 0) + fill.quantity
    rows = rows_of(export("candles", "--security", "GAME", "--output", "-").stdout)
    assert {int(row["time"]): float(row["volume"]) for row in rows} == volume
    file = tmp_path / "candles"
    arguments = ("--interval", "1d", "--integers", "--format", "parquet", "--output", file)
    assert export("candles", *arguments).returncode == 0
    days = pyarrow.parquet.read_table(file).to_pylist()
    assert [row["security"] for row in days] == ["BTC-USD", "COIN", "GAME"]
    assert int(days[2]["volume_lots"]) == sum(volume.values())


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-01-01T00:01", str(T0 + 90_000)), ("2026-01-01T01:01:00+01:00", "2026-01-01T00:01:30Z")],
)
def test_a_period_has_its_start_and_not_its_end(traded, export, start, end):
    done = export("orders", "--start", start, "--end", end, "--output", "-")
    times = [int(row["time"]) for row in rows_of(done.stdout)]
    wanted = [e.order.time_ms for e in traded.events if isinstance(e, OrderAccepted)]
    assert sorted(times) == [t for t in wanted if T0 + 60_000 <= t < T0 + 90_000]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("orders",), "Missing option '--output'"),
        (("orders", "--output", "-", "--start", "9", "--end", "8"), "expected a time before --end"),
        (("instruments", "--output", "-", "--start", "9"), "instruments have no time"),
        (("orders", "--output", "a.xlsx"), "expected a file that ends in .csv, .csv.gz, .csv.xz, "),
        (("orders", "--output", "a.csv.bz2"), "got a.csv.bz2 (or say --format)"),
        (("orders", "--output", "a.parquet.gz"), "got a.parquet.gz (or say --format)"),
        (("books", "--output", "-"), "export: expected one of orders, order_changes, "),
        (("orders", "--output", "-", "--start", "soon"), "expected a time such as"),
        (("orders", "--output", "-", "--format", "parquet"), "expected a file for parquet"),
        (("orders", "--output", "-", "--security", "X"), "expected one of BTC-USD, GAME, COIN"),
        (("orders", "--output", "-", "--database-url", "x://y"), "expected postgresql://USER"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(export, arguments, said):
    done = export(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_instruments_and_what_is_open(traded, export):
    done = export("instruments", "--output", "-")
    assert done.stdout == "security,tick,lot\nBTC-USD,0.01,0.0001\nGAME,1,1\nCOIN,1,1\n"
    still_open = {}
    for event in traded.events:
        if isinstance(event, OrderAccepted):
            still_open[event.order.id] = event.order
        elif isinstance(event, OrderFilled):
            for order, left in ((event.maker, event.maker_remaining), (event.taker, 1)):
                if not left:
                    del still_open[order.id]
    rows = rows_of(export("open_orders", "--security", "BTC-USD", "--output", "-").stdout)
    assert len(rows) > 10
    assert {row["id"] for row in rows} <= set(still_open)
    for row in rows:
        order = still_open[row["id"]]
        price = order.instrument.tick.number(order.price)
        assert (float(row["price"]), row["type"], row["waits"]) == (price, order.side, "false")
        assert 0 < float(row["remaining"]) <= float(row["amount"])


def test_a_file_is_compressed_if_its_ending_says_so(traded, export, tmp_path):
    plain = export("fills", "--output", "-").stdout.encode()
    for ending, unpack in (
        ("gz", gzip.decompress), ("xz", lzma.decompress), ("zst", zstd.decompress),
    ):  # fmt: skip
        file = tmp_path / f"fills.csv.{ending}"
        assert export("fills", "--output", file).returncode == 0
        assert unpack(file.read_bytes()) == plain
    odd = tmp_path / "fills.2026"
    assert export("fills", "--format", "csv", "--output", odd).returncode == 0
    assert odd.read_bytes() == plain


def test_parquet_knows_the_grid_and_that_times_are_times(traded, export, tmp_path):
    file = tmp_path / "candles.parquet"
    where = ("--security", "GAME", "--interval", "5m")
    assert export("candles", *where, "--output", file).returncode == 0
    table = pyarrow.parquet.read_table(file)
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    said = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (said["tick"], said["lot"], said["interval"]) == ("1", "1", "5m")
    assert json.loads(said["instruments"]) == {"GAME": {"tick": "1", "lot": "1"}}
    assert set(table.column("interval").to_pylist()) == {"5m"}
    times = [round(t.timestamp() * 1_000) for t in table.column("time").to_pylist()]
    rows = rows_of(export("candles", *where, "--output", "-").stdout)
    assert [(int(row["time"]), row["interval"]) for row in rows] == [(t, "5m") for t in times]


def test_no_text_of_a_user_is_run_by_a_spreadsheet():
    file = io.StringIO()
    sink = Csv(file, [Column("client_order_id", "given", ""), Column("n", "int", "")])
    texts = ("=1+1", "+1", "-1", "@a", "\ta", "'a", "a=1", "", None)
    sink.write([(text, -1) for text in texts])
    rows = list(csv.reader(io.StringIO(file.getvalue())))[1:]
    assert [row[0] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", "'\ta", "''a", "a=1", "", ""]
    assert {row[1] for row in rows} == {"-1"}
    assert [harmless(text) for text in ("\r=1", "\n=1")] == ["'\r=1", "'\n=1"]


def test_a_folder_without_data_stays_without(export, tmp_path):
    done = export("orders", "--output", tmp_path / "x", data_dir=tmp_path / "none")
    assert done.returncode == 2
    assert "expected the data folder of a server" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_written_to_and_not_replaced(traded, export, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_text)
        assert export("fills", "--output", pipe).returncode == 0
        assert rows_of(read.result()) == rows_of(export("fills", "--output", "-").stdout)
    assert [(path, path.is_fifo()) for path in tmp_path.iterdir()] == [(pipe, True)]


def test_a_file_that_cannot_be_written_is_said(export, tmp_path):
    done = export("orders", "--output", tmp_path / "no" / "file.csv")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr


def test_without_pyarrow_parquet_says_what_to_install(export, tmp_path, monkeypatch):
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = export("orders", "--output", tmp_path / "x.parquet")
    assert done.returncode == 2
    assert done.stderr == (
        'fastbook: Parquet needs pyarrow: pip install "fastbook-exchange[parquet]"\n'
    )


# ---- large ones ---------------------------------------------------------------------------------

FEW, MANY = 3_000, 300_000
FILL = """
SET search_path = fastbook;
INSERT INTO instruments VALUES (4, 'MANY', '1', '1', 1, 1), (5, 'FEW', '1', '1', 1, 1);
INSERT INTO fills
SELECT name, s, 0, 1767225600000 + s, 'bid', 100, 1, gen_random_uuid(), 'user#maker',
       gen_random_uuid(), 'user#taker'
FROM (VALUES ('MANY', {many}), ('FEW', {few})) AS v (name, rows), generate_series(1, rows) AS s;
INSERT INTO days VALUES ('MANY', 1767225600000, 1, 0), ('FEW', 1767225600000, 1, 0)
"""


@pytest.fixture(scope="module")
def many(traded):
    """The same database with many fills; the tests above do not know them."""

    async def fill():
        sql = await asyncpg.connect(traded.dsn)
        await sql.execute(FILL.format(many=MANY, few=FEW))
        await sql.close()

    with asyncio.Runner() as runner:
        runner.run(fill())
    return traded


@pytest.fixture
async def sql(many):
    """A connection to it."""
    connection = await asyncpg.connect(many.dsn)
    yield connection
    await connection.close()


MEASURED = """
import resource, sys
from fastbook_cli.main import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


async def measured(*arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MEASURED, "export", *map(str, arguments)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said
    return int(said.split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
async def test_memory_does_not_grow_with_the_rows(many, tmp_path, ending):
    kib = {}
    for security in ("FEW", "MANY"):
        file = tmp_path / f"{security}.{ending}"
        where = ("--data-dir", many.data_dir, "--security", security, "--output", file)
        kib[security] = await measured("fills", *where)
    with (tmp_path / f"MANY.{ending}").open("rb") as file:
        if ending == "csv":
            assert sum(1 for _ in file) == MANY + 1
        else:
            assert pyarrow.parquet.read_metadata(file).num_rows == MANY
    print(f"\n{ending}: {FEW} rows {kib['FEW']} KiB, {MANY} rows {kib['MANY']} KiB")
    assert kib["MANY"] - kib["FEW"] < 40_000


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_leaves_no_half_file(many, tmp_path, number, code):
    file = tmp_path / "fills.csv"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "export", "fills"),
        *("--output", str(file), "--data-dir", str(many.data_dir)),
        stderr=asyncio.subprocess.PIPE,
    )
    part = tmp_path / "fills.csv.part"
    while not part.exists() or not part.stat().st_size:  # noqa: ASYNC110 (nothing announces it)
        await asyncio.sleep(0.001)
    process.send_signal(number)
    _, said = await process.communicate()
    assert (process.returncode, said.strip()) == (code, b"")
    assert list(tmp_path.iterdir()) == []


async def test_the_plan_sorts_nothing_and_reads_a_day_by_index(sql):
    await sql.execute(SETTINGS)
    for table in (*sorted(WINDOWED - {"events"}), "candles"):
        window = None if table == "candles" else Window("MANY", (1, 9), (T0, T0 + 900))
        text, arguments = query(Selection(table=table), window)
        lines = await sql.fetch(f"EXPLAIN (COSTS off) {text}", *arguments)
        plan = "\n".join(line[0] for line in lines)
        assert "Sort Key: x.security, x.seq" not in plan, plan
        assert "Sort Key: x.seq" not in plan, plan
        assert "Seq Scan on fills" not in plan, plan
        assert "Index Scan using" in plan, plan
        if table == "trades":
            assert "Merge" in plan, plan
            assert "SubPlan" not in plan, plan
        if window is not None:
            found = plan.count("(seq >= '1'::bigint) AND (seq < '9'::bigint) AND (\"time\" >= ")
            assert found == (2 if table == "trades" else 1), plan


async def test_many_days_are_what_happened_in_any_period(traded_for_days):
    trades = [e for e in traded_for_days.events if isinstance(e, Traded)]
    assert trades[-1].time_ms - trades[0].time_ms > 30 * DAY_MS
    end = trades[-3].time_ms
    async with private_database(traded_for_days.data_dir) as dsn, read(dsn) as source:
        for start in (None, trades[9].time_ms, trades[9].time_ms + 1, end - 1):
            selection = Selection(table="trades", start_ms=start, end_ms=end)
            rows = [row async for chunk in source.chunks(selection) for row in chunk]
            wanted = [t for t in trades if (start or 0) <= t.time_ms < end]
            wanted.sort(key=lambda t: (t.order.instrument.security, t.seq))
            assert [(row["id"], row["total"]) for row in rows] == [
                (t.id, t.order.instrument.total(t.notional)) for t in wanted
            ]
            assert await source.count(selection) == len(rows)
