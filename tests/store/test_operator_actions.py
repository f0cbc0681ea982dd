"""What the operator did, in SQL: in the transaction of its batch, and over a restart."""

from __future__ import annotations

import asyncio
import sys

from trading import SPECS, T0

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.values.events import OperatorActed
from fastbook_server.values.persisted import Batch

TOKEN = "the-operator's-own-secret"


async def test_actions_are_rows_in_order_and_the_last_one_decides(make_postgres, dsn, sql):
    store = make_postgres(dsn)
    await store.open(SPECS, 0)
    acts = [
        *(("halt", "COIN", None), ("halt", "FINE", None), ("cancel", None, "user#eve")),
        *(("resume", "COIN", None), ("disconnect", None, "user#eve"), ("drain", None, None)),
    ]
    for number, (action, security, user_id) in enumerate(acts, start=1):
        event = OperatorActed(T0 + number, action, security, user_id, number)
        prepared = store.prepare(Batch(number, T0 + number, (event,)))
        await store.commit(prepared)
        await store.commit(prepared)  # as after an answer that was lost
    rows = await sql.fetch(
        "SELECT batch_no, action, security, user_id, orders FROM operator_actions ORDER BY number"
    )
    assert [tuple(row) for row in rows] == [(n, *act, n) for n, act in enumerate(acts, start=1)]
    assert (await make_postgres(dsn).open(SPECS, 0)).halted == {"FINE"}


async def admin(url: str, *arguments: str, token: str = TOKEN) -> tuple[int, str]:
    """Run ``fastbook admin``; return its exit code and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "admin", "--url", url, "--admin-token", token),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().strip()


async def test_the_command_acts_on_a_server_and_sql_shows_it(make_postgres, dsn, sql, join):
    server = await Server.start(
        Config(port=0, instruments=SPECS, admin_token=TOKEN), make_postgres(dsn)
    )
    try:
        ann = await join(server, feed="none")
        await ann.ask(
            {"op": "add", "ref": 1, "order": {"type": "bid", "execType": "limit", "price": 10.0}
             | {"amount": 1.0}}
        )  # fmt: skip
        code, said = await admin(server.url, "sessions")
        assert (code, ann.user_id in said, said.endswith("1 connections")) == (0, True, True)
        assert await admin(server.url, "halt", "COIN") == (0, "halt: done (0 orders)")
        assert await admin(server.url, "cancel", "--user", ann.user_id) == (
            *(0, "cancel: done (1 orders)"),
        )
        assert (await admin(server.url, "cancel"))[0] == 2
        assert await admin(server.url, "halt", "NOPE") == (
            1,
            "fastbook: refused with HTTP 400: security: expected one of COIN, FINE, got 'NOPE'",
        )
        assert (await admin(server.url, "drain", token="another-secret-altogether"))[0] == 1
    finally:
        await server.stop()
    assert (await admin(server.url, "drain"))[0] == 1
    acted = await sql.fetch("SELECT action, security, user_id FROM operator_actions")
    assert [tuple(row) for row in acted] == [("halt", "COIN", None), ("cancel", None, ann.user_id)]
    assert await sql.fetchval("SELECT reason::text FROM cancellations") == "operator"
