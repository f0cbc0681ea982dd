"""The signed REST API, number by number: orders, fills, balances, refusals word by word."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time

import pytest

NO_MONEY = (400, -2010, "Account has insufficient balance for requested action.")


async def test_the_market_is_told_in_plain_decimals(venue, alice, bob):
    nobody = venue.client()
    assert (await nobody.ask("GET", "ping")).body == {}
    assert abs((await nobody.ask("GET", "time")).body["serverTime"] - time.time() * 1e3) < 60_000
    info = (await nobody.ask("GET", "exchangeInfo", symbol="ETHUSDT")).body["symbols"]
    assert [s["symbol"] for s in info] == ["ETHUSDT"]
    filters = {f["filterType"]: f for f in info[0]["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.05000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00100000"
    assert filters["NOTIONAL"]["minNotional"] == "0.00005000"
    assert len((await nobody.ask("GET", "exchangeInfo")).body["symbols"]) == 2
    await bob.limit("SELL", "30000.01", "0.00001")
    await bob.limit("SELL", "30000.10", "0.5")
    await alice.limit("BUY", "29999.99", "0.1")
    depth = (await nobody.ask("GET", "depth", symbol="BTCUSDT", limit=1)).body
    assert depth == {
        "lastUpdateId": 3,
        "bids": [["29999.99000000", "0.10000000"]],
        "asks": [["30000.01000000", "0.00001000"]],
    }


async def test_a_full_answer_has_the_fills_in_matching_order_and_exact_sums(venue, alice, bob):
    first = await bob.limit("SELL", "100.01", "0.3")
    await bob.limit("SELL", "100.02", "0.7")
    got = (await alice.limit("BUY", "101", "2", newClientOrderId="mine")).body
    assert got["orderId"] == 3 * 4096 + 1
    assert {name: got[name] for name in ("clientOrderId", "status", "type", "side")} == {
        "clientOrderId": "mine",
        "status": "PARTIALLY_FILLED",
        "type": "LIMIT",
        "side": "BUY",
    }
    assert (got["origQty"], got["executedQty"]) == ("2.00000000", "1.00000000")
    assert got["cummulativeQuoteQty"] == "100.01700000"
    assert [(f["price"], f["qty"], f["tradeId"], f["commission"]) for f in got["fills"]] == [
        ("100.01000000", "0.30000000", 1, "0.00000000"),
        ("100.02000000", "0.70000000", 2, "0.00000000"),
    ]
    assert await alice.balances() | {"ETH": None} == {
        "BTC": ("1.00000000", "0.00000000"),
        "USDT": ("9798.98300000", "101.00000000"),
        "ETH": None,
    }
    assert (await bob.balances())["USDT"] == ("100.01700000", "0.00000000")
    sold = await bob.signed("GET", "order", symbol="BTCUSDT", orderId=first.body["orderId"])
    assert (sold.body["status"], sold.body["executedQty"]) == ("FILLED", "0.30000000")
    trades = (await bob.signed("GET", "myTrades", symbol="BTCUSDT")).body
    assert [(t["id"], t["isBuyer"], t["isMaker"], t["quoteQty"]) for t in trades] == [
        (1, False, True, "30.00300000"),
        (2, False, True, "70.01400000"),
    ]
    of_one = await bob.signed("GET", "myTrades", symbol="BTCUSDT", orderId=first.body["orderId"])
    assert [t["id"] for t in of_one.body] == [1]
    public = (await venue.client().ask("GET", "trades", symbol="BTCUSDT")).body
    assert [(t["id"], t["price"], t["isBuyerMaker"]) for t in public] == [
        (1, "100.01000000", False),
        (2, "100.02000000", False),
    ]


async def test_every_type_of_order_and_how_it_ends(alice, bob):
    await bob.limit("SELL", "100", "1")
    ioc = (await alice.limit("BUY", "100", "1.5", timeInForce="IOC")).body
    assert (ioc["status"], ioc["expiryReason"]) == ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED")
    fok = (await alice.limit("BUY", "100", "1.5", timeInForce="FOK")).body
    assert (fok["status"], fok["executedQty"]) == ("EXPIRED", "0.00000000")
    maker = (await bob.order("SELL", "LIMIT_MAKER", price="99", quantity="0.5")).body
    assert set(maker) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    taken = await alice.order("BUY", "LIMIT_MAKER", price="99", quantity="1")
    assert taken.error == (400, -2010, "Order would immediately match and take.")
    market = (await alice.order("BUY", "MARKET", quoteOrderQty="9.9")).body
    assert (market["status"], market["origQty"]) == ("FILLED", "0.10000000")
    assert (market["origQuoteOrderQty"], market["timeInForce"]) == ("9.90000000", "GTC")
    rest = (await alice.order("BUY", "MARKET", quantity="0.5")).body
    assert (rest["status"], rest["executedQty"]) == ("EXPIRED", "0.40000000")
    assert rest["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    stop = {"price": "90", "stopPrice": "95", "quantity": "0.1", "timeInForce": "GTC"}
    held = (await alice.order("SELL", "STOP_LOSS_LIMIT", newOrderRespType="RESULT", **stop)).body
    assert (held["status"], held["type"]) == ("NEW", "STOP_LOSS_LIMIT")
    assert (await alice.balances())["BTC"] == ("1.40000000", "0.10000000")
    profit = {"price": "210", "stopPrice": "200", "quantity": "1", "timeInForce": "GTC"}
    held = (
        await alice.order("SELL", "TAKE_PROFIT_LIMIT", newOrderRespType="RESULT", **profit)
    ).body
    assert (held["status"], held["type"]) == ("NEW", "TAKE_PROFIT_LIMIT")
    assert (await alice.balances())["BTC"] == ("0.40000000", "1.10000000")
    for more in ({"trailingDelta": 100}, {"pegPriceType": "PRIMARY_PEG"}):
        other = await alice.order("SELL", "TAKE_PROFIT_LIMIT", **profit, **more)
        assert other.error == (400, -1020, "This operation is not supported.")
    trailing = await alice.order("SELL", "TRAILING_STOP", quantity="0.1", stopPrice="200")
    assert trailing.error == (400, -1116, "Invalid orderType.")
    tested = await alice.signed(
        *("POST", "order/test"), symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1"
    )
    assert tested.body == {}


async def test_a_stop_waits_for_its_price_and_then_sells_at_any(alice, bob):
    await bob.limit("SELL", "100", "1")
    await alice.limit("BUY", "100", "1")
    stop = (
        await alice.order(
            *("SELL", "STOP_LOSS"), quantity="0.4", stopPrice="99", newClientOrderId="s"
        )
    ).body
    assert set(stop) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert (await alice.balances())["BTC"] == ("0.60000000", "0.40000000")
    waiting = (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=stop["orderId"])).body
    assert (waiting["type"], waiting["stopPrice"]) == ("STOP_LOSS", "99.00000000")
    assert (waiting["status"], waiting["isWorking"], waiting["timeInForce"]) == (
        *("NEW", False, "GTC"),
    )
    await alice.limit("BUY", "98", "0.3")
    await alice.limit("BUY", "99", "0.1")
    await bob.limit("SELL", "99", "0.1")
    done = (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=stop["orderId"])).body
    assert (done["status"], done["executedQty"]) == ("EXPIRED", "0.30000000")
    assert done["expiryReason"] == "INSUFFICIENT_LIQUIDITY"


async def test_a_stop_that_its_price_has_passed_is_refused(alice, bob):
    await bob.limit("SELL", "100", "1")
    await alice.limit("BUY", "100", "0.5")
    passed = (400, -2010, "Order would trigger immediately.")
    price = {"price": "100", "quantity": "0.1", "timeInForce": "GTC"}
    assert (await alice.order("SELL", "STOP_LOSS", quantity="0.1", stopPrice="100")).error == passed
    assert (await alice.order("BUY", "STOP_LOSS_LIMIT", stopPrice="100", **price)).error == passed
    waits = await alice.order("BUY", "STOP_LOSS_LIMIT", stopPrice="100.01", **price)
    assert waits.status == 200
    assert (await alice.order("SELL", "TAKE_PROFIT", quantity="0.1", stopPrice="100")).error == (
        passed
    )
    assert (await alice.order("BUY", "TAKE_PROFIT_LIMIT", stopPrice="100", **price)).error == passed
    for extra in ({"price": "1"}, {"timeInForce": "GTC"}, {"icebergQty": "0.01"}):
        odd = await alice.order("SELL", "STOP_LOSS", quantity="0.1", stopPrice="99", **extra)
        assert odd.body["code"] == -1106
    bare = await alice.order("SELL", "STOP_LOSS", quantity="0.1")
    assert bare.body["code"] == -1102


async def test_a_profit_is_taken_at_a_price_as_good_or_better(alice, bob):
    await bob.limit("SELL", "100", "1")
    await alice.limit("BUY", "100", "1")
    take = {"stopPrice": "110", "quantity": "0.5", "newOrderRespType": "RESULT"}
    taking = (await alice.order("SELL", "TAKE_PROFIT", **take)).body
    assert (taking["status"], taking["workingTime"]) == ("NEW", -1)
    assert (await alice.balances())["BTC"] == ("0.50000000", "0.50000000")
    await bob.limit("BUY", "109", "0.5")
    await bob.limit("SELL", "110", "0.1")
    await bob.limit("BUY", "110", "0.1")
    done = (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=taking["orderId"])).body
    assert (done["status"], done["type"], done["stopPrice"]) == (
        *("FILLED", "TAKE_PROFIT", "110.00000000"),
    )
    assert done["cummulativeQuoteQty"] == "54.50000000"


async def test_a_stop_buys_at_any_price_as_far_as_the_account_can_pay(venue, alice, bob):
    await bob.limit("SELL", "100", "0.1")
    await alice.limit("BUY", "100", "0.1")
    stop = {"stopPrice": "110", "newOrderRespType": "RESULT"}
    poor = await venue.account("poor", USDT=111)
    dear = await poor.order("BUY", "STOP_LOSS", quantity="1.1", **stop)
    assert dear.error == (400, -2010, "Account has insufficient balance for requested action.")
    buying = (await poor.order("BUY", "STOP_LOSS", quantity="1", **stop)).body
    assert (await poor.balances())["USDT"] == ("1.00000000", "110.00000000")
    more = (await alice.order("BUY", "STOP_LOSS", quantity="0.5", **stop)).body
    await bob.limit("SELL", "110", "0.1")
    await bob.limit("SELL", "112", "1.6")
    await alice.limit("BUY", "110", "0.1")
    gone = (await poor.signed("GET", "order", symbol="BTCUSDT", orderId=buying["orderId"])).body
    assert (gone["status"], gone["executedQty"]) == ("EXPIRED", "0.00000000")
    assert (await poor.balances())["USDT"] == ("111.00000000", "0.00000000")
    done = (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=more["orderId"])).body
    assert (done["status"], done["cummulativeQuoteQty"]) == ("FILLED", "56.00000000")
    assert done["type"] == "STOP_LOSS"


async def test_orders_are_asked_for_and_cancelled_by_either_id(alice, bob):
    placed = (await alice.limit("BUY", "10", "1", newClientOrderId="a")).body
    await alice.limit("BUY", "11", "1", newClientOrderId="b")
    names = {"symbol": "BTCUSDT", "origClientOrderId": "a"}
    found = (await alice.signed("GET", "order", **names)).body
    assert (found["orderId"], found["isWorking"]) == (placed["orderId"], True)
    opened = (await alice.signed("GET", "openOrders")).body
    assert [o["clientOrderId"] for o in opened] == ["a", "b"]
    assert (await bob.signed("GET", "order", **names)).error == (
        *(400, -2013, "Order does not exist."),
    )
    unknown = (400, -2011, "Unknown order sent.")
    by_id = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    assert (await bob.signed("DELETE", "order", **by_id)).error == unknown
    mismatch = await alice.signed("DELETE", "order", **by_id, origClientOrderId="b")
    assert mismatch.body["code"] == -2039
    gone = (await alice.signed("DELETE", "order", **by_id, newClientOrderId="c")).body
    assert (gone["origClientOrderId"], gone["clientOrderId"]) == ("a", "c")
    assert (gone["status"], gone["executedQty"]) == ("CANCELED", "0.00000000")
    assert (await alice.signed("DELETE", "order", **by_id)).error == unknown
    restricted = await alice.signed(
        *("DELETE", "order"),
        symbol="BTCUSDT",
        origClientOrderId="b",
        cancelRestrictions="ONLY_PARTIALLY_FILLED",
    )
    assert restricted.body["code"] == -2011
    every = (await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")).body
    assert [(o["origClientOrderId"], o["status"]) for o in every] == [("b", "CANCELED")]
    assert (await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")).error == unknown
    assert (await alice.balances())["USDT"] == ("10000.00000000", "0.00000000")


async def test_a_client_order_id_is_taken_while_its_order_is_open(alice):
    await alice.limit("BUY", "10", "1", newClientOrderId="a")
    again = await alice.limit("BUY", "10", "1", newClientOrderId="a")
    assert again.error == (400, -2010, "Duplicate order sent.")
    await alice.signed("DELETE", "openOrders", symbol="BTCUSDT")
    third = (await alice.limit("BUY", "12", "1", newClientOrderId="a")).body
    newest = await alice.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="a")
    assert newest.body["orderId"] == third["orderId"]


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"price": "10.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "1.123456789"}, -1111, "Parameter 'price' has too much precision."),
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "HOPE"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, -1102, "Mandatory parameter 'timeInForce' was not sent"),
        ({"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent"),
        ({"price": "1e3"}, -1100, "Illegal characters found in parameter 'price'"),
        ({"newClientOrderId": "ä"}, -1100, "Illegal characters found in parameter"),
        ({"newClientOrderId": ""}, -1105, "Parameter 'newClientOrderId' was empty."),
        ({"type": "MARKET"}, -1106, "Parameter 'timeInForce' sent when not required."),
        ({"type": "MARKET", "timeInForce": None}, -1106, "Parameter 'price' sent when not"),
        ({"quoteOrderQty": "5"}, -1106, "Parameter 'quoteOrderQty' sent when not required."),
        ({"recvWindow": "60001"}, -1102, "recvWindow must be less than"),
        ({"quantity": "1001"}, *NO_MONEY[1:]),
    ],
)
async def test_refusals_have_the_venue_s_numbers_and_texts(alice, changed, code, text):
    given = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT"}
    given |= {"timeInForce": "GTC", "price": "10", "quantity": "1"} | changed
    got = await alice.signed("POST", "order", **given)
    assert (got.status, got.body["code"]) == (400, code)
    assert got.body["msg"].startswith(text)
    assert (await alice.signed("GET", "openOrders")).body == []


async def test_who_asks_is_checked_before_what(venue, alice):
    nobody = venue.client()
    assert (await nobody.ask("GET", "account")).error[:2] == (401, -2014)
    stranger = venue.client(await _stranger())
    assert (await stranger.signed("GET", "account")).error[:2] == (401, -2015)
    assert (await alice.send("GET", "account", "timestamp=1")).error[1] == -1102
    query = f"timestamp={int(time.time() * 1_000)}"
    wrong = await alice.send("GET", "account", f"{query}&signature={'0' * 64}")
    assert wrong.error == (400, -1022, "Signature for this request is not valid.")
    old = await alice.signed("GET", "account", timestamp=int(time.time() * 1_000) - 6_000)
    assert old.error == (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    early = await alice.signed("GET", "account", timestamp=int(time.time() * 1_000) + 5_000)
    assert early.error[1] == -1021
    micro = await alice.signed("GET", "account", timestamp=int(time.time() * 1_000_000))
    assert micro.status == 200
    upper = await alice.send("GET", "account", f"{query}&signature={alice.sign(query).upper()}")
    assert upper.status == 200
    assert (await nobody.ask("GET", "nothing")).status == 404


async def _stranger():
    from fastbook_server.store.accounts import new_account

    return new_account("stranger")


async def test_the_signature_is_over_the_bytes_as_they_came(alice):
    """In the query, in the body, in both without a separator; encoded as the client likes."""
    order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=10&quantity=1"
    order += f"&newClientOrderId=a%3Ab&timestamp={int(time.time() * 1_000)}"
    body = await alice.send("POST", "order", body=f"{order}&signature={alice.sign(order)}")
    assert (body.status, body.body["clientOrderId"]) == (200, "a:b")
    query, rest = "symbol=BTCUSDT&quantity=2", order.replace("a%3Ab", "c")
    signed = f"{rest}&signature={alice.sign(query + rest)}"
    both = await alice.send("POST", "order", query, signed)
    assert (both.status, both.body["origQty"]) == (200, "2.00000000")


@pytest.mark.parametrize(
    ("body", "of_type", "error"),
    [
        (b"timestamp=1&\xff\xfe=1&signature=0", "text/plain", (400, -1022)),
        (b"timestamp=1&signature=0", "text/plain; charset=bogus", (400, -1022)),
        (b"a=\xff", "application/json; charset=utf-16", (400, -1102)),
        (b"a" * 1_100_000, "text/plain", (413, -1000)),
    ],
    ids=["no UTF-8", "no such charset", "another charset", "too large"],
)
async def test_whatever_a_body_is_the_answer_is_a_refusal(alice, body, of_type, error):
    got = await alice.send("POST", "order", body=body, of_type=of_type)
    assert got.error[:2] == error
    order = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&timestamp={int(time.time() * 1_000)}"
    odd = f"{order}&odd=".encode() + body[:40].replace(b"&", b"")
    signature = hmac.new(alice.account.secret.encode(), odd, hashlib.sha256).hexdigest()
    signed = odd + f"&signature={signature}".encode()
    ended = await alice.send("POST", "order", body=signed, of_type=of_type)
    assert (ended.status, ended.body["status"]) == (200, "EXPIRED"), "signed as it was sent"


async def test_accounts_survive_a_restart_with_orders_and_ids(venue, alice, bob):
    await bob.limit("SELL", "100", "1")
    bought = (await alice.limit("BUY", "100", "1.5", newClientOrderId="a")).body
    await alice.limit("BUY", "50", "1", newClientOrderId="b")
    before = await alice.balances()
    await venue.stop()
    await venue.start()
    alice = venue.client(alice.account)
    assert await alice.balances() == before
    found = await alice.signed("GET", "order", symbol="BTCUSDT", orderId=bought["orderId"])
    assert (found.body["status"], found.body["executedQty"]) == ("PARTIALLY_FILLED", "1.00000000")
    assert len((await alice.signed("GET", "openOrders")).body) == 2
    bob = venue.client(bob.account)
    sold = (await bob.order("SELL", "MARKET", quantity="0.5")).body
    assert [f["tradeId"] for f in sold["fills"]] == [2]
    assert (await bob.balances())["USDT"] == ("150.00000000", "0.00000000")


async def test_an_order_is_answered_the_same_directly_and_by_a_task(venue, alice):
    """What is asked in one piece and says nothing unusual needs no task."""

    async def asked(method: str, query: str, *, body: str = "", more: str = "") -> list[bytes]:
        query += f"&timestamp={int(time.time() * 1_000)}"
        key = alice.account.key
        query += f"&signature={alice.sign(query + body)}"
        head = (
            f"{method} /binance/api/v3/order?{query} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {key}\r\n"
            f"Content-Length: {len(body)}\r\n{more}\r\n{body}"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.server.port)
        writer.write(head.encode())
        told = await reader.readuntil(b"\r\n\r\n")
        length = int(told.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        lines = [*told.split(b"\r\n"), await reader.readexactly(length)]
        writer.close()
        ignored = (b"Date:", b"Content-Length:", b"X-MBX-USED-WEIGHT", b"X-MBX-ORDER-COUNT")
        assert sum(line.startswith(ignored) for line in lines) >= 4
        return [line for line in lines if not line.startswith(ignored)]

    terms = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&newClientOrderId=a"
    cases = (
        ("POST", f"{terms}&price=10.005", "", 400),
        ("POST", f"{terms}&newOrderRespType=ACK", "price=10", 200),
        ("POST", terms, "price=10", 400),
        ("DELETE", "symbol=BTCUSDT&origClientOrderId=a&newClientOrderId=b", "", 200),
        ("DELETE", "symbol=BTCUSDT&origClientOrderId=a%20", "", 400),
    )
    ways = []
    for more in ("", "X-Unusual:\ta\r\n"):
        ways.append([await asked(m, q, body=body, more=more) for m, q, body, _ in cases])
    numbers = re.compile(rb'("orderId"|"transactTime"):[0-9]+')
    plain = [[[numbers.sub(rb"\1:0", line) for line in told] for told in way] for way in ways]
    assert plain[0] == plain[1]
    assert [int(told[0].split()[1]) for told in ways[0]] == [status for *_, status in cases]
