"""Positions and profit, questions, shortcuts, markets, leaders, the dead man's switch."""

from __future__ import annotations

from typing import Any

from web_stage import (
    fill_in,
    has_rows,
    list_orders,
    live,
    order,
    rows,
    says,
    shows,
    text,
    until,
)


def listen(page: Any, word: str) -> list[str]:
    """Return a list that collects the frames with this word that the page sends."""
    sent: list[str] = []

    def hear(socket: Any) -> None:
        socket.on("framesent", lambda frame: sent.append(frame) if word in frame else None)

    page.on("websocket", hear)
    return sent


async def test_profit_is_that_of_the_users_fills_and_comes_from_the_server(stage: Any) -> None:
    other = await stage.trader()
    await other.add("ask", 100.0, 2.0)
    await other.add("ask", 101.0, 2.0)
    page = await stage.open()
    assert await page.locator("#shares button").first.is_disabled()
    await order(page, "bid", "101", "4")
    await says(page, "notice", "Bought 4.00 COIN at 100.50")
    await says(page, "position-average", "100.500")
    await says(page, "unrealised", "+2.00")  # the last price is 101
    await other.add("bid", 103.0, 1.0)
    await order(page, "ask", "103", "1")
    await says(page, "realised", "+2.50")
    await says(page, "unrealised", "+7.50")
    await page.click("#shares button[data-share='0.5']")
    assert await page.input_value("#amount") == "1.50"
    assert await page.get_attribute("#ticket", "data-side") == "ask"
    await order(page, "bid", "50", "1")
    await page.click("#blotter-body .x")
    await says(page, "blotter-empty", "No open orders")
    await page.evaluate("localStorage.clear()")
    await page.reload()
    await live(page)
    await says(page, "realised", "+2.50")
    await until(page, "() => !document.getElementById('shares').firstElementChild.disabled")
    await list_orders(page, "positions", 1)
    held = ["COIN", "3.00", "100.500", "103.00", "+7.50", "+2.50"]
    await shows(page, "blotter-body", [held])
    await page.click("#blotter-tabs button[value=history]")
    await has_rows(page, "blotter-body", 3)  # also the one that never traded
    assert [row[2:5] for row in await rows(page, "blotter-body")] == [
        ["▲ buy", "50.00", "1.00"],
        ["▼ sell", "103.00", "1.00"],
        ["▲ buy", "101.00", "4.00"],
    ]
    await page.click("#blotter-tabs button[value=positions]")
    await page.click("#blotter-body button[data-close]")
    assert await page.input_value("#amount") == "3.00"
    assert await page.get_attribute("#ticket", "data-type") == "market"


async def test_an_order_that_ended_unfilled_is_asked_for_after_a_reload(stage: Any) -> None:
    page = await stage.open()
    await order(page, "bid", "99", "1")
    await page.click("#blotter-body .x")
    await says(page, "blotter-empty", "No open orders")
    await page.reload()
    await live(page)
    await page.click("#blotter-tabs button[value=history]")
    await has_rows(page, "blotter-body", 1)
    assert (await rows(page, "blotter-body"))[0][-1] == "cancelled"


async def test_a_slip_is_asked_about_and_every_order_if_the_user_wants(stage: Any) -> None:
    other = await stage.trader()
    await other.add("ask", 100.0, 1.0)
    page = await stage.open()
    sent = listen(page, '"add"')
    await page.reload()
    await has_rows(page, "ladder-rows", 1)
    await fill_in(page, "bid", "99", "100")
    await page.click("#send")
    await says(
        page, "confirm-text", "Buy 100.00 COIN at 99.00? It is 100 times the depth of the book."
    )
    await page.keyboard.press("Escape")
    await says(page, "answer", "not sent")
    await fill_in(page, "bid", "120", "1")
    await page.keyboard.down("Enter")
    await says(page, "confirm-text", "Its price is 20 % above the best ask.")
    await page.keyboard.down("Enter")  # it is still held
    assert await page.locator("#confirm").is_visible()
    await page.keyboard.up("Enter")
    await page.click("#confirm button[value=no]")
    await says(page, "answer", "not sent")
    assert sent == []
    await page.check("#confirm-orders")
    await fill_in(page, "bid", "99", "1")
    await page.click("#send")
    await says(page, "confirm-text", "Buy 1.00 COIN at 99.00?")
    assert await page.evaluate("document.activeElement.id") == "confirm-yes"
    await page.keyboard.press("Enter")
    await says(page, "answer", "resting in the book")
    assert len(sent) == 1
    assert '"selfTrade":"cancelNewest"' in sent[0]
    await page.reload()
    await live(page)
    assert await page.is_checked("#confirm-orders")


async def test_keys_act_only_where_nothing_has_the_focus(stage: Any) -> None:
    page = await stage.open()
    await fill_in(page, "bid", "99", "1")
    for name in ("price", "post-only", "group", "theme", "tif"):
        await page.focus(f"#{name}")
        await page.keyboard.press("s")
        await page.keyboard.press("x")
        assert await page.get_attribute("#ticket", "data-side") == "bid", name
    await page.fill("#price", "98")
    await page.keyboard.press("Enter")  # in a field of the ticket, as in any form
    await says(page, "answer", "resting")
    await page.keyboard.press("Escape")
    assert await page.input_value("#price") == "98"  # it only left the field
    await page.keyboard.press("s")
    assert await page.get_attribute("#ticket", "data-side") == "ask"


async def test_x_asks_and_cancels_here_with_shift_everywhere(stage: Any) -> None:
    page = await stage.open("?security=FINE")
    await order(page, "bid", "5", "1")
    await page.select_option("#security", "COIN")
    await says(page, "send", "COIN")
    for price in ("98", "97"):
        await order(page, "bid", price, "1")
    await has_rows(page, "blotter-body", 3)
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("x")
    await says(page, "confirm-text", "Cancel 2 open orders, in COIN?")
    await page.keyboard.press("Escape")
    await page.keyboard.press("x")
    await says(page, "confirm-yes", "Cancel 2 orders")
    await page.keyboard.press("Enter")
    await has_rows(page, "blotter-body", 1)
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("x")
    await says(page, "notice", "0 orders cancelled in COIN")
    await page.keyboard.press("Shift+X")
    await says(page, "blotter-empty", "No open orders")


async def test_markets_are_listed_with_their_day_and_found(stage: Any) -> None:
    maker, taker = await stage.trader(), await stage.trader()
    for price in (10.0, 11.0):
        await maker.add("ask", price, 3.0, security="FINE")
        await taker.add("bid", price, 3.0, security="FINE")
    page = await stage.open()
    await page.keyboard.press("/")
    await says(page, "markets-body", "+10.00 %")
    assert await rows(page, "markets-body") == [
        ["COIN", "–", "–", "–", "–", "0.00"],
        ["FINE", "11.0", "+10.00 %", "11.0", "10.0", "6.00"],
    ]
    await page.click("#markets-head button:has-text('volume')")
    await until(
        page, "() => document.getElementById('markets-body').rows[0].dataset.security === 'FINE'"
    )
    await page.fill("#markets-search", "coi")
    await has_rows(page, "markets-body", 1)
    await page.fill("#markets-search", "fin")
    await page.keyboard.press("Enter")
    await says(page, "send", "Buy FINE")
    assert not await page.locator("#markets").is_visible()


async def test_orders_go_when_the_page_has_been_gone_for_long(stage: Any) -> None:
    page = await stage.open()
    sent = listen(page, "cancelAfter")
    await page.reload()
    await live(page)
    await page.select_option("#cancel-after", "15000")
    await until(page, "() => true")
    await order(page, "bid", "99", "1")
    assert '"op":"cancelAfter","ms":15000' in sent[0]
    await page.reload()
    await live(page)
    await says(page, "open-count", "1")
    assert await page.input_value("#cancel-after") == "15000"
    await order(page, "bid", "98", "1")
    assert len(sent) >= 2  # the new connection renews it
    await page.select_option("#cancel-after", "0")
    await order(page, "bid", "97", "1")
    assert '"ms":0' in sent[-1]


SOUNDS = """() => {
    window.notes = 0;
    window.OscillatorNode = class extends OscillatorNode {
        start(at) {
            window.notes += 1;
            super.start(at);
        }
    };
}"""


async def test_own_trades_are_heard_if_the_user_wants(stage: Any) -> None:
    other = await stage.trader()
    page = await stage.open()
    await page.evaluate(SOUNDS)
    await order(page, "bid", "99", "2")
    await other.add("ask", None, 0.5)
    await says(page, "notice", "Bought 0.50 COIN at 99.00")
    assert await page.evaluate("notes") == 0
    await page.click("#sound")
    assert await page.evaluate("notes") == 2  # what it will be like
    await page.reload()
    await live(page)
    assert await page.get_attribute("#sound", "aria-pressed") == "true"
    await page.evaluate(SOUNDS)
    await other.add("ask", None, 1.0)
    await says(page, "notice", "Bought 1.00 COIN at 99.00")
    assert await page.evaluate("notes") == 2


async def test_leaders_are_shown_where_the_server_keeps_a_leaderboard(stage_of: Any) -> None:
    stage = await stage_of(leaderboard=True)
    page = await stage.open()
    await until(page, "() => !document.getElementById('leaders-tab').hidden")
    other = await stage.trader()
    await other.add("ask", 100.0, 1.0)
    await order(page, "bid", "100", "1")
    await other.add("bid", 104.0, 1.0)
    await order(page, "ask", "104", "1")
    await page.click("#leaders-tab")
    await says(page, "blotter-body", "+4.00")
    user = await text(page, "user")
    assert await rows(page, "blotter-body") == [
        ["1", f"{user} (you)", "+4.00", "2"],
        ["2", other.user_id, "-4.00", "2"],
    ]
    assert stage.complaints == []
