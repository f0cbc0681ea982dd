"""The events of accounts, in order and number by number, and the socket API that they come by."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from peers import PATIENCE_S

ZERO = "0.00000000"

pytestmark = pytest.mark.usefixtures("told_either_way")


class Api:
    """A connection to the socket API; events that come between answers are kept."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, account: Any) -> None:
        self.ws = ws
        self.account = account
        self.events: list[dict[str, Any]] = []
        self._number = 0

    def signed(self, **params: Any) -> dict[str, Any]:
        """Return parameters with a key, the time and a signature."""
        given = {"apiKey": self.account.key, "timestamp": int(time.time() * 1_000)} | params
        text = "&".join(f"{name}={given[name]}" for name in sorted(given))
        secret = self.account.secret.encode()
        return given | {"signature": hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request; return its answer."""
        self._number += 1
        await self.ws.send_json({"id": self._number, "method": method, "params": params})
        while True:
            got = await self.ws.receive_json(timeout=PATIENCE_S)
            if "event" not in got:
                assert got["id"] == self._number
                return got
            self.events.append(got)

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Return the first `count` events that have come or come now."""
        while len(self.events) < count:
            self.events.append(await self.ws.receive_json(timeout=PATIENCE_S))
        taken, self.events = self.events[:count], self.events[count:]
        return taken


@pytest.fixture
async def connect(venue) -> AsyncIterator[Any]:
    """A function that returns connections to the socket API."""
    async with aiohttp.ClientSession() as http:

        async def connect(account: Any = None, query: str = "") -> Api:
            ws = await http.ws_connect(f"{venue.url}/binance/ws-api/v3{query}")
            return Api(ws, account)

        yield connect


async def test_an_account_s_events_tell_each_step_of_its_orders(venue, alice, bob, connect):
    api = await connect(alice.account)
    begun = await api.ask("userDataStream.subscribe.signature", **api.signed())
    assert begun["result"] == {"subscriptionId": 0}
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    placed = await api.ask(
        "order.place", **api.signed(**order, price="100", quantity="2", newClientOrderId="mine")
    )
    assert placed["status"] == 200
    limits = [(b["rateLimitType"], b["limit"], b["count"]) for b in placed["rateLimits"]]
    assert limits[:2] == [("ORDERS", 100, 1), ("ORDERS", 200_000, 1)]
    assert limits[2][:2] == ("REQUEST_WEIGHT", 6_000)
    await bob.limit("SELL", "99", "0.5")
    await alice.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine")
    told = [e["event"] for e in await api.until(6)]
    assert [e["e"] for e in told] == ["executionReport", "outboundAccountPosition"] * 3
    new, free_1, traded, free_2, gone, free_3 = told
    _are_the_reports(new, traded, gone, placed["result"]["orderId"])
    usdt = {"a": "USDT", "f": "9800.00000000", "l": "200.00000000"}
    assert free_1["B"] == [usdt]
    assert sorted(free_2["B"], key=lambda b: b["a"]) == [
        {"a": "BTC", "f": "0.50000000", "l": ZERO},
        {"a": "USDT", "f": "9800.00000000", "l": "150.00000000"},
    ]
    assert free_3["B"] == [usdt | {"f": "9950.00000000", "l": ZERO}]


def _are_the_reports(new: dict, traded: dict, gone: dict, number: int) -> None:
    """Check what an order's own events say of its beginning, its fill and its end."""
    times = {name: new.pop(name) for name in "EIOTW"}
    assert times["O"] == times["T"] == times["W"]
    assert new == {
        "e": "executionReport",
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "2.00000000",
        "p": "100.00000000",
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": number,
        "l": ZERO,
        "z": ZERO,
        "L": ZERO,
        "n": ZERO,
        "N": None,
        "t": -1,
        "w": True,
        "m": False,
        "M": False,
        "Z": ZERO,
        "Y": ZERO,
        "Q": ZERO,
        "V": "NONE",
    }
    names = ("x", "X", "l", "L", "z", "Z", "Y", "N", "t", "m", "w")
    assert {name: traded[name] for name in names} == {
        "x": "TRADE",
        "X": "PARTIALLY_FILLED",
        "l": "0.50000000",
        "L": "100.00000000",
        "z": "0.50000000",
        "Z": "50.00000000",
        "Y": "50.00000000",
        "N": "BTC",
        "t": 1,
        "m": True,
        "w": True,
    }
    assert (gone["x"], gone["X"], gone["C"], gone["w"]) == ("CANCELED", "CANCELED", "mine", False)
    assert gone["c"] not in ("", "mine")
    assert len({times["I"], traded["I"], gone["I"]}) == 3


async def test_what_expires_says_why(venue, alice, bob, connect):
    api = await connect(alice.account)
    await api.ask("userDataStream.subscribe.signature", **api.signed())
    await alice.limit("BUY", "100", "1", timeInForce="IOC")
    new, expired = (e["event"] for e in await api.until(2))  # no balance has moved
    assert (new["x"], expired["x"], expired["X"]) == ("NEW", "EXPIRED", "EXPIRED")
    assert expired["eR"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    await bob.limit("SELL", "100", "1")
    await alice.limit("BUY", "100", "1")
    kinds = [e["event"].get("x") for e in await api.until(3)]
    assert kinds == ["NEW", "TRADE", None]


async def test_a_session_logs_on_and_need_not_sign(alice, connect):
    api = await connect(alice.account)
    assert (await api.ask("userDataStream.subscribe"))["error"]["code"] == -1102
    # With this key nautilus signs so.
    logged = await api.ask("session.logon", **api.signed())
    assert logged["result"]["apiKey"] == alice.account.key
    assert (await api.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    assert (await api.ask("userDataStream.subscribe"))["error"]["code"] == -2035
    assert (await api.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    placed = await api.ask("order.place", **order, timestamp=int(time.time() * 1_000))
    assert placed["result"]["status"] == "EXPIRED"
    status = await api.ask("v3/session.status", returnRateLimits=False)
    assert (status["result"]["userDataStream"], "rateLimits" in status) == (True, False)
    assert (await api.ask("session.logout"))["result"]["apiKey"] is None
    assert api.events[-1]["event"]["e"] == "eventStreamTerminated"
    assert (await api.ask("account.status"))["error"]["code"] == -2014


async def test_the_public_functions_are_those_of_rest(venue, connect):
    api = await connect(query="?returnRateLimits=false")
    assert await api.ask("ping") == {"id": 1, "status": 200, "result": {}}
    depth = (await api.ask("depth", symbol="BTCUSDT", limit=5))["result"]
    assert depth == (await venue.client().ask("GET", "depth", symbol="BTCUSDT", limit=5)).body
    tickers = (await api.ask("ticker.price", symbols=["BTCUSDT", "ETHUSDT"]))["result"]
    assert [t["symbol"] for t in tickers] == ["BTCUSDT", "ETHUSDT"]
    for method in ("klines", "trades.aggregate", "avgPrice", "ticker.24hr", "ticker.book"):
        asked = {"symbol": "BTCUSDT"} | ({"interval": "1m"} if method == "klines" else {})
        assert (await api.ask(method, **asked))["status"] == 200, method
    wrong = await api.ask("depth", symbol="NOPE")
    assert (wrong["status"], wrong["error"]) == (400, {"code": -1121, "msg": "Invalid symbol."})
    assert (await api.ask("nothing"))["status"] == 400
    await api.ws.send_str("{")
    assert (await api.ws.receive_json(timeout=PATIENCE_S))["id"] is None


async def test_a_signature_is_over_numbers_as_they_were_written(alice, connect):
    api = await connect(alice.account)
    params = {"recvWindow": "5000.500", "timestamp": str(int(time.time() * 1_000))}
    named = params | {"apiKey": alice.account.key}
    text = "&".join(f"{name}={named[name]}" for name in sorted(named))
    numbers = ",".join(f'"{name}":{value}' for name, value in params.items())
    body = f'"apiKey":"{alice.account.key}",{numbers},"signature":"{alice.sign(text)}"'
    await api.ws.send_str(f'{{"id":"x","method":"account.status","params":{{{body}}}}}')
    got = await api.ws.receive_json(timeout=PATIENCE_S)
    assert (got["id"], got["status"]) == ("x", 200)
    wrong = api.signed()
    wrong["signature"] = "0" * 64
    assert (await api.ask("account.status", **wrong))["error"]["code"] == -1022


@pytest.mark.parametrize("encoded", [False, True])
async def test_a_signature_may_be_over_percent_encoded_values(alice, connect, encoded):
    api = await connect(alice.account)
    now = int(time.time() * 1_000)
    named = {"apiKey": alice.account.key, "newClientOrderId": "a:b/c", "timestamp": now}
    named |= {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    named |= {"price": "1", "quantity": "1"}
    pairs = sorted(named.items())
    text = urlencode(pairs) if encoded else "&".join(f"{name}={value}" for name, value in pairs)
    told = await api.ask("order.place", **named, signature=alice.sign(text))
    assert (told["status"], told["result"]["clientOrderId"]) == (200, "a:b/c")


_PLACED = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "9"}


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("order.place", _PLACED | {"quantity": "1"}),
        ("order.place", _PLACED | {"quantity": "1", "newOrderRespType": "ACK"}),
        ("order.place", _PLACED | {"quantity": 2}),
        ("order.place", _PLACED | {"quantity": "5000"}),
        ("order.place", _PLACED | {"quantity": "0.000001"}),
        ("order.place", _PLACED | {"quantity": ""}),
        ("order.place", _PLACED),
        ("order.place", _PLACED | {"quantity": "1", "recvWindow": 60_001}),
        ("order.place", _PLACED | {"quantity": "1", "timestamp": 1}),
        ("order.cancel", {"symbol": "BTCUSDT", "orderId": 77}),
        ("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "open"}),
        ("order.cancel", {"symbol": "BTCUSDT"}),
        ("order.status", {"symbol": "BTCUSDT", "origClientOrderId": "open"}),
        ("order.nothing", {}),
    ],
)
async def test_a_request_is_answered_the_same_however_it_is_written(
    alice, connect, method, params, signs
):
    api = await connect(alice.account)
    if not signs:
        await api.ask("session.logon", **api.signed())
    told = []
    for escapes in (False, True):
        placed = _PLACED | {"quantity": "1", "newClientOrderId": "open"}
        await api.ask("order.place", **api.signed(**placed))
        named = params | {"newClientOrderId": "mine"}
        named = api.signed(**named) if signs else {"timestamp": int(time.time() * 1_000)} | named
        written = json.dumps({"id": "x", "method": method, "params": named})
        if escapes:
            written = written.replace("order.", "ord\\u0065r.")
        await api.ws.send_str(written)
        answer = (await api.ws.receive(timeout=5)).data
        told.append(re.sub(r'("(?:orderId|\w*[tT]ime)"):\d+|"count":\d+', r"\1", answer))
        await api.ask("openOrders.cancelAll", **api.signed(symbol="BTCUSDT"))
    assert told[0] == told[1]


async def test_a_listen_key_gives_the_same_events_bare(venue, alice, bob, connect):
    assert (await venue.client().ask("POST", "userDataStream")).body["code"] == -2014
    key = (await alice.ask("POST", "userDataStream")).body["listenKey"]
    assert (await alice.ask("POST", "userDataStream")).body == {"listenKey": key}
    assert (await alice.ask("PUT", "userDataStream", listenKey=key)).body == {}
    assert (await bob.ask("PUT", "userDataStream", listenKey=key)).body["code"] == -1125
    async with aiohttp.ClientSession() as http:
        named = await http.ws_connect(f"{venue.url}/binance/ws/{key}")
        asked = await http.ws_connect(f"{venue.url}/binance/stream")
        await asked.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
        assert (await asked.receive_json(timeout=PATIENCE_S))["result"] is None
        await alice.limit("BUY", "100", "1")
        first = [await named.receive_json(timeout=PATIENCE_S) for _ in range(2)]
        assert [e["e"] for e in first] == ["executionReport", "outboundAccountPosition"]
        assert await asked.receive_json(timeout=PATIENCE_S) == {"stream": key, "data": first[0]}
    assert (await alice.ask("DELETE", "userDataStream", listenKey=key)).body == {}
    assert (await alice.ask("PUT", "userDataStream", listenKey=key)).body["code"] == -1125


async def test_streams_and_klines_are_those_of_the_server(venue, alice, bob):
    """Over the whole way: what trades is in the streams and in what REST answers."""
    async with aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{venue.url}/binance/ws/btcusdt@trade/btcusdt@depth@100ms")
        await bob.limit("SELL", "100", "1")
        await alice.limit("BUY", "100", "0.25")
        seen = {}
        while len(seen) < 2:
            got = await ws.receive_json(timeout=PATIENCE_S)
            seen.setdefault(got["e"], got)
    assert (seen["trade"]["t"], seen["trade"]["q"]) == (1, "0.25000000")
    assert seen["depthUpdate"]["U"] == 1
    (row,) = (await venue.client().ask("GET", "klines", symbol="BTCUSDT", interval="1d")).body
    assert (row[4], row[7]) == ("100.00000000", "25.00000000")
    await venue.stop()
    await venue.start()
    ticker = (await venue.client().ask("GET", "ticker/24hr", symbol="BTCUSDT")).body
    assert (ticker["lastPrice"], ticker["count"]) == ("100.00000000", 1)
