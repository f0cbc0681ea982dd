"""Trading through the page against others: the page shows what the server says."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from web_stage import (
    WAIT_S,
    fill_in,
    has_rows,
    list_orders,
    live,
    order,
    rows,
    says,
    shoot,
    shows,
    text,
    until,
)

OWN_PIXELS = """() => {
    const canvas = document.getElementById("ladder");
    const [r, g, b] = [0xf3, 0xc4, 0x4c];
    const { data } = canvas.getContext("2d").getImageData(0, 0, 12, canvas.height);
    let found = 0;
    for (let i = 0; i < data.length; i += 4)
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) found += 1;
    return found;
}"""


async def test_a_trade_is_seen_on_ladder_tape_candles_and_orders(stage: Any) -> None:
    maker = await stage.trader()
    await maker.add("ask", 101.0, 2.0)
    page = await stage.open()
    await page.click("#intervals button[value='1w']")  # a minute may end during the test
    assert await order(page, "bid", "101", "0.5") == "bought 0.50 at 101.00"
    await says(page, "legend", "O 101.00  H 101.00  L 101.00  C 101.00  V 0.50")
    await has_rows(page, "tape-rows", 1)
    assert (await rows(page, "tape-rows"))[0][1:] == ["bought", "101.00", "0.50"]
    await says(page, "ladder-rows", "1.50")
    assert await rows(page, "ladder-rows") == [["ask", "101.00", "1.50", "1.50"]]
    fill = (await list_orders(page, "fills", 1))[0][1:]
    assert fill == ["COIN", "▲ buy", "101.00", "0.50", "50.50", "taker"]
    assert (await list_orders(page, "history", 1))[0][-1] == "filled"
    await says(page, "last", "101.00")


async def test_the_last_price_is_that_of_the_newest_fill_not_an_average(stage: Any) -> None:
    maker = await stage.trader()
    await maker.add("ask", 101.0, 1.0)
    await maker.add("ask", 102.0, 2.0)
    page = await stage.open()
    assert await order(page, "bid", "102", "3") == "bought 3.00 at 101.667 on average"
    await says(page, "last", "102.00")
    await says(page, "legend", "C 102.00")


async def test_an_own_order_rests_is_marked_and_fills(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    assert await order(page, "bid", "99.5", "2") == "resting in the book"
    await until(page, f"() => ({OWN_PIXELS})() > 0")
    await says(page, "open-count", "1")
    await other.add("ask", None, 0.5)
    await says(page, "blotter-body", "0.50")
    row = (await rows(page, "blotter-body"))[0][1:7]
    assert row == ["COIN", "▲ buy", "99.50", "2.00", "0.50", "99.50"]
    await other.add("ask", None, 1.5)
    await says(page, "blotter-empty", "No open orders")
    await until(page, f"() => ({OWN_PIXELS})() === 0")
    assert [r[4:] for r in await list_orders(page, "fills", 2)] == [
        ["1.50", "149.25", "maker"],
        ["0.50", "49.75", "maker"],
    ]


async def test_orders_are_cancelled_one_by_one_and_all_at_once(stage: Any) -> None:
    page = await stage.open()
    for price in ("98", "98.5", "99"):
        await order(page, "bid", price, "1")
    await has_rows(page, "blotter-body", 3)
    await page.click("#blotter-body tr:nth-child(2) .x")
    await says(page, "open-count", "2")
    assert [r[3] for r in await rows(page, "blotter-body")] == ["99.00", "98.00"]
    await page.click("#cancel-all")
    await says(page, "notice", "2 orders cancelled")
    await says(page, "blotter-empty", "No open orders")


async def test_the_orders_of_one_side_are_cancelled_together(stage: Any) -> None:
    page = await stage.open()
    assert await page.locator("#cancel-bids").is_disabled()
    for side, price in (("bid", "98"), ("bid", "99"), ("ask", "101"), ("ask", "102")):
        await order(page, side, price, "1")
    await page.click("#cancel-bids")
    await says(page, "notice", "2 orders cancelled")
    await has_rows(page, "blotter-body", 2)
    assert [row[2] for row in await rows(page, "blotter-body")] == ["▼ sell", "▼ sell"]
    assert await page.locator("#cancel-bids").is_disabled()
    await order(page, "bid", "97", "1")
    await page.click("#cancel-asks")
    await has_rows(page, "blotter-body", 1)
    assert [row[2] for row in await rows(page, "blotter-body")] == ["▲ buy"]
    assert await page.locator("#cancel-asks").is_disabled()


async def test_an_open_order_is_amended_in_its_row(stage: Any) -> None:
    page = await stage.open()
    await order(page, "bid", "99", "2")
    await page.focus("#blotter-body [data-edit=price]")
    await page.keyboard.press("Enter")
    await page.keyboard.type("98.5")
    await page.keyboard.press("Tab")
    await page.keyboard.type("1.5")
    await page.keyboard.press("Enter")
    await says(page, "blotter-body", "1.50")
    assert (await rows(page, "blotter-body"))[0][3:6] == ["98.50", "1.50", "0.00"]
    await says(page, "ladder-rows", "98.50")
    assert await page.evaluate("document.activeElement.dataset.edit") == "amount"
    await page.keyboard.press("Enter")
    await page.keyboard.type("x8")  # no shortcut: it cancels nothing
    await page.keyboard.press("Enter")
    await says(page, "notice", "Not changed: expected a number as the amount")
    await page.keyboard.press("Escape")
    assert (await rows(page, "blotter-body"))[0][3:6] == ["98.50", "1.50", "0.00"]
    assert await page.evaluate("document.activeElement.dataset.edit") == "amount"
    assert await page.locator("#blotter-body input").count() == 0


async def test_a_refused_amend_says_why_and_changes_nothing(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await order(page, "bid", "99", "2")
    await page.click("#blotter-body [data-edit=amount]")
    await other.add("ask", None, 1.0)
    await says(page, "blotter-body", "partially filled")  # while the amount is edited
    await page.fill("#blotter-body input[aria-label^='New amount']", "0.5")
    await page.keyboard.press("Enter")
    await says(page, "notice", "Not changed: amount")
    assert (await rows(page, "blotter-body"))[0][3:6] == ["99.00", "2.00", "1.00"]


async def test_an_amend_may_trade_at_once(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 101.0, 1.0)
    await order(page, "bid", "99", "2")
    await page.click("#blotter-body [data-edit=price]")
    await page.keyboard.type("101")
    await page.keyboard.press("Enter")
    await says(page, "position", "1.00")
    await says(page, "blotter-body", "partially filled")
    assert (await rows(page, "blotter-body"))[0][3:6] == ["101.00", "2.00", "1.00"]


async def test_a_refused_order_says_why_in_place(stage: Any) -> None:
    page = await stage.open()
    answer = await order(page, "bid", "100.005", "1")
    assert answer == "Refused: price 100.005 is not a multiple of tickSize 0.01"
    assert await page.get_attribute("#price", "aria-invalid") == "true"
    await page.fill("#price", "100")
    assert await page.get_attribute("#price", "aria-invalid") is None
    assert await text(page, "answer") == ""
    said = "Refused: expected a number such as 1.00, got 'some'"
    assert await order(page, "bid", "100", "some") == said
    assert await order(page, "bid", "100", "") == "Refused: expected an amount, such as 1.00"
    assert await order(page, "bid", "", "1") == "Refused: expected a price, such as 100"
    said = "Refused: expected a number such as 100, got '100,05'"  # and not 10005
    assert await order(page, "bid", "100,05", "1") == said
    maker = await stage.trader()
    await maker.add("ask", 101.0, 1.0)
    await page.check("#post-only")
    assert "would" in await order(page, "bid", "101", "1")
    await shoot(page, "refused")


async def test_the_ticket_estimates_average_slippage_and_remainder(stage: Any) -> None:
    maker = await stage.trader()
    await maker.add("ask", 100.0, 1.0)
    await maker.add("ask", 102.0, 1.0)
    page = await stage.open()
    await fill_in(page, "bid", "102", "3")
    await says(page, "est-rest", "1.00 rests")
    assert await text(page, "est-now") == "2.00"
    assert await text(page, "est-average") == "101.000"
    assert await text(page, "est-slippage") == "100.0 bp"
    assert await text(page, "est-total") == "304.00"
    await page.click("#type button[value=market]")
    await says(page, "est-rest", "1.00 cancelled")
    await page.click("#send")
    await says(page, "answer", "bought 2.00 at 101.00; remainder cancelled")


async def test_the_ladder_previews_a_sweep_and_fills_the_ticket(stage: Any) -> None:
    maker = await stage.trader()
    for price, amount in ((100.0, 1.0), (100.5, 2.0), (101.0, 3.0)):
        await maker.add("ask", price, amount)
    await maker.add("bid", 99.0, 4.0)
    page = await stage.open()
    await has_rows(page, "ladder-rows", 4)
    box = await page.locator("#ladder").bounding_box()
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + 50, middle - 17 - 30)  # the second best ask
    await says(page, "sweep-to", "Buy to 100.50")
    assert await text(page, "sweep-amount") == "3.00"
    assert await text(page, "sweep-average") == "100.333"
    assert await text(page, "sweep-cost") == "301.00"
    await shoot(page, "sweep")
    await page.mouse.click(box["x"] + 50, middle - 17 - 30)
    assert await page.input_value("#price") == "100.50"
    await page.mouse.click(box["x"] + box["width"] - 20, middle - 17 - 30)
    assert await page.input_value("#amount") == "3.00"
    await says(page, "send", "Buy COIN")
    await page.mouse.click(box["x"] + 50, middle + 17 + 10)
    assert await page.input_value("#price") == "99.00"
    await says(page, "send", "Sell COIN")


async def test_everything_works_by_keyboard(stage: Any) -> None:
    maker = await stage.trader()
    await maker.add("bid", 100.0, 1.0)
    page = await stage.open()
    await has_rows(page, "ladder-rows", 1)
    await page.keyboard.press("s")
    assert await page.get_attribute("#ticket", "data-side") == "ask"
    await page.keyboard.press("ArrowUp")
    assert await page.input_value("#price") == "100.00"
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Shift+ArrowUp")
    assert await page.input_value("#price") == "100.11"
    await page.keyboard.press("b")
    await page.keyboard.press("Shift+ArrowDown")
    await page.keyboard.press("Shift+ArrowDown")
    await page.keyboard.press("Enter")
    await says(page, "answer", "resting")
    await says(page, "open-count", "1")
    await page.keyboard.press("x")
    await says(page, "notice", "1 order cancelled")
    await page.keyboard.press("Escape")
    assert await page.input_value("#price") == ""
    await page.keyboard.press("?")
    assert await page.locator("#help").is_visible()
    assert await page.evaluate("document.activeElement.textContent") == "Close"
    await page.keyboard.press("Escape")
    assert not await page.locator("#help").is_visible()


async def test_switching_securities_changes_the_url(stage: Any) -> None:
    maker = await stage.trader()
    await maker.add("ask", 100.0, 1.0)
    await maker.add("ask", 7.5, 3.0, security="FINE")
    page = await stage.open("?security=FINE")
    await says(page, "ladder-rows", "7.5")
    await page.select_option("#security", "COIN")
    await says(page, "ladder-rows", "100.00")
    assert await page.evaluate("location.search") == "?security=COIN"
    await page.go_back()
    await says(page, "send", "Buy FINE")
    assert await page.evaluate("location.search") == "?security=FINE"
    assert await order(page, "bid", "7.5", "3") == "bought 3 at 7.5"
    await page.goto(stage.url + "?security=NONE")
    await live(page)
    await says(page, "notice", "Unknown security: NONE")
    assert await page.evaluate("location.search") == "?security=COIN"


async def test_a_large_order_is_estimated_on_the_whole_book(stage_of: Any) -> None:
    stage = await stage_of(depth=5)
    maker = await stage.trader()
    for n in range(30):
        await maker.add("ask", 100.0 + n, 1.0)
    page = await stage.open()
    await fill_in(page, "bid", "120", "15")
    await says(page, "est-now", "15.00")
    assert await text(page, "est-average") == "107.000"
    assert await text(page, "est-rest") == "nothing"


async def test_wide_steps_are_grouped_from_the_whole_book(stage_of: Any) -> None:
    stage = await stage_of(depth=5)
    maker = await stage.trader()
    for n in range(30):
        await maker.add("ask", round(100 + n * 0.05, 2), 1.0)
    page = await stage.open()
    await page.select_option("#group", "100")
    await has_rows(page, "ladder-rows", 3)
    assert await rows(page, "ladder-rows") == [
        ["ask", "102.00", "9.00", "30.00"],
        ["ask", "101.00", "20.00", "21.00"],
        ["ask", "100.00", "1.00", "1.00"],
    ]
    await maker.add("bid", 99.99, 2.0)
    await maker.add("bid", None, 1.0)
    await shows(
        page,
        "ladder-rows",
        [
            ["ask", "102.00", "9.00", "29.00"],
            ["ask", "101.00", "20.00", "20.00"],
            ["bid", "99.00", "2.00", "2.00"],
        ],
    )
    assert await text(page, "gaps") == "0"


async def test_older_candles_load_when_scrolled_to(stage_of: Any) -> None:
    now_ms = [int(time.time() * 1_000) - 900 * 60_000]
    stage = await stage_of(now_ms=lambda: now_ms[0])
    maker, taker = await stage.trader(), await stage.trader()
    for n in range(900):
        now_ms[0] += 60_000
        price = 100 + n % 50 / 10
        await maker.send_text(limit("ask", price))
        await taker.add("bid", price, 0.01)
    context = await stage.context()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    context.on("response", lambda r: answers.put_nowait(r) if "/api/candles" in r.url else None)
    page = await stage.open(context=context)
    await says(page, "legend", "C 104.90")
    box = await page.locator("#chart").bounding_box()
    await page.mouse.move(box["x"] + 300, box["y"] + 100)
    for _ in range(60):
        await page.mouse.wheel(-400, 0)
    async with asyncio.timeout(WAIT_S):
        answer = await answers.get()
    assert answer.status == 200
    assert len((await answer.json())["candles"]) > 100


def limit(side: str, price: float) -> str:
    return (
        f'{{"op":"add","order":{{"type":"{side}","execType":"limit",'
        f'"price":{price:.2f},"amount":0.01}}}}'
    )


async def test_each_fill_is_a_line_of_the_tape_at_its_own_price(stage: Any) -> None:
    maker, taker = await stage.trader(), await stage.trader()
    await maker.add("ask", 100.0, 1.0)
    await maker.add("ask", 101.0, 5.0)
    page = await stage.open()
    await taker.add("bid", None, 3.0)
    await maker.add("bid", 99.0, 5.0)
    await taker.add("ask", None, 1.0)
    await has_rows(page, "tape-rows", 3)
    assert [row[1:] for row in await rows(page, "tape-rows")] == [
        ["sold", "99.00", "1.00"],
        ["bought", "101.00", "2.00"],
        ["bought", "100.00", "1.00"],
    ]
    assert (await page.title()).startswith("99.00 COIN")


async def test_the_position_counts_both_sides_and_a_trade_with_oneself_not(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 101.0, 2.0)
    await order(page, "bid", "101", "2")
    await says(page, "position", "2.00")
    await other.add("bid", 100.0, 5.0)
    await order(page, "ask", "100", "5")
    await says(page, "position", "-3.00")
    await page.click("#advanced summary")
    await page.select_option("#self-trade", "allow")
    await order(page, "ask", "103", "1")
    await order(page, "bid", "103", "1")
    await page.click("#blotter-tabs button[value=fills]")
    await has_rows(page, "blotter-body", 4)
    with_itself = [row[2:] for row in (await rows(page, "blotter-body"))[:2]]
    assert with_itself == [
        ["▼ sell", "103.00", "1.00", "103.00", "maker"],
        ["▲ buy", "103.00", "1.00", "103.00", "taker"],
    ]
    assert await text(page, "position") == "-3.00"
