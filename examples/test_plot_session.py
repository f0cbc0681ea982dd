"""The plot of a recording of a simulated market."""

from __future__ import annotations

import asyncio
import sys

import plot_session
import pytest

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.asyncio
@pytest.mark.fastbook(clock="runs")
async def test_a_simulated_market_is_recorded_and_plotted(fastbook_server, tmp_path):
    command = (sys.executable, "-m", "fastbook_cli", "sim", "--url", fastbook_server.url)
    market = await asyncio.create_subprocess_exec(*command, "--speed", "20", "--rate", "20")
    try:
        session = plot_session.Session("")
        async with asyncio.timeout(60):
            while len(session.times) < 50 or not session.trades:
                session = await plot_session.watch(fastbook_server.url, 1.0)
    finally:
        market.terminate()
        await market.wait()

    assert all(bid < ask for bid, ask in zip(session.bids, session.asks, strict=True))
    assert min(session.spreads) > 0
    assert min(session.bid_depth) > 0
    assert min(session.ask_depth) > 0
    plot_session.plot(session, str(tmp_path / "session.png"))
    assert (tmp_path / "session.png").read_bytes().startswith(PNG)
