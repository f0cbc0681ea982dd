"""Clients of a cluster in chaos: they lose their gateway, go to the other one, and keep books."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable
from typing import Any, NamedTuple

from fastbook_client import (
    Backoff,
    ConnectError,
    ConnectionClosed,
    FastbookError,
    Market,
    NotConnected,
    Rejected,
    TradesMissed,
    Unanswered,
    connect,
)
from fastbook_wire.frames import Trades

LOST = (ConnectError, ConnectionClosed, NotConnected, Unanswered, TimeoutError)
RETRY_S = 0.1


class Wait(NamedTuple):
    """How long an order was waited for."""

    since_s: float
    until_s: float


class ChaosTrader:
    """One user. What it was told of its orders, by client order id:

    ``acknowledged`` with the server's id, ``refused``, ``cancelled`` by the server's id;
    ``asked`` counts those whose answer never came, ``absent`` those of them that never arrived.
    """

    def __init__(self, name: str, urls: list[str], draw: random.Random) -> None:
        self.name = name
        self.acknowledged: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.absent: set[str] = set()
        self.cancelled: set[str] = set()
        self.waits: list[Wait] = []
        self.asked = 0
        self.user_id: str | None = None
        self.unresolved: list[str] = []
        self._token: str | None = None
        self._urls = urls
        self._draw = draw
        self._count = 0
        self._resting: list[str] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Trade until told to stop; return once it knows what became of each order."""
        at = self._draw.randrange(len(self._urls))
        while not stop.is_set() or self.unresolved or self.user_id is None:
            with contextlib.suppress(*LOST):
                await self._visit(self._urls[at % len(self._urls)], stop)
            at += 1
            await asyncio.sleep(self._draw.uniform(0, RETRY_S))
        await asyncio.gather(*self._closing)

    async def _visit(self, url: str, stop: asyncio.Event) -> None:
        """Trade at a gateway until it is lost, or too slow for this user's patience."""
        market = connect(url, feed=False, resume=self._token, reconnect=False, queue_max=0)
        patience_s = self._draw.choice((1.0, 3.0, 15.0))
        await market.__aenter__()
        try:
            if self.user_id is not None:
                assert market.user_id == self.user_id, f"{self.name} was forgotten"
            self.user_id, self._token = market.user_id, market.resume_token
            await self._resolve(market)
            while not stop.is_set():
                async with asyncio.timeout(patience_s):
                    await self._act(market)
                await asyncio.sleep(self._draw.choice((0.0, 0.005, 0.02)))
        finally:  # a gateway that sleeps still has this socket when the user is elsewhere
            closing = asyncio.create_task(market.__aexit__(None, None, None))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _resolve(self, market: Market) -> None:
        """Ask what became of the orders that were not answered."""
        while self.unresolved:
            name = self.unresolved[-1]
            try:
                async with asyncio.timeout(15.0):
                    state = await market.outcome(name)
            except Rejected:
                await asyncio.sleep(RETRY_S)
                continue
            self.unresolved.pop()
            if state is None:
                self.absent.add(name)
            else:
                self.acknowledged[name] = state.id

    async def _act(self, market: Market) -> None:
        try:
            await self._act_somehow(market)
        except Rejected as refused:
            if refused.code not in ("unknown_order", "unavailable", "rate_limited"):
                raise

    async def _act_somehow(self, market: Market) -> None:
        draw = self._draw
        match draw.choices(("limit", "market", "cancel", "all", "list"), (70, 12, 14, 1, 3))[0]:
            case "limit":
                side, price = draw.choice(("bid", "ask")), float(draw.randrange(95, 106))
                await self._place(lambda name: market.limit(side, price, 1, client_order_id=name))
            case "market":
                side = draw.choice(("bid", "ask"))
                await self._place(lambda name: market.market(side, 2, client_order_id=name))
            case "cancel" if self._resting:
                order_id = self._resting.pop(draw.randrange(len(self._resting)))
                self.cancelled.add((await market.cancel(order_id)).id)
            case "all":
                await market.cancel_all()
                self.cancelled.update(self._resting)
                self._resting.clear()
            case _:
                await self._list(market)

    async def _list(self, market: Market) -> None:
        """Ask for the open orders: none may be among them that was cancelled."""
        listed = {order.id for order in await market.orders()}
        assert not listed & self.cancelled, f"{self.name}: cancelled, and open"

    async def _place(self, placing: Any) -> None:
        self._count += 1
        name = f"{self.name}-{self._count}"
        since_s = time.monotonic()
        self.unresolved.append(name)
        try:
            state = await self._answered(name, placing(name))
        finally:
            self.waits.append(Wait(since_s, time.monotonic()))
        if state.is_open:
            self._resting.append(state.id)

    async def _answered(self, name: str, placing: Awaitable[Any]) -> Any:
        try:
            state = await placing
        except Rejected as refused:
            self.refused[name] = refused.code
            self.unresolved.remove(name)
            raise
        except (NotConnected, ConnectionClosed):
            self.unresolved.remove(name)  # it was not sent
            raise
        except (Unanswered, asyncio.CancelledError):
            self.asked += 1
            raise
        self.acknowledged[name] = state.id
        self.unresolved.remove(name)
        return state


class TradeWatcher:
    """Records the trades that a gateway publishes, over all its ends."""

    def __init__(self, url: str) -> None:
        self.seqs: list[int] = []
        self.missed: list[TradesMissed] = []
        self._url = url

    async def run(self, opened: asyncio.Event) -> None:
        """Watch until cancelled."""
        eager = Backoff(first_s=0.05, max_s=0.5)
        async with connect(self._url, reconnect=eager) as market:
            opened.set()
            async for event in market:
                if isinstance(event, Trades):
                    self.seqs += [trade.seq for trade in event.trades]
                elif isinstance(event, TradesMissed):
                    self.missed.append(event)


async def ended_well(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for tasks; raise what the first of them raises that fails.

    Raises:
        FastbookError: a client has failed otherwise than by losing its gateway.
    """
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in pending:
        task.cancel()
    for task in done:
        error = task.exception()
        if isinstance(error, FastbookError):
            raise error
        task.result()
