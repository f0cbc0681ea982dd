"""The whole way of a frame, over real sockets: what each of those who are there is sent."""

from __future__ import annotations

import asyncio

import pytest
from trading import T0

from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values import ids
from fastbook_server.values.ids import Kind
from peers import order


def oid(seq: int, instrument: int = 1, epoch: int = 1) -> str:
    return ids.encode(T0, epoch, seq, instrument, Kind.ORDER)


def tid(seq: int, instrument: int = 1, epoch: int = 1) -> str:
    return ids.encode(T0, epoch, seq, instrument, Kind.TRADE)


def row(price: float, amount: float) -> dict:
    return {"price": price, "amount": amount, "total": price * amount}


def book(seq: int, ask=(), bid=(), security: str = "COIN", time: int = T0) -> dict:
    """Return a book frame; rows are (price, amount), best first."""
    rows = {"ask": [row(*r) for r in ask], "bid": [row(*r) for r in bid]}
    named = {"security": security, "seq": seq, "time": time}
    return {"event": "aggOrderBook", **named, "aggOrderBook": rows}


def trades(seq: int, prev: int | None, *shown: dict, security: str = "COIN") -> dict:
    named = {"security": security, "seq": seq, "prevSeq": prev}
    return {"event": "trades", **named, "trades": list(shown)}


def trade(seq: int, user, type_: str, price: float, amount: float) -> dict:
    return {
        "id": tid(seq),
        "seq": seq,
        "userId": user.user_id,
        "security": "COIN",
        "type": type_,
        "time": T0,
        "price": price,
        "amount": amount,
        "total": price * amount,
    }


def view(seq: int, user, type_: str, price, amount, remaining, avg=None, **more) -> dict:
    return {
        "id": oid(seq),
        "time": T0,
        "userId": user.user_id,
        "security": "COIN",
        "type": type_,
        "execType": "market" if price is None else "limit",
        "price": price,
        "amount": amount,
        "filled": amount - remaining,
        "remaining": remaining,
        "avgPrice": avg,
        **more,
    }


def reported(status: str, ref=None, *, shown: dict, **more) -> dict:
    named = {"event": "order", "status": status, **more, "order": shown}
    return named if ref is None else named | {"ref": ref}


def fill(fill_id: int, seq: int, role: str, price: float, amount: float, shown: dict) -> dict:
    """Return the event of a fill that left an order as `shown`."""
    event = {"event": "fill", "fillId": fill_id, "seq": seq, "time": T0, "role": role}
    event |= {"price": price, "amount": amount, "orderId": shown["id"]}
    known = ("type", "security", "filled", "remaining", "clientOrderId")
    return event | {name: shown[name] for name in known if name in shown}


# ---- opening -------------------------------------------------------------------------------------


async def test_the_server_speaks_first_welcome_book_trades(serve, join):
    server = await serve(throttle_ms=250)
    peer = await join(server)
    frames = [peer.welcome, *await peer.take(2)]
    assert frames == [
        {
            "event": "welcome",
            "userId": peer.user_id,
            "resumeToken": peer.token,
            "security": "COIN",
            "instruments": [
                {"security": "COIN", "tickSize": 1.0, "lotSize": 1.0, "status": "open"},
                {"security": "FINE", "tickSize": 0.01, "lotSize": 0.0001, "status": "open"},
            ],
            "throttleMs": 250,
            "protocol": 2,
            "epoch": 1,
            "time": T0,
        },
        book(0),
        trades(0, None),
    ]
    assert [list(frame) for frame in frames] == [
        [
            *("event", "userId", "resumeToken", "security", "instruments", "throttleMs"),
            *("protocol", "epoch", "time"),
        ],
        ["event", "security", "seq", "time", "aggOrderBook"],
        ["event", "security", "seq", "prevSeq", "trades"],
    ]


async def test_a_connection_is_about_the_security_that_it_asks_for(serve, join):
    server = await serve()
    peer = await join(server, security="FINE")
    assert [f["security"] for f in (peer.welcome, *await peer.take(2))] == ["FINE"] * 3
    reply = await peer.ask(order("bid", 0.25, 0.5, "1"))
    assert reply["order"]["security"] == "FINE"


async def test_without_a_feed_no_public_frame_comes(serve, join):
    server = await serve()
    quiet, other = await join(server, feed="none"), await join(server)
    await other.ask(order("bid", 10, 1, "1"))
    assert await quiet.sync() == []
    await quiet.send(order("ask", 10, 1, "2"))
    sold = view(2, quiet, "ask", 10.0, 1.0, 0.0, 10.0)
    assert await quiet.sync() == [
        fill(1, 2, "taker", 10.0, 1.0, sold),
        reported("filled", "2", shown=sold),
    ]
    await quiet.send({"op": "subscribe", "ref": "3", "security": "COIN"})
    assert await quiet.sync() == [
        {"event": "subscribed", "ref": "3", "channel": "book", "security": "COIN"},
        book(2),
        trades(2, None, trade(2, quiet, "ask", 10.0, 1.0)),
    ]


# ---- trading -------------------------------------------------------------------------------------


async def test_two_trade_a_third_watches_a_fourth_comes_late(serve, join):
    server = await serve()
    ann, bob, eve = [await join(server) for _ in range(3)]
    for peer in (ann, bob, eve):
        assert await peer.take(2) == [book(0), trades(0, None)]

    await bob.ask(order("ask", 11, 4, "b1"))
    await bob.ask(order("ask", 10, 2, "b2", clientOrderId="mine-7"))
    await ann.send(order("bid", 11, 3, "a1"))
    got = {"ann": await ann.sync(), "bob": await bob.sync(), "eve": await eve.sync()}
    took = trade(3, ann, "bid", 31 / 3, 3.0) | {"total": 31.0}
    public = [
        book(1, ask=[(11, 4)]),
        book(2, ask=[(10, 2), (11, 4)]),
        trades(3, None, took),
        book(3, ask=[(11, 3)]),
    ]
    assert got["eve"] == public
    mine = view(3, ann, "bid", 11.0, 3.0, 0.0, 31 / 3)
    assert got["ann"] == [
        *public[:2],
        fill(1, 3, "taker", 10.0, 2.0, mine | {"filled": 2.0, "remaining": 1.0}),
        fill(2, 3, "taker", 11.0, 1.0, mine),
        reported("filled", "a1", shown=mine),
        *public[2:],
    ]
    first = view(2, bob, "ask", 10.0, 2.0, 0.0, 10.0, clientOrderId="mine-7")
    second = view(1, bob, "ask", 11.0, 4.0, 3.0, 11.0)
    assert got["bob"] == [
        # `ask` read b2's reply and what came before it
        public[1],
        fill(1, 3, "maker", 10.0, 2.0, first),
        reported("filled", lastPrice=10.0, lastAmount=2.0, shown=first),
        fill(2, 3, "maker", 11.0, 1.0, second),
        reported("partiallyFilled", lastPrice=11.0, lastAmount=1.0, shown=second),
        *public[2:],
    ]

    late = await join(server)
    assert await late.take(2) == [book(3, ask=[(11, 3)]), trades(3, None, took)]
    await ann.send(order("bid", None, 1, "a2"))
    await ann.sync()
    more = [trades(4, 3, trade(4, ann, "bid", 11.0, 1.0)), book(4, ask=[(11, 2)])]
    assert (await late.sync(), await eve.sync()) == (more, more)


@pytest.mark.one_shard("the reports of a deleteAll may come before its reply")
async def test_every_reply_of_every_command(serve, join):
    server = await serve()
    ann, bob = await join(server, feed="none"), await join(server, feed="none")
    await bob.ask(order("bid", 9, 2, "b"))
    for command in (
        order("bid", 8, 2, 1, clientOrderId="c"),
        order("ask", 9, 3, 2),
        order("ask", None, 1, 3),
        order("ask", 20, 1, 4, timeInForce="ioc"),
        order("ask", 20, 1, 5, timeInForce="fok"),
        order("ask", 7, 1, 6, postOnly=True),
        order("bid", 9, 1, 7, selfTrade="cancelNewest"),
        order("bid", 8, 2, 8, clientOrderId="c"),
        {"op": "delete", "ref": 9, "clientOrderId": "c"},
        {"op": "delete", "ref": 10, "id": oid(1)},
        {"op": "orders", "ref": 11},
        {"op": "deleteAll", "ref": 12, "security": "FINE"},
        {"op": "deleteAll", "ref": 13},
        {"op": "ping", "ref": 14},
        {"op": "unsubscribe", "ref": 15, "security": "FINE"},
    ):
        await ann.send(command)
    resting = view(3, ann, "ask", 9.0, 3.0, 1.0, 9.0)
    mine = view(2, ann, "bid", 8.0, 2.0, 2.0, clientOrderId="c")
    took = view(4, ann, "ask", None, 1.0, 0.0, 8.0, timeInForce="ioc")
    now = view(5, ann, "ask", 20.0, 1.0, 1.0, timeInForce="ioc")
    whole = view(6, ann, "ask", 20.0, 1.0, 1.0, timeInForce="fok")
    newest = view(7, ann, "bid", 9.0, 1.0, 1.0, selfTrade="cancelNewest")
    unasked = [  # ping and the feeds' commands are no business of the exchange: at once
        {"event": "pong", "ref": 14, "time": T0},
        {"event": "unsubscribed", "ref": 15, "channel": "book", "security": "FINE"},
    ]
    frames = await ann.sync()
    assert [f for f in frames if f.get("ref") in (14, 15)] == unasked
    assert [f for f in frames if f.get("ref") not in (14, 15)] == [
        reported("open", 1, shown=mine),
        fill(1, 3, "taker", 9.0, 2.0, resting),
        reported("partiallyFilled", 2, shown=resting),
        fill(2, 4, "taker", 8.0, 1.0, took),
        fill(2, 4, "maker", 8.0, 1.0, mine | {"filled": 1.0, "remaining": 1.0}),
        reported("filled", 3, shown=took),
        reported(
            "partiallyFilled",
            lastPrice=8.0,
            lastAmount=1.0,
            shown=mine | {"filled": mine["amount"] - 1.0, "remaining": 1.0, "avgPrice": 8.0},
        ),
        reported("cancelled", 4, reason="ioc", shown=now),
        reported("cancelled", 5, reason="fok", shown=whole),
        {
            "event": "order",
            "ref": 6,
            "status": "rejected",
            "code": "post_only_would_cross",
            "message": "the order is postOnly and would trade at once",
        },
        reported("cancelled", 7, reason="self_trade", shown=newest),
        reported(
            "partiallyFilled",
            8,
            shown=mine | {"filled": mine["amount"] - 1.0, "remaining": 1.0, "avgPrice": 8.0},
        ),
        reported(
            "cancelled",
            9,
            reason="user",
            shown=mine | {"filled": mine["amount"] - 1.0, "remaining": 1.0, "avgPrice": 8.0},
        ),
        {
            "event": "order",
            "ref": 10,
            "status": "rejected",
            "code": "unknown_order",
            "message": f"id: you have no open order with '{oid(1)}'",
        },
        {"event": "orders", "ref": 11, "orders": [resting]},
        {"event": "deletedAll", "ref": 12, "count": 0},
        {"event": "deletedAll", "ref": 13, "count": 1},
        reported("cancelled", reason="user", shown=resting),
    ]


async def test_subscriptions_bring_an_opening_pair_and_end(serve, join):
    server = await serve()
    ann = await join(server)
    await ann.take(2)
    for command in (
        {"op": "subscribe", "ref": "1", "security": "FINE"},
        order("bid", 0.25, 1, "2", security="FINE"),
        {"op": "subscribe", "ref": "3", "security": "NOPE"},
        {"op": "unsubscribe", "ref": "4", "security": "NOPE"},
    ):
        await ann.send(command)
    frames = [(f["event"], f.get("ref"), f.get("security")) for f in await ann.sync()]
    assert frames == [
        ("subscribed", "1", "FINE"),
        ("aggOrderBook", None, "FINE"),
        ("trades", None, "FINE"),
        ("error", "3", None),
        ("error", "4", None),
        ("order", "2", None),
        ("aggOrderBook", None, "FINE"),
    ]
    await ann.send({"op": "subscribe", "ref": "5", "security": "COIN"})  # again from the start
    assert [f["event"] for f in await ann.sync()] == ["subscribed", "aggOrderBook", "trades"]
    for security in ("COIN", "FINE", "FINE"):
        await ann.send({"op": "unsubscribe", "ref": "6", "security": security})
    await ann.send(order("bid", 0.5, 1, "7", security="FINE"))
    await ann.send(order("bid", 10, 1, "8"))
    assert [(f["event"], f["ref"]) for f in await ann.sync()] == [
        *(("unsubscribed", "6"), ("unsubscribed", "6"), ("unsubscribed", "6")),
        *(("order", "7"), ("order", "8")),
    ]


# ---- coming back ---------------------------------------------------------------------------------


async def test_who_resumes_gets_the_id_and_the_orders_and_the_old_socket_4001(serve, join):
    server = await serve()
    ann = await join(server)
    await ann.ask(order("bid", 10, 2, "1"))
    again = await join(server, resume=ann.token)
    assert await ann.close_code() == 4001
    assert (again.user_id, again.token) == (ann.user_id, ann.token)
    assert await again.take(3) == [
        book(1, bid=[(10, 2)]),
        trades(1, None),
        {"event": "orders", "orders": [view(1, ann, "bid", 10.0, 2.0, 2.0)]},
    ]
    bob = await join(server)
    await bob.ask(order("ask", 10, 1, "2"))
    frames = await again.sync()
    assert [f["status"] for f in frames if f["event"] == "order"] == ["partiallyFilled"]


async def test_a_token_that_is_nobodys_gives_a_new_user_without_an_orders_frame(serve, join):
    server = await serve()
    ann = await join(server)
    await ann.ask(order("bid", 10, 2, "1"))
    other = await join(server, resume=ann.token[:-1])
    assert other.user_id != ann.user_id
    assert [f["event"] for f in await other.take(2)] == ["aggOrderBook", "trades"]
    assert (await other.sync(), await ann.sync()) == ([], [book(1, bid=[(10, 2)])])


async def test_a_user_survives_a_restart_of_the_server(serve, join):
    database = MemoryDatabase()
    first = await serve(MemoryStore(database))
    ann = await join(first)
    await ann.ask(order("bid", 10, 2, "1"))
    assert await asyncio.gather(first.stop(), ann.close_code()) == [True, 1001]
    second = await serve(MemoryStore(database))
    again = await join(second, resume=ann.token)
    assert (again.user_id, again.welcome["epoch"]) == (ann.user_id, 2)
    assert await again.take(3) == [
        book(1, bid=[(10, 2)]),
        trades(1, None),
        {"event": "orders", "orders": [view(1, ann, "bid", 10.0, 2.0, 2.0)]},
    ]
    bob = await join(second, feed="none")
    await bob.send(order("ask", 10, 1, "2"))
    _, reply = await bob.sync()
    assert reply["order"]["id"] == oid(2, epoch=2)


async def test_orders_stay_when_their_user_goes(serve, join):
    server = await serve(resume_grace_s=0)
    ann = await join(server)
    await ann.ask(order("bid", 10, 2, "1"))
    await ann.ws.close()
    late = await join(server)
    assert (await late.next())["aggOrderBook"]["bid"] == [row(10, 2)]
    again = await join(server, resume=ann.token)
    assert again.user_id == ann.user_id, "with open orders, however late"
