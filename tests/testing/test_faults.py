"""Every fault, as a plain client experiences it."""

from __future__ import annotations

import aiohttp
import pytest


async def test_a_lost_ack_leaves_the_order_executed(fastbook_server, connect):
    bot = await connect(feed="none")
    fault = fastbook_server.faults.lose_ack()

    await bot.add("bid", 90.0, 1.0, "1")

    assert await bot.until(ref="1") is None
    assert bot.ws.close_code == 1006
    assert fault.happened == 1
    fastbook_server.assert_open_orders(bot.user_id, [("bid", 90.0, 1.0)])


async def test_the_reply_to_a_refused_order_is_not_lost(fastbook_server, connect):
    bot = await connect(feed="none")
    fault = fastbook_server.faults.lose_ack()

    await bot.add("bid", 90.005, 1.0, "1")

    assert (await bot.until(ref="1"))["code"] == "invalid_price"
    assert fault.happened == 0


async def test_a_lost_ack_of_a_delete(fastbook_server, connect):
    bot = await connect(feed="none")
    fastbook_server.faults.lose_ack(op="delete")

    await bot.add("bid", 90.0, 1.0, "1")
    order_id = (await bot.until(ref="1"))["order"]["id"]
    await bot.send("delete", "2", id=order_id)

    assert await bot.until(ref="2") is None
    fastbook_server.assert_no_open_orders(bot.user_id)


async def test_a_lost_ack_of_an_amend(fastbook_server, connect):
    bot = await connect(feed="none")
    lost = fastbook_server.faults.lose_ack(op="amend")

    await bot.add("bid", 90.0, 1.0, "1", clientOrderId="mine")
    await bot.send("amend", "2", clientOrderId="mine", price=91.0)

    assert await bot.until(ref="2") is None
    assert lost.happened == 1
    fastbook_server.assert_open_orders(bot.user_id, [("bid", 91.0, 1.0)])


@pytest.mark.parametrize(
    ("op", "fields", "left"), [("deleteAll", {}, 0), ("cancelAfter", {"ms": 5_000}, 1)]
)
async def test_a_lost_ack_of_a_command_about_all_orders(fastbook_server, connect, op, fields, left):
    bot = await connect(feed="none")
    lost = fastbook_server.faults.lose_ack(op=op)

    await bot.add("bid", 90.0, 1.0, "1")
    await bot.until(ref="1")
    await bot.send(op, "2", **fields)

    assert await bot.until(ref="2") is None
    assert lost.happened == 1
    assert len(fastbook_server.orders_of(bot.user_id)) == left
    fastbook_server.clock.advance(5)
    fastbook_server.assert_no_open_orders(bot.user_id)


def test_an_op_that_no_fault_would_ever_strike_is_refused(fastbook_server):
    faults = fastbook_server.faults
    for inject in (faults.lose_ack, faults.cut_after_ack):
        for op in ("nope", "orders", "ping"):
            with pytest.raises(ValueError, match=f"op: expected one of add, amend, .*, got '{op}'"):
                inject(op=op)
    with pytest.raises(ValueError, match=r"op: expected one of add, amend, delete, .*, got 'xx'"):
        faults.refuse("halted", op="xx")
    assert faults.active == []


async def test_an_amend_is_refused_as_the_server_would(fastbook_server, connect):
    bot = await connect(feed="none")
    fastbook_server.faults.refuse("halted", op="amend")

    await bot.add("bid", 90.0, 1.0, "1", clientOrderId="mine")
    await bot.send("amend", "2", clientOrderId="mine", price=91.0)

    refused = await bot.until(ref="2")
    assert (refused["event"], refused["status"]) == ("order", "rejected")


async def test_an_ack_arrives_and_then_the_connection_is_cut(fastbook_server, connect):
    bot = await connect(feed="none")
    fastbook_server.faults.cut_after_ack()

    await bot.add("bid", 90.0, 1.0, "1")

    assert (await bot.until(ref="1"))["status"] == "open"
    assert await bot.next() is None
    assert bot.ws.close_code == 1006


async def test_a_client_that_was_cut_resumes_with_its_token(fastbook_server, connect):
    bot = await connect(feed="none")
    fastbook_server.faults.lose_ack()
    await bot.add("bid", 90.0, 1.0, "1", clientOrderId="mine")
    assert await bot.until(ref="1") is None

    again = await connect(feed="none", resume=bot.welcome["resumeToken"])
    listed = await again.next()
    await again.add("bid", 90.0, 1.0, "2", clientOrderId="mine")

    assert [o["clientOrderId"] for o in listed["orders"]] == ["mine"]
    assert (await again.until(ref="2"))["status"] == "open"
    assert len(fastbook_server.orders_of(bot.user_id)) == 1


async def test_cut_ends_one_users_connections_or_all(fastbook_server, connect):
    first, second = await connect(), await connect()

    assert fastbook_server.faults.cut(first.user_id) == 1
    assert await first.until(event="never") is None
    assert await second.synced() is not None
    assert fastbook_server.faults.cut() == 1
    assert await second.until(event="never") is None


async def test_delayed_replies_are_sent_when_the_clock_reaches_their_time(fastbook_server, connect):
    bot = await connect()
    fault = fastbook_server.faults.delay(0.5)
    await bot.add("bid", 90.0, 1.0, "1")
    assert (await bot.until(event="aggOrderBook", seq=1))["aggOrderBook"]["bid"]  # is not late

    fastbook_server.clock.advance(0.499)
    (client,) = fastbook_server.connected
    assert "order" not in [frame["event"] for frame in client.got]
    fastbook_server.clock.advance(0.001)
    assert "order" in [frame["event"] for frame in client.got]

    assert (await bot.until(ref="1"))["status"] == "open"
    assert fault.happened == 1


async def test_delayed_frames_keep_their_order_and_are_sent_when_cleared(fastbook_server, connect):
    bot = await connect()
    with fastbook_server.faults.delay(60, public=True):
        await bot.add("bid", 90.0, 1.0, "1")
        await bot.add("bid", 91.0, 1.0, "2")
        await fastbook_server.aio.wait_for(lambda: fastbook_server.book().seq == 2)
        fastbook_server.settle()
        (client,) = fastbook_server.connected
        assert [f["event"] for f in client.got] == ["welcome", "aggOrderBook", "trades"]

    frames = [f for f in await bot.synced() if f["event"] == "order"]
    assert [f["ref"] for f in frames] == ["1", "2"]


@pytest.mark.parametrize(
    ("code", "retry"), [("rate_limited", 1_000), ("overloaded", 1_000), ("halted", None)]
)
async def test_a_command_is_refused_with_a_code_and_not_executed(
    fastbook_server, connect, code, retry
):
    bot = await connect(feed="none")
    fault = fastbook_server.faults.refuse(code)

    await bot.add("bid", 90.0, 1.0, "1")
    await bot.add("bid", 91.0, 1.0, "2")

    refused = await bot.until(ref="1")
    assert (refused["status"], refused["code"]) == ("rejected", code)
    assert refused.get("retryAfterMs") == retry
    assert (await bot.until(ref="2"))["status"] == "open"
    assert fault.happened == 1
    fastbook_server.assert_open_orders(bot.user_id, [("bid", 91.0, 1.0)])


async def test_refusals_last_until_they_are_cleared_and_only_for_their_user(
    fastbook_server, connect
):
    bot, other = await connect(feed="none"), await connect(feed="none")
    refuse = fastbook_server.faults.refuse
    with refuse("rate_limited", bot.user_id, op=None, retry_after_ms=7, times=None) as fault:
        for ref in ("1", "2"):
            await bot.send("orders", ref)
            refused = await bot.until(ref=ref)
            assert (refused["event"], refused["retryAfterMs"]) == ("error", 7)
        await other.send("orders", "1")
        assert (await other.until(ref="1"))["event"] == "orders"

    await bot.send("orders", "3")
    assert (await bot.until(ref="3"))["event"] == "orders"
    assert fault.happened == 2


async def test_a_trade_is_dropped_and_the_next_one_reveals_the_gap(fastbook_server, connect):
    maker = fastbook_server.fill_book(100, levels=3)
    maker.buy(1)
    bot = await connect()
    assert (await bot.until(event="trades"))["trades"][-1]["seq"] == 7
    fault = fastbook_server.faults.skip("trades")

    maker.buy(1)
    maker.buy(1)

    told = await bot.until(event="trades")
    assert (told["prevSeq"], told["seq"]) == (8, 9)
    assert fault.happened == 1


async def test_a_fill_is_dropped_and_the_next_one_reveals_the_gap(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.send("subscribe", "1", channel="fills", security=fastbook_server.security)
    dropped = fastbook_server.faults.skip("fills")
    fastbook_server.fill_book(100)
    taker = fastbook_server.counterparty("taker")

    for _ in range(3):
        taker.buy(0.1)

    frames = [f for f in await bot.synced() if f["event"] == "fills"]
    assert [[fill["fillId"] for fill in f["fills"]] for f in frames] == [[], [2], [3]]
    assert dropped.happened == 1


async def test_a_depth_frame_is_dropped_and_the_next_one_reveals_the_gap(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.send("subscribe", "s", security="BTC-USD", channel="depth")
    assert (await bot.until(event="depth"))["prevSeq"] is None
    fastbook_server.faults.skip("depth")
    maker = fastbook_server.counterparty()

    maker.bid(90, 1)
    maker.bid(91, 1)

    told = await bot.until(event="depth")
    assert (told["prevSeq"], told["seq"]) == (1, 2)


async def test_a_checksum_is_wrong_once(fastbook_server, connect):
    bot, other = await connect(feed="none"), await connect(feed="none")
    for reader in (bot, other):
        await reader.send("subscribe", "s", security="BTC-USD", channel="depth")
        await reader.until(event="depth")
    fault = fastbook_server.faults.wrong_checksum(bot.user_id)
    fastbook_server.counterparty().bid(90, 1)

    fastbook_server.clock.advance(1)
    wrong, right = await bot.until(event="checksum"), await other.until(event="checksum")
    fastbook_server.counterparty().bid(91, 1)
    fastbook_server.clock.advance(1)

    assert (wrong["seq"], fault.happened) == (right["seq"], 1)
    assert wrong["checksum"] != right["checksum"]
    assert await bot.until(event="checksum") == await other.until(event="checksum")


async def test_a_stalled_server_neither_reads_nor_answers_and_loses_nothing(
    fastbook_server, connect
):
    bot = await connect()
    with fastbook_server.faults.stall():
        await bot.add("bid", 90.0, 1.0, "1")
        fastbook_server.counterparty().bid(91, 1)
        fastbook_server.settle()
        (client,) = fastbook_server.connected
        assert client.sent == []
        assert [f["event"] for f in client.got] == ["welcome", "aggOrderBook", "trades"]

    assert (await bot.until(event="aggOrderBook", seq=1))["aggOrderBook"]["bid"]
    assert (await bot.until(ref="1"))["status"] == "open"


async def test_a_stalled_server_can_be_stopped(fastbook_server, connect):
    bot = await connect()
    fastbook_server.faults.stall()

    fastbook_server.restart()

    assert await bot.until(event="never") is None


async def test_connections_are_refused_as_often_as_asked(fastbook_server, connect):
    fault = fastbook_server.faults.refuse_connections(times=1)

    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await connect()

    assert await connect() is not None
    assert fault.happened == 1


async def test_a_restart_keeps_orders_and_tokens_and_raises_the_epoch(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.add("bid", 90.0, 1.0, "1")
    await bot.until(ref="1")
    port = fastbook_server.port

    fastbook_server.restart()

    assert await bot.next() is None
    assert bot.ws.close_code == 1001
    again = await connect(feed="none", resume=bot.welcome["resumeToken"])
    assert (again.user_id, again.welcome["epoch"]) == (bot.user_id, 2)
    assert len((await again.until(event="orders"))["orders"]) == 1
    assert fastbook_server.port == port


async def test_a_crash_sends_no_close_frame(fastbook_server, connect):
    bot = await connect()

    fastbook_server.stop(crash=True)

    assert await bot.until(event="never") is None
    assert bot.ws.close_code == 1006
    with pytest.raises(aiohttp.ClientConnectorError):
        await connect()
    fastbook_server.start()
    assert await connect() is not None


async def test_an_invalid_fault_is_an_error_at_once(fastbook_server):
    faults = fastbook_server.faults
    with pytest.raises(ValueError, match=r"code: expected one of bad_frame, .*, got 'nope'"):
        faults.refuse("nope")
    with pytest.raises(ValueError, match="times: expected 1 or more"):
        faults.lose_ack(times=0)
    with pytest.raises(ValueError, match="seconds: expected more than 0"):
        faults.delay(0)
    with pytest.raises(ValueError, match="event: expected one of trades, fills, depth, got"):
        faults.skip("ticker")
    with pytest.raises(ValueError, match="status: expected 400 to 599"):
        faults.refuse_connections(200)
    assert faults.active == []


async def test_a_fault_strikes_within_an_array_too(fastbook_server, connect):
    bot = await connect(feed="none")
    new = {"type": "bid", "execType": "limit", "price": 90.0, "amount": 1.0}
    array = [{"op": "add", "ref": str(n), "order": new} for n in range(3)]
    fastbook_server.faults.refuse("overloaded")
    await bot.ws.send_json(array)
    assert [(await bot.until(ref=str(n)))["status"] for n in range(3)] == [
        *("rejected", "open", "open")
    ]
    fault = fastbook_server.faults.lose_ack()
    await bot.ws.send_json(array)
    assert await bot.until(ref="0") is None
    assert (fault.happened, len(fastbook_server.orders_of(bot.user_id))) == (1, 5)
