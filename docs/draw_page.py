"""Draw docs/page.png: the trading page of a running demo, with orders and fills of its own.

    fastbook demo --plain --rate 150 &       # a few minutes before, so that there are candles
    python docs/draw_page.py http://127.0.0.1:8080/

Needs playwright and Debian's Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

TARGET = Path(__file__).parent / "page.png"
ROW, MIDDLE = 20, 17
"""Of the ladder: the height of a row, and half of the height of its middle."""


def level(page: Page, rows: int) -> tuple[float, float]:
    """Return where the ladder shows a level: above the middle, or below it if negative."""
    box = page.locator("#ladder").bounding_box()
    assert box is not None
    middle = box["y"] + round(box["height"] / 2)
    away = MIDDLE + (abs(rows) - 0.5) * ROW
    return box["x"] + 60, middle - away if rows > 0 else middle + away


def send(page: Page, side: str, amount: str, away: float | None = None, when: str = "now") -> None:
    """Send an order so far away from the last price, or one at the market."""
    last = float((page.text_content("#last") or "").replace(",", ""))
    at_market = away is None or when != "now"
    page.click(f"#type button[value={'market' if at_market else 'limit'}]")
    page.click(f"#when button[value={when}]")
    page.click(f"#side button[value={side}]")
    page.fill("#amount", amount)
    if away is not None:
        page.fill("#price" if when == "now" else "#trigger", f"{last + away:.2f}")
    page.click("#send")
    page.wait_for_selector("#answer:not(:empty)")


def main(url: str) -> None:
    """Trade a little, point at a level, and keep the picture."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": 1440, "height": 900}, color_scheme="dark", device_scale_factor=1.25
        )
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("html:not(.stale) #state[data-state=live]")
        page.click("#intervals button[value='1s']")
        page.click("#indicators summary")
        page.check("#show-sma")
        page.check("#show-vwap")
        page.click("#indicators summary")
        page.wait_for_timeout(2_000)
        send(page, "bid", "0.75")
        send(page, "ask", "2.5", 90)
        send(page, "bid", "3", -90)
        page.wait_for_timeout(12_000)  # some candles later
        send(page, "ask", "0.25")
        page.wait_for_timeout(8_000)
        send(page, "ask", "0.5", -60, "stop")
        page.click("#when button[value=now]")
        page.click("#side button[value=bid]")
        page.fill("#amount", "12")
        page.mouse.click(*level(page, 6))
        page.wait_for_timeout(1_000)
        page.screenshot(path=TARGET)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
