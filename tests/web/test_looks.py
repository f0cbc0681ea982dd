"""The page's looks: phones, themes, screen readers, hostile texts and its security policy."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
from web_stage import ROOT, WAIT_S, Stage, drawn, has_rows, live, order, says, shoot, text, until

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL_PHONE = PHONE | {"viewport": {"width": 320, "height": 640}}
LOW_ROW, LOW_MIDDLE = 16, 24
"""Of the ladder on a low canvas: the height of a row, and of the strip with the last price."""
EVIL = "<img src=x onerror=\"document.title='owned'\">"


async def a_market(stage: Stage) -> None:
    """Let other traders make a book and a few trades."""
    maker, taker = await stage.trader(), await stage.trader()
    for n in range(1, 31):
        amount = round(0.4 + 3 * abs(math.sin(n * 1.7)) + n / 12, 2)
        await maker.add("ask", round(100 + n * 0.02 + (n % 3) * 0.01, 2), amount)
        await maker.add("bid", round(100 - n * 0.02 - (n % 4) * 0.01, 2), amount)
    for n in range(12):
        await taker.add("bid" if n % 3 else "ask", None, round(0.05 + (n % 5) * 0.13, 2))


def axe_path() -> Path:
    spec = importlib.util.spec_from_file_location("assets", ROOT / "tools/web/assets.py")
    assert spec is not None
    assert spec.loader is not None
    assets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(assets)
    try:
        path: Path = assets.axe()
    except assets.AssetsError as error:
        pytest.skip(f"no axe-core: {error}")
    return path


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", ["desk", "phone"])
async def test_axe_finds_no_serious_barrier(stage: Any, scheme: str, size: str) -> None:
    axe = axe_path().read_text(encoding="utf-8")
    await a_market(stage)
    page = await stage.open(color_scheme=scheme, **(PHONE if size == "phone" else {}))
    await page.click("#tabs button[value=ticket]") if size == "phone" else None
    await order(page, "bid", "99", "1")
    await page.click("#advanced summary")
    await page.click("#when button[value=stop]")
    await page.fill("#trigger", "110")
    await order(page, "bid", "111", "1")
    desk, phone = ("ladder", "menu", "markets"), ("chart", "ladder", "ticket", "tape", "orders")
    for tab in desk if size == "desk" else phone:
        if size == "phone":
            await page.click(f"#tabs button[value={tab}]")
        if tab == ("orders" if size == "phone" else "ladder"):
            await page.click("#blotter-body tr:nth-child(2) [data-edit=price]")
        if tab == "menu":
            await page.click("#indicators summary")
            await page.check("#show-rsi")
            await page.click("#blotter-tabs button[value=positions]")
        if tab == "markets":
            await page.click("#open-markets")
        await page.evaluate(axe)
        found = await page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        serious = [
            (v["id"], v["help"], [n["html"] for n in v["nodes"]][:3])
            for v in found["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], tab
        await shoot(page, f"{size}-{scheme}-{tab}")


async def test_a_phone_shows_one_panel_at_a_time_and_nothing_sticks_out(stage: Any) -> None:
    await a_market(stage)
    page = await stage.open(**PHONE)
    await has_rows(page, "ladder-rows", 20)
    for tab in ("chart", "ladder", "ticket", "tape", "orders"):
        await page.tap(f"#tabs button[value={tab}]")
        shown = await page.evaluate(
            "() => [...document.querySelectorAll('.panel')]"
            ".filter(p => p.checkVisibility()).map(p => p.dataset.panel)"
        )
        beside = {"ladder"} if tab == "ticket" else set()
        assert set(shown) == {tab} | beside
        wide = await page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
    await page.tap("#tabs button[value=ladder]")
    await drawn(page)
    box = await page.locator("#ladder").bounding_box()
    await page.touchscreen.tap(box["x"] + 50, box["y"] + box["height"] / 2 - 30)
    await until(page, "document.getElementById('price').value !== ''")
    assert await page.locator("#send").is_visible()
    await page.fill("#amount", "0.5")
    await page.tap("#send")
    await says(page, "answer", "bought 0.50")
    await page.tap("#advanced summary")
    lowest = "Math.max(...[...document.querySelectorAll('.panel')].map(bottom))"
    bottom = "const bottom = (node) => node.getBoundingClientRect().bottom;"
    top = await page.evaluate("document.querySelector('footer').getBoundingClientRect().top")
    assert await page.evaluate(f"() => {{ {bottom} return {lowest}; }}") <= top


async def test_on_a_small_phone_every_button_can_be_reached(stage: Any) -> None:
    await a_market(stage)
    page = await stage.open(**SMALL_PHONE)
    await until(page, "document.querySelectorAll('#ladder-rows tr').length >= 10")
    await page.tap("#more")
    for name in ("security", "open-markets", "more", "sound", "palette", "theme", "keys"):
        box = await page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0, name
        assert box["x"] + box["width"] <= 320, name
    await page.tap("#theme")
    await page.wait_for_selector("html[data-theme=light]")


@pytest.mark.parametrize("width", [320, 390, 460, 600, 667, 844])
async def test_a_phone_shows_the_whole_price_and_its_change(stage: Any, width: int) -> None:
    """Nothing lies over what the header says, and each part has room for its text."""
    await a_market(stage)
    height = 375 if width > 600 else 844
    page = await stage.open(**PHONE | {"viewport": {"width": width, "height": height}})
    await until(page, "document.querySelector('#change').textContent !== '–'")
    names = ["security", "last", *(["change"] if width != 667 else [])]  # it has no room for all
    hidden = """(names) => names.filter((id) => {
      const node = document.getElementById(id);
      const { left, right, top, bottom } = node.getBoundingClientRect();
      const seen = [left + 2, (left + right) / 2, right - 2].map((x) =>
        document.elementFromPoint(x, (top + bottom) / 2));
      return node.scrollWidth > node.clientWidth + 1 || seen.some((at) => at !== node);
    })"""
    assert await page.evaluate(hidden, names) == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (768, 1024), (960, 620), (1024, 700)])
async def test_the_indicators_are_in_sight_on_every_screen(
    stage: Any, width: int, height: int
) -> None:
    page = await stage.open(viewport={"width": width, "height": height})
    if width < 720:
        await page.click("#tabs button[value=chart]")
    button = await page.locator("#indicators summary").bounding_box()
    panel = await page.locator(".panel.chart").bounding_box()
    assert button["x"] + button["width"] <= panel["x"] + panel["width"]
    await page.click("#indicators summary")
    await page.check("#show-rsi")


async def test_a_phone_on_its_side_has_bids_beside_asks(stage: Any) -> None:
    await a_market(stage)
    lying = PHONE | {"viewport": {"width": 844, "height": 390}}
    page = await stage.open(**lying)
    beside = "document.querySelector('.ladder').classList.contains('abreast')"
    await until(page, beside)
    await has_rows(page, "ladder-rows", 20)
    box = await page.locator("#ladder").bounding_box()
    rows = int((box["height"] - LOW_MIDDLE) // LOW_ROW)
    assert rows >= 14
    table = await page.evaluate("""() => [...document.querySelectorAll('#ladder-rows tr')]
      .map((tr) => tr.cells[0].textContent + tr.cells[1].textContent)""")
    asks = [row[3:] for row in table if row.startswith("ask")][::-1]  # the best one first
    bids = [row[3:] for row in table if row.startswith("bid")]
    for nth in (0, 9):
        y = box["y"] + LOW_MIDDLE + (nth + 0.5) * LOW_ROW
        for x, price in ((0.1, bids[nth]), (0.6, asks[nth])):
            await page.touchscreen.tap(box["x"] + box["width"] * x, y)
            await until(page, "price => document.getElementById('price').value === price", price)
            await page.tap("#tabs button[value=ladder]")
            await until(page, beside)
            await drawn(page)
    await shoot(page, "screen-lying-ladder")


async def test_the_ticket_of_a_phone_on_its_side_needs_no_scrolling(stage: Any) -> None:
    page = await stage.open(**PHONE | {"viewport": {"width": 844, "height": 390}})
    await page.tap("#tabs button[value=ticket]")
    for name in ("side", "when", "price", "amount", "shares", "tif", "est-total", "send"):
        box = await page.locator(f"#{name}").bounding_box()
        assert box["y"] + box["height"] <= 352, name  # where the tabs begin


async def test_candles_keep_their_width_when_their_tab_is_opened_late(stage: Any) -> None:
    await a_market(stage)
    page = await stage.open(**PHONE)
    await has_rows(page, "ladder-rows", 20)
    await page.tap("#tabs button[value=chart]")
    await says(page, "chart-note", "")
    await shoot(page, "phone-candle")
    body = """() => Math.max(...[...document.querySelectorAll('#chart canvas')].map(node => {
      const { width, height } = node;
      if (!width || !height) return 0;
      const data = node.getContext('2d').getImageData(0, 0, width, height).data;
      const high = Array(width).fill(0);  // of each column: how many pixels are colourful
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && Math.abs(data[i] - data[i + 1]) > 60) high[(i / 4) % width] += 1;
      return high.filter(n => n > 60).length;
    })) >= 5"""
    await until(page, body)


@pytest.mark.parametrize(("width", "height"), [(960, 620), (1024, 700), (820, 1180), (844, 390)])
async def test_a_ladder_always_shows_some_prices(stage: Any, width: int, height: int) -> None:
    await a_market(stage)
    page = await stage.open(viewport={"width": width, "height": height})
    levels = 20 if height < 480 else 4  # on a phone on its side, bids stand beside asks
    await until(page, f"document.querySelectorAll('#ladder-rows tr').length >= {levels}")
    assert await page.locator("#ladder").is_visible()
    assert await page.locator("#tape").is_visible() == (width >= 960 or height >= 860)
    await shoot(page, f"screen-{width}")


async def test_a_phone_names_the_security_beside_each_cancel_button(stage: Any) -> None:
    page = await stage.open("?security=FINE", **PHONE)
    await page.tap("#tabs button[value=ticket]")
    await order(page, "bid", "5", "1")
    await page.tap("#tabs button[value=orders]")
    seen = await page.locator("#blotter-body tr td:last-child").inner_text()
    assert "FINE" in seen
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("width", [390, 820, 1280])
async def test_nothing_lies_over_what_an_order_waits_for(stage: Any, width: int) -> None:
    await a_market(stage)
    page = await stage.open(viewport={"width": width, "height": 900})
    show = (lambda tab: page.click(f"#tabs button[value={tab}]")) if width < 720 else None
    await show("ticket") if show else None
    await page.click("#when button[value=takeProfit]")
    await page.fill("#trigger", "1.25")
    await order(page, "bid", "1234567.89", "1")
    await show("orders") if show else None
    await has_rows(page, "blotter-body", 1)
    covered = """() => {
      const range = document.createRange();
      range.selectNodeContents(document.querySelector('#blotter-body .status'));
      const ends = [...range.getClientRects()].map((box) => box.right);
      const [, x] = document.querySelectorAll('#blotter-body td:last-child > *');
      return Math.max(...ends) > x.closest('td').getBoundingClientRect().left;
    }"""
    assert not await page.evaluate(covered)


@pytest.mark.parametrize("width", [820, 1280])
async def test_what_became_of_orders_fits_into_its_panel(stage: Any, width: int) -> None:
    page = await stage.open(viewport={"width": width, "height": 900})
    await page.click("#when button[value=takeProfit]")
    await page.fill("#trigger", "98765.43")
    await order(page, "bid", "98765.43", "1")
    await page.click("#blotter-body .x")
    await page.click("#blotter-tabs button[value=history]")
    await says(page, "blotter-body", "cancelled")
    await says(page, "blotter-body", "▲ buy take profit")
    wide = """() => {
      const { scrollWidth, clientWidth } = document.querySelector(".orders .box");
      return scrollWidth - clientWidth;
    }"""
    assert await page.evaluate(wide) <= 0


@pytest.mark.parametrize("width", [820, 1280])
async def test_what_a_sweep_costs_fits_below_the_book(stage: Any, width: int) -> None:
    other = await stage.trader()
    await other.add("ask", 123_456.78, 1_234.5)
    page = await stage.open(viewport={"width": width, "height": 900})
    await has_rows(page, "ladder-rows", 1)
    box = await page.locator("#ladder").bounding_box()
    await page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2 - 27)
    await says(page, "sweep-cost", "152,407,394.91")
    assert (
        await page.evaluate("""() => {
      const { scrollWidth, clientWidth } = document.getElementById("sweep");
      return scrollWidth - clientWidth;
    }""")
        <= 0
    )


async def test_colours_follow_the_choice_and_stay_over_a_reload(stage: Any) -> None:
    page = await stage.open(color_scheme="light")
    root = page.locator("html")
    assert await root.get_attribute("data-theme") == "light"
    await page.click("#theme")
    await page.click("#palette")
    await a_market(stage)
    await page.reload()
    await live(page)
    assert await root.get_attribute("data-theme") == "dark"
    assert await root.get_attribute("data-palette") == "blue-orange"
    await has_rows(page, "ladder-rows", 20)
    await shoot(page, "blue-orange")


async def test_a_user_who_wants_no_motion_gets_none(stage: Any) -> None:
    page = await stage.open(reduced_motion="reduce")
    moving = await page.evaluate(
        "() => [...document.querySelectorAll('body *')].filter(e => {"
        "const s = getComputedStyle(e);"
        "return s.transitionDuration !== '0s' || s.animationName !== 'none'; })"
        ".filter(e => !e.closest('#chart')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert moving == []


async def test_a_hostile_client_order_id_is_only_text(stage: Any) -> None:
    other = await stage.trader()
    await other.add("bid", 99.0, 1.0, clientOrderId=EVIL)
    context = await stage.context()
    kept = json.dumps({"userId": other.user_id, "token": other.token})
    await context.add_init_script(f"sessionStorage.setItem('fastbook.session', {kept!r})")
    page = await stage.open(context=context)
    await says(page, "blotter-body", EVIL)
    assert await page.locator("main img").count() == 0


async def test_a_hostile_server_can_put_no_element_into_the_page(stage: Any) -> None:
    instrument = {"security": EVIL, "tickSize": 0.01, "lotSize": 0.01, "status": EVIL}
    welcome = {
        "event": "welcome",
        "userId": EVIL,
        "resumeToken": EVIL,
        "security": EVIL,
        "instruments": [instrument],
        "throttleMs": 100,
        "protocol": 2,
        "epoch": 1,
        "time": 0,
    }

    def answer(route: Any) -> None:
        def reply(message: str) -> None:
            command = json.loads(message)
            refusal = {"status": "rejected", "code": EVIL, "message": EVIL}
            kind = {"event": "order", **refusal} if command["op"] == "add" else {"event": "pong"}
            if command["op"] == "subscribe":
                kind = {"event": "error", "code": EVIL, "message": EVIL}
            route.send(json.dumps({"ref": command["ref"], "time": 0, **kind}))

        route.on_message(reply)
        route.send(json.dumps(welcome))

    context = await stage.context()
    await context.route_web_socket("**/ws?*", answer)
    page = await stage.open(context=context)
    await order(page, "bid", "100", "1")
    assert await text(page, "answer") == f"Refused: {EVIL}"
    await says(page, "send", EVIL)
    await says(page, "chart-note", EVIL)
    await says(page, "user", EVIL)
    assert await page.locator("img").count() == 1
    assert "owned" not in await page.title() or EVIL in await page.title()


async def test_the_policy_forbids_what_is_inline_and_foreign(stage: Any) -> None:
    page = await stage.open()
    await until(page, "() => document.querySelector('#tv-attr-logo')")
    ran = await page.evaluate("""() => {
        window.ran = [];
        const script = document.createElement("script");
        script.textContent = "window.ran.push('script')";
        document.body.append(script);
        const image = document.createElement("b");
        image.setAttribute("onclick", "window.ran.push('handler')");
        document.body.append(image);
        image.click();
        return window.ran;
    }""")
    assert ran == []
    async with asyncio.timeout(WAIT_S):
        while len(stage.complaints) < 2:  # noqa: ASYNC110 (the browser tells when it likes)
            await asyncio.sleep(0.02)
    assert all("Content Security Policy" in text for text in stage.complaints)
    stage.complaints.clear()
