"""A stop waits for a database that is slow, and not for one that commits nothing."""

from __future__ import annotations

import asyncio

import pytest
from trading import SPECS, bid

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

SHUTDOWN_S = 1.0
COMMIT_S = 0.3  # of five one after the other


class SlowStore(MemoryStore):
    """A store each of whose commits takes so long."""

    commit_s = COMMIT_S

    async def commit(self, prepared):
        await asyncio.sleep(self.commit_s)
        await super().commit(prepared)


@pytest.mark.parametrize(("commit_s", "kept"), [(COMMIT_S, True), (60, False)])
async def test_a_stop_waits_as_long_as_batches_become_durable(commit_s, kept):
    store = SlowStore()
    config = Config(
        port=0, instruments=SPECS, durability="relaxed", shutdown_s=SHUTDOWN_S,
        batch_commands_max=1,
    )  # fmt: skip
    server = await Server.start(config, store)
    store.commit_s = commit_s
    for ref in "abcde":
        server.pipeline.submit("ann", bid(10, 1, ref))
    assert await server.stop() is kept
    assert (server.pipeline.uncommitted_commands == 0) is kept
