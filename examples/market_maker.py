"""A small market maker: a bid and an ask around the average price of the last trades."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque

import fastbook_client as fb
from fastbook_wire.words import SideName


class MarketMaker:
    """Quotes `amount` on both sides, `half_spread` away from the mid, until it is cancelled."""

    def __init__(self, url: str, mid: float, half_spread: float = 1.0, amount: float = 1.0) -> None:
        self.url = url
        self.prices = deque([mid], maxlen=5)
        self.half_spread = half_spread
        self.amount = amount
        self.quotes: dict[SideName, fb.OrderView] = {}  # the resting orders
        self.is_unsure = False  # True from a lost connection until Resynced lists the orders

    async def run(self) -> None:
        market = fb.connect(self.url, reconnect=fb.Backoff(first_s=0.02), cancel_on_disconnect=5)
        async with market:
            try:
                await self.quote(market)
                async for event in market:
                    if self.is_news(event):
                        await self.quote(market)
            finally:
                with contextlib.suppress(fb.FastbookError):
                    await market.cancel_all()

    def is_news(self, event: object) -> bool:
        match event:
            case fb.Trades():
                self.prices.extend(trade.price for trade in event.trades)
            case fb.OrderFrame(status="filled" | "cancelled", order=fb.OrderView(id=ended)):
                self.quotes = {s: o for s, o in self.quotes.items() if o.id != ended}
            case fb.Disconnected():
                self.is_unsure = True
            case fb.Resynced():  # the server's list overrules every earlier reply
                self.is_unsure = False
                self.quotes = {order.type: order for order in event.orders}
            case _:
                return False
        return not self.is_unsure

    async def quote(self, market: fb.Market) -> None:
        on_grid = market.instruments[market.security].price
        mid = sum(self.prices) / len(self.prices)
        wanted: dict[SideName, float] = {
            "bid": on_grid(mid - self.half_spread),
            "ask": on_grid(mid + self.half_spread),
        }
        try:
            for side, price in wanted.items():
                await self.place(market, side, price)
        except (fb.Unanswered, fb.NotConnected):  # it may rest or not: do not resend it
            self.is_unsure = True

    async def place(self, market: fb.Market, side: SideName, price: float) -> None:
        resting = self.quotes.get(side)
        if resting is not None and resting.price == price:
            return
        if resting is not None:
            with contextlib.suppress(fb.Rejected):  # it has just been filled: its event follows
                await market.cancel(resting)
            self.quotes.pop(side, None)
        try:
            self.quotes[side] = await market.limit(side, price, self.amount, post_only=True)
        except fb.Rejected as rejected:
            if rejected.retry_after_ms is not None:  # otherwise wait for the next event
                await asyncio.sleep(rejected.retry_after_ms / 1_000)
                await self.place(market, side, price)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python market_maker.py http://127.0.0.1:8080 MID")
    try:
        asyncio.run(MarketMaker(sys.argv[1], mid=float(sys.argv[2])).run())
    except (ValueError, fb.FastbookError) as error:
        sys.exit(f"market_maker: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
