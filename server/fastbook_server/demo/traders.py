"""The demo's traders: ordinary clients of the public endpoint that do what their crowd decides.

Each trader is one connection without public frames; one more connection, the ticker, sees books
and trades, as anybody may. Who loses the connection comes back, traders with their resume token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import Random
from typing import Any

from fastbook_client.connection import Connection, Json, dial
from fastbook_client.errors import ConnectError, ConnectionClosed
from fastbook_client.wire.frames import InstrumentView, Welcome
from fastbook_server.demo.noise import START_TICKS, Cancel, Crowd, Intent, Limit, Resting
from fastbook_server.instruments import Grid

log = logging.getLogger(__name__)

UNANSWERED_MAX = 32
"""Commands of one trader on their way; it waits for answers before it sends more."""
RECONNECT_S = 0.5
WITHDRAW_S = 2.0
"""How long a stop waits until the traders' orders are out of the book."""
BEHIND_S = 0.5
"""A schedule that is later than this is given up, not caught up with."""
TYPICAL_AMOUNT = 0.5
TYPICAL_LOTS_MIN = 10


class Terms:
    """One security's grids, and the way between its wire numbers and the crowd's integers."""

    def __init__(self, instrument: InstrumentView) -> None:
        self.security = instrument.security
        self.tick = Grid.parse(repr(instrument.tick_size))
        self.lot = Grid.parse(repr(instrument.lot_size))
        lots = int(TYPICAL_AMOUNT * self.lot.denominator / self.lot.numerator)
        self.typical = max(TYPICAL_LOTS_MIN, lots)

    def ticks(self, price: float) -> int:
        """Return the tick nearest to `price`, which may be an average."""
        return max(1, round(price * self.tick.denominator / self.tick.numerator))

    def command(self, intent: Intent) -> Json:
        """Return an intent in the words of the protocol."""
        if isinstance(intent, Cancel):
            return {"op": "delete", "id": intent.order_id}
        order: dict[str, Any] = {
            "security": self.security,
            "type": intent.side,
            "execType": "market",
            "amount": self.lot.number(intent.quantity),
        }
        if isinstance(intent, Limit):
            order |= {"execType": "limit", "price": self.tick.number(intent.price)}
        return {"op": "add", "order": order}


class Trader:
    """One trader: a connection, and the open orders as the server reports them."""

    def __init__(self, terms: dict[str, Terms]) -> None:
        self._terms = terms
        self._client: Connection | None = None
        self._user: tuple[str, str] | None = None
        self.orders: dict[str, dict[str, Resting]] = {s: {} for s in terms}
        self.room: int | None = None
        self.unanswered = 0
        self.paused_until_s = 0.0
        self.withdrawn = asyncio.Event()
        self.connected = asyncio.Event()

    async def stay_connected(self, url: str) -> None:
        """Connect, and again whenever the connection is lost; returns never.

        Raises:
            ConnectError: the very first connection was refused.
        """
        while True:
            token = self._user[1] if self._user else None
            try:
                async with dial(url, resume=token, feed=False, cancel_on_disconnect=True) as client:
                    self._attach(client)
                    while True:
                        self.take(await client.receive())
            except ConnectionClosed as error:
                log.warning("a trader lost its connection: %s", error)
            except ConnectError as error:
                if self._user is None:
                    raise
                log.warning("a trader cannot come back: %s", error)
            self._client = None
            await asyncio.sleep(RECONNECT_S)

    def _attach(self, client: Connection) -> None:
        if self._user is None or self._user[0] != client.user_id:
            for orders in self.orders.values():
                orders.clear()
        self._user = (client.user_id, client.resume_token)
        self._client = client
        self.unanswered = 0
        self.connected.set()

    def may_send(self, now_s: float) -> bool:
        """Whether there is a connection, and the server keeps up with this trader."""
        ready = self._client is not None and self.unanswered < UNANSWERED_MAX
        return ready and now_s >= self.paused_until_s

    async def send(self, command: Json) -> None:
        """Send a command; if the connection is just being lost, it is lost with it."""
        if self._client is None:
            return
        self.unanswered += 1
        try:
            await self._client.send(command | {"ref": 0})
        except ConnectionClosed:
            self._client = None  # stay_connected() hears of it too

    def take(self, event: Json) -> None:
        """Note what the server says."""
        if "ref" in event:
            self.unanswered -= 1
        match event["event"]:
            case "order" if event["status"] == "rejected":
                self._refused(event)
            case "order":
                self._note(event["order"], event["status"] in ("open", "partiallyFilled"))
            case "orders":  # after a resume: these, and no others
                for orders in self.orders.values():
                    orders.clear()
                for order in event["orders"]:
                    self._note(order, True)
            case "deletedAll" | "error":
                self.withdrawn.set()

    def _note(self, order: Json, is_open: bool) -> None:
        terms = self._terms.get(order["security"])
        if terms is None or order["price"] is None:
            return
        if is_open:
            lots = round(order["remaining"] * terms.lot.denominator / terms.lot.numerator)
            resting = Resting(order["type"], terms.ticks(order["price"]), lots)
            self.orders[terms.security][order["id"]] = resting
        else:
            self.orders[terms.security].pop(order["id"], None)

    def _refused(self, event: Json) -> None:
        if event["code"] == "too_many_orders":
            self.room = max(1, sum(map(len, self.orders.values())))
        if "retryAfterMs" in event:
            now_s = asyncio.get_running_loop().time()
            self.paused_until_s = now_s + event["retryAfterMs"] / 1_000

    def room_in(self, security: str) -> int | None:
        """Return how many orders it may have open in `security`; None: as many as it likes."""
        if self.room is None:
            return None
        return self.room - sum(len(o) for s, o in self.orders.items() if s != security)

    async def withdraw(self) -> None:
        """Take all orders out of the book and wait until they are."""
        self.withdrawn.clear()
        await self.send({"op": "deleteAll"})
        if self._client is not None:
            await self.withdrawn.wait()


class Ticker:
    """What the traders see: where each market stands at first, and then its trades.

    `on_trade` is called with the security and the price of every live trade, once.
    """

    def __init__(self, url: str, on_trade: Callable[[str, float], None]) -> None:
        self._url = url
        self._on_trade = on_trade
        self._last_trade_seq: dict[str, int] = {}
        self.welcome: Welcome | None = None
        self.opening: dict[str, dict[str, Json]] = {}
        """The opening pair of each security: security -> event -> frame."""
        self.looked = asyncio.Event()

    async def watch(self) -> None:
        """Follow every security; returns never.

        Raises:
            ConnectError: the very first connection was refused.
        """
        while True:
            try:
                async with dial(self._url) as client:
                    await self._look(client)
                    self.looked.set()
                    while True:
                        self._take(await client.receive())
            except ConnectionClosed as error:
                log.warning("the ticker lost its connection: %s", error)
            except ConnectError as error:
                if not self.looked.is_set():
                    raise
                log.warning("the ticker cannot come back: %s", error)
            await asyncio.sleep(RECONNECT_S)

    async def _look(self, client: Connection) -> None:
        """Subscribe to everything and wait until each security's opening pair is here."""
        self.welcome = client.welcome
        first = client.welcome.security
        others = [i.security for i in client.welcome.instruments if i.security != first]
        for security in others:
            await client.send({"op": "subscribe", "security": security, "ref": security})
        pair = ("aggOrderBook", "trades")
        missing = {(security, kind) for security in (first, *others) for kind in pair}
        self.opening = {security: {} for security in (first, *others)}
        while missing:
            event = await client.receive()
            kind = event["event"]
            if kind == "error":  # more securities than one connection may follow
                missing -= {(event["ref"], kind) for kind in pair}
            elif kind in pair and (event["security"], kind) in missing:
                missing.discard((event["security"], kind))
                self.opening[event["security"]][kind] = event
                self._last_trade_seq[event["security"]] = event["seq"]
            else:
                self._take(event)

    def _take(self, event: Json) -> None:
        if event["event"] != "trades":
            return
        security = event["security"]
        for trade in event["trades"]:
            if trade["seq"] > self._last_trade_seq[security]:
                self._last_trade_seq[security] = trade["seq"]
                self._on_trade(security, trade["price"])


class Traders:
    """All of them, on every open security, at `rate` commands per second together."""

    def __init__(self, url: str, *, number: int, rate: float, seed: int) -> None:
        self._url = url
        self._number = number
        self._rate = rate
        self._seed = seed
        self._random = Random(f"{seed}/schedule")
        self._terms: dict[str, Terms] = {}
        self._crowds: dict[str, Crowd] = {}
        self._traders: list[Trader] = []

    async def run(self) -> None:
        """Build books around the prices that the markets already have, and trade.

        Ends when it is cancelled, with the traders' orders withdrawn if the server still answers.

        Raises:
            ExceptionGroup: of ConnectError, a first connection was refused.
        """
        ticker = Ticker(self._url, self._see_trade)
        async with asyncio.TaskGroup() as connections:
            tasks = [connections.create_task(ticker.watch(), name="ticker")]
            await ticker.looked.wait()
            self._meet(ticker)
            for trader in self._traders:
                living = trader.stay_connected(self._url)
                tasks.append(connections.create_task(living, name="trader"))
            try:
                await self._open()
                await self._trade()
            finally:
                await self._withdraw()
                for task in tasks:
                    task.cancel()

    def _meet(self, ticker: Ticker) -> None:
        """Choose the open securities, and what to believe of each."""
        assert ticker.welcome is not None, "it has looked"
        for instrument in ticker.welcome.instruments:
            if instrument.status != "open":
                continue
            terms = Terms(instrument)
            random = Random(f"{self._seed}/{terms.security}")
            start = start_ticks(terms, ticker.opening[terms.security])
            self._terms[terms.security] = terms
            self._crowds[terms.security] = Crowd(random, self._number, start, terms.typical)
        self._traders = [Trader(self._terms) for _ in range(self._number)]

    def _see_trade(self, security: str, price: float) -> None:
        if security in self._crowds:
            self._crowds[security].see_trade(self._terms[security].ticks(price))

    async def _open(self) -> None:
        """Bring everybody's first orders, no faster than the server answers."""
        loop = asyncio.get_running_loop()
        for trader in self._traders:
            await trader.connected.wait()
            for security, crowd in self._crowds.items():
                for limit in crowd.opening():
                    while not trader.may_send(loop.time()):  # noqa: ASYNC110 (answers, or a pause)
                        await asyncio.sleep(0.005)
                    await trader.send(self._terms[security].command(limit))

    async def _trade(self) -> None:
        """Let somebody act at the times of a Poisson process, for ever."""
        loop = asyncio.get_running_loop()
        securities = tuple(self._crowds)
        due_s = loop.time()
        while True:
            due_s = max(due_s, loop.time() - BEHIND_S) + self._random.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            number = self._random.randrange(self._number)
            if securities and self._traders[number].may_send(loop.time()):
                await self._act(self._random.choice(securities), number)

    async def _act(self, security: str, number: int) -> None:
        trader = self._traders[number]
        orders = [t.orders[security] for t in self._traders]
        intent = self._crowds[security].decide(number, orders, trader.room_in(security))
        if isinstance(intent, Cancel):
            trader.orders[security].pop(intent.order_id, None)  # not a second time
        await trader.send(self._terms[security].command(intent))

    async def _withdraw(self) -> None:
        """Take the traders' orders out of the books, as far as that can be done soon."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_S):
                await asyncio.gather(*(trader.withdraw() for trader in self._traders))


def start_ticks(terms: Terms, seen: dict[str, Json]) -> int:
    """Return where a market stands: the middle of its book, else its last trade, else one side."""
    book = seen["aggOrderBook"]["aggOrderBook"] if "aggOrderBook" in seen else {}
    best = [terms.ticks(book[side][0]["price"]) for side in ("ask", "bid") if book.get(side)]
    trades = seen["trades"]["trades"] if "trades" in seen else []
    if len(best) == 2 or (best and not trades):
        return sum(best) // len(best)
    return terms.ticks(trades[-1]["price"]) if trades else START_TICKS
