"""Processes of a cluster, as the command line starts them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import pytest
from nats_nodes import nats_nodes
from serving import PATIENCE_S, Program

from fastbook_server.cluster.log import LogUnavailable

if TYPE_CHECKING:
    from fastbook_server.cluster.nats.stream import NatsLog


async def without_quorum(log: NatsLog) -> None:
    """Wait until the log does not answer; a leader that is left alone would, for minutes."""
    with contextlib.suppress(LogUnavailable):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await log.end()
                await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(5 * PATIENCE_S)
async def test_a_gateway_waits_for_a_log_that_has_lost_its_quorum(make_database, connect):
    from fastbook_server.cluster.nats.stream import NatsLog

    dsn = await make_database("postgres")
    with nats_nodes(3) as nodes:
        at = ("--port", "0", "--log", ",".join(nodes.urls), "--database-url", dsn)
        recorder = await Program.start("recorder", *at)
        try:
            log = NatsLog(await connect(nodes.urls), "main")
            replicas = (await log.health()).replicas
            left = next(each.server for each in replicas if not each.leads)
            gone = [number for number, name in enumerate(nodes.names) if name != left]
            for number in gone:
                nodes.kill(number)
            await without_quorum(log)
            gateway = Program("gateway", *at)
            try:
                await gateway.said("waiting")
                for number in gone:
                    nodes.restart(number)
                await gateway.ready()
                assert await gateway.end(signal.SIGTERM) == 0
            finally:
                await gateway.clear_away()
        finally:
            await recorder.clear_away()
