"""Every frame that the server sends, to the byte."""

from __future__ import annotations

import msgspec
import pytest
from trading import T0, Floor, ask, bid, delete, market, stop

from fastbook_server.gateway import encode, reports, websocket_frames
from fastbook_server.values.events import AllDeleted, CommandRefused, OrderReport, OrdersListed
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import Grid

FINE = Instrument(2, "FINE", Grid.parse("0.01"), Grid.parse("0.0001"), "halted")


def test_welcome():
    frame = encode.welcome(
        user_id="user#k3v9x2m7p4a6d",
        resume_token="k3v9x2m7p4a6d.secret",
        security="FINE",
        instruments=[FINE],
        throttle_ms=100,
        epoch=3,
        time_ms=T0,
    )
    assert frame == (
        b'{"event":"welcome","userId":"user#k3v9x2m7p4a6d","resumeToken":"k3v9x2m7p4a6d.secret",'
        b'"security":"FINE","instruments":[{"security":"FINE","tickSize":0.01,"lotSize":0.0001,'
        b'"status":"halted"}],"throttleMs":100,"protocol":2,"epoch":3,"time":1767225600000}'
    )


def test_book():
    rows = b'[{"price":101.0,"amount":3.0,"total":303.0}]', b"[]"
    assert encode.agg_order_book("BTC-USD", 1042, T0, *rows) == (
        b'{"event":"aggOrderBook","security":"BTC-USD","seq":1042,"time":1767225600000,'
        b'"aggOrderBook":{"ask":[{"price":101.0,"amount":3.0,"total":303.0}],"bid":[]}}'
    )


def test_trades():
    floor = Floor()
    floor.do("bob", ask(100.5, 2, security="FINE"))
    floor.do("bob", ask(101, 2, security="FINE"))
    trade = floor.do("ann", bid(101, 4, security="FINE"))[3]
    assert reports.trades("FINE", 3, 1, [trade]).decode() == (
        '{"event":"trades","security":"FINE","seq":3,"prevSeq":1,"trades":[{"id":"ID","seq":3,'
        '"userId":"ann","security":"FINE","type":"bid","time":1767225600000,"price":100.75,'
        '"amount":4.0,"total":403.0}]}'.replace("ID", trade.id)
    )
    assert reports.trades("FINE", 3, None, []) == (
        b'{"event":"trades","security":"FINE","seq":3,"prevSeq":null,"trades":[]}'
    )


def private(events) -> list[str]:
    kinds = OrderReport | CommandRefused | AllDeleted
    return [encode.private(e).decode() for e in events if isinstance(e, kinds)]


def test_orders_of_every_status():
    floor = Floor()
    open_, part, done, gone, nothing = (
        floor.do("bob", ask(10, 2, "1", client_order_id="mine-7")),
        floor.do("ann", bid(10, 1, "2")),
        floor.do("ann", market("bid", 1, "3")),
        floor.do("ann", bid(9, 1, "4", time_in_force="ioc")),
        floor.do("ann", delete("5", id="x")),
    )
    bob = floor.events[0].order.id
    ann = [e.order.id for e in floor.events if type(e).__name__ == "OrderAccepted"][1:]
    maker = (
        f'"order":{{"id":"{bob}","time":{T0},"userId":"bob","security":"COIN","type":"ask",'
        '"execType":"limit","price":10.0,"amount":2.0,"filled":%s,"remaining":%s,"avgPrice":%s,'
        '"clientOrderId":"mine-7"}}'
    )
    taker = (
        f'"order":{{"id":"%s","time":{T0},"userId":"ann","security":"COIN","type":"bid",'
        '"execType":"%s","price":%s,"amount":1.0,"filled":%s,"remaining":%s,"avgPrice":%s'
    )
    assert private([*open_, *part, *done, *gone, *nothing]) == [
        '{"event":"order","ref":"1","status":"open",' + maker % ("0.0", "2.0", "null"),
        '{"event":"order","ref":"2","status":"filled",'
        + taker % (ann[0], "limit", "10.0", "1.0", "0.0", "10.0")
        + "}}",
        '{"event":"order","status":"partiallyFilled","lastPrice":10.0,"lastAmount":1.0,'
        + maker % ("1.0", "1.0", "10.0"),
        '{"event":"order","ref":"3","status":"filled",'
        + taker % (ann[1], "market", "null", "1.0", "0.0", "10.0")
        + ',"timeInForce":"ioc"}}',
        '{"event":"order","status":"filled","lastPrice":10.0,"lastAmount":1.0,'
        + maker % ("2.0", "0.0", "10.0"),
        '{"event":"order","ref":"4","status":"cancelled","reason":"ioc",'
        + taker % (ann[2], "limit", "9.0", "0.0", "1.0", "null")
        + ',"timeInForce":"ioc"}}',
        '{"event":"order","ref":"5","status":"rejected","code":"unknown_order",'
        '"message":"id: you have no open order with \'x\'"}',
    ]


@pytest.mark.parametrize(
    ("add", "terms"),
    [
        (bid(10, 1), {}),
        (bid(10, 1, time_in_force="gtc", self_trade="allow"), {}),
        (bid(10, 1, post_only=True), {"postOnly": True}),
        (bid(10, 1, self_trade="decrement"), {"selfTrade": "decrement"}),
        (bid(10, 1, expire_time=T0 + 1), {"timeInForce": "gtt"}),
        (bid(10, 1, time_in_force="ioc"), {"timeInForce": "ioc"}),
        (stop("bid", 10, 1, time_in_force="fok"), {"timeInForce": "fok"}),
        (market("bid", 1), {"timeInForce": "ioc"}),
    ],
)
def test_an_order_says_how_it_was_placed_unless_as_most_are(add, terms):
    report = next(e for e in Floor().do("ann", add) if isinstance(e, OrderReport))
    (page,) = listed(None, report)
    told = msgspec.json.decode(encode.private(report))["order"]
    keys = ("timeInForce", "postOnly", "selfTrade")
    assert {key: told[key] for key in keys if key in told} == terms
    assert msgspec.json.decode(page)["orders"] == [told]


def test_lists_and_counts():
    report = Floor().do("ann", bid(10, 1))[-1]
    order = encode.private(report).split(b'"order":')[1][:-1].decode()
    assert private([AllDeleted("ann", 5, 2)]) == ['{"event":"deletedAll","ref":5,"count":2}']
    assert listed("6", report) == ['{"event":"orders","ref":"6","orders":[' + order + "]}"]
    assert listed(None) == ['{"event":"orders","orders":[]}']


def listed(ref, *listed) -> list[str]:
    return [page.decode() for page in reports.orders(OrdersListed("ann", ref, listed))]


@pytest.mark.parametrize("count", [499, 500, 501, 1_000, 1_001])
def test_a_long_list_has_pages_and_all_but_the_last_say_more(count):
    report = Floor().do("ann", bid(10, 1))[-1]
    pages = [msgspec.json.decode(page) for page in listed("6", *[report] * count)]
    assert [len(p["orders"]) for p in pages[:-1]] == [500] * (len(pages) - 1)
    assert sum(len(p["orders"]) for p in pages) == count
    assert [p.get("more") for p in pages] == [True] * (len(pages) - 1) + [None]
    assert {p["ref"] for p in pages} == {"6"}


def test_small_replies():
    assert [
        encode.subscribed("8", "book", "ETH-USD"),
        encode.unsubscribed(None, "book", "ETH-USD"),
        encode.pong("7", T0),
        encode.private(CommandRefused("ann", "1", "bad_frame", "what", False)),
        encode.private(CommandRefused("ann", None, "overloaded", "full", False, 5)),
        encode.private(CommandRefused("ann", "1", "rate_limited", "slow", True, 0)),
    ] == [
        b'{"event":"subscribed","ref":"8","channel":"book","security":"ETH-USD"}',
        b'{"event":"unsubscribed","channel":"book","security":"ETH-USD"}',
        b'{"event":"pong","ref":"7","time":1767225600000}',
        b'{"event":"error","ref":"1","code":"bad_frame","message":"what"}',
        b'{"event":"error","code":"overloaded","message":"full","retryAfterMs":5}',
        b'{"event":"order","ref":"1","status":"rejected","code":"rate_limited","message":"slow",'
        b'"retryAfterMs":0}',
    ]


def test_websocket_frames_have_the_shortest_header_that_fits():
    headers = {n: websocket_frames.text(bytes(n))[:-n] for n in (1, 125, 126, 65_535, 65_536)}
    assert headers == {
        1: b"\x81\x01",
        125: b"\x81\x7d",
        126: b"\x81\x7e\x00\x7e",
        65_535: b"\x81\x7e\xff\xff",
        65_536: b"\x81\x7f\0\0\0\0\0\1\0\0",
    }
    assert websocket_frames.close(4001, "why") == b"\x88\x05\x0f\xa1why"
