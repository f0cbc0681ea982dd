"""The simulated market's panel: shown where the market may be controlled, and in control."""

from __future__ import annotations

from typing import Any

import pytest
from web_stage import says, until

from fastbook_cli.sim.control import Change, Control
from fastbook_cli.sim.http_control import with_control
from fastbook_cli.sim.settings import SimSettings

SET = """([id, step]) => {
  const slider = document.getElementById(id);
  slider.value = step;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""

IS = """([rate, volatility]) => fetch("/sim").then((r) => r.json())
  .then((s) => s.rate === rate && s.volatility === volatility)"""


async def test_sliders_turn_rate_and_volatility(stage_of: Any) -> None:
    control = Control(SimSettings(rate=60.0, volatility=3.0))
    stage = await stage_of(operator=with_control(control))
    page = await stage.open()
    await until(page, "() => !document.getElementById('local-panel').hidden")
    await says(page, "local-panel", "60 /s")
    await says(page, "local-panel", "3 % per day")
    await page.evaluate(SET, ["sim-rate", 1_000])
    await page.evaluate(SET, ["sim-volatility", 500])
    await says(page, "local-panel", "2000 /s")
    await until(page, IS, [2_000, 3.2])
    assert (control.rate, control.volatility) == (2_000.0, pytest.approx(3.2))
    await says(page, "local-panel", "3.2 % per day")
    await page.click("#local-panel button")
    await says(page, "local-panel", "Resume")
    assert not control.running
    control.apply(Change(rate=0.1))
    await page.mouse.move(5, 5)
    await page.hover("#local-panel")
    await says(page, "local-panel", "0.1 /s")
    assert stage.complaints == []


async def test_on_a_phone_the_panel_has_a_tab_of_its_own(stage_of: Any) -> None:
    stage = await stage_of(operator=with_control(Control(SimSettings())))
    page = await stage.open(viewport={"width": 390, "height": 844})
    await says(page, "local-tab", "Sim")
    await page.click("#tabs button[value=ticket]")
    assert not await page.locator("#local-panel").is_visible()
    await page.click("#local-tab")
    assert await page.locator("#sim-rate").is_visible()
    assert not await page.locator("#ticket").is_visible()
    await page.reload()
    assert await page.locator("#ticket").is_visible()  # another server may have no such panel


async def test_a_server_without_a_simulation_shows_no_panel_and_no_error(stage: Any) -> None:
    page = await stage.open()
    await until(page, "() => fetch('/version').then(() => true)")
    assert await page.evaluate("() => document.getElementById('local-panel').hidden")
    assert await page.evaluate("() => document.getElementById('local-tab').hidden")


async def test_the_page_says_when_nothing_is_kept(stage_of: Any) -> None:
    pages = [await (await stage_of(in_memory=kept)).open() for kept in (False, True)]
    await until(pages[1], "() => !document.getElementById('in-memory').hidden")
    await says(pages[1], "in-memory", "kept in memory only")
    assert await pages[0].evaluate("() => document.getElementById('in-memory').hidden")


async def test_a_slider_keeps_the_value_it_was_set_to(stage: Any) -> None:
    page = await stage.open()
    again = await page.evaluate(
        "async () => { const { position, valueAt } = await import('/web/js/panel.js');"
        "const bounds = { min: 0.1, max: 2000 };"
        "return [0.1, 1, 60, 150, 2000].map(v => valueAt(position(v, bounds), bounds)); }"
    )
    assert again == [0.1, 1, 60, 150, 2000]
