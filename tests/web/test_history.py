"""Ended orders come from the server, page by page; and the token, where the server wants one."""

from __future__ import annotations

import asyncio
from typing import Any

from web_stage import WAIT_S, has_rows, list_orders, live, order, rows, says, text, until, user_of


async def test_a_page_that_kept_nothing_shows_every_ended_order(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    assert await order(page, "bid", "99", "1") == "resting in the book"
    await other.add("ask", 99.0, 1.0)
    token = await page.evaluate("JSON.parse(sessionStorage.getItem('fastbook.session')).token")
    await page.goto("about:blank")
    mine = await stage.trader(resume=token)  # a bot of this user, say: the page knows none of it
    for _ in range(60):
        placed = await mine.add("bid", 95.0, 1.0)
        await mine.ask(op="delete", id=placed["order"]["id"])
    await page.add_init_script("localStorage.clear()")
    await page.goto(stage.url)
    await live(page)
    newest = await list_orders(page, "history", 50)
    assert {row[-1] for row in newest} == {"cancelled"}
    await page.click("#older")
    await has_rows(page, "blotter-body", 61)
    assert (await rows(page, "blotter-body"))[-1][-1] == "filled"
    assert await page.locator("#older").is_hidden()


async def test_the_token_is_asked_for_presented_and_kept_for_the_session(stage_of: Any) -> None:
    token = "a token of 20 signs!"
    stage = await stage_of(token=token)
    page = await stage.open()
    await page.click("#unlock", timeout=WAIT_S * 1_000)
    assert await page.locator("#send").is_disabled()
    await page.fill("#token", "not the token at all")
    await page.keyboard.press("Enter")
    await says(page, "token-answer", "The server refuses this token")
    await page.fill("#token", token)
    await page.keyboard.press("Enter")
    await until(page, "() => !document.getElementById('send').disabled")
    assert await order(page, "bid", "99", "1") == "resting in the book"
    user = await user_of(page)
    await page.reload()
    await live(page)
    await says(page, "open-count", "1")
    assert await text(page, "user") == user
    assert await page.locator("#unlock").is_hidden()
    elsewhere = await stage.open()  # another tab: this one's token is not its own
    await elsewhere.wait_for_selector("#unlock:not([hidden])")
    assert stage.complaints == []


async def test_a_late_answer_about_a_wrong_token_does_not_forget_the_right_one(
    stage_of: Any,
) -> None:
    """The page asks whether a server that refuses it is there, and comes again meanwhile."""
    token = "a token of 20 signs!"
    stage = await stage_of(token=token)
    page = await stage.open()
    held: list[Any] = []
    await page.route("**/version", lambda route: held.append(route))
    await page.click("#unlock", timeout=WAIT_S * 1_000)
    await page.fill("#token", "not the token at all")
    await page.keyboard.press("Enter")
    async with asyncio.timeout(WAIT_S):
        while len(held) < 2:  # noqa: ASYNC110 (it has been refused twice)
            await asyncio.sleep(0.01)
    await held[0].continue_()
    await says(page, "token-answer", "The server refuses this token")
    await page.fill("#token", token)
    await page.keyboard.press("Enter")
    await until(page, "() => !document.getElementById('send').disabled")
    for late in held[1:]:
        async with page.expect_response("**/version"):
            await late.continue_()
    assert await order(page, "bid", "99", "1") == "resting in the book"
    assert await page.locator("#token-dialog").is_hidden()
    assert await page.locator("#unlock").is_hidden()
    assert stage.complaints == []
