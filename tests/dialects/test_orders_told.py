"""An account's own events, and requests on the socket API."""

from __future__ import annotations

import asyncio
import time

from binance_client import asked, followed, on_socket, until


async def test_events_of_an_account_come_in_order_with_every_number(venue, alice, bob):
    async with followed(venue, "ws-api/v3") as socket:
        got = await asked(socket, "userDataStream.subscribe.signature", on_socket(alice))
        assert (got["status"], got["result"]) == (200, {"subscriptionId": 0})
        again = await asked(socket, "userDataStream.subscribe.signature", on_socket(alice))
        assert (again["status"], again["error"]["code"]) == (400, -2035)
        await bob.limit("SELL", "100", "0.2")
        await alice.limit("BUY", "101", "0.5", newClientOrderId="mine")
        await bob.order("SELL", "MARKET", quantity="0.1")
        await alice.signed(
            *("DELETE", "order"),
            symbol="BTCUSDT",
            origClientOrderId="mine",
            newClientOrderId="cancel",
        )
        frames = await until(socket, lambda f: f["event"].get("x") == "CANCELED")
        frames += await until(socket, lambda f: f["event"]["e"] == "outboundAccountPosition")
    assert {f["subscriptionId"] for f in frames} == {0}
    reports = [f["event"] for f in frames if f["event"]["e"] == "executionReport"]
    assert [(r["x"], r["X"], r["m"], r["l"], r["z"], r["t"]) for r in reports] == [
        ("NEW", "NEW", False, "0.00000000", "0.00000000", -1),
        ("TRADE", "PARTIALLY_FILLED", False, "0.20000000", "0.20000000", 1),
        ("TRADE", "PARTIALLY_FILLED", True, "0.10000000", "0.30000000", 2),
        ("CANCELED", "CANCELED", False, "0.00000000", "0.30000000", -1),
    ]
    assert [(r["c"], r["C"]) for r in reports[-2:]] == [("mine", ""), ("cancel", "mine")]
    assert [(r["N"], r["Z"]) for r in reports[:2]] == [
        (None, "0.00000000"),
        ("BTC", "20.00000000"),
    ]
    assert len({r["I"] for r in reports}) == 4
    held = {}
    for frame in frames:
        for balance in frame["event"].get("B", ()):
            held[balance["a"]] = (balance["f"], balance["l"])
    assert held == {
        "BTC": ("0.30000000", "0.00000000"),
        "USDT": ("9969.90000000", "0.00000000"),
    }


async def test_older_clients_follow_an_account_by_a_listen_key(venue, alice):
    key = (await alice.send("POST", "userDataStream")).body["listenKey"]
    assert (await alice.send("PUT", "userDataStream", f"listenKey={key}")).status == 200
    async with followed(venue, f"ws/{key}") as socket:
        await alice.limit("BUY", "10", "1")
        frames = await until(socket, lambda f: f["e"] == "outboundAccountPosition")
    assert [f["e"] for f in frames] == ["executionReport", "outboundAccountPosition"]
    assert (await alice.send("DELETE", "userDataStream", f"listenKey={key}")).status == 200
    gone = await alice.send("PUT", "userDataStream", f"listenKey={key}")
    assert gone.error == (400, -1125, "This listenKey does not exist.")


async def test_the_socket_api_has_the_functions_of_rest(venue, alice, bob):
    await bob.limit("SELL", "100", "0.2")
    async with followed(venue, "ws-api/v3") as socket:
        depth = await asked(socket, "depth", {"symbol": "BTCUSDT", "limit": 5}, "a")
        assert depth["result"]["asks"] == [["100.00000000", "0.20000000"]]
        terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 0.1}
        placed = await asked(socket, "order.place", on_socket(alice, **terms), 2)
        assert placed["result"]["cummulativeQuoteQty"] == "10.00000000"
        unsigned = await asked(socket, "account.status", {}, 3)
        assert (unsigned["status"], unsigned["error"]["code"]) == (401, -2014)
        logged_on = await asked(socket, "session.logon", on_socket(alice), 4)
        assert logged_on["result"]["apiKey"] == alice.account.key
        mine = await asked(socket, "account.status", {"omitZeroBalances": True}, 5)
        assert [b["asset"] for b in mine["result"]["balances"]] == ["BTC", "USDT"]
        unknown = await asked(socket, "order.hope", {}, 6)
        assert (unknown["status"], unknown["error"]["code"]) == (400, -1000)


async def test_requests_of_one_connection_take_effect_in_their_order(venue, alice):
    """What needs a task must not be overtaken by what needs none."""
    new = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    new |= {"price": "10", "quantity": "1", "newOrderRespType": "RESULT"}
    mode = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "a"}
    requests = (
        ("order.cancelReplace", new | mode | {"newClientOrderId": "b"}),
        ("order.cancel", {"symbol": "BTCUSDT", "origClientOrderId": "a"}),
        ("order.place", new | {"newClientOrderId": "c"}),
    )
    async with followed(venue, "ws-api/v3") as socket:
        await asked(socket, "session.logon", on_socket(alice), "logon")
        await asked(socket, "order.place", new | {"newClientOrderId": "a"}, "place")
        for number, (method, params) in enumerate(requests):
            request = {"id": number, "method": method, "params": params}
            await socket.send_json(request)
        frames = [await asyncio.wait_for(socket.receive_json(), 30) for _ in requests]
    told = {frame["id"]: frame for frame in frames}
    assert [told[n]["status"] for n in range(3)] == [200, 400, 200]
    assert told[1]["error"]["code"] == -2011  # it has been replaced
    replaced = told[0]["result"]["newOrderResponse"]["orderId"]
    assert replaced < told[2]["result"]["orderId"]


async def test_a_number_is_signed_as_it_was_written(venue, alice):
    """A fraction, a zero with a sign, and a null, which is no parameter."""
    account, now_ms = alice.account, int(time.time() * 1_000)
    written = f'"apiKey":"{account.key}","recvWindow":5000.0,"symbol":"BTCUSDT","fromId":-0'
    payload = f"apiKey={account.key}&fromId=-0&recvWindow=5000.0&symbol=BTCUSDT&timestamp={now_ms}"
    async with followed(venue, "ws-api/v3") as socket:
        await socket.send_str(
            f'{{"id":"\\u0061","method":"openOrders.status","params":{{{written},"x":null,'
            f'"timestamp":{now_ms},"signature":"{alice.sign(payload)}"}}}}'
        )
        got = await asyncio.wait_for(socket.receive_json(), 30)
    assert (got["id"], got["status"], got["result"]) == ("a", 200, [])
