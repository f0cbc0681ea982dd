"""Accounts of the Binance dialect on several gateways: one balance, whoever asks where."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from binance_client import BinanceClient
from serving import Program
from sim_cluster import CONFIG, SHARD, Cluster

import fastbook_server.cluster.router as router_module
from fastbook_server.config import Config
from fastbook_server.store.accounts import add_in_memory, new_account, new_key
from fastbook_server.store.postgres_accounts import account_desk
from fastbook_server.values.accounts import Account
from fastbook_server.values.instruments import InstrumentSpec

SPECS = (InstrumentSpec.parse("BTC-USDT:0.01:0.00001"),)
BINANCE = msgspec.structs.replace(CONFIG, instruments=SPECS, binance=True)
ZERO = "0.00000000"
PATIENCE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


class Bank(Cluster):
    """A cluster with accounts. Those who pay in are known everywhere once ``account`` returns."""

    def __init__(self, http: aiohttp.ClientSession, config: Config = BINANCE) -> None:
        super().__init__(config)
        self._http = http

    def at(self, gateway: Any, account: Any) -> BinanceClient:
        return BinanceClient(self._http, gateway.url, account)

    async def account(self, name: str, **balances: int) -> Any:
        account = new_account(name)
        add_in_memory(self.data, account, {a: str(amount) for a, amount in balances.items()})
        for gateway in self.gateways:
            await gateway.dialect.look()
        await until(lambda: not self.data.deposits)
        await self.told()
        return account

    async def told(self) -> None:
        """Wait until all gateways have read all that is in the log now."""
        for gateway in self.gateways:
            await gateway.readers[SHARD].up_to_end()


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    async with aiohttp.ClientSession() as http:
        bank = Bank(http)
        await bank.start()
        yield bank
        await bank.stop()


async def test_what_an_account_does_at_one_gateway_is_known_at_the_other(bank):
    bank.start_matcher()
    left, right = await bank.start_gateway(), await bank.start_gateway()
    alice, bob = await bank.account("alice", USDT=1_000), await bank.account("bob", BTC=2)
    placed = await bank.at(left, alice).limit("BUY", "100", "2")
    assert placed.status == 200
    assert (await bank.at(right, bob).limit("SELL", "100", "1")).body["status"] == "FILLED"
    await bank.told()
    for gateway in (left, right):
        client = bank.at(gateway, alice)
        assert await client.balances() == {
            "BTC": ("1.00000000", ZERO),
            "USDT": ("800.00000000", "100.00000000"),
        }
        (row,) = (await client.signed("GET", "openOrders")).body
        assert (row["orderId"], row["executedQty"]) == (placed.body["orderId"], "1.00000000")
        (trade,) = (await client.signed("GET", "myTrades", symbol="BTCUSDT")).body
        assert trade["qty"] == "1.00000000"
    gone = await bank.at(right, alice).signed(
        "DELETE", "order", symbol="BTCUSDT", orderId=placed.body["orderId"]
    )
    assert gone.body["status"] == "CANCELED"


async def test_who_speaks_to_two_gateways_at_once_hears_of_the_right_order(bank):
    bank.start_matcher()
    gateways = [await bank.start_gateway(), await bank.start_gateway()]
    alice = await bank.account("alice", USDT=1_000_000)
    clients = [bank.at(gateway, alice) for gateway in gateways]
    names = [f"order-{n}" for n in range(40)]
    answers = await asyncio.gather(
        *(
            clients[n % 2].limit("BUY", f"{n + 1}", "1", newClientOrderId=name)
            for n, name in enumerate(names)
        )
    )
    assert [answer.body["clientOrderId"] for answer in answers] == names
    assert len({answer.body["orderId"] for answer in answers}) == len(names)


async def test_user_data_is_told_at_any_gateway_and_a_listen_key_is_good_at_all(bank):
    bank.start_matcher()
    left, right = await bank.start_gateway(), await bank.start_gateway()
    alice = await bank.account("alice", USDT=1_000)
    key = (await bank.at(left, alice).ask("POST", "userDataStream")).body["listenKey"]
    assert (await bank.at(right, alice).ask("POST", "userDataStream")).body == {"listenKey": key}
    assert (await bank.at(right, alice).ask("PUT", "userDataStream", listenKey=key)).body == {}
    late = await bank.start_gateway()  # which has never been asked for a key
    async with aiohttp.ClientSession() as http:
        sockets = [
            await http.ws_connect(f"{gateway.url}/binance/ws/{key}")
            for gateway in (left, right, late)
        ]
        await bank.at(right, alice).limit("BUY", "100", "1", newClientOrderId="mine")
        for socket in sockets:
            report, position = [await socket.receive_json(timeout=PATIENCE_S) for _ in range(2)]
            assert (report["e"], report["c"], report["x"]) == ("executionReport", "mine", "NEW")
            assert position["B"] == [{"a": "USDT", "f": "900.00000000", "l": "100.00000000"}]
        other = await bank.account("bob")
        refused = await bank.at(left, other).ask("PUT", "userDataStream", listenKey=key)
        assert refused.body["code"] == -1125


async def test_a_listen_key_ends_everywhere_with_the_key_of_its_account(bank):
    bank.start_matcher()
    left, right = await bank.start_gateway(), await bank.start_gateway()
    alice = await bank.account("alice", USDT=1_000)
    key = (await bank.at(left, alice).ask("POST", "userDataStream")).body["listenKey"]
    async with aiohttp.ClientSession() as http:
        socket = await http.ws_connect(f"{left.url}/binance/ws/{key}")
        rotated = Account(alice.name, new_key(), new_key(), alice.created_ms)
        bank.data.accounts[alice.name] = rotated
        for gateway in (left, right):
            await gateway.dialect.look()
            again = bank.at(gateway, rotated)
            refused = await again.ask("PUT", "userDataStream", listenKey=key)
            assert refused.body["code"] == -1125
            other = (await again.ask("POST", "userDataStream")).body["listenKey"]
            assert other != key
        assert (await socket.receive_json(timeout=PATIENCE_S))["e"] == "listenKeyExpired"


async def test_a_deposit_is_made_once_by_whoever_owns_the_market(bank):
    first = bank.start_matcher()
    left, right = await bank.start_gateway(), await bank.start_gateway()
    alice = await bank.account("alice", USDT=1_000)
    bank.cable.cut()  # nothing more is recorded: the database goes on to call it pending
    add_in_memory(bank.data, alice, {"USDT": "500"})
    free = {"BTC": (ZERO, ZERO), "USDT": ("1500.00000000", ZERO)}

    async def until_free(gateway: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await bank.at(gateway, alice).balances() != free:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.02)

    await until_free(left)
    second = bank.start_matcher()
    await until(lambda: second.matcher.read == bank.log.end)
    first.kill()
    await second.matcher.owning()
    assert len(bank.data.deposits) == 1
    await second.matcher.look()
    await second.matcher._pipeline.stored()
    await bank.told()
    for gateway in (left, right):
        assert await bank.at(gateway, alice).balances() == free
    bank.cable.mend()
    await until(lambda: not bank.data.deposits)
    stored = bank.data.balances["api#alice", "USDT"]
    assert (stored.free, stored.locked) == (1_500 * 10**stored.decimals, 0)


async def test_balances_outlive_the_owner_and_are_checked_by_the_next(bank):
    first = bank.start_matcher()
    gateway = await bank.start_gateway()
    alice = await bank.account("alice", USDT=1_000)
    client = bank.at(gateway, alice)
    assert (await client.limit("BUY", "100", "9")).status == 200
    first.kill()
    bank.start_matcher()
    refused = await client.limit("BUY", "100", "2")
    assert refused.error[1] == -2010
    assert (await client.limit("BUY", "100", "1")).status == 200
    assert (await client.balances())["USDT"] == (ZERO, "1000.00000000")


async def test_a_matcher_that_knows_no_accounts_gives_them_no_credit(bank):
    bank.config = msgspec.structs.replace(BINANCE, binance=False)
    matcher = bank.start_matcher()
    bank.config = BINANCE
    gateway = await bank.start_gateway()
    account = new_account("alice")
    add_in_memory(bank.data, account, {})
    await gateway.dialect.look()
    placing = asyncio.ensure_future(bank.at(gateway, account).limit("BUY", "100", "9"))
    await until(
        lambda: gateway.switchboard.answered > 0 and not gateway.switchboard.uncommitted_commands
    )
    assert matcher.matcher._pipeline.exchange.markets["BTC-USDT"].seq == 0
    placing.cancel()


async def test_what_nobody_took_in_time_is_refused_and_not_done_later(bank, monkeypatch):
    first = bank.start_matcher()
    gateway = await bank.start_gateway()
    client = bank.at(gateway, await bank.account("alice", USDT=1_000))
    old = (await client.limit("BUY", "100", "1")).body["orderId"]
    monkeypatch.setattr(router_module, "RESEND_S_MAX", 0.2)
    first.kill()
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    terms |= {"cancelOrderId": old, "quantity": "1", "price": "200"}
    asked = [
        asyncio.ensure_future(client.signed("POST", path, **(terms | more)))
        for path, more in (
            ("order", {}),
            ("order/cancelReplace", {"cancelReplaceMode": "STOP_ON_FAILURE"}),
            ("order/cancelReplace", {"cancelReplaceMode": "ALLOW_FAILURE"}),
        )
    ]
    await until(lambda: gateway.switchboard.uncommitted_commands == 3)
    await asyncio.sleep(0.3)
    bank.start_matcher()
    refused = [(await answer).error[:2] for answer in asked]
    assert refused == [(429, -1003), (400, -2022), (400, -2022)]
    await bank.told()
    (left,) = (await client.signed("GET", "openOrders")).body
    assert left["orderId"] == old


async def open_order(client: BinanceClient) -> Any:
    """Return the account's open order; None if there is none, or no such account yet."""
    found = await client.signed("GET", "openOrders")
    return found.body[0] if found.status == 200 and found.body else None


@pytest.mark.slow
async def test_processes_know_accounts_whose_gateway_was_killed(make_database, one_node):
    dsn = await make_database("postgres")
    at = ("--port", "0", "--log", one_node.urls[0], "--shard", "accounts", "--database-url", dsn)
    at += ("--binance", "--instrument", "BTC-USDT:0.01:0.00001")
    programs = [await Program.start("recorder", *at, "--replicas", "1")]
    try:
        programs.append(await Program.start("matcher", *at))
        gateways = [await Program.start("gateway", *at) for _ in range(2)]
        programs += gateways
        async with account_desk(dsn) as desk:
            account = await desk.add("alice", {"USDT": "1000"})
        async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE_S):
            left, right = (BinanceClient(http, gateway.url, account) for gateway in gateways)
            while (placed := await left.limit("BUY", "100", "4")).status != 200:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)  # until the account is known, and its deposit made
            assert await gateways[0].end(signal.SIGKILL) == -signal.SIGKILL
            while not (row := await open_order(right)):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)  # until the account is known there too
            assert row["orderId"] == placed.body["orderId"]
            assert (await right.balances())["USDT"] == ("600.00000000", "400.00000000")
    finally:
        for program in programs:
            await program.clear_away()
