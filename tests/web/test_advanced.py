"""The ticket's advanced fields: every kind of order, and what the page says of it."""

from __future__ import annotations

import time
from typing import Any

from web_stage import fill_in, has_rows, list_orders, order, rows, says, text, until


async def advanced(page: Any, **fields: str) -> None:
    """Open the advanced fields, and fill them in by their ids."""
    if not await page.evaluate("document.getElementById('advanced').open"):
        await page.click("#advanced summary")
    for name, value in fields.items():
        await page.fill(f"#{name}", value)


async def wait_for(page: Any, what: str, trigger: str) -> None:
    """Let the order be a "stop" or "takeProfit" order."""
    await page.click(f"#when button[value={what}]")
    await page.fill("#trigger", trigger)


async def send(page: Any) -> str:
    """Place the order as it stands in the ticket; return the ticket's answer."""
    await page.click("#send")
    await until(page, "() => document.getElementById('answer').textContent")
    return await text(page, "answer")


async def market(page: Any, side: str, amount: str | None = None) -> None:
    """Prepare a market order."""
    await page.click("#type button[value=market]")
    await page.click(f"#side button[value={side}]")
    if amount is not None:
        await page.fill("#amount", amount)


async def test_the_simple_ticket_hides_the_advanced_fields(stage: Any) -> None:
    page = await stage.open()
    assert not await page.locator("#display").is_visible()
    await page.focus("#advanced summary")
    await page.keyboard.press("Enter")  # opens it, and sends nothing
    assert await page.locator("#display").is_visible()
    assert await text(page, "answer") == ""
    await page.fill("#display", "1")
    await page.select_option("#self-trade", "decrement")
    assert await text(page, "advanced-set") == ": show, self-trade"
    await page.select_option("#security", "FINE")
    await says(page, "send", "Buy FINE")
    assert await text(page, "advanced-set") == ": self-trade"


async def test_a_stop_order_waits_is_amended_and_triggers(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 102.0, 5.0)
    await market(page, "bid", "2")
    await wait_for(page, "stop", "101")
    await says(page, "est-rest", "waits for ≥ 101.00")
    assert await send(page) == "waiting for ≥ 101.00"
    await has_rows(page, "blotter-body", 1)
    row = (await rows(page, "blotter-body"))[0]
    assert row[2:8] == ["▲ buy", "market", "2.00", "0.00", "–", "stop ≥ 101.00"]
    await page.click("#blotter-body [data-edit=amount]")
    await page.keyboard.type("1.5")
    await page.keyboard.press("Enter")
    await says(page, "blotter-body", "1.50")
    await other.add("bid", None, 1.0)
    await says(page, "position", "1.50")
    await says(page, "blotter-empty", "No open orders")
    assert (await list_orders(page, "history", 1))[0][2:] == [
        *("▲ buy stop", "market", "1.50", "1.50", "102.00"),
        "filled",
    ]


async def test_a_stop_limit_order_waits_triggers_and_rests(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await wait_for(page, "stop", "98")
    assert await order(page, "ask", "99", "2") == "waiting for ≤ 98.00"
    await says(page, "blotter-body", "stop ≤ 98.00")
    assert "99.00" not in await text(page, "ladder-rows")
    await other.add("bid", 97.5, 1.0)
    await other.add("ask", None, 1.0)
    await says(page, "ladder-rows", "99.00")
    assert (await rows(page, "blotter-body"))[0][3:8] == ["99.00", "2.00", "0.00", "–", "open"]


async def test_a_reload_keeps_telling_waiting_and_triggered_orders_apart(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("bid", 98.0, 1.0)
    await other.add("ask", None, 1.0)
    await wait_for(page, "stop", "98")
    await fill_in(page, "ask", "99", "1")
    await says(page, "est-rest", "triggers at once")
    await page.click("#send")
    await says(page, "confirm-text", "already meets its trigger")
    await page.click("#confirm-yes")
    await says(page, "answer", "resting in the book")
    await wait_for(page, "stop", "90")
    assert await order(page, "ask", "99", "2") == "waiting for ≤ 90.00"
    await page.reload()
    await has_rows(page, "blotter-body", 2)
    await until(page, "() => document.querySelectorAll('.status')[1].textContent === 'open'")
    assert [row[7] for row in await rows(page, "blotter-body")] == ["stop ≤ 90.00", "open"]
    await page.click("#blotter-body tr:nth-child(1) .x")
    await has_rows(page, "blotter-body", 1)
    assert (await list_orders(page, "history", 1))[0][-1] == "cancelled"


async def test_a_take_profit_waits_for_the_other_direction(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("bid", 102.0, 5.0)
    await market(page, "ask", "2")
    await page.click("#when button[value=takeProfit]")
    assert await page.locator("label[for=trigger]").text_content() == "Trigger ≥"
    assert await send(page) == "Refused: expected a price, such as 100"
    await page.fill("#trigger", "103")
    await says(page, "est-rest", "waits for ≥ 103.00")
    assert await send(page) == "waiting for ≥ 103.00"
    await says(page, "blotter-body", "take profit ≥ 103.00")
    await other.add("ask", 103.0, 1.0)
    await other.add("bid", 103.0, 1.0)
    await says(page, "blotter-empty", "No open orders")
    assert (await list_orders(page, "history", 1))[0][2:] == [
        *("▼ sell take profit", "market", "2.00", "2.00", "102.00"),
        "filled",
    ]


async def test_a_take_profit_limit_order_rests_once_it_is_triggered(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await wait_for(page, "takeProfit", "98")
    assert await order(page, "bid", "97", "2") == "waiting for ≤ 98.00"
    await other.add("bid", 97.5, 1.0)
    await other.add("ask", None, 1.0)
    await says(page, "ladder-rows", "97.00")
    await says(page, "blotter-body", "open")


async def test_a_click_on_a_price_sets_the_field_in_use(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("bid", 98.0, 1.0)
    await other.add("ask", None, 1.0)
    await has_rows(page, "tape-rows", 1)

    async def click_the_tape() -> list[str]:
        await page.click("#tape", position={"x": 40, "y": 9})
        return [await page.input_value(f"#{name}") for name in ("price", "trigger")]

    assert await click_the_tape() == ["98.00", ""]
    await page.fill("#price", "97")
    await page.click("#when button[value=stop]")
    assert await click_the_tape() == ["97", "98.00"]
    await page.fill("#trigger", "99")
    await page.focus("#price")
    assert await click_the_tape() == ["98.00", "99"]
    await page.click("#type button[value=market]")
    assert await click_the_tape() == ["98.00", "98.00"]
    await page.click("#trigger-up")
    assert await page.input_value("#trigger") == "98.01"
    await page.focus("#trigger")
    await page.keyboard.press("Escape")
    await page.keyboard.press("t")
    await page.keyboard.press("t")
    assert not await page.locator("#trigger").is_visible()


async def test_an_iceberg_shows_a_part(stage: Any) -> None:
    page = await stage.open()
    await advanced(page, display="1")
    assert await order(page, "bid", "99", "5") == "resting in the book"
    await says(page, "blotter-body", "open, shows 1.00")
    await has_rows(page, "ladder-rows", 1)
    assert await rows(page, "ladder-rows") == [["bid", "99.00", "1.00", "1.00"]]
    await advanced(page, display="6")
    assert (await order(page, "bid", "99", "5")).startswith("Refused: display: expected ")
    assert await page.get_attribute("#display", "aria-invalid") == "true"


async def test_an_order_is_good_till_its_time(stage_of: Any) -> None:
    now_ms = [int(time.time()) * 1_000]
    stage = await stage_of(now_ms=lambda: now_ms[0])
    page = await stage.open()
    other = await stage.trader()
    local = "t => new Date(t - 60000 * new Date(t).getTimezoneOffset()).toISOString().slice(0, 19)"
    await advanced(page, expire=await page.evaluate(local, now_ms[0] + 60_000))
    assert await order(page, "bid", "99", "1") == "resting in the book"
    await says(page, "blotter-body", "open, until ")
    now_ms[0] += 61_000
    await other.add("bid", 1.0, 1.0)
    await says(page, "blotter-empty", "No open orders")
    assert (await list_orders(page, "history", 1))[0][-1] == "cancelled, expired"


async def test_a_market_order_by_total_buys_what_it_pays_for(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 100.0, 1.0)
    await other.add("ask", 110.0, 5.0)
    await market(page, "bid")
    await advanced(page, total="155")
    await says(page, "est-now", "1.50")
    assert await page.locator("#amount").is_disabled()
    assert await page.locator("#tif").is_disabled()
    assert await text(page, "est-total") == "155.00"
    assert await text(page, "est-rest") == "0.00 not used"
    assert await send(page) == "bought 1.50 at 103.333 on average"
    await page.fill("#total", "some")
    assert await send(page) == "Refused: expected a number such as 1.00, got 'some'"
    await page.fill("#total", "0.5")
    assert await send(page) == "cancelled: its total does not pay for a lot"
    await page.fill("#total", "")
    assert not await page.locator("#amount").is_disabled()


async def test_a_limit_order_by_total_is_for_what_it_pays_for(stage: Any) -> None:
    page = await stage.open()
    await page.fill("#price", "99.50")
    await advanced(page, total="200")
    await says(page, "est-rest", "2.01 rests")
    assert await text(page, "est-total") == "200.00"
    assert await text(page, "advanced-set") == ": total"
    assert await page.locator("#amount").is_disabled()
    assert await send(page) == "resting in the book"
    await has_rows(page, "blotter-body", 1)
    assert (await rows(page, "blotter-body"))[0][3:5] == ["99.50", "2.01"]
    await has_rows(page, "ladder-rows", 1)
    await page.fill("#price", "")
    assert await send(page) == "Refused: expected a price, such as 99.50"
    await page.focus("#ladder")
    for key in ("ArrowDown", "Shift+Enter"):  # the amount of the level, too
        await page.keyboard.press(key)
    filled = [await page.input_value(f"#{name}") for name in ("price", "amount", "total")]
    assert filled == ["99.50", "2.01", ""]
    assert not await page.locator("#amount").is_disabled()


async def test_a_market_order_can_fill_completely_or_not_at_all(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 100.0, 1.0)
    await market(page, "bid", "2")
    assert await page.input_value("#tif") == "ioc"
    await page.select_option("#tif", "fok")
    await says(page, "est-rest", "all cancelled")
    assert await send(page) == "cancelled: it could not fill completely"
    await page.fill("#amount", "1")
    assert await send(page) == "bought 1.00 at 100.00"
    await page.click("#type button[value=limit]")
    assert await page.input_value("#tif") == "gtc"


async def test_a_trade_with_oneself_is_decremented(stage: Any) -> None:
    page = await stage.open()
    await order(page, "ask", "100", "3")
    await advanced(page)
    await page.select_option("#self-trade", "decrement")
    said = "cancelled: it would have traded with your own order"
    assert await order(page, "bid", "100", "1") == said
    await says(page, "blotter-body", "2.00")
    assert await list_orders(page, "fills", 0) == []


async def test_fields_that_do_not_go_together_are_disabled(stage: Any) -> None:
    page = await stage.open()
    await advanced(page)

    async def enabled() -> set[str]:
        names = ("price", "post-only", "display", "expire", "total")
        return {name for name in names if not await page.locator(f"#{name}").is_disabled()}

    assert await enabled() == {"price", "post-only", "display", "expire", "total"}
    await page.select_option("#tif", "ioc")
    assert await enabled() == {"price", "total"}
    await page.click("#type button[value=market]")
    assert await enabled() == {"total"}
    await page.click("#when button[value=stop]")
    assert await enabled() == {"expire"}


async def test_arrows_move_the_field_they_are_pressed_in(stage: Any) -> None:
    page = await stage.open()
    await fill_in(page, "bid", "100", "1")
    await wait_for(page, "stop", "101")
    await advanced(page, display="2")
    for name in ("trigger", "display", "expire"):
        await page.locator(f"#{name}").press("ArrowUp")
    values = [await page.input_value(f"#{name}") for name in ("price", "trigger", "display")]
    assert values == ["100", "101.01", "2.01"]
