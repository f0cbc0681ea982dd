"""A database per test, of each kind, and a source of consistent batches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg
import pytest
from databases import MakeDatabase, embedded_dsn, make_database, make_postgres, sql_of
from wasm import real, wasm_dsn

from fastbook_server.store import Store
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values import ids
from fastbook_server.values.events import (
    Order,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    Traded,
)
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Batch, Recovered

__all__ = ["embedded_dsn", "make_database", "make_postgres", "real", "sql_of", "wasm_dsn"]
"""Fixtures."""

SPECS = (InstrumentSpec.parse("BTC-USD:0.01:0.0001"), InstrumentSpec.parse("GAME:5:0.25"))
T0 = 1_767_225_600_000


# ---- the databases -------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "timescale"])
async def dsn(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    """A database of the test's own, on each kind of server."""
    return await make_database(request.param)


@pytest.fixture
async def sql(
    dsn: str, sql_of: Callable[[str], Awaitable[asyncpg.Connection]]
) -> asyncpg.Connection:
    """Such a connection to the test's own database."""
    return await sql_of(dsn)


async def _pause_jobs(sql: asyncpg.Connection) -> None:
    await sql.execute(
        "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs"
        " WHERE proc_schema = 'fastbook' OR hypertable_schema = 'fastbook'"
    )
    running = (
        "SELECT count(*) FROM timescaledb_information.jobs AS j JOIN pg_stat_activity AS a"
        " ON a.datname = current_database() AND a.application_name = j.application_name"
    )
    async with asyncio.timeout(60):
        while await sql.fetchval(running):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def pause_jobs() -> Callable[[asyncpg.Connection], Awaitable[None]]:
    """Return a function that keeps TimescaleDB from running jobs of ours: the test runs them."""
    return _pause_jobs


@pytest.fixture(params=["memory", "postgres", "timescale"])
async def make_store(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    make_postgres: Callable[..., PostgresStore],
) -> Callable[[], Store]:
    """Return a function that makes another store on the same data: one suite for all kinds."""
    if request.param == "memory":
        return partial(MemoryStore, MemoryDatabase())
    return partial(make_postgres, await make_database(request.param))


# ---- the commands -------------------------------------------------------------------------------


class Flow:
    """Random commands of some users on a tiny book of its own, as batches of consistent events.

    It goes on where `recovered` ends. `past` keeps all events.
    """

    def __init__(self, recovered: Recovered, seed: int = 0, step_ms: int = 7) -> None:
        self.random = random.Random(seed)
        self.epoch = recovered.epoch
        self.number = recovered.batch_no
        self.time_ms = max(T0, recovered.time_ms)
        self.step_ms = step_ms
        self.instruments = recovered.instruments
        self.seqs = dict(recovered.seqs)
        self.fill_ids = dict(recovered.fill_ids)
        self.agg_trade_ids = dict(recovered.agg_trade_ids)
        self.last_fills: dict[str, tuple[int, int]] = {}  # seq and price
        self.resting = {
            o.order.id: [o.order, o.remaining, o.notional] for o in recovered.open_orders
        }
        self.past: list[object] = []

    def batch(self, commands: int = 20) -> Batch:
        """Return the next batch, of so many commands."""
        events: list[object] = []
        for _ in range(commands):
            self.time_ms += self.random.randrange(self.step_ms)
            roll = self.random.random()
            if roll < 0.7 or not self.resting:
                events += self.add(self.random.choice(self.instruments))
            elif roll < 0.97:
                events += self.cancel([self.random.choice(list(self.resting))])
            else:
                events += self.delete_all(self.random.choice(self.instruments))
        return self.close_batch(events)

    def close_batch(self, events: list[object]) -> Batch:
        """Return these events as the next batch."""
        self.number += 1
        self.past += events
        return Batch(self.number, self.time_ms, tuple(events))

    def next_seq(self, security: str) -> int:
        """Return the number of the next command that changes a security."""
        self.seqs[security] += 1
        return self.seqs[security]

    def add(self, instrument: Instrument, **given: object) -> list[object]:
        """Return the events of one new order: random, but for what is given."""
        pick = self.random
        seq = self.next_seq(instrument.security)
        market = pick.random() < 0.15
        values = {
            "user_id": f"user#{pick.randrange(4)}",
            "side": pick.choice(("bid", "ask")),
            "exec_type": "market" if market else "limit",
            "price": None if market else 10_000 + pick.randrange(-6, 7),
            "quantity": pick.choice((1, 3, 10, 250, 2**40)),
            "time_in_force": "ioc" if market else pick.choice(("gtc", "gtc", "gtc", "ioc", "fok")),
            "self_trade": pick.choice(("allow", "cancelNewest", "cancelOldest", "cancelBoth")),
            "withdraw_on_close": pick.random() < 0.3,
            "client_order_id": f"{instrument.security}-{seq}" if pick.random() < 0.4 else None,
        } | given
        key = ids.encode(self.time_ms, self.epoch, seq, instrument.number, ids.Kind.ORDER)
        order = Order(id=key, seq=seq, time_ms=self.time_ms, instrument=instrument, **values)
        return [OrderAccepted(order), *self._match(order)]

    def add_resting(self, instrument: Instrument, count: int) -> list[object]:
        """Return the events of so many bids far below all others; every other one bears an id."""
        terms = {"side": "bid", "exec_type": "limit", "time_in_force": "gtc"}
        return [
            event
            for n in range(count)
            for event in self.add(
                instrument,
                price=9_000 + n % 3,
                client_order_id=f"{instrument.security}-rests-{n}" if n % 2 else None,
                **terms,
            )
        ]

    def _match(self, taker: Order) -> list[object]:
        events: list[object] = []
        left, cost, fills, gone = taker.quantity, 0, 0, 0
        for maker, remaining, notional in self._makers(taker):
            quantity = min(left, remaining)
            if maker.user_id == taker.user_id and taker.self_trade == "cancelOldest":
                del self.resting[maker.id]
                events.append(
                    self._cancelled(taker.seq, gone, maker, remaining, "self_trade", True)
                )
                gone += 1
                continue
            if not quantity:
                break
            left, cost = left - quantity, cost + quantity * maker.price
            maker_left, maker_cost = remaining - quantity, notional + quantity * maker.price
            self.resting[maker.id] = [maker, maker_left, maker_cost]
            if not maker_left:
                del self.resting[maker.id]
            security = taker.instrument.security
            fill_id = self.fill_ids.get(security, 0) + 1
            self.fill_ids[security] = fill_id
            last = self.last_fills.get(security)
            begins = (taker.seq, maker.price) != last
            self.agg_trade_ids[security] = self.agg_trade_ids.get(security, 0) + begins
            self.last_fills[security] = (taker.seq, maker.price)
            fill = OrderFilled(
                fill_id, self.agg_trade_ids[security], taker.seq, fills, taker.time_ms,
                taker, maker, maker.price, quantity, left,
                maker_left, maker_cost, self._level(maker), maker_left,
            )  # fmt: skip
            events.append(fill)
            fills += 1
        if left and taker.time_in_force == "gtc":
            self.resting[taker.id] = [taker, left, cost]
            events.append(OrderRested(taker, left, cost, self._level(taker), taker.seq, left))
        elif left:
            reason = "no_liquidity" if taker.exec_type == "market" else taker.time_in_force
            events.append(self._cancelled(taker.seq, gone, taker, left, reason, False))
        if cost:
            key = ids.encode(
                taker.time_ms, self.epoch, taker.seq, taker.instrument.number, ids.Kind.TRADE
            )
            filled = taker.quantity - left
            events.append(Traded(key, taker.seq, taker.time_ms, taker, filled, cost))
        return events

    def _makers(self, taker: Order) -> list[tuple[Order, int, int]]:
        sign = 1 if taker.side == "bid" else -1  # a bid takes the lowest ask first
        return sorted(
            (
                tuple(state)
                for state in self.resting.values()
                if state[0].instrument == taker.instrument
                and state[0].side != taker.side
                and (taker.price is None or sign * (state[0].price - taker.price) <= 0)
            ),
            key=lambda state: (sign * state[0].price, state[0].seq),
        )

    def _level(self, order: Order) -> int:
        return sum(
            remaining
            for other, remaining, _ in self.resting.values()
            if (other.instrument, other.side, other.price)
            == (order.instrument, order.side, order.price)
        )

    def _cancelled(
        self, seq: int, n: int, order: Order, quantity: int, reason: str, rested: bool
    ) -> OrderCancelled:
        level = self._level(order)
        return OrderCancelled(seq, n, self.time_ms, order, quantity, reason, rested, level)

    def cancel(self, order_ids: list[str], reason: str = "user") -> list[object]:
        """Return the events of one command that withdraws these orders of one security."""
        events: list[object] = []
        seq = None
        for n, order_id in enumerate(order_ids):
            order, remaining, _ = self.resting.pop(order_id)
            security = order.instrument.security
            if seq is None:
                seq = self.next_seq(security)
            events.append(self._cancelled(seq, n, order, remaining, reason, True))
        return events

    def delete_all(self, instrument: Instrument) -> list[object]:
        """Return the events of a random user's deleteAll in one security."""
        user = f"user#{self.random.randrange(4)}"
        mine = [
            order.id
            for order, _, _ in self.resting.values()
            if (order.user_id, order.instrument) == (user, instrument)
        ]
        return self.cancel(mine, "disconnect")


@pytest.fixture
def flow() -> type[Flow]:
    return Flow


@pytest.fixture
def specs() -> tuple[InstrumentSpec, ...]:
    return SPECS
