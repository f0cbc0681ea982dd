"""Orders of any age: by id, by time, page by page, whether memory still has them or not."""

from __future__ import annotations

import pytest

from fastbook_server.dialects.binance import orders


@pytest.fixture(params=["in memory", "from the database", "after a restart"])
async def past(request, monkeypatch, venue, alice, bob):
    """Six orders of alice's, of which the third is open and the others have ended."""
    if request.param != "in memory":
        monkeypatch.setattr(orders, "ENDED_MAX", 1)
    await bob.limit("SELL", "100", "0.2")
    placed = []
    for number, (price, terms) in enumerate(
        (
            ("100", {}),
            ("99", {"timeInForce": "IOC"}),
            ("98", {}),
            ("97", {}),
            ("96", {}),
            ("95", {}),
        )
    ):
        got = await alice.limit("BUY", price, "0.2", newClientOrderId=f"n{number}", **terms)
        placed.append(got.body["orderId"])
    for number in (3, 4, 5):
        await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=placed[number])
    await alice.order("BUY", "MARKET", symbol="ETHUSDT", quantity="1")
    if request.param == "after a restart":
        await venue.stop()
        await venue.start()
        alice = venue.client(alice.account)
    return alice, placed


async def every(client, **params):
    got = await client.signed("GET", "allOrders", symbol="BTCUSDT", **params)
    assert got.status == 200, got.body
    return got.body


async def test_all_orders_are_told_in_order_each_as_it_is(past):
    alice, placed = past
    told = await every(alice)
    assert [(o["orderId"], o["clientOrderId"]) for o in told] == [
        (order_id, f"n{number}") for number, order_id in enumerate(placed)
    ]
    assert [o["status"] for o in told] == [
        *("FILLED", "EXPIRED", "NEW", "CANCELED", "CANCELED", "CANCELED")
    ]
    assert (told[0]["executedQty"], told[0]["cummulativeQuoteQty"]) == ("0.20000000", "20.00000000")
    assert told[1]["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    assert all(o["updateTime"] >= o["time"] for o in told)
    for order in told:
        one = await alice.signed("GET", "order", symbol="BTCUSDT", orderId=order["orderId"])
        assert one.body == order


async def test_pages_begin_at_an_id_or_a_time_and_end_with_the_newest_otherwise(past):
    alice, placed = past
    ids = [o["orderId"] for o in await every(alice, limit=2)]
    assert ids == placed[-2:]
    assert [o["orderId"] for o in await every(alice, orderId=placed[1], limit=3)] == placed[1:4]
    assert [o["orderId"] for o in await every(alice, orderId=placed[1] + 1)] == placed[2:]
    times = [o["time"] for o in await every(alice)]
    since = [o["orderId"] for o in await every(alice, startTime=times[2], endTime=times[4])]
    assert since == [i for i, at in zip(placed, times, strict=True) if times[2] <= at <= times[4]]
    assert await every(alice, startTime=times[-1] + 1) == []


async def test_whose_order_it_is_and_what_it_is_called_matters(venue, past):
    alice, placed = past
    eve = await venue.account("eve")
    unknown = (400, -2013, "Order does not exist.")
    of_one = {"symbol": "BTCUSDT", "orderId": placed[0]}
    assert (await eve.signed("GET", "order", **of_one)).error == unknown
    assert await every(eve) == []
    assert (await alice.signed("GET", "order", **of_one | {"symbol": "ETHUSDT"})).error == unknown
    assert (await alice.signed("GET", "order", **of_one | {"orderId": 7})).error == unknown
    wrong = await alice.signed("GET", "order", **of_one, origClientOrderId="n1")
    assert wrong.body["code"] == -2039
    right = await alice.signed("GET", "order", **of_one, origClientOrderId="n0")
    assert right.body["orderId"] == placed[0]


async def test_more_than_a_day_is_refused(alice):
    day = 86_400_000
    got = await alice.signed(
        *("GET", "allOrders"), symbol="BTCUSDT", startTime=day, endTime=2 * day + 1
    )
    assert got.error == (*(400, -1127, "More than 24 hours between startTime and endTime."),)
