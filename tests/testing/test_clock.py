"""Time under the test's control: stamps and timers move together, and only when told to."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.testing.timers import HandTimers

T0 = 1_767_225_600_000


def hand_timers(runs: bool = False) -> HandTimers:
    return HandTimers(asyncio.get_running_loop(), T0, runs=runs)


async def test_timers_fire_in_order_when_due():
    timers = hand_timers()
    fired = []
    for delay in (0.3, 0.1, 0.2):
        timers.call_later(delay, lambda d=delay: fired.append((d, timers.now_ms() - T0)))
    cancelled = timers.call_later(0.15, fired.append, "cancelled")
    cancelled.cancel()

    timers.move_to(timers.now_us() + 200_000)

    assert fired == [(0.1, 200), (0.2, 200)]  # move_to is one step: the clock makes the steps
    assert timers.next_due_us(2**62) == timers.now_us() + 100_000


@pytest.mark.parametrize("interval_s", [0.001, 0.1, 0.3, 0.7])
async def test_a_timer_that_rounding_puts_a_hair_late_fires_in_the_same_step(interval_s):
    timers = hand_timers()
    fired = []
    due_s = timers.time()

    def again() -> None:
        nonlocal due_s
        if timers.time() < due_s:  # as a throttle does it
            timers.call_later(due_s - timers.time(), again)
            return
        fired.append(timers.now_us())
        due_s = timers.time() + interval_s
        timers.call_later(interval_s, again)

    again()
    for _ in range(1_000):
        timers.move_to(timers.now_us() + round(interval_s * 1_000_000))

    assert len(fired) == 1_001
    assert timers.now_us() == fired[-1]


async def test_a_running_clock_fires_by_itself_and_can_be_stopped():
    timers = hand_timers(runs=True)
    fired = asyncio.Event()
    timers.call_later(0.001, fired.set)
    async with asyncio.timeout(20):
        await fired.wait()
    timers.stand()
    stood_at = timers.now_us()
    later = asyncio.get_running_loop().time() + 0.002
    while asyncio.get_running_loop().time() < later:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert timers.now_us() == stood_at
    timers.stop()


def test_time_stands_until_it_is_moved(fastbook_server):
    maker = fastbook_server.counterparty()
    first, second = maker.bid(90, 1), maker.bid(90, 1)
    fastbook_server.clock.advance(1.5)
    third = maker.bid(90, 1)
    fastbook_server.clock.set(T0 + 10_000)
    fourth = maker.bid(90, 1)

    stamps = [o.order.time - T0 for o in (first, second, third, fourth)]
    assert stamps == [0, 0, 1_500, 10_000]
    assert fastbook_server.clock.now_ms == T0 + 10_000


def test_time_does_not_go_back(fastbook_server):
    with pytest.raises(ValueError, match="time does not go back: expected 0 s or more, got -1"):
        fastbook_server.clock.advance(-1)
    with pytest.raises(ValueError, match="time does not go back"):
        fastbook_server.clock.set(T0 - 1)


@pytest.mark.fastbook(throttle_ms=100)
async def test_throttled_books_come_when_due(fastbook_server, connect):
    await connect()
    (client,) = fastbook_server.connected
    maker = fastbook_server.counterparty()

    def books() -> list[int]:
        return [f["seq"] for f in client.got if f["event"] == "aggOrderBook"]

    for price in (90, 91, 92):
        maker.bid(price, 1)
    assert books() == [0, 1]
    fastbook_server.clock.advance(0.099)
    assert books() == [0, 1]
    fastbook_server.clock.advance(0.001)
    assert books() == [0, 1, 3]
    for n in range(1, 21):
        maker.bid(80 + n, 1)
        fastbook_server.clock.advance(0.1)
    assert books() == [0, 1, 3, *range(4, 24)]


@pytest.mark.fastbook(commands_per_second_max=2)
async def test_a_rate_limited_client_is_served_again_when_time_has_passed(fastbook_server, connect):
    bot = await connect(feed="none")

    async def ping() -> str:
        await bot.send("ping", "p")
        frame = await bot.until(ref="p")
        return frame.get("code", frame["event"])

    assert [await ping() for _ in range(4)] == ["pong", "pong", "rate_limited", "rate_limited"]
    fastbook_server.clock.advance(0.4)
    assert await ping() == "rate_limited"
    fastbook_server.clock.advance(0.1)
    assert [await ping() for _ in range(2)] == ["pong", "rate_limited"]
    fastbook_server.clock.advance(1)
    assert [await ping() for _ in range(3)] == ["pong", "pong", "rate_limited"]


async def test_a_client_that_answers_no_close_is_cut_when_time_has_passed(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.send("ping", "p")
    await bot.until(ref="p")

    await connect(resume=bot.welcome["resumeToken"])  # bot does not read, so it does not answer
    fastbook_server.clock.advance(4.999)
    assert len(fastbook_server.connected) == 2
    fastbook_server.clock.advance(0.001)
    assert len(fastbook_server.connected) == 1


async def test_a_user_who_does_not_resume_in_time_loses_the_orders(fastbook_server, connect):
    bot = await connect(cancelOnDisconnect="60")
    await bot.add("bid", 90.0, 1.0, "1")
    await bot.until(ref="1")
    await bot.ws.close()
    await fastbook_server.aio.wait_for(lambda: not fastbook_server.connected)

    fastbook_server.clock.advance(59.999)
    assert len(fastbook_server.orders_of(bot.user_id)) == 1
    fastbook_server.clock.advance(0.001)
    fastbook_server.assert_no_open_orders(bot.user_id)


async def test_a_checksum_comes_every_second(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.send("subscribe", "s", security="BTC-USD", channel="depth")
    await bot.until(event="depth")
    (client,) = fastbook_server.connected
    maker = fastbook_server.counterparty()

    for n in range(3):
        maker.bid(90 + n, 1)
        fastbook_server.clock.advance(1)

    told = [(f["event"], f["seq"]) for f in client.got[3:]]
    assert told == [(event, seq) for seq in (1, 2, 3) for event in ("depth", "checksum")]


async def test_a_candle_ends_when_its_time_is_over(fastbook_server, connect):
    bot = await connect(feed="none")
    await bot.send("subscribe", "s", security="BTC-USD", channel="candles:1m")
    await bot.until(event="candles")
    maker = fastbook_server.fill_book(100)
    maker.buy(1)
    assert [c["final"] for c in (await bot.until(event="candles"))["candles"]] == [False]

    fastbook_server.clock.advance(61)

    (candle,) = (await bot.until(event="candles"))["candles"]
    assert (candle["final"], candle["time"], candle["close"]) == (True, T0, 100.01)


def test_actions_run_when_due_in_the_thread_that_advances(fastbook_server):
    fastbook_server.fill_book(100, levels=1, amount=10)
    fastbook_server.script([(1.0, lambda m: m.buy(2)), (0.5, lambda m: m.sell(1))], by="noise")
    fastbook_server.clock.at(0.5, lambda: fastbook_server.counterparty("late").buy(3))

    fastbook_server.clock.advance(0.75)
    assert [(t.time - T0, t.type, t.amount) for t in fastbook_server.trades()] == [
        (500, "ask", 1.0),
        (500, "bid", 3.0),
    ]
    fastbook_server.clock.advance(0.25)
    assert fastbook_server.trades()[-1].time == T0 + 1_000


@pytest.mark.fastbook(clock="runs")
def test_a_running_clock_stamps_real_time_and_accepts_no_actions(fastbook_server):
    began = fastbook_server.clock.now_ms
    fastbook_server.wait_for(lambda: fastbook_server.clock.now_ms > began)
    with pytest.raises(ValueError, match="actions need a standing clock"):
        fastbook_server.clock.at(1, lambda: None)
    fastbook_server.clock.advance(3_600)
    assert fastbook_server.clock.now_ms >= began + 3_600_000
    fastbook_server.clock.stand()
    stood_at = fastbook_server.clock.now_ms
    assert fastbook_server.counterparty().bid(90, 1).order.time == stood_at


async def test_orders_sent_before_an_advance_have_the_earlier_stamp(fastbook_server, connect):
    bot = await connect(feed="none")
    for n in range(50):
        await bot.add("bid", 90.0, 1.0, str(n))

    fastbook_server.clock.advance(5)

    assert {o.time for o in fastbook_server.orders_of(bot.user_id)} == {T0}
    assert len(fastbook_server.orders_of(bot.user_id)) == 50
