"""Less of an order, which keeps its place, its events, and the list of its changes."""

from __future__ import annotations

import pytest
from binance_client import asked, followed, on_socket, until

PATH = "order/amend/keepPriority"
UNKNOWN = (400, -2038, "Unknown order sent.")


async def amended(client, **params):
    return await client.signed("PUT", PATH, **({"symbol": "BTCUSDT"} | params))


async def test_a_reduced_order_keeps_its_place_and_frees_what_it_no_longer_needs(venue, alice, bob):
    dave = await venue.account("dave", USDT=100)
    first = (await alice.limit("BUY", "100", "5", newClientOrderId="a")).body["orderId"]
    await dave.limit("BUY", "100", "1")
    await bob.limit("SELL", "100", "0.5")
    got = await amended(alice, orderId=first, newQty="1.5", newClientOrderId="b")
    assert got.status == 200
    order = got.body["amendedOrder"]
    names = (order["orderId"], order["origClientOrderId"], order["clientOrderId"])
    assert names == (first, "a", "b")
    assert (order["qty"], order["executedQty"]) == ("1.50000000", "0.50000000")
    assert (order["status"], order["cumulativeQuoteQty"]) == ("PARTIALLY_FILLED", "50.00000000")
    assert (await alice.balances())["USDT"] == ("9850.00000000", "100.00000000")
    await bob.order("SELL", "MARKET", quantity="1")
    filled = (await alice.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="b")).body
    assert (filled["status"], filled["orderId"]) == ("FILLED", first), "dave has not been served"
    old = await alice.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="a")
    assert old.error == (400, -2013, "Order does not exist.")


@pytest.mark.parametrize("restarts", [False, True])
async def test_changes_are_listed_and_told(venue, alice, restarts):
    order_id = (await alice.limit("BUY", "100", "5", newClientOrderId="a")).body["orderId"]
    async with followed(venue, "ws-api/v3") as socket:
        await asked(socket, "userDataStream.subscribe.signature", on_socket(alice))
        params = {"symbol": "BTCUSDT", "orderId": order_id, "newQty": "4", "newClientOrderId": "b"}
        await socket.send_json(
            {"id": 2, "method": "order.amend.keepPriority", "params": on_socket(alice, **params)}
        )
        frames = await until(
            socket, lambda f: f.get("event", {}).get("e") == "outboundAccountPosition"
        )
    event = next(f["event"] for f in frames if f.get("event", {}).get("x") == "REPLACED")
    assert (event["c"], event["C"], event["q"], event["X"]) == ("b", "a", "4.00000000", "NEW")
    second = (await amended(alice, origClientOrderId="b", newQty="3")).body
    if restarts:
        await venue.stop()
        await venue.start()
        alice = venue.client(alice.account)
    of_one = {"symbol": "BTCUSDT", "orderId": order_id}
    told = (await alice.signed("GET", "order/amendments", **of_one)).body
    names = [(t["origClientOrderId"], t["newClientOrderId"]) for t in told]
    assert names == [("a", "b"), ("b", second["amendedOrder"]["clientOrderId"])]
    assert [(t["origQty"], t["newQty"]) for t in told] == [
        ("5.00000000", "4.00000000"),
        ("4.00000000", "3.00000000"),
    ]
    assert [t["time"] for t in told][-1] == second["transactTime"]
    since = second["executionId"]
    page = await alice.signed("GET", "order/amendments", **of_one, fromExecutionId=since)
    assert page.body == told[1:]
    eve = await venue.account("eve")
    assert (await eve.signed("GET", "order/amendments", **of_one)).body == []


async def test_what_cannot_be_reduced_is_refused(alice, bob):
    order_id = (await alice.limit("BUY", "100", "5")).body["orderId"]
    await bob.limit("SELL", "100", "1")
    more = (400, -2038, "Order amend (quantity increase) is not supported.")
    assert (await amended(alice, orderId=order_id, newQty="6")).error == more
    same = (400, -2038, "The requested action would change no state; rejecting")
    assert (await amended(alice, orderId=order_id, newQty="5")).error == same
    invalid = (400, -2038, "Order amend (quantity) is invalid.")
    assert (await amended(alice, orderId=order_id, newQty="1")).error == invalid
    assert (await amended(alice, orderId=order_id, newQty="1.000001")).body["code"] == -1013
    assert (await amended(alice, orderId=order_id)).body["code"] == -1102
    assert (await amended(bob, orderId=order_id, newQty="2")).error == UNKNOWN
    await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=order_id)
    assert (await amended(alice, orderId=order_id, newQty="2")).error == UNKNOWN
    taken = await alice.limit("BUY", "10", "1", newClientOrderId="a")
    await alice.limit("BUY", "10", "1", newClientOrderId="b")
    again = await amended(alice, orderId=taken.body["orderId"], newQty="0.5", newClientOrderId="b")
    assert again.error == (400, -2010, "Duplicate order sent.")
    for number in range(99):
        lots = f"0.{99_900 - number}"
        done = await amended(alice, orderId=taken.body["orderId"], newQty=lots)
        assert done.status == 200
    last = await amended(alice, orderId=taken.body["orderId"], newQty="0.1")
    assert last.error == (400, -1013, "Filter failure: MAX_NUM_ORDER_AMENDS")
