"""The chart: own orders and fills on it, prices picked from it, intervals and indicators."""

from __future__ import annotations

import time
from typing import Any

from web_stage import Stage, has_rows, live, order, says, shoot, text, until

LABELS = """() => {
    // How many pixels of each row have the colour of the labels of own orders.
    const box = document.getElementById("chart").getBoundingClientRect();
    const counts = new Map();
    for (const node of document.querySelectorAll("#chart canvas")) {
        const { width, height } = node;
        if (!width || !height) continue;
        const { data } = node.getContext("2d").getImageData(0, 0, width, height);
        const top = node.getBoundingClientRect().top - box.top;
        for (let i = 0; i < data.length; i += 4)
            if (data[i] === 0xf3 && data[i + 1] === 0xc4 && data[i + 2] === 0x4c) {
                const y = top + Math.floor(i / 4 / width);
                counts.set(y, (counts.get(y) ?? 0) + 1);
            }
    }
    return [...counts].filter(([, n]) => n > 20).map(([y]) => y).sort((a, b) => a - b);
}"""


async def traded(stage: Stage, *prices: float) -> None:
    """Let others trade at these prices."""
    maker, taker = await stage.trader(), await stage.trader()
    for price in prices:
        await maker.add("ask", price, 1.0)
        await taker.add("bid", price, 1.0)


async def test_the_line_of_an_own_order_is_dragged_to_another_price(stage: Any) -> None:
    await traded(stage, 100.0, 104.0, 96.0, 100.0)
    page = await stage.open()
    await says(page, "legend", "C 100.00")
    await order(page, "bid", "98", "2")
    await until(page, f"() => ({LABELS})().length > 5")
    found = await page.evaluate(LABELS)
    box = await page.locator("#chart").bounding_box()
    x, y = box["x"] + 60, box["y"] + sum(found) / len(found)
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x, y + 30, steps=5)
    await page.mouse.up()
    await until(
        page, "() => parseFloat(document.querySelector('[data-edit=price]').textContent) < 98"
    )
    assert await page.input_value("#price") == "98"  # a drag is no click
    await page.mouse.click(x, y)
    clicked = float(await page.input_value("#price"))
    assert abs(clicked - 98) < 0.2  # where the line has been
    await page.click("#indicators summary")
    await page.uncheck("#show-own")
    await until(page, f"() => ({LABELS})().length === 0")


async def test_orders_that_wait_for_one_price_share_a_line(stage: Any) -> None:
    await traded(stage, 100.0, 104.0, 96.0, 100.0)
    page = await stage.open()
    await says(page, "legend", "C 100.00")
    await page.click("#when button[value=stop]")
    await page.fill("#trigger", "98")
    await order(page, "ask", "97", "1")
    await until(page, f"() => ({LABELS})().length > 5")
    label = await page.evaluate(LABELS)
    await order(page, "ask", "97.5", "1")
    await has_rows(page, "blotter-body", 2)
    assert len(await page.evaluate(LABELS)) <= len(label) + 2


async def test_a_click_on_depth_or_tape_sets_the_price(stage: Any) -> None:
    await traded(stage, 100.5)
    other = await stage.trader()
    await other.add("ask", 102.0, 5.0)
    await other.add("bid", 98.0, 5.0)
    page = await stage.open()
    await until(page, "() => document.getElementById('ladder-rows').rows.length === 2")
    await until(page, "() => document.getElementById('tape-rows').rows.length === 1")
    box = await page.locator("#tape").bounding_box()
    await page.mouse.click(box["x"] + 40, box["y"] + 8)
    assert await page.input_value("#price") == "100.50"
    box = await page.locator("#depth").bounding_box()
    await page.mouse.click(box["x"] + box["width"] - 5, box["y"] + 40)
    assert await page.input_value("#price") == "102.00"
    assert await page.get_attribute("#ticket", "data-side") == "bid"
    await page.mouse.click(box["x"] + 5, box["y"] + 40)
    assert await page.input_value("#price") == "98.00"
    assert await page.get_attribute("#ticket", "data-side") == "ask"


async def test_intervals_are_folded_and_quiet_buckets_drawn(stage_of: Any) -> None:
    now_ms = [int(time.time()) // 900 * 900_000]
    stage = await stage_of(now_ms=lambda: now_ms[0])
    maker, taker = await stage.trader(), await stage.trader()

    async def trade(price: float) -> None:
        await maker.add("ask", price, 1.0)
        await taker.add("bid", price, 1.0)

    await trade(100.0)
    now_ms[0] += 60_000
    await trade(103.0)
    now_ms[0] += 60_000
    await trade(101.0)
    page = await stage.open()
    await says(page, "legend", "O 101.00  H 101.00  L 101.00  C 101.00  V 1.00")
    await page.select_option("#more-intervals", "3m")
    await says(page, "legend", "O 100.00  H 103.00  L 100.00  C 101.00  V 3.00")
    await trade(104.0)
    await says(page, "legend", "O 100.00  H 104.00  L 100.00  C 104.00  V 4.00")
    now_ms[0] += 180_000
    await maker.add("ask", 200.0, 1.0)  # time passes, nothing trades
    await says(page, "legend", "O 104.00  H 104.00  L 104.00  C 104.00  V 0.00")
    await page.click("#intervals button[value='1w']")
    await says(page, "legend", "O 100.00  H 104.00  L 100.00  C 104.00  V 4.00")
    assert stage.complaints == []


async def test_what_is_chosen_on_chart_book_and_tables_stays_over_a_reload(stage_of: Any) -> None:
    now_ms = int(time.time()) // 900 * 900_000  # both trades are in one bucket
    stage = await stage_of(now_ms=lambda: now_ms)
    await traded(stage, 100.0, 101.0)
    page = await stage.open()
    await says(page, "legend", "C 101.00")  # the chart is there, and listens
    await page.click("#intervals button[value='15m']")
    await page.click("#indicators summary")
    await page.fill("#length-ema", "1")
    await page.check("#show-ema")
    await page.check("#show-rsi")
    await page.check("#show-vwap")
    await page.select_option("#group", "5")
    await page.click("#blotter-tabs button[value=positions]")
    await page.focus("[aria-label='Size of orders, height']")
    await page.keyboard.press("ArrowUp")
    high = (await page.locator(".panel.orders").bounding_box())["height"]
    await says(page, "legend", "EMA 1 101.00  VWAP 100.67  RSI 14 –")
    await shoot(page, "indicators")
    await page.reload()
    await live(page)
    await says(page, "legend", "EMA 1 101.00  VWAP 100.67  RSI 14 –")
    pressed = "() => document.querySelector(`#intervals [aria-pressed=true]`).value"
    assert await page.evaluate(pressed) == "15m"
    assert await page.input_value("#group") == "5"
    assert await text(page, "blotter-empty") == "No positions yet"
    assert (await page.locator(".panel.orders").bounding_box())["height"] == high
    assert stage.complaints == []
