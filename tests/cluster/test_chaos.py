"""A cluster whose every part is killed, frozen and handed over while clients trade on it.

``FASTBOOK_TEST_CHAOS_SECONDS`` is how long, ``FASTBOOK_TEST_CHAOS_KILLS`` instead how often, and
``FASTBOOK_TEST_CHAOS_SEED`` from what the choices follow; times are as they come.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest
from chaos_cluster import ChaosCluster, Fault
from chaos_traders import ChaosTrader, TradeWatcher, Wait, ended_well
from nats_nodes import nats_nodes

from fastbook_client import Backoff
from fastbook_client.api import Api
from fastbook_client.connection import new_http
from fastbook_server.store.verification import snapshot, verify

SECONDS = float(os.environ.get("FASTBOOK_TEST_CHAOS_SECONDS", "20"))
KILLS = int(os.environ.get("FASTBOOK_TEST_CHAOS_KILLS", "0"))
SEED = int(os.environ.get("FASTBOOK_TEST_CHAOS_SEED", "1"))
TRADERS = 6
SECURITY = "BTC-USD"
AGREE_S = 30.0
ALONE = ("kill owner", "hand over", "kill node", "kill recorder")
"""Faults that are tried one by one, too, so that the pauses of each are known."""
FOLLOWS_S = 4.0
"""A fault so long ago may be why an order waits: a standby's patience, the next leader of NATS."""


@pytest.mark.slow
@pytest.mark.timeout(120 + 2 * SECONDS + 10 * KILLS)
async def test_nothing_is_lost_and_nothing_happens_twice(make_database, sql_of):
    draw, dsn = random.Random(SEED), await make_database("postgres")
    with nats_nodes(3) as nodes:
        cluster = ChaosCluster(nodes, dsn, draw)
        try:
            await cluster.start()
            urls = [gateway.url for gateway in cluster.gateways]
            traders = [
                ChaosTrader(f"t{n}", urls, random.Random(SEED * 100 + n)) for n in range(TRADERS)
            ]
            watchers = [TradeWatcher(url) for url in urls]
            watching = await all_watch(watchers)
            await chaos(cluster, traders)
            print(story(cluster, traders))
            sql = await sql_of(dsn)
            await all_agree(sql, urls, watchers)
            await check_orders(sql, traders)
            await check_verified(dsn)
            for task in watching:
                assert not task.done(), "a watcher has ended"
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            check_ends(cluster)
        finally:
            await cluster.clear_away()


async def all_watch(watchers: list[TradeWatcher]) -> list[asyncio.Task[None]]:
    opened = [asyncio.Event() for _ in watchers]
    tasks = [asyncio.create_task(w.run(o)) for w, o in zip(watchers, opened, strict=True)]
    async with asyncio.timeout(AGREE_S):
        await asyncio.gather(*(event.wait() for event in opened))
    return tasks


async def chaos(cluster: ChaosCluster, traders: list[ChaosTrader]) -> None:
    """Strike again and again while the traders trade; return when all are well and answered."""
    stop = asyncio.Event()
    trading = [asyncio.create_task(trader.run(stop)) for trader in traders]
    striking = asyncio.create_task(strike(cluster))
    try:
        await asyncio.wait((striking, *trading), return_when=asyncio.FIRST_COMPLETED)
        if not striking.done():
            await ended_well(trading)  # one has failed
        striking.result()
        await cluster.settle()
        await asyncio.sleep(1.0)  # of trade on a cluster that is well
        stop.set()
        async with asyncio.timeout(60.0):
            await ended_well(trading)
    finally:
        for task in (striking, *trading):
            task.cancel()
        await asyncio.gather(striking, *trading, return_exceptions=True)


async def strike(cluster: ChaosCluster) -> None:
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < SECONDS if KILLS == 0 else len(cluster.faults) < KILLS:
        await asyncio.sleep(cluster.pause_s())
        await cluster.strike()
    for kind in ALONE:
        await cluster.strike_alone(kind)


# ---- the end ------------------------------------------------------------------------------------


async def all_agree(sql, urls: list[str], watchers: list[TradeWatcher]) -> None:
    """Wait until the books of both gateways are that of SQL, and all have told the same trades."""
    seen: list[object] = []
    async with new_http() as http:
        apis = [Api(http, url, Backoff(attempts_max=5)) for url in urls]
        try:
            async with asyncio.timeout(AGREE_S):
                while True:
                    books = [await book_of(api) for api in apis]
                    told = [await sql_book(sql), *books]
                    seqs = await sql.fetch("SELECT seq FROM trades ORDER BY seq")
                    trades = [[row["seq"] for row in seqs], *(w.seqs for w in watchers)]
                    seen = [told, [len(t) for t in trades]]
                    if all(t == told[0] for t in told) and all(t == trades[0] for t in trades):
                        break
                    await asyncio.sleep(0.2)
        except TimeoutError:
            missed = [watcher.missed for watcher in watchers]
            raise AssertionError(f"no agreement: {seen}, missed {missed}") from None
        for api in apis:
            pages = [trade.seq async for trade in api.trades_back(SECURITY)]
            assert pages[::-1] == trades[0], "/api/trades tells others than SQL has"
    assert [watcher.missed for watcher in watchers] == [[], []]
    assert len(trades[0]) > 50, "a market without trades proves nothing"


async def book_of(api: Api) -> list[tuple[str, float, float]]:
    rows = (await api.book(SECURITY, 1_000)).agg_order_book
    sides = {"bid": rows.bid, "ask": rows.ask}
    return sorted((side, row.price, row.amount) for side in sides for row in sides[side])


async def sql_book(sql) -> list[tuple[str, float, float]]:
    rows = await sql.fetch("SELECT type::text, price, amount FROM agg_order_book")
    return sorted((row["type"], row["price"], row["amount"]) for row in rows)


async def check_orders(sql, traders: list[ChaosTrader]) -> None:
    """What was acknowledged is in SQL, once; what was not executed is not."""
    rows = await sql.fetch("SELECT user_id, client_order_id, id::text FROM orders")
    placed = {(row["user_id"], row["client_order_id"]): row["id"] for row in rows}
    assert len(placed) == len(rows), "a client order id was executed twice"
    still_open = {row["id"] for row in await sql.fetch("SELECT id::text FROM open_orders")}
    known = 0
    for trader in traders:
        for name, order_id in trader.acknowledged.items():
            got = placed.get((trader.user_id, name))
            assert got == order_id, f"{name} was acknowledged as {order_id}, SQL has {got}"
        for name in (*trader.refused, *trader.absent):
            assert (trader.user_id, name) not in placed, f"{name} was not executed, and SQL has it"
        assert not trader.cancelled & still_open, "an order was cancelled, and is open"
        known += len(trader.acknowledged)
    assert known == len(placed), "SQL has orders that nobody was told of"


async def check_verified(dsn: str) -> None:
    """`fastbook verify` finds nothing."""
    async with snapshot(dsn) as moment:
        faults = [verdict async for verdict in verify(moment) if verdict.faults]
    assert faults == []


def check_ends(cluster: ChaosCluster) -> None:
    """Processes ended because they were killed, or told to, or, matchers, deposed."""
    for slot in cluster.slots:
        by_itself = sum(slot.ends[code] for code in slot.ends if code > 0)
        assert by_itself == 0 or slot.role == "matcher", f"{slot.ends}: {slot.log}"


# ---- the table ----------------------------------------------------------------------------------


def story(cluster: ChaosCluster, traders: list[ChaosTrader]) -> str:
    """Return how often each fault was, and the longest wait of an order that met it.

    A wait among others counts for each of them that was before its end, and not long ago.
    """
    kinds = sorted({fault.kind for fault in cluster.faults})
    waits = [wait for trader in traders for wait in trader.waits]
    lines = [f"seed {SEED}, {len(cluster.faults)} faults; longest wait of an order, in seconds:"]
    lines.append(f"{'':16}{'times':>7}{'alone':>9}{'among others':>14}")
    for kind in kinds:
        faults = [fault for fault in cluster.faults if fault.kind == kind]
        alone = longest(waits, [f for f in faults if f.well_s is not None])
        among = longest(waits, [f for f in faults if f.well_s is None])
        lines.append(f"{kind:16}{len(faults):>7}{alone:>9}{among:>14}")
    ends = {f"{s.role}{n}": dict(s.ends) for n, s in enumerate(cluster.slots)}
    lines.append(
        f"{sum(len(t.acknowledged) for t in traders):,} orders acknowledged, "
        f"{sum(len(t.cancelled) for t in traders):,} cancelled, "
        f"{sum(len(t.refused) for t in traders):,} refused; {sum(t.asked for t in traders)} were "
        f"not answered, of which {sum(len(t.absent) for t in traders)} had not arrived"
    )
    lines.append(f"exit codes: {ends}")
    return "\n".join(lines)


def longest(waits: list[Wait], faults: list[Fault]) -> str:
    """Return the longest wait that one of the faults may have caused; "-" if there was no fault."""
    times = [
        wait.until_s - wait.since_s
        for wait in waits
        for fault in faults
        if fault.at_s < wait.until_s and wait.since_s < (fault.well_s or fault.at_s + FOLLOWS_S)
    ]
    return f"{max(times):.2f}" if times else "-"
