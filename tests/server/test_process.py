"""The real process on a real database: how it starts, what survives it, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from serving import Serving

from fastbook_server.embedded.supervisor import EmbeddedPostgres
from peers import PATIENCE_S, Peer, get, order

# They share a data folder, so that only the first one waits for initdb.
pytestmark = pytest.mark.xdist_group("process")


async def stopped(server: Serving, *peers: Peer) -> int:
    """Stop a server whose peers answer its goodbye; return the exit code."""
    code, *_ = await asyncio.gather(
        server.end(signal.SIGTERM), *(peer.close_code() for peer in peers)
    )
    return code


@pytest.fixture
async def start(folder) -> AsyncIterator:
    started: list[Serving] = []

    async def start(*options: str) -> Serving:
        where = () if "--database-url" in options else ("--data-dir", str(folder))
        started.append(await Serving.start("--throttle-ms", "0", *where, *options))
        return started[-1]

    yield start
    for server in started:
        if server.exit_code is None:
            await server.end(signal.SIGTERM)  # not killed: its PostgreSQL would outlive the test


async def test_sigterm_commits_closes_with_1001_and_exits_0(start, join):
    server = await start()
    ann, idle = await join(server), await join(server, feed="none")
    assert (await get(server, "/readyz"))[0] == 200
    for n in range(50):
        await ann.send(order("bid", 10, 1, n))
    first = await ann.ask(order("bid", 10, 1, "last"))
    server.send_signal(signal.SIGTERM)
    codes = await asyncio.gather(ann.close_code(), idle.close_code())
    assert (codes, first["status"], await server.end()) == ([1001, 1001], "open", 0)

    again = await start()
    back = await join(again, resume=ann.token)
    book, _, orders = await back.take(3)
    assert back.user_id == ann.user_id
    assert back.welcome["epoch"] == ann.welcome["epoch"] + 1
    assert book["aggOrderBook"]["bid"] == [{"price": 10.0, "amount": 51.0, "total": 510.0}]
    assert len(orders["orders"]) == 51
    assert (await back.ask({"op": "deleteAll", "ref": "d"}))["count"] == 51


async def test_in_memory_nothing_is_kept_and_that_is_said(join, tmp_path):
    async def run() -> tuple[dict, str, int]:
        server = await Serving.start("--in-memory", HOME=str(tmp_path))
        ann = await join(server, **({"resume": tokens[-1]} if tokens else {}))
        seen = await ann.ask({"op": "orders", "ref": "o"})
        assert (await ann.ask(order("bid", 10, 1, "a")))["status"] == "open"
        tokens.append(ann.token)
        server.send_signal(signal.SIGTERM)
        await ann.close_code()
        code = await server.end()
        return seen, server.log, code

    tokens: list[str] = []
    runs = [await run(), await run()]
    assert [(seen["orders"], code) for seen, _, code in runs] == [([], 0), ([], 0)]
    for _, said, _ in runs:
        (line,) = (each for each in said.splitlines() if "WARNING" in each)
        assert "data in memory: nothing is kept" in line
    assert list(tmp_path.iterdir()) == []


async def test_the_first_signal_after_ready_is_heeded(start):
    codes = []
    for number in (signal.SIGTERM, signal.SIGINT):
        server = await start()
        codes.append(await server.end(number))
    assert codes == [0, 130]


async def test_a_signal_that_comes_twice_at_once_is_one(start, join):
    server = await start()
    ann = await join(server, feed="none")
    server.send_signal(signal.SIGINT)
    server.send_signal(signal.SIGINT)
    server.send_signal(signal.SIGTERM)  # two of one kind may be merged by the system
    assert await ann.close_code() == 1001
    assert await server.end() in (0, 130)


async def test_what_was_acknowledged_survives_a_kill(start, join):
    server = await start()
    ann = await join(server, feed="none")
    ids = [(await ann.ask(order("bid", 10, 1, n)))["order"]["id"] for n in range(20)]
    await server.end(signal.SIGKILL)
    again = await start()
    back = await join(again, resume=ann.token, feed="none")
    (orders,) = await back.take(1)
    assert [o["id"] for o in orders["orders"]] == ids
    late = (await back.ask(order("bid", 10, 1, "late")))["order"]["id"]
    assert late > max(ids)
    await back.ask({"op": "deleteAll", "ref": "d"})
    await stopped(again, back)


async def test_relaxed_acknowledges_and_stores(start, join):
    server = await start("--durability", "relaxed")
    ann = await join(server, feed="none")
    assert (await ann.ask(order("bid", 10, 1, "1")))["status"] == "open"
    assert await stopped(server, ann) == 0
    again = await start()
    back = await join(again, resume=ann.token, feed="none")
    assert len((await back.next())["orders"]) == 1
    await back.ask({"op": "deleteAll", "ref": "d"})


async def test_the_largest_numbers_go_the_whole_way(start, join):
    most = 2.0**52
    server = await start("--instrument", "BIG:1:1", "--instrument", "TINY:1e-12:1e-12")
    ann = await join(server, security="BIG", feed="none")
    await ann.ask(order("bid", most, most, "1"))
    replies = [
        await ann.ask(order("ask", most, most - 1, "2")),
        await ann.ask(order("bid", 1e-12, 1e-12, "3", security="TINY")),
        await ann.ask(order("ask", 1e-12, 1e-12, "4", security="TINY")),
    ]
    assert [(r["status"], r["order"]["avgPrice"]) for r in replies] == [
        *(("filled", most), ("open", None), ("filled", 1e-12)),
    ]
    await stopped(server, ann)
    again = await start("--instrument", "BIG:1:1", "--instrument", "TINY:1e-12:1e-12")
    back = await join(again, security="BIG", resume=ann.token)
    book, trades = await back.take(2)
    assert book["aggOrderBook"]["bid"] == [{"price": most, "amount": 1.0, "total": most}]
    assert [t["total"] for t in trades["trades"]] == [most * (most - 1)]
    await back.ask({"op": "deleteAll", "ref": "d"})  # else no start could leave BIG out


async def test_every_book_that_was_shown_is_the_one_that_sql_knows(start, join, folder):
    dice = random.Random(7)
    postgres = EmbeddedPostgres(folder)
    dsn = await postgres.start()
    try:
        server = await start("--database-url", dsn, "--instrument", "FINE:0.05:0.001", "--depth=0")
        eve, *peers = [await join(server) for _ in range(4)]
        for _ in range(40):
            for peer in peers:
                price = None if dice.random() < 0.1 else dice.randint(90, 110) * 5 / 100
                side, amount = dice.choice(("bid", "ask")), dice.randint(1, 5_000) / 1000
                await peer.send(order(side, price, amount))
            if dice.random() < 0.1:
                await peers[0].send({"op": "deleteAll"})
            for peer in peers:  # else they are few batches, and as few books
                await peer.sync()
        shown = {f["seq"]: f["aggOrderBook"] for f in await eve.sync() if "aggOrderBook" in f}
        sql = await asyncpg.connect(dsn)
        await sql.execute("SET search_path = fastbook, public")
        for seq in [*dice.sample(sorted(shown), 10), max(shown)]:
            rows = await sql.fetch("SELECT * FROM book_at('FINE', $1)", seq)
            assert shown[seq] == as_book(rows), seq
        now = await sql.fetch("SELECT * FROM agg_order_book WHERE security = 'FINE'")
        assert shown[max(shown)] == as_book(now)
        for peer in peers:  # else no start could leave FINE out
            await peer.ask({"op": "deleteAll", "ref": "d"})
        await sql.close()
        await stopped(server, eve, *peers)
    finally:
        await postgres.stop()


def as_book(rows: list) -> dict[str, list]:
    """Return rows of SQL as a book frame shows them."""
    book = {"ask": [], "bid": []}
    for row in rows:
        book[row["type"]].append({k: row[k] for k in ("price", "amount", "total")})
    return book


async def test_a_second_server_on_a_database_fences_the_first(start, join, folder):
    postgres = EmbeddedPostgres(folder)
    dsn = await postgres.start()
    try:
        first = await start("--database-url", dsn)
        ann = await join(first, feed="none")
        await ann.ask(order("bid", 10, 1, "1"))
        second = await start("--database-url", dsn)
        await ann.send(order("bid", 10, 1, "2"))
        assert await ann.close_code() == 1001, "and no reply: nothing of it has happened"
        assert await first.end() == 3
        back = await join(second, resume=ann.token, feed="none")
        assert len((await back.next())["orders"]) == 1
        await back.ask({"op": "deleteAll", "ref": "d"})
        assert await stopped(second, back) == 0
    finally:
        await postgres.stop()


async def test_changed_instruments_over_existing_data_are_refused_in_one_line(start, join, folder):
    server = await start()
    ann = await join(server, feed="none")
    await ann.ask(order("bid", 10, 1, "1"))
    await ann.ask({"op": "deleteAll", "ref": "d"})
    await stopped(server, ann)
    code, lines = run("--data-dir", str(folder), "--instrument", "BTC-USD:0.5:0.0001")
    assert code == 2
    assert lines[-1].startswith("fastbook: BTC-USD: expected tick 0.01 and lot 0.0001")


# ---- orders that are cancelled unasked -----------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("first", "second", "left"),
    [({}, {"cancelOnDisconnect": "true"}, 0), ({"cancelOnDisconnect": "true"}, {}, 1)],
    ids=["asks_for_it", "takes_it_back"],
)
async def test_however_the_server_ends_the_last_connection_decides_whose_orders_go(
    start, join, end, first, second, left
):
    server = await start("--resume-grace-s", "0")
    before = await join(server, feed="none", **first)
    await before.ask(order("bid", 10, 1, "1"))
    ann = await join(server, feed="none", resume=before.token, **second)
    await ann.sync()
    await asyncio.gather(server.end(end), ann.close_code(), before.close_code())
    again = await start("--resume-grace-s", "0")
    back = await join(again, feed="none", resume=ann.token)
    found = await back.ask({"op": "orders", "ref": "o"})
    assert len(found["orders"]) == left
    await back.ask({"op": "deleteAll", "ref": "d"})
    await stopped(again, back)


async def test_a_deadline_passes_while_the_server_is_down(start, join):
    server = await start()
    ann = await join(server, feed="none")
    placed = await ann.ask(order("bid", 10, 1, "1"))
    await ann.ask({"op": "cancelAfter", "ref": "c", "ms": 500})
    await asyncio.gather(server.end(signal.SIGKILL), ann.close_code())
    again = await start()
    back = await join(again, feed="none", resume=ann.token)
    asked = {"op": "order", "ref": "o", "id": placed["order"]["id"]}
    async with asyncio.timeout(PATIENCE_S):
        while (found := await back.ask(asked))["status"] == "open":
            pass
    assert (found["status"], found["reason"]) == ("cancelled", "cancel_after")
    await stopped(again, back)


async def test_a_security_with_open_orders_is_left_out_only_if_it_is_delisted(start, join, folder):
    server = await start()
    ann = await join(server, feed="none")
    placed = (await ann.ask(order("bid", 10, 1, "1", clientOrderId="mine")))["order"]
    await stopped(server, ann)
    other = ("--instrument", "OTHER:1:1")
    code, lines = run("--data-dir", str(folder), *other)
    assert (code, lines[-1]) == (
        2,
        "fastbook: expected every security with open orders among the instruments, got none for "
        f"BTC-USD (open orders: 1, such as {placed['id']}): list what is missing again, or cancel "
        "its orders with --delist BTC-USD",
    )
    await stopped(await start(*other, "--delist", "BTC-USD"))
    again = await start()
    back = await join(again, feed="none", resume=ann.token)
    for asked in ({"id": placed["id"]}, {"clientOrderId": "mine"}):
        found = await back.ask({"op": "order", "ref": "o", **asked})
        assert (found["status"], found["reason"]) == ("cancelled", "delisted")
    await stopped(again, back)


def run(*options: str, **environment: str) -> tuple[int, list[str]]:
    """Run ``fastbook serve`` to its end; return the exit code and the lines it said."""
    done = subprocess.run(
        [sys.executable, "-m", "fastbook_cli", "serve", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "FASTBOOK_PORT": "0", **environment},
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (["--port", "x"], {}, "fastbook: --port: expected a whole number, got 'x'"),
        (["--prt", "1"], {}, "No such option '--prt'. (Did you mean"),
        ([], {"FASTBOOK_PORT": "x"}, "fastbook: FASTBOOK_PORT: expected a whole number, got 'x'"),
        (["--config", "/no.toml"], {}, "fastbook: /no.toml: No such file or directory"),
        (["--database-url", "http://x"], {}, "fastbook: the database cannot be used: "),
        (["--delist", "BTC-USD"], {}, "fastbook: delist: BTC-USD is among the instruments"),
    ],
    ids=str,
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(options, environment, said):
    code, (line,) = run(*options, **environment)
    assert (code, said in line) == (2, True), line


def test_a_database_that_is_away_is_one_line_and_exit_code_1():
    code, (line,) = run("--database-url", "postgresql://127.0.0.1:1/x")
    assert (code, "refused" in line) == (1, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_signal_during_the_start_is_heeded_at_once(number, code):
    """The database takes the connection and then says nothing."""
    called = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until the other side ends
        writer.close()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "serve", "--port", "0"),
        *("--database-url", f"postgresql://fastbook@127.0.0.1:{port}/exchange"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await called.wait()
            process.send_signal(number)
            said, _ = await process.communicate()
        assert (process.returncode, said) == (code, b"")
    finally:
        listener.close()
