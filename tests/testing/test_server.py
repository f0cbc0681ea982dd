"""The fixture's object: counterparties, the stored state, waiting, assertions and the log."""

from __future__ import annotations

import asyncio
import threading
import urllib.request

import pytest

from fastbook_server.testing.counterparty import RefusedError


def test_counterparties_trade_and_return_the_outcome(fastbook_server):
    maker, taker = fastbook_server.counterparty("maker"), fastbook_server.counterparty("taker")

    resting = maker.ask(101, 2)
    bought = taker.buy(0.5)
    rest = taker.buy(5)
    gone = maker.bid(99, 1)
    cancelled = maker.cancel(gone)

    assert (resting.status, resting.order.user_id) == ("open", maker.user_id)
    assert (bought.status, bought.filled, bought.order.avg_price) == ("filled", 0.5, 101.0)
    assert (rest.status, rest.reason, rest.filled) == ("cancelled", "no_liquidity", 1.5)
    assert (cancelled.status, cancelled.reason) == ("cancelled", "user")
    assert maker.orders == taker.orders == []
    assert [(t.user_id, t.amount) for t in fastbook_server.trades()] == [
        (taker.user_id, 0.5),
        (taker.user_id, 1.5),
    ]


def test_a_refused_counterparty_raises_unless_the_test_expects_it(fastbook_server):
    maker = fastbook_server.counterparty()

    with pytest.raises(
        RefusedError, match=r"maker: invalid_price: price 100\.005 is not a multiple"
    ):
        maker.bid(100.005, 1)

    refused = maker.bid(100.005, 1, check=False)
    assert (refused.status, refused.code, refused.id) == ("rejected", "invalid_price", "")
    with pytest.raises(ValueError, match=r"Expected `float.*`, got `str` - at `\$.order.price`"):
        maker.bid("100", 1)
    assert maker.bid(100, 1).status == "open"


def test_counterparties_place_orders_of_every_kind(fastbook_server):
    maker, taker = fastbook_server.counterparty("maker"), fastbook_server.counterparty("taker")

    iceberg = maker.ask(101, 5, display=2)
    waiting = taker.sell(1, trigger_price=95)
    limited = taker.ask(96, 1, trigger_price=96)
    bought = taker.buy(total=203, check=False)

    assert (waiting.status, limited.order.exec_type) == ("untriggered", "stopLimit")
    assert (bought.filled, bought.order.total) == (2.0099, 203.0)
    fastbook_server.assert_book(bids=[], asks=[(101, 1.9901)])
    fastbook_server.assert_open_orders(taker.user_id, [("ask", 95, 1), ("ask", 96, 1)])
    assert "ask 1 of 1 at 95" in fastbook_server.diagnosis()
    moved = maker.amend(iceberg, price=102, amount=4)
    assert (moved.id, moved.remaining) == (iceberg.id, 1.9901)
    with pytest.raises(RefusedError, match="amount_below_filled"):
        maker.amend(iceberg, amount=1)
    fills = fastbook_server.fills_of(taker.user_id)
    assert sum(f.amount for f in fills) == bought.filled
    assert {(f.fill_id, f.type, f.role) for f in fills} <= {
        (1, "bid", "taker"),
        (2, "bid", "taker"),
    }


def test_a_ladder_and_the_book_it_makes(fastbook_server):
    ladder = fastbook_server.fill_book(100, levels=2, amount=0.5, step=0.25, spread=1)

    book = fastbook_server.book()
    assert book.bids == [(99.5, 0.5), (99.25, 0.5)]
    assert book.asks == [(100.5, 0.5), (100.75, 0.5)]
    assert (book.best_bid, book.best_ask, book.seq) == (99.5, 100.5, 4)
    assert len(ladder.orders) == 4
    assert ladder.cancel_all() == 4
    fastbook_server.assert_book(bids=[], asks=[])


@pytest.mark.fastbook(instruments=["A-USD:0.01:1", "B-USD:1:0.1"])
def test_counterparties_trade_the_security_they_are_given(fastbook_server):
    fastbook_server.fill_book(10, security="B-USD", levels=1)
    fastbook_server.counterparty("other").bid(9.99, 3)

    assert fastbook_server.security == "A-USD"
    assert fastbook_server.book().bids == [(9.99, 3.0)]
    assert fastbook_server.book("B-USD").asks == [(11.0, 1.0)]


async def test_a_client_is_told_before_the_counterpartys_call_returns(fastbook_server, connect):
    bot = await connect()
    await bot.add("bid", 100.0, 1.0, "1")
    await bot.until(ref="1")

    fastbook_server.counterparty().sell(1)

    client = fastbook_server.clients[0]
    assert client.got[-3]["status"] == "filled"
    assert [f["event"] for f in client.got[-2:]] == ["trades", "aggOrderBook"]
    assert client.sent[0]["op"] == "add"


async def test_waiting_leaves_the_bots_loop_free_or_says_how(fastbook_server, connect):
    with pytest.raises(RuntimeError, match=r"await server.aio.wait_for\(…\) instead"):
        fastbook_server.wait_for(lambda: True)
    coming = asyncio.create_task(connect())
    client = await fastbook_server.aio.wait_for_client()
    assert (await coming).user_id == client.user_id


def test_waiting_from_a_plain_test_for_a_bot_in_a_thread(fastbook_server):
    def bot() -> None:
        with urllib.request.urlopen(f"{fastbook_server.url}/readyz") as answer:
            told.append(answer.status)

    told: list[int] = []
    thread = threading.Thread(target=bot)
    thread.start()
    assert fastbook_server.wait_for(lambda: told) == [200]
    thread.join()


async def test_a_timeout_shows_the_state(fastbook_server, connect):
    bot = await connect()
    fastbook_server.fill_book(100, levels=1)
    fault = fastbook_server.faults.refuse("halted", times=None)
    await bot.add("bid", 1.0, 1.0, "mine")
    await bot.until(ref="mine")

    with pytest.raises(AssertionError) as failure:
        await fastbook_server.aio.wait_for(
            lambda: fastbook_server.orders_of(bot.user_id), timeout_s=0
        )

    text = str(failure.value)
    for part in (
        "waited 0 s for lambda: fastbook_server.orders_of(bot.user_id)",
        "got []",
        "100.01",
        repr(fault),
        '"ref":"mine"',
        "happened 1 times",
    ):
        assert part in text


async def test_an_assertion_may_be_waited_for(fastbook_server, connect):
    bot = await connect()
    assert_orders = fastbook_server.assert_open_orders
    await bot.add("bid", 1.0, 1.0, "mine")

    def is_there() -> bool:
        assert_orders(bot.user_id, [("bid", 1.0, 1.0)])
        return True

    assert await fastbook_server.aio.wait_for(is_there)
    with pytest.raises(AssertionError, match=r"got open orders of user#.*: missing "):
        await fastbook_server.aio.wait_for(lambda: assert_orders(bot.user_id, []), timeout_s=0)


def test_assertions_say_what_is_missing_and_what_is_unexpected(fastbook_server):
    maker = fastbook_server.counterparty()
    maker.bid(99, 1)
    maker.ask(101, 2)

    fastbook_server.assert_open_orders(maker.user_id, [("ask", 101, 2), ("bid", 99, 1)])
    fastbook_server.assert_book(bids=[(99, 1)], asks=[(101, 2)])
    with pytest.raises(AssertionError, match=r"not expected \[\('bid', 99.0, 1.0\), \('ask'"):
        fastbook_server.assert_no_open_orders(maker.user_id)
    with pytest.raises(AssertionError, match=r"missing \[\('bid', 98, 1\)\], not expected \[\('as"):
        fastbook_server.assert_open_orders(maker.user_id, [("bid", 99, 1), ("bid", 98, 1)])
    with pytest.raises(AssertionError, match=r"asks of BTC-USD: expected \[\], got \[\(101.0, 2.0"):
        fastbook_server.assert_book(bids=[(99, 1)], asks=[])


def test_the_data_outlive_the_server_and_counterparties_a_restart(fastbook_server):
    maker = fastbook_server.counterparty()
    first = maker.bid(99, 1)
    maker.ask(101, 1)

    fastbook_server.restart()

    assert fastbook_server.epoch == 2
    assert maker.cancel(first).status == "cancelled"
    assert maker.buy(1).status == "filled"
    assert len(fastbook_server.trades()) == 1


async def test_the_log_shows_who_sent_what_and_when(fastbook_server, connect):
    bot = await connect(feed="none")
    fastbook_server.clock.advance(1.25)
    fastbook_server.faults.lose_ack()
    await bot.add("bid", 90.0, 1.0, "1")
    await bot.until(event="never")
    await fastbook_server.aio.wait_for(lambda: not fastbook_server.connected)

    lines = str(fastbook_server.log).splitlines()
    assert lines[0].startswith("   +0.000 server · serving on port")
    who = f"1 {bot.user_id}"
    assert f'   +1.250 {who} → {{"op": "add"' in lines[-3]
    assert f'   +1.250 {who} ✗ lost: {{"event":"order","ref":"1","status":"open"' in lines[-2]
    assert lines[-1] == f"   +1.250 {who} · disconnected"
    assert fastbook_server.log.text(1, bot.user_id).splitlines()[0].startswith("… ")


async def test_both_sides_of_a_stopped_server_say_so(fastbook_server, connect):
    fastbook_server.stop()
    with pytest.raises(Exception, match="the server is stopped: call start"):
        fastbook_server.counterparty().bid(90, 1)
    fastbook_server.start()
    assert fastbook_server.counterparty().bid(90, 1).status == "open"


async def test_the_answer_to_a_ping_is_not_taken_for_a_close(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.ws.ping(b"there?")
    await bot.synced()
    assert "closed by the server" not in fastbook_server.diagnosis()
