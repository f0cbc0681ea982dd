"""What an address may ask and an account place: counted, told, and refused beyond the bounds."""

from __future__ import annotations

import pytest
from binance_client import asked, followed, on_socket

from fastbook_server.dialects.binance import limits
from fastbook_server.dialects.binance.calls import Offer
from fastbook_server.dialects.binance.limits import Charge, Limits, VenueBounds
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal

MINUTE = 60_000
HALF = {"cancelResult": "FAILURE", "newOrderResult": "SUCCESS"}


class Clock:
    """A time that a test sets."""

    ms = 10 * MINUTE

    def __call__(self):
        return self.ms


def refused(call, *arguments):
    with pytest.raises(DialectRefusal) as caught:
        call(*arguments)
    return caught.value


def test_an_address_that_asks_too_much_waits_for_the_next_minute():
    clock = Clock()
    clock.ms += 15_500
    bounds = Limits(VenueBounds(weight_per_minute_max=10), clock)
    bounds.weigh("a", 10, clock())
    told = refused(bounds.weigh, "a", 1, clock())
    assert (told.status, told.code, told.retry_after_s) == (429, -1003, 45)
    assert told.msg.startswith(
        "Too much request weight used; current limit is 10 request weight per 1 MINUTE."
    )
    bounds.weigh("b", 10, clock())
    clock.ms += 44_500
    bounds.weigh("a", 10, clock())


def test_who_goes_on_asking_is_banned_for_a_while():
    clock = Clock()
    bounds = Limits(VenueBounds(weight_per_minute_max=1), clock)
    bounds.weigh("a", 1, clock())
    for _ in range(limits.REFUSALS_MAX):
        assert refused(bounds.weigh, "a", 1, clock()).status == 429
    told = refused(bounds.weigh, "a", 1, clock())
    assert (told.status, told.code, told.retry_after_s) == (418, -1003, 120)
    assert told.msg.startswith("Way too much request weight used; IP banned until ")
    clock.ms += limits.BAN_MS - 1
    assert refused(bounds.weigh, "a", 1, clock()).status == 418
    bounds.weigh("b", 1, clock())
    clock.ms += 1
    bounds.weigh("a", 1, clock())


def test_an_account_places_so_many_orders_in_ten_seconds_and_in_a_day():
    clock = Clock()
    bounds = Limits(VenueBounds(orders_per_10s_max=2, orders_per_day_max=3), clock)
    bounds.place("u", clock())
    bounds.place("u", clock())
    told = refused(bounds.place, "u", clock())
    assert (told.status, told.code, told.retry_after_s) == (429, -1015, 10)
    assert told.msg == "Too many new orders; current limit is 2 orders per 10 SECOND."
    bounds.place("v", clock())
    clock.ms += 10_000
    bounds.place("u", clock())
    told = refused(bounds.place, "u", clock())
    assert told.msg == "Too many new orders; current limit is 3 orders per 1 DAY."
    assert [(b["interval"], b["count"]) for b in bounds.of_account("u")] == [
        *(("SECOND", 1), ("DAY", 3)),
    ]


async def test_every_answer_tells_what_has_been_used(venue, alice):
    nobody = venue.client()
    before = int((await nobody.ask("GET", "ping")).headers["X-MBX-USED-WEIGHT-1M"])
    after = await nobody.ask("GET", "exchangeInfo")
    assert int(after.headers["X-MBX-USED-WEIGHT"]) in (before + 20, 20), "a minute may end"
    assert after.body["rateLimits"][0]["limit"] == 6_000
    assert "X-MBX-USED-WEIGHT" in (await nobody.ask("GET", "nothing")).headers
    placed = await alice.limit("BUY", "10", "1")
    assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert placed.headers["X-MBX-ORDER-COUNT-1D"] == "1"
    failed = await alice.limit("BUY", "10", "10000")
    assert failed.body["code"] == -2010
    assert (await alice.limit("BUY", "10", "1")).headers["X-MBX-ORDER-COUNT-1D"] == "2"
    cancelled = await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")
    assert "X-MBX-ORDER-COUNT-10S" not in cancelled.headers


async def test_without_limits_nothing_is_refused_nor_too_old(venue, alice):
    await venue.stop()
    await venue.start(binance_limits="off")
    alice = venue.client(alice.account)
    for _ in range(30):
        book = await alice.ask("GET", "depth", symbol="BTCUSDT", limit=5_000)
        assert book.status == 200
    assert (await alice.signed("GET", "account", timestamp=1)).status == 200
    assert (await alice.ask("GET", "exchangeInfo")).body["rateLimits"] == []
    assert (await alice.signed("GET", "rateLimit/order")).body == []


@pytest.fixture
async def strict(venue, monkeypatch):
    """A server with limits, if smaller ones than the venue's."""
    few = VenueBounds(weight_per_minute_max=1_000, orders_per_10s_max=3, orders_per_day_max=3)
    monkeypatch.setattr("fastbook_server.dialects.binance.dialect.AS_AT_THE_VENUE", few)
    await venue.stop()
    await venue.start()
    return venue


async def test_a_bot_that_asks_too_much_is_told_when_to_come_back(strict):
    nobody = strict.client()
    bounds = (await nobody.ask("GET", "exchangeInfo")).body["rateLimits"]
    assert [(b["rateLimitType"], b["interval"], b["intervalNum"], b["limit"]) for b in bounds] == [
        ("REQUEST_WEIGHT", "MINUTE", 1, 1_000),
        ("ORDERS", "SECOND", 10, 3),
        ("ORDERS", "DAY", 1, 3),
    ]
    answers = [await nobody.ask("GET", "depth", symbol="BTCUSDT", limit=5_000) for _ in range(9)]
    got = next(a for a in answers if a.status != 200)
    assert (got.status, got.body["code"]) == (429, -1003)
    assert 0 < int(got.headers["Retry-After"]) <= 60
    async with followed(strict, "ws-api/v3") as socket:
        for _ in range(9):
            told = await asked(socket, "depth", {"symbol": "BTCUSDT", "limit": 5_000})
            if told["status"] != 200:  # unless another minute has begun
                break
    assert (told["status"], told["error"]["code"]) == (429, -1003)
    assert told["error"]["data"]["retryAfter"] > told["error"]["data"]["serverTime"]
    assert told["rateLimits"][-1]["count"] > 1_000


async def test_an_account_that_places_too_much_is_refused_until_later(strict):
    alice = await strict.account("alice", USDT=1_000)
    async with followed(strict, "ws-api/v3") as socket:
        terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
        placed = await asked(socket, "order.place", on_socket(alice, **terms))
        counts = [(b["rateLimitType"], b["interval"], b["count"]) for b in placed["rateLimits"]]
        assert counts[:2] == [("ORDERS", "SECOND", 1), ("ORDERS", "DAY", 1)]
        for number in (2, 3):
            assert (await alice.limit("BUY", "10", "1")).status == 200, number
        late = await alice.limit("BUY", "10", "1")
        assert (late.status, late.body["code"]) == (429, -1015)
        assert int(late.headers["Retry-After"]) > 0
        told = await asked(socket, "account.rateLimits.orders", on_socket(alice))
    assert told["result"][1]["count"] == 3
    mine = await alice.signed("GET", "rateLimit/order")
    assert [(b["limit"], b["count"]) for b in mine.body][1] == (3, 3)
    assert (await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")).status == 200


def test_an_order_weighs_nothing_and_is_counted_unless_it_fails():
    bounds = Limits(VenueBounds(), Clock())
    entry = Offer("POST", "order", "", 1, None, is_order=True, places=True)
    for failure in (None, DialectRefusal(-2010, ""), DialectRefusal(-2021, "", data=HALF)):
        charge = Charge(bounds, "a")
        charge.weigh(entry, Parameters({}))
        charge.place("u")
        if failure is not None:
            charge.failed(failure)
    assert charge.headers() == {
        "X-MBX-USED-WEIGHT": "2",
        "X-MBX-USED-WEIGHT-1M": "2",
        "X-MBX-ORDER-COUNT-10S": "2",
        "X-MBX-ORDER-COUNT-1D": "2",
    }


async def test_trades_are_free_of_commission(alice):
    got = (await alice.signed("GET", "account/commission", symbol="BTCUSDT")).body
    assert got["symbol"] == "BTCUSDT"
    assert set(got["standardCommission"].values()) == {"0.00000000"}
    assert got["discount"]["enabledForAccount"] is False


@pytest.mark.parametrize(
    ("mode", "own", "told", "results"),
    [
        ("STOP_ON_FAILURE", "a", (429, -2021), ("SUCCESS", "FAILURE")),
        ("STOP_ON_FAILURE", "none", (429, -2022), ("FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", "a", (409, -2021), ("SUCCESS", "FAILURE")),
        ("ALLOW_FAILURE", "none", (400, -2022), ("FAILURE", "FAILURE")),
    ],
)
async def test_one_order_too_many_may_still_cancel_the_one_that_it_was_to_replace(
    strict, mode, own, told, results
):
    alice = await strict.account("alice", USDT=1_000)
    for name in "abc":
        await alice.limit("BUY", "10", "1", newClientOrderId=name)
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    terms |= {"cancelReplaceMode": mode, "cancelOrigClientOrderId": own}
    nothing = await alice.signed("POST", "order/cancelReplace", **terms)
    assert (nothing.status, nothing.body["code"]) == (429, -1015)
    assert len((await alice.signed("GET", "openOrders")).body) == 3
    only = await alice.signed(
        "POST", "order/cancelReplace", **terms, orderRateLimitExceededMode="CANCEL_ONLY"
    )
    assert (only.status, only.body["code"]) == told
    data = only.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == results
    if results[1] == "FAILURE":
        assert data["newOrderResponse"]["code"] == -1015
    left = 3 - (results[0] == "SUCCESS")
    assert len((await alice.signed("GET", "openOrders")).body) == left
