"""The past of a demo: stored like everything else, and never over anybody's orders."""

from __future__ import annotations

import time

import msgspec
import pytest

from fastbook_cli.demo import past
from fastbook_cli.demo.past import make_past
from fastbook_cli.sim.settings import SimSettings
from fastbook_server.config import Config
from fastbook_server.store import OpenOrder
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.store.recent import RecentDatabase
from fastbook_server.values.events import OrderAccepted
from fastbook_server.values.instruments import InstrumentSpec

TWO = Config(
    instruments=tuple(map(InstrumentSpec.parse, ("BTC-USD:0.01:0.0001", "ETH-USD:0.01:0.001")))
)
CALM = SimSettings(rate=4)
MINUTE_MS = 60_000


async def minutes_of(store: MemoryStore, security: str) -> list:
    history = store.history(())
    return list(await history.candles(security, "1m", start_ms=None, end_ms=None, limit=100_000))


async def test_every_market_has_traded_for_an_hour_around_its_usual_price() -> None:
    now_ms = time.time_ns() // 1_000_000
    store = MemoryStore()
    await make_past(store, TWO, CALM, 60)
    for security, ticks in (("BTC-USD", 10_000_000), ("ETH-USD", 350_000)):
        candles = await minutes_of(store, security)
        assert 55 <= len(candles) <= 61
        assert now_ms - 61 * MINUTE_MS <= candles[0].start_ms <= now_ms - 58 * MINUTE_MS
        assert now_ms - 2 * MINUTE_MS <= candles[-1].start_ms
        assert all(0.9 * ticks < c.low <= c.high < 1.1 * ticks for c in candles)
        assert len({c.close for c in candles}) > 40
    recovered = await store.open(TWO.instruments, 50)
    assert recovered.open_orders == ()
    assert recovered.time_ms <= time.time_ns() // 1_000_000
    assert all(recovered.seqs.values())


async def test_it_is_as_lively_as_the_present_with_fewer_commands(monkeypatch) -> None:
    monkeypatch.setattr(past, "COMMANDS_MAX", 2_000)
    store = MemoryStore()
    await make_past(store, Config(), SimSettings(rate=2_000), 60)
    accepted = [e for e in store.data.events if isinstance(e, OrderAccepted)]
    assert len(accepted) < 1.5 * 2_000
    assert max(e.order.quantity for e in accepted) > 10**6, "orders are as much larger"


async def test_the_next_demo_fills_the_time_since_the_last_from_its_last_price() -> None:
    data = MemoryDatabase()
    store = MemoryStore(data)
    await make_past(store, Config(), CALM, 30)
    before = await minutes_of(store, "BTC-USD")
    await make_past(store, Config(), CALM, 60)
    assert await minutes_of(store, "BTC-USD") == before, "it has only just ended"

    earlier = 20 * MINUTE_MS
    first = MemoryStore()
    await first.open(Config().instruments, 50)
    first.data.time_ms = time.time_ns() // 1_000_000 - earlier
    first.data.last_prices["BTC-USD"] = 777_777
    await make_past(first, Config(), CALM, 60)
    candles = await minutes_of(first, "BTC-USD")
    assert 15 <= len(candles) <= 21
    assert candles[0].open == pytest.approx(777_777, rel=0.01)


async def test_nobodys_order_trades_while_no_server_runs() -> None:
    store = MemoryStore()
    await make_past(store, Config(), CALM, 1)
    order = next(e.order for e in store.data.events if isinstance(e, OrderAccepted))
    store.data.time_ms -= 30 * MINUTE_MS
    store.data.open_orders[order.id] = OpenOrder(order, order.quantity, 0, (order.seq, 0), 0, False)
    count = len(store.data.events)
    await make_past(store, Config(), CALM, 60)
    assert len(store.data.events) == count


async def test_a_halted_market_has_none() -> None:
    halted = InstrumentSpec.build("BTC-USD", "0.01", "0.0001", "halted")
    store = MemoryStore()
    await make_past(store, Config(instruments=(halted,)), CALM, 60)
    assert store.data.events == []
    both = msgspec.structs.replace(TWO, instruments=(halted, TWO.instruments[1]))
    await make_past(store, both, CALM, 60)
    assert {e.order.instrument.security for e in store.data.events if isinstance(e, OrderAccepted)}
    assert await minutes_of(store, "BTC-USD") == []


async def test_without_a_database_the_candles_outlive_the_events() -> None:
    whole, recent = MemoryStore(), MemoryStore(RecentDatabase(500))
    await make_past(whole, Config(), CALM, 60)
    await make_past(recent, Config(), CALM, 60)
    assert len(recent.data.events) < 2_000 < len(whole.data.events)
    assert len(await minutes_of(recent, "BTC-USD")) >= 55
