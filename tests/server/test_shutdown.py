"""A shutdown under load, with and without the database, and a second signal that insists."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import aiohttp
import asyncpg
import pytest
from serving import Serving

from fastbook_server.gateway.session import CLOSE_TIMEOUT_S
from peers import PATIENCE_S, Closed, Peer, order

pytestmark = [pytest.mark.xdist_group("process"), pytest.mark.slow]
SHUTDOWN_S_MAX = CLOSE_TIMEOUT_S


async def trading(url: str, acknowledged: set[str]) -> None:
    """Place orders as fast as they are answered, until the server ends it."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/ws?feed=none") as ws:
        ann = await Peer.greeted(ws)
        with contextlib.suppress(Closed, ConnectionError):
            for n in range(10**6):
                frame = await ann.ask(order("bid", 10, 1, n))
                if frame.get("status") == "open":
                    acknowledged.add(frame["order"]["id"])


async def stopped(server: Serving, number: int) -> int:
    """Send a signal; return the exit code, which must come in time."""
    began_s = time.monotonic()
    code = await server.end(number)
    took_s = time.monotonic() - began_s
    print(f"shutdown: {took_s:.2f} s")
    assert took_s <= SHUTDOWN_S_MAX
    return code


async def refuses_newcomers(url: str) -> None:
    """Wait until a server has heard that it is to stop."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                await (await http.ws_connect(f"{url}/ws?feed=none")).close()


@pytest.mark.parametrize("database", ["there", "away"])
async def test_a_shutdown_under_load_loses_nothing_acknowledged(run, postgres, database):
    """Two servers, each on a database of its own, end by different signals."""
    dsns = [postgres.dsn, await postgres.make_database()]
    servers = [await run("--database-url", dsn) for dsn in dsns]
    acknowledged: list[set[str]] = [set(), set()]
    traders = [
        asyncio.create_task(trading(server.url, told))
        for server, told in zip(servers, acknowledged, strict=True)
        for _ in range(3)
    ]
    async with asyncio.timeout(PATIENCE_S):
        while min(map(len, acknowledged)) < 60:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.01)
    if database == "away":
        await postgres.stop()
    codes = await asyncio.gather(*map(stopped, servers, (signal.SIGTERM, signal.SIGINT)))
    assert codes == [0, 130]
    await asyncio.gather(*traders)
    if database == "away":
        await postgres.start()
    for dsn, told in zip(dsns, acknowledged, strict=True):
        sql = await asyncpg.connect(dsn)
        stored = {str(row[0]) for row in await sql.fetch("SELECT id FROM fastbook.orders")}
        await sql.close()
        assert told <= stored


async def test_a_shutdown_without_orders_waits_for_no_database(run, postgres):
    server = await run("--database-url", postgres.dsn, "--shutdown-s", "600")
    await postgres.stop()
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
        while True:  # until it has noticed
            async with http.get(f"{server.url}/readyz") as answer:
                if answer.status == 503:
                    break
            await asyncio.sleep(0.05)
    assert await stopped(server, signal.SIGTERM) == 0


async def test_a_second_signal_ends_all_waiting(run, postgres):
    server = await run("--database-url", postgres.dsn, "--shutdown-s", "600")
    acknowledged: set[str] = set()
    trader = asyncio.create_task(trading(server.url, acknowledged))
    async with asyncio.timeout(PATIENCE_S):
        while not acknowledged:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.01)
    await postgres.stop()
    server.send_signal(signal.SIGTERM)
    await refuses_newcomers(server.url)
    await asyncio.sleep(1.2)  # what comes sooner counts as an echo
    assert server.exit_code is None
    assert await stopped(server, signal.SIGTERM) in (0, 1)
    await trader


async def test_who_closes_while_the_database_is_away_delays_no_shutdown(run, postgres):
    """Its last replies are waited for, but not when they can never come."""
    server = await run("--database-url", postgres.dsn, "--shutdown-s", "0.5")
    await postgres.stop()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    add = b'{"op":"add","order":{"type":"bid","execType":"limit","price":10,"amount":1}}'
    writer.write(
        b"GET /ws?feed=none HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        b"\x81" + bytes([0x80 | len(add)]) + bytes(4) + add + b"\x88\x82\0\0\0\0\x03\xe8"
    )
    await reader.readuntil(b"welcome")
    await server.said("database away")
    assert await stopped(server, signal.SIGTERM) == 0  # or it takes the patience for the close, too
    writer.close()
