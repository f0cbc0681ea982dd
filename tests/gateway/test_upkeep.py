"""What operators are told of the work that the database should do by itself."""

from __future__ import annotations

import pytest
from fakes import PastStore, settle

from fastbook_server.gateway.upkeep import FRESH_S, UpkeepWatch
from fastbook_server.store import FailedJob, StoreUnavailable, Upkeep
from peers import get

TROUBLE = Upkeep(failed_jobs=(FailedJob("drop_history", "out of chunks"),), candles_behind_s=7_200)


@pytest.mark.one_process("the recorder looks after the database")
async def test_a_failed_job_is_named_at_a_start_and_where_operators_look(serve, caplog):
    store = PastStore()
    store.seen = TROUBLE
    server = await serve(store)
    assert caplog.messages == [
        "the database's job drop_history has failed: out of chunks",
        "the candles' aggregates are 2.0 hours behind: queries of candles are slow until the "
        "database's job refresh_candles has caught up",
    ]
    assert await get(server, "/readyz") == (
        200,
        '{"status": "ready", "failedJobs": ["drop_history"]}',
    ), "orders are taken all the same"
    _, figures = await get(server, "/metrics")
    assert 'fastbook_failed_jobs{job="drop_history"} 1.0' in figures
    assert "fastbook_candles_behind_seconds 7200.0" in figures


class Asked:
    """A history that is asked how the database fares, and does not always answer."""

    def __init__(self):
        self.answer = Upkeep()
        self.asked = 0

    async def upkeep(self):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_what_is_known_is_looked_at_again_when_it_is_old_and_somebody_asks(caplog):
    history, now = Asked(), [0.0]
    watch = UpkeepWatch(history, lambda: now[0])
    await watch.look()
    history.answer = TROUBLE
    assert (watch.latest(), history.asked) == (Upkeep(), 1)
    now[0] = FRESH_S
    assert (watch.latest(), watch.latest(), history.asked) == (Upkeep(), Upkeep(), 1)
    await settle()
    assert (watch.latest(), history.asked) == (TROUBLE, 2)
    now[0] += FRESH_S
    history.answer = StoreUnavailable("cut")
    watch.latest()
    await settle()
    assert (watch.latest(), history.asked) == (TROUBLE, 3), "no answer is no good news"
    history.answer = Upkeep()
    now[0] += FRESH_S
    watch.latest()
    await settle()
    assert watch.latest() == Upkeep()
    assert len(caplog.messages) == 2, "each trouble is told once"
    watch.stop()
