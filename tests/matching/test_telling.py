"""A gateway that fails to follow what it is told ends the server, and says so."""

from __future__ import annotations

import pytest
from fakes import settle
from line import Line


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
async def test_a_gateway_that_fails_to_follow_ends_the_run_loudly(durability, caplog):
    """What it knows is half changed, so nothing more is told; what was taken is durable."""
    line = Line(durability=durability)

    def fail(batch):
        if batch.orders:
            raise KeyError("a bug")

    line.batches.subscribe(fail)
    line.add("1")
    line.clock.advance(0)
    await line.store.attempts(1)
    if line.pipeline.available:
        line.add("2")
        line.store.answer()
    line.store.answer()
    with pytest.raises(KeyError):
        await line.running
    assert "stopping: 'telling batch" in caplog.text
    assert "Traceback" in caplog.text
    assert not line.pipeline.available
    assert (line.replies(), line.pipeline.uncommitted_commands) == ([["1"]], 0)


async def test_a_gateway_that_fails_at_an_idle_mark_ends_the_run():
    line = Line()

    def fail(batch):
        raise KeyError("a bug")

    await settle()
    line.batches.subscribe(fail)
    line.clock.stamp_ms += 60_000
    line.clock.advance(60)
    with pytest.raises(KeyError):
        await line.running
