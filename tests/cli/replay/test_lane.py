"""A lane by itself: its window, its pace on a clock of the test's, and what it sends again."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.lane import Lane, Pace
from fastbook_cli.replay.order_outcomes import ReplayError

T0 = 1_700_000_000_000
MS = 1_000_000


class Hands:
    """A clock that stands still until it is moved."""

    class Timer:
        cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    def __init__(self) -> None:
        self.now_s = 100.0
        self._timers: list[tuple[float, int, Hands.Timer, Callable[..., Any]]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Hands.Timer:
        timer = Hands.Timer()
        heapq.heappush(
            self._timers,
            (self.now_s + delay, next(self._count), timer, lambda: callback(*args)),
        )
        return timer

    def move(self, seconds: float = 0.0) -> None:
        until_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= until_s:
            self.now_s, _, timer, callback = heapq.heappop(self._timers)
            if not timer.cancelled:
                callback()
        self.now_s = until_s


class Wire:
    """A lane on a wire: what it sent, as ``op:id``, and the answers to it."""

    def __init__(self, window: int = 100) -> None:
        self.hands = Hands()
        self.lane = Lane("BTC-USD", window, self.hands, self.hands.time)
        self.lane.attach(self.send, resumed=False)
        self.sent: list[str] = []
        self.refs: dict[str, int] = {}

    def send(self, payloads: Sequence[bytes]) -> None:
        for command in map(json.loads, payloads):
            order = command.get("order", {})
            name = command.get("clientOrderId") or order.get("clientOrderId", "")
            self.sent.append(f"{command['op']}:{name}".rstrip(":"))
            self.refs[self.sent[-1]] = command["ref"]

    def play(self, *actions: Action, speed: float | None = None) -> None:
        todo = iter(actions)
        self.lane.feed(lambda: next(todo, None), Pace(speed, T0 * MS, self.hands.now_s))
        self.hands.move()

    def take(self) -> list[str]:
        """Return what was sent since the last time."""
        taken, self.sent = self.sent, []
        return taken

    def reply(self, name: str, **frame: Any) -> None:
        """Answer the command ``op:id``."""
        self.tell(ref=self.refs.pop(name), **frame)

    def tell(self, **frame: Any) -> None:
        self.lane.on_payload(json.dumps({"event": "order", **frame}).encode())
        self.hands.move()


def add(name: str, line: int = 2, time_ms: int = T0) -> Action:
    return Action("add", line, line, time_ms * MS, name, "bid", Decimal(10), Decimal(4))


def delete(name: str, line: int = 3, time_ms: int = T0) -> Action:
    return Action("delete", line, line, time_ms * MS, name, "bid")


def view(name: str, remaining: float = 4.0, order_id: str | None = None) -> dict[str, Any]:
    return {
        "id": order_id or f"id-{name}",
        "time": T0,
        "userId": "user#me",
        "security": "BTC-USD",
        "type": "bid",
        "execType": "limit",
        "price": 10.0,
        "amount": 4.0,
        "filled": 4.0 - remaining,
        "remaining": remaining,
        "avgPrice": None,
        "clientOrderId": name,
    }


def test_no_more_than_the_window_is_unanswered() -> None:
    wire = Wire(window=2)
    wire.play(add("a", 2), add("b", 3), add("c", 4))
    assert wire.take() == ["add:a", "add:b"]
    wire.reply("add:b", status="open", order=view("b"))
    assert wire.take() == ["add:c"]
    wire.reply("add:a", status="open", order=view("a"))
    assert not wire.lane.drained.is_set()
    wire.reply("add:c", status="open", order=view("c"))
    assert wire.lane.drained.is_set()
    assert wire.lane.waits.count == 3


def test_all_that_has_arrived_is_read_before_more_is_sent() -> None:
    wire = Wire(window=2)
    wire.play(*(add(name, line) for line, name in enumerate("abcd", 2)))
    for name in "ab":
        frame = {"event": "order", "ref": wire.refs[f"add:{name}"], "status": "open"}
        wire.lane.on_payload(json.dumps(frame | {"order": view(name)}).encode())
    assert wire.take() == ["add:a", "add:b"]
    wire.hands.move()
    assert wire.take() == ["add:c", "add:d"]


def test_a_delete_is_not_sent_once_its_order_is_known_to_be_gone() -> None:
    wire = Wire(window=1)
    wire.play(add("a", 2), delete("a", 3), delete("never", 4), add("z", 5), delete("z", 6))
    wire.reply("add:a", status="filled", order=view("a", 0.0))
    wire.reply("add:z", status="rejected", code="invalid_price")
    assert wire.take() == ["add:a", "add:z"]
    assert wire.lane.drained.is_set()
    ledger = wire.lane.ledger
    assert (ledger.adds, ledger.deletes, ledger.cancelled) == (2, 3, 0)
    assert ledger.refused == {"invalid_price": 1}


@pytest.mark.parametrize(("speed", "factor"), [(1.0, 1.0), (10.0, 0.1), (0.5, 2.0)])
def test_the_recorded_pace_is_kept(speed: float, factor: float) -> None:
    wire = Wire()
    times = {"a": 0, "b": 500, "c": 400, "d": 2_000}  # c jitters: it comes with b
    actions = [add(n, line, T0 + ms) for line, (n, ms) in enumerate(times.items(), 2)]
    wire.play(*actions, speed=speed)
    assert wire.take() == ["add:a"]
    wire.hands.move(0.499 * factor)
    assert wire.take() == []
    wire.hands.move(0.002 * factor)
    assert wire.take() == ["add:b", "add:c"]
    wire.hands.move(1.498 * factor)
    assert wire.take() == []
    for name in "abc":
        wire.reply(f"add:{name}", status="open", order=view(name))
    assert not wire.lane.drained.is_set()
    wire.hands.move(0.002 * factor)
    assert wire.take() == ["add:d"]


def test_unanswered_commands_are_sent_again_in_order_after_the_list_has_come() -> None:
    wire = Wire(window=4)
    wire.play(add("a", 2), add("b", 3), delete("a", 4), add("c", 5), add("d", 6))
    wire.reply("add:a", status="open", order=view("a"))
    assert wire.take() == ["add:a", "add:b", "delete:a", "add:c", "add:d"]
    wire.lane.detach()
    wire.lane.attach(wire.send, resumed=True)
    wire.hands.move()
    assert wire.take() == []
    wire.tell(event="orders", orders=[view("b")], more=True)
    assert wire.take() == []
    wire.tell(event="orders", orders=[view("a")])
    assert wire.take() == ["add:b", "delete:a", "add:c", "add:d"]
    assert wire.lane.resent == 4


def test_orders_that_ended_unheard_are_asked_after_first() -> None:
    wire = Wire(window=3)
    wire.play(add("a", 2), add("b", 3), delete("b", 4), add("c", 5))
    wire.reply("add:a", status="open", order=view("a"))
    wire.reply("add:b", status="partiallyFilled", order=view("b", 3.0))
    wire.take()
    wire.lane.detach()
    wire.lane.attach(wire.send, resumed=True)
    wire.tell(event="orders", orders=[])
    assert wire.take() == ["add:a", "add:b", "delete:b"]
    wire.reply("add:a", status="filled", order=view("a", 0.0))
    wire.reply("add:b", status="cancelled", reason="user", order=view("b", 3.0))
    wire.reply("delete:b", status="rejected", code="unknown_order")
    wire.reply("add:c", status="open", order=view("c"))
    assert wire.lane.drained.is_set()
    ledger = wire.lane.ledger
    assert (ledger.accepted, ledger.deletes, ledger.cancelled) == (3, 1, 1)
    assert ledger.filled_lots("bid") == 5
    assert [n for n, o in ledger.outcomes.items() if o.is_open] == ["c"]


def test_what_is_refused_for_now_is_sent_again_when_all_else_is_answered() -> None:
    wire = Wire(window=3)
    wire.play(add("a", 2), add("b", 3), delete("a", 4), add("c", 5))
    wire.reply("add:a", status="rejected", code="unavailable", retryAfterMs=1_000)
    wire.reply("add:b", status="open", order=view("b"))
    assert wire.take() == ["add:a", "add:b", "delete:a"]
    wire.reply("delete:a", status="rejected", code="unknown_order")  # too early, not too late
    wire.hands.move(0.9)
    assert wire.take() == []
    wire.hands.move(0.2)
    assert wire.take() == ["add:a", "delete:a"]
    wire.reply("add:a", status="open", order=view("a"))
    wire.reply("delete:a", status="cancelled", reason="user", order=view("a"))
    assert wire.take() == ["add:c"]
    assert (wire.lane.postponed, wire.lane.ledger.cancelled) == (1, 1)


def test_after_a_refusal_for_now_fewer_are_on_their_way_for_a_while() -> None:
    wire = Wire(window=8)
    wire.play(*(add(str(n), n) for n in range(1, 100)))
    assert len(wire.take()) == 8
    for n in range(1, 9):
        wire.reply(f"add:{n}", status="rejected", code="rate_limited", retryAfterMs=10)
    wire.hands.move(0.011)
    assert wire.take() == ["add:1", "add:2", "add:3", "add:4"]
    for n in range(1, 50):
        wire.reply(f"add:{n}", status="open", order=view(str(n)))
    assert len(wire.refs) == 8
    assert wire.lane.postponed == 8


def test_settling_asks_for_the_list_and_after_what_is_missing_in_it() -> None:
    wire = Wire()
    wire.play(add("a", 2), add("b", 3))
    for name in "ab":
        wire.reply(f"add:{name}", status="open", order=view(name))
    wire.take()
    wire.lane.settle()
    wire.hands.move()
    assert wire.take() == ["orders"]
    wire.reply("orders", event="orders", orders=[view("b", 1.0)])
    assert wire.take() == ["add:a"]
    wire.reply("add:a", status="filled", order=view("a", 0.0))
    assert wire.lane.drained.is_set()
    assert wire.lane.ledger.filled_lots("bid") == 7


def test_fills_are_counted_from_the_makers_reports() -> None:
    wire = Wire()
    wire.play(add("a"))
    wire.reply("add:a", status="open", order=view("a"))
    wire.tell(status="partiallyFilled", lastPrice=10.0, lastAmount=1.0, order=view("a", 3.0))
    wire.tell(status="filled", lastPrice=10.0, lastAmount=3.0, order=view("a", 0.0))
    assert (wire.lane.ledger.fills, wire.lane.ledger.fill_lots) == (2, 4)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            {"event": "error", "code": "bad_frame", "message": "no"},
            "refused a frame: bad_frame: no",
        ),
        ({"status": "open", "order": view("a", 4.0, "id-other")}, "the server has lost orders"),
    ],
)
def test_a_server_that_lost_its_memory_ends_the_replay(frame: dict[str, Any], said: str) -> None:
    wire = Wire()
    wire.play(add("a"))
    wire.reply("add:a", status="open", order=view("a"))
    with pytest.raises(ReplayError, match=said):
        wire.tell(**frame)


def test_a_forgotten_order_ends_the_replay() -> None:
    wire = Wire()
    wire.play(add("a"))
    wire.reply("add:a", status="open", order=view("a"))
    wire.lane.detach()
    wire.lane.attach(wire.send, resumed=True)
    wire.tell(event="orders", orders=[])
    with pytest.raises(ReplayError, match="acknowledged order a and has lost it since: halted"):
        wire.reply("add:a", status="rejected", code="halted")
