"""What a busy market costs the page: prints its script time per frame."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from web_stage import Trader, order, shoot, text

PAIRS_PER_S = 2_500  # of orders that meet; some 2,000 fills come of them
MEASURED_S = 5.0
AT_ONCE = 80
DREW_MS = 0.2

MEASURE = """() => {
    // All script between two frames: messages, timers and what is drawn, the chart library's too.
    const probe = (window.probe = { frames: [], spent: 0, messages: 0, fills: 0 });
    const timed = (call) => function (...given) {
        const started = performance.now();
        const result = call.apply(this, given);
        probe.spent += performance.now() - started;
        return result;
    };
    const ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (call) => ask(timed(call));
    const later = window.setTimeout.bind(window);
    window.setTimeout = (call, ...given) => later(timed(call), ...given);
    const again = window.setInterval.bind(window);
    window.setInterval = (call, ...given) => again(timed(call), ...given);
    const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
    Object.defineProperty(WebSocket.prototype, "onmessage", {
        get: handler.get,
        set(call) {
            const measured = call && timed(call);
            handler.set.call(this, measured && function (event) {
                probe.messages += 1;
                if (event.data.startsWith('{"event":"fills"'))
                    probe.fills += event.data.split('"fillId"').length - 1;
                measured.call(this, event);
            });
        },
    });
    const frame = () => {
        if (probe.frames.length < 20000) probe.frames.push(probe.spent);
        probe.spent = 0;
        ask(frame);
    };
    ask(frame);
}"""


async def trade(maker: Trader, taker: Trader, until_s: float) -> None:
    """Trade at the given rate between two full sides whose amounts change all the time."""
    loop = asyncio.get_running_loop()
    started_s, done = loop.time(), 0
    while loop.time() < until_s:
        due = int((loop.time() - started_s) * PAIRS_PER_S) - done
        for n in range(done, done + min(due, AT_ONCE)):
            price = 100 + (n * 7 % 11) / 100
            await maker.send_text(limit("ask", price, 0.02))
            await taker.send_text(limit("bid", price, 0.02))
            if n % 10 == 0:
                await maker.send_text(limit("ask", 100.2 + n * 7 % 60 / 100, 0.01 + n % 13 / 10))
                await taker.send_text(limit("bid", 99.9 - n * 7 % 60 / 100, 0.01 + n % 11 / 10))
        done += min(due, AT_ONCE)
        await asyncio.sleep(0.004)


def limit(side: str, price: float, amount: float) -> str:
    return (
        f'{{"op":"add","order":{{"security":"COIN","type":"{side}","execType":"limit",'
        f'"price":{price:.2f},"amount":{amount:.2f}}}}}'
    )


async def drain(trader: Trader) -> None:
    with contextlib.suppress(Exception):
        while True:
            await trader.receive()


async def show_all(page: Any) -> None:
    """Show candles of 1 s, every indicator, own orders on the chart, the table of positions."""
    await page.click("#intervals button[value='1s']")
    await page.click("#indicators summary")
    for name in ("sma", "ema", "vwap", "rsi"):
        await page.check(f"#show-{name}")
    await page.click("#indicators summary")
    await order(page, "bid", "99.95", "0.01")
    await order(page, "bid", "100.3", "0.01")
    await page.click("#blotter-tabs button[value=positions]")


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("shown", ["as it opens", "all of it"])
async def test_script_time_per_frame_under_load(stage: Any, shown: str) -> None:
    trader, taker = await stage.trader(), await stage.trader()
    for n in range(60):
        await trader.add("ask", round(100.2 + n * 0.01, 2), 1.0)
        await taker.add("bid", round(99.9 - n * 0.01, 2), 1.0)
    context = await stage.context()
    await context.add_init_script(f"({MEASURE})()")
    page = await stage.open(context=context)
    if shown == "all of it":
        await show_all(page)
    loop = asyncio.get_running_loop()
    reading = [loop.create_task(drain(t)) for t in (trader, taker)]
    trading = loop.create_task(trade(trader, taker, loop.time() + MEASURED_S + 1))
    await asyncio.sleep(1.0)
    await page.evaluate("() => Object.assign(probe, { frames: [], messages: 0, fills: 0 })")
    await asyncio.sleep(MEASURED_S)
    probe = await page.evaluate("() => probe")
    await shoot(page, f"busy {shown}".replace(" ", "-"))
    await trading
    for task in reading:
        task.cancel()
    every = sorted(probe["frames"])
    drew = [ms for ms in every if ms > DREW_MS]
    rates = [f"{probe[name] / MEASURED_S:.0f} {name}/s" for name in ("fills", "messages")]
    print(f"\n{shown}: " + ", ".join(rates))
    for name, spent in (("every frame", every), ("frames that drew", drew)):
        print(
            f"script per frame, {name}: {len(spent) / MEASURED_S:.0f}/s, "
            f"median {spent[len(spent) // 2]:.2f} ms, p99 {spent[int(len(spent) * 0.99)]:.2f} ms, "
            f"max {spent[-1]:.2f} ms"
        )
    assert await text(page, "gaps") == "0"
    assert await text(page, "state") == "live"
    assert probe["fills"] > 100
