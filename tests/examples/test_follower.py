"""``examples/follower.mjs``, written after docs/protocol.md alone, ends with the server's state."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from cutting_proxy import CuttingProxy
from every_kind import EveryKind
from node import EXAMPLES, node

from fastbook_wire.commands import Add, ExchangeCommand, NewOrder
from fastbook_wire.grid import Grid

PATIENCE_S = 30.0
SLACK_MS = 500  # until the follower has sent an order that expires
HIGHEST = 45035996269795.63  # 4503599626979563 ticks of 0.01: near the most that there can be
# Security: its tick, its lot, and how many ticks its prices lie above those of the flow. Near 2^52
# ticks of 0.35, most quotients of doubles are wrong by one.
MARKETS = {
    "CENT": ("0.01", "0.0001", 0),
    "TENTH": ("0.1", "0.0001", 12_345),
    "NICKEL": ("0.05", "1", 2**52 - 500),
    "ODD": ("0.35", "0.1", 2**52 - 500),
}
OTHERS = ("user#test-u1", "user#test-u2", "user#test-u3")  # who trade beside the follower's user
ALL = [f"{security}:{tick}:{lot}" for security, (tick, lot, _) in MARKETS.items()]


class Follower:
    """The program in a process of its own; its state comes as it prints it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def state(self) -> Any:
        """Ask for its state."""
        self.type(b"state")
        return await self._printed()

    def send(self, command: ExchangeCommand) -> None:
        """Have it send a command, now or once it is connected."""
        self.type(msgspec.json.encode(command))

    async def terminated(self) -> Any:
        """End it by a signal; return the state that it prints then."""
        self._process.send_signal(signal.SIGTERM)
        state = await self._printed()
        assert await self._process.wait() == 0
        return state

    async def until(self, condition: Callable[[Any], Any]) -> Any:
        """Wait until a condition is true of its state; return the state, true or not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not condition(state := await self.state()):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        return state

    def type(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def _printed(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self._process.stdout.readline())


@contextlib.asynccontextmanager
async def following(
    port: int, *securities: str, address: str = "127.0.0.1:{}", token: str = ""
) -> AsyncIterator[Follower]:
    command = [*node(), EXAMPLES / "follower.mjs", address.format(port), *securities]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        limit=2**26,
        env=os.environ | {"FASTBOOK_TOKEN": token},
    )
    try:
        follower = Follower(process)
        assert (await follower.until(lambda state: state["connected"]))["connected"]
        yield follower
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Flow:
    """Random commands of every kind for one security; `next` tells whose, and which."""

    def __init__(self, seed: int, security: str, now_ms: Callable[[], int]) -> None:
        tick, lot, base = MARKETS[security]
        self.security = security
        self.tick, self.lot, self.base = Grid.parse(tick), Grid.parse(lot), base
        self._flow = EveryKind(seed)
        self._now_ms = now_ms

    def next(self) -> tuple[str, ExchangeCommand]:
        self._flow.now_ms = self._now_ms()
        user, command = self._flow.next()
        if isinstance(command, Add):
            return user, msgspec.structs.replace(command, order=self._moved(command.order))
        return user, self._moved(command)

    def _moved(self, of: Any) -> Any:
        """Return an order or a command in this security, on its grid, with names of its own."""
        given = {name: getattr(of, name) for name in of.__struct_fields__}
        moved = {n: self._value(n, value) for n, value in given.items() if value is not None}
        return msgspec.structs.replace(of, **moved)

    def _value(self, name: str, value: Any) -> Any:
        match name:
            case "security":
                return self.security
            case "client_order_id" | "new_client_order_id":
                return f"{self.security}-{value}"
            case "price" | "trigger_price":
                return self.tick.number(self.base + int(value))
            case "amount" | "display":
                return self.lot.number(int(value))
            case "total":
                return self.tick.number(self.base + 100) * self.lot.number(int(value)) / 100
            case _:
                return value


async def trade(server: Any, flow: Flow, follower: Follower, count: int) -> None:
    """Let some traders act, one of whom is the follower's user."""
    for number in range(count):
        user, command = flow.next()
        if user == "u0":
            follower.send(command)
        else:
            named = msgspec.structs.replace(command, ref=f"{flow.security}-{number}")
            await asyncio.to_thread(server.command, OTHERS[int(user[1:]) - 1], named)


async def answer_of(server: Any, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api/{path}") as got:
        assert got.status == 200, await got.text()
        return json.loads(await got.read())


async def all_fills(server: Any, security: str, **headers: str) -> list[Any]:
    fills: list[Any] = []
    async with aiohttp.ClientSession(headers=headers) as http:
        while True:
            since = fills[-1]["fillId"] if fills else 0
            query = {"security": security, "since": since, "limit": 1_000}
            async with http.get(f"{server.url}/api/fills", params=query) as got:
                page = json.loads(await got.read())
            fills += page["fills"]
            if not page["more"]:
                return fills


async def expected_of(server: Any, state: Any, token: str) -> dict[str, Any]:
    """Return what the server says that the follower should know."""
    await asyncio.to_thread(server.settle)
    orders = await asyncio.to_thread(server.orders_of, state["userId"])
    markets = {}
    for security in state["markets"]:
        lot = Grid.parse(MARKETS[security][1])
        bearer = {"Authorization": f"Bearer {token}"}
        own = await all_fills(server, security, **bearer)
        sides = ((f["type"], lot.units(f["amount"])) for f in own)
        position = lot.number(sum(n if side == "bid" else -n for side, n in sides))
        book = await answer_of(server, f"book?security={security}&depth=1000")
        book = {side: without_total(book["aggOrderBook"][side]) for side in ("ask", "bid")}
        fills = await all_fills(server, security)
        markets[security] = {"position": position, "book": book, "fills": fills}
    by_id = {order.id: json.loads(msgspec.json.encode(order)) for order in orders}
    return {"orders": by_id, "markets": markets}


def without_total(rows: list[Any]) -> list[Any]:
    return [{"price": row["price"], "amount": row["amount"]} for row in rows]


def known(state: Any) -> dict[str, Any]:
    """Return the same of a state of the follower."""
    markets = {}
    for security, market in state["markets"].items():
        book = {side: market["book"][side] for side in ("ask", "bid")}
        markets[security] = {**market, "book": book}
    return {"orders": {order["id"]: order for order in state["orders"]}, "markets": markets}


def is_quiet(state: Any) -> bool:
    return state["connected"] and state["unanswered"] == 0


def token_of(server: Any, user_id: str) -> str:
    welcomes = [f for c in server.clients for f in c.got if f["event"] == "welcome"]
    return next(f["resumeToken"] for f in reversed(welcomes) if f["userId"] == user_id)


def is_at_rest(server: Any, state: Any) -> bool:
    """Return whether nothing happens any more by itself: no order is left that expires."""
    users = {state["userId"], *(client.user_id for client in server.clients), *OTHERS}
    return not any(order.expire_time for user in users for order in server.orders_of(user))


async def check(server: Any, follower: Follower) -> Any:
    """Wait until nothing happens any more and the follower knows all of it; return its state."""
    state = await follower.until(lambda state: is_quiet(state) and is_at_rest(server, state))
    assert is_quiet(state), state
    assert is_at_rest(server, state)
    token = token_of(server, state["userId"])
    expected: dict[str, Any] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while known(state) != expected:
                expected = await expected_of(server, state, token)
                state = await follower.state()
    found = known(state)
    assert found["orders"] == expected["orders"]
    for security, market in expected["markets"].items():
        assert found["markets"][security] == market, security
    return state


@pytest.mark.fastbook(clock="runs", instruments=ALL, throttle_ms=20)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
async def test_it_knows_the_books_fills_orders_and_positions_after_cuts_and_restarts(
    fastbook_server, seed
):
    server, rng = fastbook_server, random.Random(seed)
    flows = [
        Flow(seed * 10 + n, security, lambda: server.clock.now_ms + SLACK_MS)
        for n, security in enumerate(MARKETS)
    ]
    is_cutting = True

    def bytes_of_next() -> int | None:
        return round(2 ** rng.uniform(11, 20)) if is_cutting else None

    async with (
        CuttingProxy(server.port, bytes_of_next) as proxy,
        following(proxy.port) as follower,
    ):
        for crash in (None, False, None, True, None):
            if crash is not None:
                await asyncio.to_thread(server.restart, crash=crash)
            assert (await follower.until(lambda state: state["connected"]))["connected"]
            await asyncio.gather(*(trade(server, flow, follower, 150) for flow in flows))
            proxy.cut()
        is_cutting = False
        rich = server.counterparty("rich", "CENT")
        await asyncio.to_thread(rich.ask, HIGHEST, 0.0003)
        await check(server, follower)
        state = await follower.until(are_verified)
        assert are_verified(state), state
        assert proxy.cuts >= 1
        assert state["connections"] >= 6
        assert state["markets"]["CENT"]["book"]["ask"][-1] == {"price": HIGHEST, "amount": 0.0003}
        assert all(market["fills"] for market in state["markets"].values())
        assert known(await follower.terminated()) == known(state)


def are_verified(state: Any) -> bool:
    books = [market["book"] for market in state["markets"].values()]
    assert all(book["wrong"] == book["gaps"] == 0 for book in books)
    return all(book["verified"] for book in books)


@pytest.mark.fastbook(clock="runs")
@pytest.mark.parametrize("fault", ["skip", "wrong_checksum"])
async def test_it_subscribes_again_when_it_has_missed_a_frame(fastbook_server, fault):
    maker = fastbook_server.counterparty()
    async with following(fastbook_server.port) as follower:
        await follower.until(lambda state: books(state)["opened"])
        if fault == "skip":
            fastbook_server.faults.skip("depth")
            await asyncio.to_thread(maker.bid, 99, 1)
            await asyncio.to_thread(maker.bid, 98, 1)
        else:
            fastbook_server.faults.wrong_checksum()
            await asyncio.to_thread(maker.bid, 99, 1)
        state = await follower.until(lambda state: books(state)["opened"] == 2)
        book = books(state)
        assert (book["gaps"], book["wrong"]) == ((1, 0) if fault == "skip" else (0, 1))
        stored = fastbook_server.book()
        assert [(row["price"], row["amount"]) for row in book["bid"]] == stored.bids


def books(state: Any) -> Any:
    (market,) = state["markets"].values()
    return market["book"]


@pytest.mark.fastbook(clock="runs")
@pytest.mark.parametrize("is_executed", [True, False])
async def test_an_unanswered_order_is_sent_again_and_placed_once(fastbook_server, is_executed):
    async with (
        CuttingProxy(fastbook_server.port, lambda: None) as proxy,
        following(proxy.port) as follower,
    ):
        if is_executed:
            fastbook_server.faults.lose_ack()
            follower.send(bid(99, "mine"))
        else:
            proxy.is_deaf = True
            follower.send(bid(99, "mine"))
            await follower.until(lambda state: state["unanswered"])
            proxy.is_deaf = False
            proxy.cut()
        state = await follower.until(lambda state: state["connections"] == 2 and is_quiet(state))
        assert [order["clientOrderId"] for order in state["orders"]] == ["mine"]
        assert len(fastbook_server.orders_of(state["userId"])) == 1


@pytest.mark.fastbook(clock="runs", instruments=ALL)
async def test_an_order_without_a_security_is_for_the_first_one_that_was_given(fastbook_server):
    async with following(fastbook_server.port, "NICKEL") as follower:
        follower.send(bid(99, "mine"))
        state = await follower.until(lambda state: state["orders"])
        assert [o["security"] for o in state["orders"]] == ["NICKEL"]


@pytest.mark.fastbook(clock="runs")
async def test_a_line_that_is_no_command_ends_nothing(fastbook_server):
    async with following(fastbook_server.port) as follower:
        for line in (b"buy 1", b"", b"5", b"null", b"[]", b'{"op":"nope"}', b"{"):
            follower.type(line)
        follower.send(bid(99, "mine"))
        state = await follower.until(lambda state: state["orders"] and is_quiet(state))
        assert [o["clientOrderId"] for o in state["orders"]] == ["mine"]


@pytest.mark.fastbook(clock="runs", instruments=["CENT:0.01:0.0001"])
async def test_after_a_long_absence_it_reads_every_page_of_orders_and_fills(fastbook_server):
    """More than 500 orders and 1,000 fills; the first try is cut after the first page of orders."""
    server, is_away = fastbook_server, False

    def bytes_of_next() -> int | None:
        return 150_000 if is_away and not proxy.cuts else None

    async with (
        CuttingProxy(server.port, bytes_of_next) as proxy,
        following(proxy.port) as follower,
    ):
        for number in range(1_800):
            follower.send(bid(20 - number / 100, f"n{number}", amount=0.0001))
        await follower.until(lambda state: len(state["orders"]) == 1_800)
        seller = server.counterparty("seller")
        with server.faults.refuse_connections() as refusal:
            is_away = True
            proxy.cut()
            await follower.until(lambda state: refusal.happened)
            await asyncio.to_thread(seller.sell, 0.1001)
        await follower.until(lambda state: proxy.cuts)
        await asyncio.to_thread(seller.sell, 0.0009)  # fills the first orders of that page
        state = await check(server, follower)
        assert proxy.cuts == 1
        assert state["markets"]["CENT"]["position"] == 0.101
        assert len(state["orders"]) == 790


def bid(price: float, name: str, amount: float = 1) -> Add:
    order = NewOrder(
        type="bid", exec_type="limit", price=round(price, 2), amount=amount, client_order_id=name
    )
    return Add(order=order)


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}", "ws://127.0.0.1:{}/ws"])
async def test_it_trades_with_the_token_at_any_form_of_the_address(serve, address) -> None:
    token = "a token of 20 signs!"
    server = await serve(token=token)
    async with following(server.port, address=address, token=token) as follower:
        order = NewOrder(type="bid", exec_type="limit", price=10, amount=1)
        follower.send(Add(ref="1", order=order))
        assert (await follower.until(lambda state: state["orders"]))["orders"]
