"""How the page behaves when the connection, the server, the tab or the user changes."""

from __future__ import annotations

import itertools
import json
from typing import Any

from web_stage import has_rows, list_orders, live, order, rows, says, shoot, text, user_of


async def test_a_reload_keeps_the_user_the_orders_and_the_past(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await order(page, "bid", "99", "1")
    await order(page, "bid", "98", "2")
    await other.add("ask", 99.0, 1.0)
    await says(page, "open-count", "1")
    user = await text(page, "user")
    await page.reload()
    await live(page)
    await says(page, "open-count", "1")
    assert await text(page, "user") == user
    assert (await rows(page, "blotter-body"))[0][1:5] == ["COIN", "▲ buy", "98.00", "2.00"]
    await list_orders(page, "fills", 1)
    assert (await list_orders(page, "history", 1))[0][-1] == "filled"


async def test_a_lost_connection_comes_back_as_the_same_user(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await order(page, "bid", "99", "1")
    await order(page, "bid", "98", "1")
    user = await text(page, "user")
    stage.way.stall()
    stage.way.cut()
    await page.wait_for_selector("html.stale #state:not([data-state=live])")
    await page.wait_for_selector("#send:disabled")
    await other.add("ask", 99.0, 1.0)
    stage.way.flow()
    await live(page)
    await says(page, "open-count", "1")
    assert await text(page, "user") == user
    await says(page, "ladder-rows", "98.00")
    await says(page, "tape-rows", "99.00")
    assert (await list_orders(page, "history", 1))[0][-1] == "filled"
    assert await order(page, "bid", "97", "1") == "resting in the book"


async def test_missed_own_fills_are_shown_once_and_in_order(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await order(page, "bid", "99", "5")
    await other.add("ask", None, 0.5)
    await says(page, "position", "0.50")
    stage.way.stall()
    stage.way.cut()
    await page.wait_for_selector("html.stale #state:not([data-state=live])")
    await other.add("ask", None, 0.25)
    await other.add("ask", None, 0.75)
    stage.way.flow()
    await live(page)
    await says(page, "position", "1.50")
    await other.add("ask", None, 1.0)
    await says(page, "position", "2.50")
    amounts = ["1.00", "0.75", "0.25", "0.50"]
    assert [row[4] for row in await list_orders(page, "fills", 4)] == amounts
    await page.goto("about:blank")
    await other.add("ask", None, 1.25)
    await page.goto(stage.url)
    await live(page)
    await says(page, "position", "3.75")
    assert [row[4] for row in await list_orders(page, "fills", 5)] == ["1.25", *amounts]


async def test_own_fills_come_back_to_a_page_that_kept_nothing(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 101.0, 1.0)
    await other.add("ask", 102.0, 1.0)
    await order(page, "bid", "102", "1.5")
    await says(page, "position", "1.50")
    await page.add_init_script("localStorage.clear()")
    await page.reload()
    await live(page)
    await says(page, "position", "1.50")
    assert [row[1:] for row in await list_orders(page, "fills", 2)] == [
        ["COIN", "▲ buy", "102.00", "0.50", "51.00", "taker"],
        ["COIN", "▲ buy", "101.00", "1.00", "101.00", "taker"],
    ]


async def test_missing_fills_of_the_tape_are_fetched(stage: Any) -> None:
    lost = [3, 4]

    def lose(route: Any) -> None:
        server = route.connect_to_server()

        def forward(message: str) -> None:
            frame = json.loads(message)
            numbers = [f["fillId"] for f in frame["fills"]] if frame["event"] == "fills" else []
            if not set(numbers) & set(lost):
                route.send(message)

        server.on_message(forward)

    maker, taker = await stage.trader(), await stage.trader()
    context = await stage.context()
    await context.route_web_socket("**/ws?*", lose)
    page = await stage.open(context=context)
    for n in range(1, 7):
        await maker.add("ask", 100.0 + n, 1.0)
        await taker.add("bid", None, 1.0)
    await has_rows(page, "tape-rows", 6)
    prices = [row[2] for row in await rows(page, "tape-rows")]
    assert prices == ["106.00", "105.00", "104.00", "103.00", "102.00", "101.00"]
    await says(page, "gaps", "1")


async def test_the_tape_joins_over_a_lost_connection(stage_of: Any) -> None:
    stage = await stage_of(last_trades=2)
    maker, taker = await stage.trader(), await stage.trader()
    page = await stage.open()

    async def trade(price: float) -> None:
        await maker.add("ask", price, 1.0)
        await taker.add("bid", None, 1.0)

    await trade(101.0)
    await has_rows(page, "tape-rows", 1)
    stage.way.stall()
    stage.way.cut()
    await page.wait_for_selector("html.stale #state:not([data-state=live])")
    for price in (102.0, 103.0, 104.0, 105.0):
        await trade(price)
    stage.way.flow()
    await live(page)
    await has_rows(page, "tape-rows", 5)
    prices = [row[2] for row in await rows(page, "tape-rows")]
    assert prices == ["105.00", "104.00", "103.00", "102.00", "101.00"]
    assert await text(page, "gaps") == "0"


async def test_an_order_that_was_lost_is_resent_and_executed_once(stage: Any) -> None:
    page = await stage.open()
    other = await stage.trader()
    await other.add("ask", 101.0, 5.0)
    stage.way.stall()
    await page.fill("#price", "101")
    await page.fill("#amount", "1")
    await page.click("#send")
    await page.wait_for_selector("#ticket[aria-busy=true]")
    stage.way.cut()
    stage.way.flow()
    await says(page, "answer", "bought 1.00 at 101.00")
    await says(page, "ladder-rows", "4.00")


async def test_the_page_finds_a_restarted_server_with_everything(stage: Any) -> None:
    page = await stage.open()
    await order(page, "bid", "99", "1")
    user = await text(page, "user")
    await stage.restart()
    other = await stage.trader()
    await other.add("ask", None, 0.25)
    await says(page, "blotter-body", "0.25")
    assert await text(page, "user") == user
    await says(page, "ladder-rows", "0.75")
    await says(page, "last", "99.00")
    assert await text(page, "gaps") == "0"


async def test_an_order_unanswered_by_a_server_that_forgot_the_user_is_not_called_refused(
    stage: Any,
) -> None:
    numbers = itertools.count(1)
    welcome = {
        "event": "welcome",
        "resumeToken": "token",
        "security": "COIN",
        "instruments": [{"security": "COIN", "tickSize": 0.01, "lotSize": 0.01, "status": "open"}],
        "throttleMs": 100,
        "protocol": 2,
        "epoch": 1,
        "time": 0,
    }

    def connect(route: Any) -> None:
        async def forward(message: str) -> None:
            command = json.loads(message)
            if command["op"] == "add":
                await route.close(code=1001)
            else:  # what is silent for long is given up by the page
                route.send(json.dumps({"event": "pong", "ref": command["ref"], "time": 0}))

        route.on_message(forward)
        route.send(json.dumps({**welcome, "userId": f"user#{next(numbers)}"}))

    context = await stage.context()
    await context.route_web_socket("**/ws?*", connect)
    page = await stage.open(context=context)
    answer = await order(page, "bid", "100", "1")
    assert answer == "Outcome unknown: the connection was lost, see Orders"


async def test_stale_data_is_greyed_out_and_recovers(stage: Any) -> None:
    other = await stage.trader()
    await other.add("ask", 101.0, 1.0)
    page = await stage.open()
    await says(page, "ladder-rows", "101.00")
    stage.way.stall()
    await page.wait_for_selector("html.stale #state[data-state=stale]")
    await shoot(page, "stale")
    stage.way.flow()
    await live(page)


async def test_a_user_trades_in_one_tab_at_a_time(stage: Any) -> None:
    context = await stage.context()
    page = await stage.open(context=context)
    user = await text(page, "user")
    kept = await page.evaluate("() => sessionStorage.getItem('fastbook.session')")
    copy = await context.new_page()
    await copy.add_init_script(f"sessionStorage.setItem('fastbook.session', {kept!r})")
    await copy.goto(stage.url)
    await live(copy)
    assert await text(copy, "user") == user
    await page.wait_for_selector("#elsewhere:not([hidden])")
    await page.click("#as-new")
    new_user = await user_of(page)
    await live(page)
    assert new_user != user
    third = await stage.open(context=context)
    assert await text(third, "user") not in (user, new_user)


async def test_a_hidden_tab_catches_up_when_it_is_visible_again(stage: Any) -> None:
    context = await stage.context()
    page = await stage.open(context=context)
    other = await stage.trader()
    await page.evaluate("""() => {
        const get = () => (window.hides ? "hidden" : "visible");
        Object.defineProperty(document, "visibilityState", { get });
        window.hides = true;
    }""")
    for n in range(20):
        await other.add("ask", 100.0 + n, 1.0)
    await page.evaluate("""() => {
        window.hides = false;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    await says(page, "ladder-rows", "100.00")
    await says(page, "state", "live")


async def test_a_server_that_refuses_channels_still_has_a_page(stage: Any) -> None:
    def refuse(route: Any) -> None:
        server = route.connect_to_server()

        def forward(message: str) -> None:
            if '"channel"' in message:
                ref = json.loads(message)["ref"]
                refusal = {"event": "error", "code": "bad_frame", "message": "no channels"}
                route.send(json.dumps({**refusal, "ref": ref}))
            else:
                server.send(message)

        route.on_message(forward)

    context = await stage.context()
    await context.route_web_socket("**/ws?*", refuse)
    other = await stage.trader()
    await other.add("ask", 101.0, 1.0)
    page = await stage.open(context=context)
    await says(page, "chart-note", "No candles from this server: no channels")
    await page.select_option("#group", "10")
    await says(page, "ladder-rows", "101.00")
    assert await order(page, "bid", "101", "1") == "bought 1.00 at 101.00"
