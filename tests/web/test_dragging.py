"""Dragging the marker of own orders on the ladder amends them."""

from __future__ import annotations

from typing import Any

from web_stage import Stage, drawn, has_rows, order, rows, says, text, until

ROW, MIDDLE, MARKER = 20, 17, 8
"""Of the ladder: the height of a row, half of that of its middle, where the markers are."""


async def place(page: Any, row: float) -> tuple[float, float]:
    """Return where a marker in a row is: the nth ask if positive, the nth bid if negative."""
    box = await page.locator("#ladder").bounding_box()
    away = MIDDLE + (abs(row) - 0.5) * ROW if row else 0
    middle = box["y"] + round(box["height"] / 2)
    return box["x"] + MARKER, middle - away if row > 0 else middle + away


async def grab(page: Any, row: float, *to: float) -> None:
    """Press on the marker of a row, and move it over others."""
    await page.mouse.move(*await place(page, row))
    await page.mouse.down()
    for passed in to:
        await page.mouse.move(*await place(page, passed), steps=4)


async def drag(page: Any, row: float, *to: float) -> None:
    """Move the marker of a row to another."""
    await grab(page, row, *to)
    await page.mouse.up()


def listen(page: Any) -> list[str]:
    """Return a list that collects the amends that the page sends."""
    sent: list[str] = []

    def hear(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(frame) if "amend" in frame else None)

    page.on("websocket", hear)
    return sent


async def a_book(stage: Stage) -> Any:
    """Open a page with an own bid of 1 at 99 in a book from 97 to 103; return it."""
    other = await stage.trader()
    for price in (97.0, 98.0):
        await other.add("bid", price, 5.0)
    for price in (101.0, 102.0, 103.0):
        await other.add("ask", price, 5.0)
    page = await stage.open()
    await order(page, "bid", "99", "1")
    await has_rows(page, "ladder-rows", 6)
    return page


async def price_of(page: Any) -> str:
    """Return the price of the newest order in the list."""
    return (await rows(page, "blotter-body"))[0][3]


async def test_a_marker_that_is_dragged_to_a_row_takes_its_orders_there(stage: Any) -> None:
    page = await a_book(stage)
    await order(page, "bid", "99", "2")
    await grab(page, -1, -2)
    await says(page, "sweep-to", "Move to 98.00")
    await page.mouse.up()
    await has_rows(page, "ladder-rows", 5)
    assert [row[3] for row in await rows(page, "blotter-body")] == ["98.00", "98.00"]
    await page.fill("#price", "")
    await drag(page, -1, -5)  # behind the last row, 97, each row is a tick
    await says(page, "blotter-body", "96.97")
    assert await page.input_value("#price") == ""  # a drag is no click


async def test_where_bids_stand_beside_asks_a_marker_keeps_to_its_side(stage: Any) -> None:
    page = await a_book(stage)
    await order(page, "ask", "100.5", "1")
    await has_rows(page, "ladder-rows", 7)
    await page.set_viewport_size({"width": 844, "height": 390})
    await page.click("#tabs button[value=ladder]")
    await until(page, "document.querySelector('.ladder').classList.contains('abreast')")
    await drawn(page)
    box = await page.locator("#ladder").bounding_box()
    across = box["x"] + box["width"] / 2 + MARKER
    await page.mouse.move(across, box["y"] + 24 + 0.5 * 16)
    await page.mouse.down()
    await page.mouse.move(across, box["y"] + 24 + 2.5 * 16, steps=4)  # the third best ask
    await says(page, "sweep-to", "Move to 102.00")
    await page.mouse.up()
    await says(page, "blotter-body", "102.00")


async def test_a_marker_that_is_dragged_into_the_middle_improves_the_best_price(
    stage: Any,
) -> None:
    page = await a_book(stage)
    await drag(page, -1, 0)
    await says(page, "ladder-rows", "99.01")
    assert await price_of(page) == "99.01"


async def test_a_marker_that_is_let_go_at_its_price_sends_nothing(stage: Any) -> None:
    page = await a_book(stage)
    sent = listen(page)
    await page.reload()
    await has_rows(page, "ladder-rows", 6)
    await says(page, "open-count", "1")
    await drag(page, -1, -3, -1)
    await grab(page, -1, -2)
    await page.keyboard.press("Escape")
    await page.mouse.up()
    await drag(page, -2, -3)  # others' orders
    await says(page, "sweep-to", "Sell to 97.00")
    assert sent == []
    assert await price_of(page) == "99.00"
    await drag(page, -1, -2)
    await has_rows(page, "ladder-rows", 5)
    assert len(sent) == 1


async def test_a_marker_returns_from_a_price_that_is_refused(stage: Any) -> None:
    page = await a_book(stage)
    await page.check("#post-only")
    await order(page, "bid", "99.5", "1")
    await has_rows(page, "ladder-rows", 7)
    await drag(page, -1, 2)
    await says(page, "notice", "Not changed: ")
    assert await price_of(page) == "99.50"
    marked = """async () => {
        const { data } = document.getElementById("ladder").getContext("2d").getImageData(
            1, %d, 1, 1);
        return [...data].slice(0, 3).join();
    }"""
    box = await page.locator("#ladder").bounding_box()
    height = round(box["height"] / 2) + MIDDLE + ROW // 2
    await until(page, f"async () => (await ({marked % height})()) === '243,196,76'")
    assert await text(page, "gaps") == "0"


async def test_the_markers_of_waiting_stop_orders_are_not_in_the_book(stage: Any) -> None:
    page = await a_book(stage)
    await page.click("#when button[value=stop]")
    await page.fill("#trigger", "101")
    assert "waiting" in await order(page, "bid", "98", "1")
    sent = listen(page)
    await page.reload()
    await has_rows(page, "ladder-rows", 6)
    await says(page, "open-count", "2")
    await drag(page, -2, -3)
    await says(page, "sweep-to", "Sell to 97.00")
    assert sent == []
