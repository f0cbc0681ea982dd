"""Bitstamp's recording through a real server process and its own PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from replay_fold import Book, Fold
from replay_server_process import (
    SECURITY,
    ServerProcess,
    Watcher,
    all_fills,
    check_candles,
    live_book,
    past_book,
    view_book,
)

from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.play import Player
from fastbook_cli.replay.report import ReplayReport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 20260502
KILLS = 5
ACTIONS = 60_000  # enough for five kills in the middle of it


@pytest.fixture(scope="module")
def part(captured: list[Action]) -> list[Action]:
    """The beginning of the recording."""
    return captured[:ACTIONS]


@pytest.fixture
async def server(open_folder: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(open_folder / "data", "--store-checkpoint-every", "10000")
    await process.start()
    yield process
    await process.stop()


def assert_same_totals(report: ReplayReport, fold: Fold) -> None:
    """Assert that the client was told exactly what the reference says."""
    assert (report.accepted, report.refused) == (fold.accepted, dict(fold.refused))
    assert report.would_cross == fold.would_cross
    assert (report.cancelled, report.gone) == (fold.cancelled, fold.gone)
    assert (report.bought_lots, report.sold_lots) == (fold.traded_lots, fold.traded_lots)
    assert report.open_orders == fold.open_orders
    if report.fills_exact:
        assert report.fills == len(fold.fills)
    else:
        assert report.reconnects
        assert report.fills < len(fold.fills)


async def assert_same_rows(sql: asyncpg.Connection, fold: Fold) -> None:
    """Assert that the database holds exactly what the reference says."""
    assert await sql.fetchval("SELECT count(*) FROM orders") == fold.accepted
    assert await sql.fetchval("SELECT count(*) FROM cancellations") == fold.cancelled
    assert await sql.fetchval("SELECT seq FROM markets") == fold.seq
    assert await all_fills(sql) == fold.fills


async def test_the_database_and_the_client_end_where_the_reference_ends(
    server: ServerProcess, captured: list[Action]
) -> None:
    rng = random.Random(SEED)
    middle = len(captured) * 2 // 3
    async with (
        Player(server.url, security=SECURITY) as player,
        server.sql() as sql,
    ):
        await player.play(captured[:middle])
        midway = {"view": await view_book(sql), "live": await live_book(server.url)}
        await player.play(captured[middle:])
        end = {"view": await view_book(sql), "live": await live_book(server.url)}
        report = player.report()
        seqs = sorted(rng.sample(range(1, end["view"][0]), 20))
        fold = Fold(captured, [*seqs, midway["view"][0], end["view"][0]])

        assert_same_totals(report, fold)
        assert report.fills_exact
        await assert_same_rows(sql, fold)
        for seq, book in (*midway.values(), *end.values()):
            assert book == fold.books[seq]
        assert len(midway["view"][1]) > 1_000
        for seq in seqs:
            assert await past_book(sql, seq) == fold.books[seq], seq
    async with server.sql() as sql:
        counts = await check_candles(sql, server.dsn)
    print(f"\ncandles: {counts}")
    print(f"\n{report.text()}")


async def test_five_kills_of_the_server_change_nothing(
    server: ServerProcess, part: list[Action]
) -> None:
    rng = random.Random(SEED)
    acknowledged: dict[str, str] = {}
    seen: list[tuple[int, Book]] = []
    watcher = Watcher(server.url)
    watching = asyncio.create_task(watcher.watch())
    said: list[str] = []
    async with Player(server.url, security=SECURITY, notify=said.append) as player:
        playing = asyncio.create_task(player.play(part))
        ledger = player.lanes[0].ledger
        for cycle in range(KILLS):
            share = len(part) // (KILLS + 1)
            goal = share * cycle + rng.randrange(share // 2, share)
            while player.answered < goal and not playing.done():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await server.kill()
            for name, outcome in ledger.outcomes.items():
                acknowledged[name] = outcome.order_id
            await server.start()
            async with server.sql() as sql:
                seen += [await live_book(server.url), await view_book(sql)]
        await playing
        report = player.report()
    watching.cancel()

    fold = Fold(part, [seq for seq, _ in seen])
    assert report.reconnects == KILLS
    assert len(said) == 2 * KILLS
    assert_same_totals(report, fold)
    for seq, book in seen:
        assert book == fold.books[seq], seq
    async with server.sql() as sql:
        await assert_same_rows(sql, fold)
        await check_candles(sql, server.dsn)
        stored = {str(r["id"]): r for r in await sql.fetch("SELECT * FROM orders")}
        trades = {str(r["id"]): r for r in await sql.fetch("SELECT * FROM trades")}
    for name, order_id in acknowledged.items():
        assert stored[order_id]["client_order_id"] == name
    for trade_id, trade in watcher.trades.items():
        row = trades[trade_id]
        assert (row["seq"], row["avg_price"], row["amount"]) == trade
    assert set(watcher.trades) == set(trades)
    print(f"\n{report.text()}")
