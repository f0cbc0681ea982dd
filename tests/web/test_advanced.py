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
    assert not await page.locator("#trigger").is_visible()
    await page.focus("#advanced summary")
    await page.keyboard.press("Enter")  # opens it, and sends nothing
    assert await page.locator("#trigger").is_visible()
    assert await text(page, "answer") == ""
    await page.fill("#trigger", "101")
    await page.select_option("#self-trade", "decrement")
    assert await text(page, "advanced-set") == ": trigger, self-trade"
    await page.select_option("#security", "FINE")
    await says(page, "send", "Buy FINE")
    assert await text(page, "advanced-set") == ": self-trade"


async def test_a_stop_order_waits_is_amended_and_triggers(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 102.0, 5.0)
    await market(page, "bid", "2")
    await advanced(page, trigger="101")
    await says(page, "est-rest", "waits for ≥ 101.00")
    assert await send(page) == "waiting for ≥ 101.00"
    await has_rows(page, "blotter-body", 1)
    row = (await rows(page, "blotter-body"))[0]
    assert row[2:8] == ["▲ buy", "market", "2.00", "0.00", "–", "untriggered ≥ 101.00"]
    await page.click("#blotter-body [data-edit=amount]")
    await page.keyboard.type("1.5")
    await page.keyboard.press("Enter")
    await says(page, "blotter-body", "1.50")
    await other.add("bid", None, 1.0)
    await says(page, "position", "1.50")
    await says(page, "blotter-empty", "No open orders")
    assert (await list_orders(page, "history"))[0][3:] == [
        *("market", "1.50", "1.50", "102.00"),
        "filled",
    ]


async def test_a_stop_limit_order_waits_triggers_and_rests(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await advanced(page, trigger="98")
    assert await order(page, "ask", "99", "2") == "waiting for ≤ 98.00"
    await says(page, "blotter-body", "untriggered ≤ 98.00")
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
    await advanced(page, trigger="98")
    assert await order(page, "ask", "99", "1") == "resting in the book"
    await advanced(page, trigger="90")
    assert await order(page, "ask", "99", "2") == "waiting for ≤ 90.00"
    await page.reload()
    await has_rows(page, "blotter-body", 2)
    await until(page, "() => document.querySelectorAll('.status')[1].textContent === 'open'")
    assert [row[7] for row in await rows(page, "blotter-body")] == ["untriggered ≤ 90.00", "open"]
    await page.click("#blotter-body tr:nth-child(1) .x")
    await has_rows(page, "blotter-body", 1)
    assert (await list_orders(page, "history"))[0][-1] == "cancelled"


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
    assert (await list_orders(page, "history"))[0][-1] == "cancelled, expired"


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
    assert await list_orders(page, "fills") == []


async def test_fields_that_do_not_go_together_are_disabled(stage: Any) -> None:
    page = await stage.open()
    await advanced(page)

    async def enabled() -> set[str]:
        names = ("price", "post-only", "display", "expire", "total", "trigger")
        return {name for name in names if not await page.locator(f"#{name}").is_disabled()}

    assert await enabled() == {"price", "post-only", "display", "expire", "trigger"}
    await page.select_option("#tif", "ioc")
    assert await enabled() == {"price", "trigger"}
    await page.click("#type button[value=market]")
    assert await enabled() == {"total", "trigger"}
    await page.fill("#trigger", "100")
    assert await enabled() == {"expire", "trigger"}


async def test_arrows_move_the_field_they_are_pressed_in(stage: Any) -> None:
    page = await stage.open()
    await fill_in(page, "bid", "100", "1")
    await advanced(page, trigger="101", display="2")
    for name in ("trigger", "display", "expire"):
        await page.locator(f"#{name}").press("ArrowUp")
    values = [await page.input_value(f"#{name}") for name in ("price", "trigger", "display")]
    assert values == ["100", "101.01", "2.01"]
