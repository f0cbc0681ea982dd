"""The recorded market's panel: pause, speed and jumps, and the venue's trades beside ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from web_stage import says, until

from fastbook_cli.demo.recorded import Recorded
from fastbook_cli.demo.replay_control import ReplayChange
from fastbook_cli.replay.recording import Recording
from fastbook_cli.sim.http_control import with_control

ROWS = """\
34200.0,1,1,10,1000000,1
34200.0,1,2,10,1010000,-1
34210.0,4,2,4,1010000,-1
34800.0,4,2,6,1010000,-1
37800.0,3,1,10,1000000,1
"""
SLIDE = """([id, step]) => {
  const slider = document.getElementById(id);
  slider.value = step;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""


@contextlib.asynccontextmanager
async def recorded_market(stage_of: Any, folder: Path) -> AsyncIterator[tuple[Any, Recorded]]:
    """A stage on which this recording plays."""
    file = folder / "messages.csv"
    file.write_text(ROWS)
    recorded = Recorded.of(Recording.open(file), speed=1.0, once=False)
    stage = await stage_of(operator=with_control(recorded.control, "replay", ReplayChange))
    playing = asyncio.create_task(recorded.run(stage.server.url, "COIN"))
    try:
        yield stage, recorded
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def test_a_recorded_market_in_the_hands_of_the_page(stage_of: Any, tmp_path: Path) -> None:
    async with recorded_market(stage_of, tmp_path) as (stage, recorded):
        page = await stage.open()
        await until(page, "() => !document.getElementById('local-panel').hidden")
        await says(page, "local-panel", "nothing to compare yet")
        await page.click("#local-panel button")
        await says(page, "local-panel", "Resume")
        assert not recorded.control.state().running
        await page.evaluate(SLIDE, ["replay-time", 200])  # 09:42, behind both trades
        await says(page, "local-panel", "2 of 2 as at the venue")
        await says(page, "local-panel", "Impact 0.00")
        await says(page, "local-panel", "09:40:00")
        await page.select_option("#replay-speed", "60")
        await until(page, "() => fetch('/replay').then(r => r.json()).then(s => s.speed === 60)")
        market = stage.server.pipeline.exchange.markets["COIN"]
        assert market.book.best_ask is None
        await page.evaluate(SLIDE, ["replay-time", 100])  # 09:36, before the second one
        await says(page, "local-panel", "1 of 1 as at the venue")
        assert market.book.best_ask == (10_100, 600)
        assert stage.complaints == []


SAID = """() => {
  window.said = new Set();
  const button = document.querySelector("#local-panel button");
  const hear = () => window.said.add(button.textContent);
  new MutationObserver(hear).observe(button, { childList: true, subtree: true });
  hear();
}"""


async def test_an_answer_that_is_late_puts_nothing_back(stage_of: Any, tmp_path: Path) -> None:
    """One about the state before a change that has been answered meanwhile."""
    taken, free, given = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold_the_first(route: Any) -> None:
        if taken.is_set() or route.request.method != "GET":
            await route.continue_()
            return
        answer = await route.fetch()
        taken.set()
        await free.wait()
        await route.fulfill(response=answer)
        given.set()

    async with recorded_market(stage_of, tmp_path) as (stage, recorded):
        page = await stage.open()
        await until(page, "() => !document.getElementById('local-panel').hidden")
        await page.route("**/replay", hold_the_first)
        await taken.wait()
        await page.click("#local-panel button")
        await says(page, "local-panel", "Resume")
        await page.evaluate(SAID)
        free.set()
        await given.wait()
        async with page.expect_request("**/replay") as next_one:
            pass
        await (await next_one.value).response()
        assert await page.evaluate("[...said]") == ["Resume"]
        assert not recorded.control.state().running
        assert stage.complaints == []
