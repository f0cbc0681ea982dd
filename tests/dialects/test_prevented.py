"""Matches of an account with itself that are prevented: who met whom, and what expired."""

from __future__ import annotations

import pytest
from binance_client import asked, followed, on_socket, until


@pytest.fixture
async def carol(venue):
    """An account that has everything."""
    return await venue.account("carol", USDT=10_000, BTC=10)


async def meets(client, mode):
    """Let a buy meet an own sale behind somebody else's; return both ids and the answer."""
    maker = (await client.limit("SELL", "101", "2")).body["orderId"]
    await client.limit("SELL", "105", "1")
    bought = await client.limit("BUY", "102", "3", selfTradePreventionMode=mode)
    return maker, bought.body


@pytest.mark.parametrize(
    ("mode", "statuses", "quantities"),
    [
        ("EXPIRE_TAKER", ("EXPIRED_IN_MATCH", "NEW"), ("2.00000000", None)),
        ("EXPIRE_MAKER", ("PARTIALLY_FILLED", "EXPIRED_IN_MATCH"), (None, "2.00000000")),
        ("EXPIRE_BOTH", ("EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"), ("2.00000000", "2.00000000")),
    ],
)
async def test_who_met_whom_and_what_expired(carol, bob, mode, statuses, quantities):
    await bob.limit("SELL", "100", "1")
    maker, taker = await meets(carol, mode)
    resting = (await carol.signed("GET", "order", symbol="BTCUSDT", orderId=maker)).body
    assert (taker["status"], resting["status"]) == statuses
    for order_id in (maker, taker["orderId"]):
        got = await carol.signed(*("GET", "myPreventedMatches"), symbol="BTCUSDT", orderId=order_id)
        (match,) = got.body
        assert (match["takerOrderId"], match["makerOrderId"]) == (taker["orderId"], maker)
        assert (match["selfTradePreventionMode"], match["price"]) == (mode, "101.00000000")
        assert (
            match.get("takerPreventedQuantity"),
            match.get("makerPreventedQuantity"),
        ) == quantities
    if quantities[0] is not None:
        assert taker["preventedMatchId"] == match["preventedMatchId"]
    by_id = await carol.signed(
        *("GET", "myPreventedMatches"),
        symbol="BTCUSDT",
        preventedMatchId=match["preventedMatchId"],
    )
    assert by_id.body == [match]
    none = await bob.signed("GET", "myPreventedMatches", symbol="BTCUSDT", orderId=maker)
    assert none.body == []


async def test_each_maker_that_is_met_is_a_match_of_its_own(carol):
    makers = [(await carol.limit("SELL", p, "1")).body["orderId"] for p in ("100", "101")]
    terms = {"selfTradePreventionMode": "EXPIRE_MAKER"}
    taker = (await carol.limit("BUY", "102", "1", **terms)).body["orderId"]
    ask = {"symbol": "BTCUSDT", "orderId": taker}
    found = (await carol.signed("GET", "myPreventedMatches", **ask)).body
    assert [m["makerOrderId"] for m in found] == makers
    ids = [m["preventedMatchId"] for m in found]
    assert ids == sorted(set(ids))
    page = await carol.signed("GET", "myPreventedMatches", **ask, fromPreventedMatchId=ids[1])
    assert page.body == found[1:]
    bare = await carol.signed("GET", "myPreventedMatches", symbol="BTCUSDT")
    assert bare.body["code"] == -1128


async def test_an_event_names_the_other_order(venue, carol):
    async with followed(venue, "ws-api/v3") as socket:
        await asked(socket, "userDataStream.subscribe.signature", on_socket(carol))
        maker, taker = await meets(carol, "EXPIRE_TAKER")
        frames = await until(socket, lambda f: f.get("event", {}).get("x") == "TRADE_PREVENTION")
    event = frames[-1]["event"]
    assert (event["i"], event["U"], event["Cs"]) == (taker["orderId"], maker, "BTCUSDT")
    assert (event["v"], event["A"]) == (taker["preventedMatchId"], "3.00000000")
