"""One order in place of another: what succeeds, what fails, and what is said of each half."""

from __future__ import annotations

import pytest
from binance_client import asked, followed, on_socket, until

UNKNOWN = {"code": -2011, "msg": "Unknown order sent."}
NO_MONEY = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
TERMS = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}


@pytest.fixture
async def old(alice):
    """An order of alice's that locks all that she has."""
    return (await alice.limit("BUY", "100", "100", newClientOrderId="old")).body["orderId"]


async def replaced(client, **params):
    mode = {"cancelReplaceMode": "STOP_ON_FAILURE", "quantity": "50", "price": "200"}
    return await client.signed("POST", "order/cancelReplace", **(TERMS | mode | params))


async def test_the_new_order_is_paid_for_by_the_old_one(alice, old):
    got = await replaced(
        *(alice,), cancelOrigClientOrderId="old", cancelNewClientOrderId="c", newClientOrderId="old"
    )
    assert got.status == 200
    assert (got.body["cancelResult"], got.body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    gone, new = got.body["cancelResponse"], got.body["newOrderResponse"]
    assert (gone["orderId"], gone["clientOrderId"], gone["status"]) == (old, "c", "CANCELED")
    assert (new["clientOrderId"], new["status"], new["fills"]) == ("old", "NEW", [])
    assert new["orderId"] > old
    assert (await alice.balances())["USDT"] == ("0.00000000", "10000.00000000")


async def test_a_cancel_that_fails_stops_the_new_order(alice, old):
    got = await replaced(alice, cancelOrderId=old + 4096)
    assert got.error == (400, -2022, "Order cancel-replace failed.")
    assert got.body["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": UNKNOWN,
        "newOrderResponse": None,
    }
    assert len((await alice.signed("GET", "openOrders")).body) == 1


async def test_if_failure_is_allowed_the_new_order_is_placed_all_the_same(venue, alice, old):
    await (await venue.account("dave", USDT=10)).limit("BUY", "1", "1")
    mode = {"cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": old + 4096}
    both = await replaced(alice, **mode)
    assert both.error == (400, -2022, "Order cancel-replace failed.")
    assert both.body["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "FAILURE",
        "cancelResponse": UNKNOWN,
        "newOrderResponse": NO_MONEY,
    }
    await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=old)
    one = await replaced(alice, **mode)
    assert one.error == (409, -2021, "Order cancel-replace partially failed.")
    assert one.body["data"]["cancelResponse"] == UNKNOWN
    assert one.body["data"]["newOrderResponse"]["status"] == "NEW"


async def test_a_new_order_that_fails_leaves_the_old_one_cancelled(alice, old):
    got = await replaced(alice, cancelOrderId=old, price="201")
    assert got.error == (409, -2021, "Order cancel-replace partially failed.")
    data = got.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert (data["cancelResponse"]["status"], data["newOrderResponse"]) == ("CANCELED", NO_MONEY)
    assert (await alice.balances())["USDT"] == ("10000.00000000", "0.00000000")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"price": "200.001"}, -1013),
        ({"cancelReplaceMode": "PERHAPS"}, -1130),
        ({"cancelReplaceMode": None}, -1102),
        ({"orderRateLimitExceededMode": "PERHAPS"}, -1130),
        ({"cancelOrderId": None}, -1102),
        ({"newClientOrderId": "a b"}, -1100),
        ({"cancelNewClientOrderId": "a b"}, -1100),
        ({"newOrderRespType": "ALL"}, -1130),
        ({"cancelRestrictions": "SOME"}, -1145),
    ],
)
async def test_what_is_malformed_changes_nothing(alice, old, wrong, code):
    got = await replaced(alice, **({"cancelOrderId": old} | wrong))
    assert (got.status, got.body["code"]) == (400, code)
    assert "data" not in got.body
    assert len((await alice.signed("GET", "openOrders")).body) == 1


async def test_of_two_replacements_of_one_order_one_happens(venue, alice, old):
    """The matcher decides: the second is on its way before anybody has heard of the first."""
    async with followed(venue, "ws-api/v3") as socket:
        terms = TERMS | {"quantity": "25", "price": "200", "cancelReplaceMode": "STOP_ON_FAILURE"}
        for number in (1, 2):
            params = on_socket(alice, **terms, cancelOrderId=old)
            request = {"id": number, "method": "order.cancelReplace", "params": params}
            await socket.send_json(request)
        got = [(await until(socket, lambda _: True))[0] for _ in range(2)]
    assert sorted(g["status"] for g in got) == [200, 400]
    lost = next(g["error"] for g in got if "error" in g)
    assert (lost["code"], lost["data"]["newOrderResult"]) == (-2022, "NOT_ATTEMPTED")
    assert len((await alice.signed("GET", "openOrders")).body) == 1


async def test_the_socket_api_replaces_too(venue, alice, old):
    async with followed(venue, "ws-api/v3") as socket:
        terms = TERMS | {"quantity": "50", "price": "201", "cancelReplaceMode": "STOP_ON_FAILURE"}
        params = on_socket(alice, **terms, cancelOrderId=old)
        got = await asked(socket, "order.cancelReplace", params)
    assert (got["status"], got["error"]["code"]) == (409, -2021)
    assert got["error"]["data"]["newOrderResponse"] == NO_MONEY
