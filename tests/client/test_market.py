"""A market against a scripted server: every reply, every loss, every frame that is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_servers import (
    SECURITY,
    ScriptedServer,
    depth,
    order,
    scripted_server,
    trade,
    trades,
    until,
    welcome,
)

from fastbook_client import (
    Backoff,
    BookReset,
    ConnectionClosed,
    Depth,
    Disconnected,
    Event,
    FastbookError,
    Market,
    NotConnected,
    OrderFrame,
    Refused,
    Rejected,
    Resynced,
    TooSlow,
    Trades,
    TradesMissed,
    Unanswered,
    connect,
)
from fastbook_wire.checksum import checksum

QUICK = Backoff(first_s=0.005, max_s=0.01)
PATIENCE_S = 20.0


async def event_of(market: Market, *kinds: type) -> Any:
    """Return the next event of one of these kinds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event = await anext(market)
            if isinstance(event, kinds):
                return event


async def seqs(market: Market, last: int) -> list[int]:
    """Return the ``seq`` of all trades up to one; each frame must continue the one before."""
    found: list[int] = []
    while not found or found[-1] < last:
        frame = await event_of(market, Trades)
        if found:
            assert frame.prev_seq == found[-1]
        found += [t.seq for t in frame.trades]
    return found


# ---- commands -----------------------------------------------------------------------------------


async def test_a_refused_command_says_why_and_when_to_try_again() -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        server.mute = {"add", "subscribe"}
        peer = await server.peer(0)
        adding = asyncio.create_task(market.limit("bid", 10, 1, client_order_id="mine"))
        sent = await peer.command("add")
        assert sent["order"] == {
            "type": "bid",
            "execType": "limit",
            "price": 10.0,
            "amount": 1.0,
            "security": SECURITY,
            "clientOrderId": "mine",
        }
        refusal = {"code": "rate_limited", "message": "not so fast", "retryAfterMs": 5}
        await peer.say({"event": "order", "ref": sent["ref"], "status": "rejected"} | refusal)
        with pytest.raises(Rejected, match="rate_limited: not so fast") as caught:
            await adding
        assert (caught.value.code, caught.value.retry_after_ms) == ("rate_limited", 5)

        following = asyncio.create_task(market.subscribe("depth"))
        sent = await peer.command("subscribe")
        await peer.say({"event": "error", "ref": sent["ref"], "code": "overloaded", "message": ""})
        with pytest.raises(Rejected, match="overloaded"):
            await following
        with pytest.raises(FastbookError, match="subscribe to its depth channel first"):
            market.book()


async def test_replies_find_their_commands_in_any_order() -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        server.mute = {"ping"}
        peer = await server.peer(0)
        pings = [asyncio.create_task(market.ping()) for _ in range(20)]
        await until(lambda: len(peer.got) == 20)
        for command in reversed(peer.got):
            await peer.say({"event": "pong", "ref": command["ref"], "time": command["ref"]})
        assert await asyncio.gather(*pings) == [command["ref"] for command in peer.got]


async def test_what_nobody_waits_for_any_more_is_an_event() -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        server.mute = {"add"}
        peer = await server.peer(0)
        adding = asyncio.create_task(market.limit("bid", 10, 1))
        sent = await peer.command("add")
        adding.cancel()
        placed = order(sent["order"]["clientOrderId"])
        await peer.say({"event": "order", "ref": sent["ref"], "status": "open", "order": placed})
        event = await event_of(market, OrderFrame)
        assert event.order.id == placed["id"]


async def test_after_a_cut_before_the_reply_the_outcome_is_open_and_can_be_asked() -> None:
    async with (
        scripted_server() as (url, server),
        connect(url, feed=False, reconnect=QUICK) as market,
    ):
        server.mute = {"add"}
        peer = await server.peer(0)
        adding = asyncio.create_task(market.limit("bid", 10, 1))
        sent = await peer.command("add")
        server.listed = [order("another")]
        peer.cut()
        with pytest.raises(Unanswered, match=r"market\.outcome\('") as caught:
            await adding
        name = caught.value.client_order_id
        assert name == sent["order"]["clientOrderId"]
        assert isinstance(await event_of(market, Disconnected), Disconnected)
        back = await event_of(market, Resynced)
        assert (back.user_id, back.same_user) == ("user#me", True)
        assert [o.client_order_id for o in back.orders] == ["another"]

        peer = await server.peer(1)
        assert peer.query == {"resume": "token", "feed": "none"}
        assert all(command["op"] != "add" for command in peer.got), "never resent automatically"
        asking = asyncio.create_task(market.outcome(name))
        query = await peer.command("order")
        assert query["clientOrderId"] == name
        state = order(name, filled=1.0, remaining=0.0, avgPrice=10.0)
        await peer.say({"event": "order", "ref": query["ref"], "status": "filled", "order": state})
        outcome = await asking
        assert outcome is not None
        assert (outcome.status, outcome.filled) == ("filled", 1.0)


async def test_a_refused_resume_is_told_and_the_old_users_order_cannot_be_asked_about() -> None:
    async with (
        scripted_server() as (url, server),
        connect(url, feed=False, reconnect=QUICK) as market,
    ):
        server.mute = {"add"}
        peer = await server.peer(0)
        adding = asyncio.create_task(market.limit("bid", 10, 1))
        await peer.command("add")
        server.opening = [welcome(userId="user#new", resumeToken="other")]
        peer.cut()
        with pytest.raises(Unanswered) as caught:
            await adding
        back = await event_of(market, Resynced)
        assert back == Resynced("user#new", False, ())
        assert (market.user_id, market.resume_token) == ("user#new", "other")
        with pytest.raises(FastbookError, match="a user the server has forgotten"):
            await market.outcome(caught.value.client_order_id or "")


@pytest.mark.parametrize("op", ["orders", "subscribe"])
async def test_what_a_busy_server_puts_off_after_a_loss_is_asked_again(op: str) -> None:
    async with (
        scripted_server() as (url, server),
        connect(url, feed=False, channels=["ticker"], reconnect=QUICK) as market,
    ):
        server.mute = {op}
        (await server.peer(0)).cut()
        peer = await server.peer(1)
        sent = await peer.command(op)
        busy = {"code": "unavailable", "message": "", "retryAfterMs": 5}
        await peer.say({"event": "error", "ref": sent["ref"]} | busy)
        await until(lambda: sum(command["op"] == op for command in peer.got) == 2)
        if op == "orders":
            await peer.say({"event": "orders", "ref": peer.got[-1]["ref"], "orders": []})
        else:
            assert peer.got[-1]["channel"] == "ticker"
        assert (await event_of(market, Resynced)).same_user


async def test_while_there_is_no_connection_nothing_is_sent() -> None:
    async with (
        scripted_server() as (url, server),
        connect(url, feed=False, reconnect=Backoff(first_s=60.0, max_s=60.0)) as market,
    ):
        (await server.peer(0)).cut()
        lost = await event_of(market, Disconnected)
        assert 30.0 <= lost.retry_in_s <= 60.0
        assert not market.is_connected
        with pytest.raises(NotConnected):
            await market.limit("bid", 10, 1)


# ---- the end ------------------------------------------------------------------------------------


async def test_without_reconnect_a_loss_ends_the_iteration_and_every_command() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=False) as market:
        server.mute = {"ping"}
        peer = await server.peer(0)
        pinging = asyncio.create_task(market.ping())
        await peer.command("ping")
        await peer.ws.close(code=1001, message=b"the server stops")
        with pytest.raises(Unanswered):
            await pinging
        with pytest.raises(ConnectionClosed) as caught:
            await event_of(market)
        assert caught.value.code == 1001
        with pytest.raises(ConnectionClosed):
            await market.ping()


@pytest.mark.parametrize("how", ["resumed elsewhere", "forbidden", "attempts"])
async def test_when_coming_back_makes_no_sense_it_ends(how: str) -> None:
    backoff = Backoff(0.001, 0.002, attempts_max=3)
    async with scripted_server() as (url, server), connect(url, reconnect=backoff) as market:
        peer = await server.peer(0)
        if how == "resumed elsewhere":
            await peer.ws.close(code=4001)
        else:
            status = 403 if how == "forbidden" else 503
            server.refuse = (status, {"code": "unavailable", "message": "go away"})
            peer.cut()
        with pytest.raises(ConnectionClosed, match=r"4001|403|503"):
            await event_of(market)


async def test_leaving_the_block_ends_the_iteration_of_others() -> None:
    async with scripted_server() as (url, _):
        async with connect(url) as market:
            reading = asyncio.create_task(_all(market))
            await market.ping()
        assert await reading == []
    with pytest.raises(FastbookError, match="not open"):
        _ = connect(url).user_id


async def _all(market: Market) -> list[Event]:
    return [event async for event in market]


async def _read_all(market: Market, found: list[Event]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async for event in market:
            found.append(event)


async def test_a_first_connection_that_cannot_be_had_is_an_error_at_once() -> None:
    async with scripted_server() as (url, server):
        server.refuse = (404, {"code": "unknown_security", "message": "expected one of COIN"})
        with pytest.raises(Refused, match="expected one of COIN") as caught:
            async with connect(url, security="GAME"):
                pass
        assert caught.value.code == "unknown_security"


@pytest.mark.parametrize("text", ["{", '{"event":"pong","time":"noon"}', '{"event":7}', "[]"])
async def test_a_malformed_frame_ends_the_connection_and_a_new_one_is_made(text: str) -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        await (await server.peer(0)).say('{"event":"of a newer server","x":1}', text)
        assert "malformed frame" in (await event_of(market, Disconnected)).reason
        assert (await event_of(market, Resynced)).same_user
        assert len(server.peers) == 2


# ---- events -------------------------------------------------------------------------------------


async def test_who_does_not_read_gets_replies_and_what_is_queued_and_then_a_clear_end() -> None:
    async with scripted_server() as (url, server), connect(url, queue_max=10) as market:
        peer = await server.peer(0)
        await peer.say(trades(None))
        for seq in range(1, 10):
            await peer.say(trades(seq - 1 or None, seq))
        for number in range(50):  # conflated, so they take up one place
            await peer.say(depth(number, None, {11.0: 1.0}, {}))
        assert await market.ping() == 7
        await peer.say(trades(9, 10))
        await until(lambda: not market.is_connected)
        found: list[Event] = []
        with pytest.raises(TooSlow, match="iterate over the market"):
            await _read_all(market, found)
        assert [e.seq for e in found if isinstance(e, Trades)] == list(range(10))
        assert [e.seq for e in found if isinstance(e, Depth)] == [49]
        with pytest.raises(TooSlow):
            await market.ping()


async def test_missed_trades_that_find_no_room_end_it_too() -> None:
    async with (
        scripted_server() as (url, server),
        connect(url, queue_max=2, reconnect=QUICK) as market,
    ):
        peer = await server.peer(0)
        server.pages = [{"security": SECURITY, "trades": [trade(1), trade(2)], "more": False}]
        await peer.say(trades(None, 1, seq=1), trades(2, 3), trades(3, 4))
        await until(lambda: not market.is_connected)
        found: list[Event] = []
        with pytest.raises(TooSlow):
            await _read_all(market, found)
        assert [e.seq for e in found if isinstance(e, Trades)] == [1, 2]
        assert len(server.peers) == 1


async def test_who_will_never_read_keeps_nothing() -> None:
    async with scripted_server() as (url, server), connect(url, queue_max=0) as market:
        peer = await server.peer(0)
        for seq in range(1, 2_000):
            await peer.say(trades(seq - 1 or None, seq))
        assert await market.ping() == 7
        assert len(market._link.mailbox) == 0


async def test_events_end_when_nothing_comes_in_time_and_lose_nothing() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=False) as market:
        peer = await server.peer(0)
        assert [event async for event in market.events(timeout_s=0.01)] == []
        with pytest.raises(TimeoutError):
            await market.next(timeout_s=0)
        await peer.say(trades(None, 1))
        assert [type(event) async for event in market.events(timeout_s=0.2)] == [Trades]
        await peer.say(trades(1, 2))
        assert isinstance(await market.next(PATIENCE_S), Trades)
        peer.cut()
        with pytest.raises(ConnectionClosed, match="1006"):
            await anext(market.events())
        with pytest.raises(ConnectionClosed, match="1006"):
            await market.next()


async def test_events_end_when_the_market_is_left() -> None:
    async with scripted_server() as (url, _), connect(url) as market:
        pass
    assert [event async for event in market.events()] == []
    with pytest.raises(ConnectionClosed, match="closed by the client"):
        await market.next()


async def follow_depth(server: ScriptedServer, market: Market) -> Any:
    subscribing = asyncio.create_task(market.subscribe("depth"))
    peer = await server.peer(0)
    await peer.command("subscribe")
    await peer.say(depth(5, None, {11.0: 1.0, 12.0: 0.25}, {10.0: 0.5, 9.5: 1.0}))
    await subscribing
    assert market.book().is_synced
    return peer


async def test_a_local_book_is_exact_and_checked() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        peer = await follow_depth(server, market)
        await peer.say(depth(9, 5, {11.0: 0.0, 10.5: 2.0}, {9.0: 0.75}))
        asks, bids = [(21, 8), (24, 1)], [(20, 2), (19, 4), (18, 3)]
        crc = checksum(asks, bids)
        await peer.say({"event": "checksum", "security": SECURITY, "seq": 9, "checksum": crc})
        book = market.book()
        await until(lambda: book.checks == 1)
        assert (book.seq, len(book)) == (9, 5)
        assert book.ticks_and_lots("ask") == asks
        assert book.ticks_and_lots("bid") == bids
        assert book.best_bid == (10.0, 0.5)
        assert book.best_ask == (10.5, 2.0)
        assert book.mid == 10.25
        assert book.levels("bid", 2) == [(10.0, 0.5), (9.5, 1.0)]
        assert (book.amount_at("ask", 12), book.amount_at("ask", 11)) == (0.25, 0.0)


async def test_a_loss_before_the_whole_book_is_no_subscription_that_hangs() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=False) as market:
        subscribing = asyncio.create_task(market.subscribe("depth"))
        peer = await server.peer(0)
        await peer.command("subscribe")
        await market.ping()
        peer.cut()
        with pytest.raises(Unanswered):
            await subscribing


@pytest.mark.parametrize("wrong", ["checksum", "gap", "checksum of another seq"])
async def test_a_wrong_book_is_told_of_and_fetched_anew(wrong: str) -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        peer = await follow_depth(server, market)
        if wrong == "gap":
            await peer.say(depth(9, 8, {11.0: 0.0}, {}))
        else:
            seq = 5 if wrong == "checksum" else 6
            await peer.say({"event": "checksum", "security": SECURITY, "seq": seq, "checksum": 1})
        reset = await event_of(market, BookReset)
        assert reset.security == SECURITY
        book = market.book()
        assert (book.is_synced, book.best_bid) == (False, None)
        await until(lambda: sum(c["op"] == "subscribe" for c in peer.got) == 2)
        await peer.say(depth(10, 9, {1.0: 1.0}, {}), depth(11, None, {13.0: 1.0}, {}))
        await until(lambda: book.is_synced)
        assert market.book() is book
        assert (book.best_ask, book.seq) == ((13.0, 1.0), 11)


# ---- trades exactly once ------------------------------------------------------------------------


async def test_a_gap_of_trades_is_filled_once_and_in_order() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        peer = await server.peer(0)
        await peer.say(trades(None, 1, 2, seq=2), trades(2, 4))
        assert await seqs(market, 4) == [1, 2, 4]
        server.opening = [welcome(), trades(None, 15, 16, seq=16), trades(16, 17)]
        server.pages = [
            503,
            {"security": SECURITY, "trades": [trade(n) for n in (9, 10, 12, 15)], "more": True},
            {"security": SECURITY, "trades": [trade(n) for n in (1, 2, 4, 6)], "more": False},
        ]
        peer.cut()
        assert await seqs(market, 17) == [6, 9, 10, 12, 15, 16, 17]
        assert [asked["before"] for asked in server.asked] == ["16", "16", "9"]


async def test_an_opening_that_joins_or_is_older_than_what_was_seen_asks_nothing() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        peer = await server.peer(0)
        await peer.say(trades(None, 1, 2, seq=2), trades(2, 4, 5))
        assert await seqs(market, 5) == [1, 2, 4, 5]
        server.opening = [welcome(), trades(None, 1, 2, seq=2), trades(2, 4, 5), trades(5, 8)]
        peer.cut()
        assert await seqs(market, 8) == [8]
        server.opening = [welcome(), trades(None, 5, 8, 9, seq=9)]
        (await server.peer(1)).cut()
        assert await seqs(market, 9) == [9]
        assert server.asked == []


async def test_a_frame_that_was_missed_on_a_living_connection_is_fetched_too() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        peer = await server.peer(0)
        server.pages = [
            {"security": SECURITY, "trades": [trade(2), trade(3)], "more": False},
            {"security": SECURITY, "trades": [trade(5), trade(6)], "more": False},
        ]
        await peer.say(trades(None, 2), trades(3, 4), trades(4, 5), trades(6, 7))
        assert await seqs(market, 7) == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("history", ["gone", "refused", "shorter"])
async def test_trades_that_cannot_be_had_any_more_are_named(history: str) -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        peer = await server.peer(0)
        await peer.say(trades(None, 1, seq=1))
        assert await seqs(market, 1) == [1]
        server.opening = [welcome(), trades(None, 9, seq=9)]
        rest = [trade(8)] if history == "shorter" else []
        page = {"security": SECURITY, "trades": [*rest, trade(9)], "more": False}
        server.pages = [404 if history == "refused" else page]
        peer.cut()
        missed = await event_of(market, TradesMissed)
        assert (missed.after_seq, missed.before_seq) == (1, 8 if rest else 9)
        assert await seqs(market, 9) == [8, 9][-1 - len(rest) :]


async def test_a_server_with_another_past_is_noticed() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        peer = await server.peer(0)
        await peer.say(trades(None, 100, seq=100))
        assert await seqs(market, 100) == [100]
        other = trades(None, 1, 2, seq=2)
        other["trades"] = [trade(n, time=5_000 + n) for n in (1, 2)]
        server.opening = [welcome(epoch=2), other]
        server.pages = [{"security": SECURITY, "trades": [], "more": False}]
        peer.cut()
        missed = await event_of(market, TradesMissed)
        assert (missed.after_seq, missed.before_seq) == (100, None)
        assert await seqs(market, 2) == [1, 2]


# ---- HTTP ---------------------------------------------------------------------------------------


async def test_a_busy_server_is_asked_again_and_a_refusal_is_final() -> None:
    page = {"security": SECURITY, "trades": [trade(1)], "more": False}
    async with scripted_server() as (url, server), connect(url, reconnect=QUICK) as market:
        server.pages = [503, 429, 503, page]
        assert [t.seq async for t in market.trades_history()] == [1]
        assert len(server.asked) == 4
        server.pages = [400, page]
        with pytest.raises(Refused, match="HTTP 400: status 400") as caught:
            await market.api.trades_page(None)
        assert caught.value.status == 400
        assert len(server.asked) == 5
        server.pages = [503] * 20
        with pytest.raises(Refused, match="503"):
            await market.api.trades_page(None)
