"""A gateway's history knows all that the gateway has published, or says that it does not."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from recording import until
from trading import SPECS

from fastbook_server.cluster.history import RecordedHistory
from fastbook_server.store import FillSpan, History, OrderSpan, Position, StoreUnavailable
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.store.memory_history import MemoryHistory

QUESTIONS = {
    "trades": lambda h: h.trades("COIN", before_seq=None, limit=1),
    "candles": lambda h: h.candles("COIN", "1m", start_ms=None, end_ms=None, limit=1),
    "fills": lambda h: h.fills("COIN", FillSpan(limit=1)),
    "own_fills": lambda h: h.own_fills("ann", "COIN", FillSpan(limit=1)),
    "ended_orders": lambda h: h.ended_orders("ann", "COIN", OrderSpan(limit=1)),
    "order": lambda h: h.order("x"),
    "amendments": lambda h: h.amendments("x"),
    "holdings": lambda h: h.holdings(),
}


class Sql:
    """A database that a test records in; it counts who asks how far it is."""

    def __init__(self) -> None:
        self.recorded, self.asked, self.running, self.most = 0, 0, 0, 0
        self.away = False

    async def positions(self) -> dict[str, Position]:
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if self.away:
            raise StoreUnavailable("away")
        return {"a": Position(1, self.recorded, 0)}


def history_of(sql: Sql, published: int, **options: float) -> RecordedHistory:
    return RecordedHistory(
        MemoryHistory(MemoryDatabase()), sql.positions, lambda _: {"a": published}, **options
    )


def test_every_question_is_tried_here():
    questions = {n for n, f in inspect.getmembers(History, inspect.isfunction) if n[0] != "_"}
    assert set(QUESTIONS) == questions - {"upkeep", "close"}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_an_answer_waits_until_all_is_recorded_that_was_published(question):
    sql = Sql()
    asked = asyncio.ensure_future(QUESTIONS[question](history_of(sql, 5)))
    sql.recorded = 4
    await until(lambda: sql.asked >= 3)
    assert not asked.done()
    sql.recorded = 5
    expected = await QUESTIONS[question](MemoryHistory(MemoryDatabase()))
    assert await asked == expected


@pytest.mark.parametrize("question", QUESTIONS)
async def test_it_is_refused_if_the_recorder_is_too_far_behind(question):
    with pytest.raises(StoreUnavailable, match="up to message 5, got 0"):
        await QUESTIONS[question](history_of(Sql(), 5, wait_s_max=0.01))


async def test_a_database_that_is_away_is_said_to_be_so():
    sql = Sql()
    sql.away = True
    with pytest.raises(StoreUnavailable, match="away"):
        await history_of(sql, 5).order("x")


async def test_what_is_known_to_be_recorded_is_not_asked_again():
    sql = Sql()
    sql.recorded = 7
    history = history_of(sql, 5)
    for _ in range(3):
        await history.order("x")
    assert sql.asked == 1


async def test_of_many_who_wait_one_asks_at_a_time():
    sql = Sql()
    history = history_of(sql, 5)
    waiting = [asyncio.ensure_future(history.order("x")) for _ in range(50)]
    await until(lambda: sql.asked >= 3)
    sql.recorded = 5
    await asyncio.gather(*waiting)
    assert sql.most == 1
    assert sql.asked < 10


async def test_upkeep_waits_for_nothing():
    assert await history_of(Sql(), 5).upkeep() == await MemoryHistory(MemoryDatabase()).upkeep()


async def test_the_position_of_a_real_database(make_postgres, make_database):
    store = make_postgres(await make_database("postgres"))
    instruments = await store.open_to_record(SPECS)
    reader = make_postgres(store._dsn)
    published = 0
    history = RecordedHistory(
        store.history(instruments),
        reader.positions,
        lambda _: {"main": published},
        wait_s_max=0.05,
    )
    assert await history.fills("COIN", FillSpan(limit=1)) == []
    published = 1
    with pytest.raises(StoreUnavailable, match="up to message 1, got 0"):
        await history.fills("COIN", FillSpan(limit=1))
    assert await reader.position() == (0, 0, 0)
    await history.close()
