"""What is due is sent within the bound of a connection, and never forgotten when it was due."""

from __future__ import annotations

import json
import random
from typing import Any, cast

from fastbook_cli.bench.line import Line
from fastbook_cli.bench.mix import Mix
from fastbook_cli.bench.trader import Band, BenchTrader
from fastbook_client.connection import Connection
from fastbook_wire.frames import InstrumentView

BAND = Band(InstrumentView(security="COIN", tick_size=1, lot_size=1, status="open"), 1_000)


class Wire:
    """A connection that keeps what it is given."""

    def __init__(self) -> None:
        self.writes: list[list[dict[str, Any]]] = []

    def send_many(self, commands: list[bytes]) -> None:
        self.writes.append([json.loads(command) for command in commands])


def line_on(wire: Wire, *, in_flight: int, paced: bool = True) -> Line:
    trader = BenchTrader(BAND, Mix.parse("take=1"), 10, random.Random(1))
    trader.counting = True
    connection = cast(Connection, wire)
    return Line(connection, trader, in_flight=in_flight, paced=paced)


def answer(line: Line, ref: int, now_s: float = 0.0) -> None:
    line.trader.hear(b'{"event":"order","ref":%d,"status":"cancelled"}' % ref, now_s)


def test_what_is_due_goes_out_in_one_write():
    wire = Wire()
    line = line_on(wire, in_flight=10)
    line.send()
    assert wire.writes == []
    for _ in range(3):
        line.offer(0.0)
    line.send()
    assert [len(write) for write in wire.writes] == [3]
    assert (line.held_back, line.waiting, line.late.count) == (0, 0, 3)


def test_beyond_its_bound_commands_wait_and_count_from_when_they_were_due():
    wire = Wire()
    line = line_on(wire, in_flight=2)
    for due_s in (1.0, 2.0, 3.0, 4.0):
        line.offer(due_s)
    line.send()
    line.send()
    assert [len(write) for write in wire.writes] == [2]
    assert (line.waiting, line.held_back) == (2, 2), "each is held back once"
    answer(line, 1)
    line.send()
    answer(line, 3, now_s=10.0)
    assert line.trader.tally.all_waits.max_ms == 7_000.0
    assert line.late.count == 2, "the server made the others late"


def test_without_a_pace_something_is_always_due():
    wire = Wire()
    line = line_on(wire, in_flight=4, paced=False)
    line.send()
    answer(line, 2)
    line.send()
    assert [len(write) for write in wire.writes] == [4, 1]
    assert (line.held_back, line.late.count) == (0, 0)


def test_after_the_end_nothing_is_sent():
    wire = Wire()
    line = line_on(wire, in_flight=4)
    line.offer(0.0)
    line.end()
    line.send()
    assert [[c["op"] for c in write] for write in wire.writes] == [["deleteAll"]]
    assert line.waiting == 1
