"""One user's orders and fills as a server keeps and tells them, and a client on a line to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace

from fastbook_client import Event, Fill, OrderFrame, OrderView
from fastbook_client.events import OPEN
from fastbook_client.reconcile import OwnEvents
from fastbook_wire.commands import Add, GetFills, GetOrder, NewOrder, Orders
from fastbook_wire.frames import Error, InstrumentView, OrdersFrame, OwnFills, OwnFillView

SECURITIES = ("A", "B")
INSTRUMENTS = tuple(InstrumentView(s, 1.0, 0.1, "open") for s in SECURITIES)
LOT = 0.1
PAGE = 2
"""Fills in a page of the model at most, so that a gap needs several."""

Key = tuple[str, int, str]


def key(fill: Fill) -> Key:
    return fill.security, fill.fill_id, fill.role


def number(lots: int) -> float:
    return lots / 10


class ModelServer:
    """One user's orders and fills, and the frames that are on their way to the connection.

    If it is `relaxed`, what has become of an order is known as it was when fills were asked for.
    """

    def __init__(self, relaxed: bool = False) -> None:
        self.relaxed = relaxed
        self.stored: dict[str, OrderFrame] = {}
        self.orders: dict[str, OrderView] = {}
        self.status: dict[str, str] = {}
        self.fills: dict[str, list[Fill]] = {s: [] for s in SECURITIES}
        self.fill_ids: Counter[str] = Counter()
        self.seq = 0
        self.unlisted: set[str] = set()
        self.way: list[tuple[Any, Any]] = []  # (command or None, frame), to the connection

    def say(self, frame: Any, command: Any = None) -> None:
        self.way.append((command, frame))

    def view(self, order_id: str) -> OrderFrame:
        return OrderFrame(status=self.status[order_id], order=self.orders[order_id])  # type: ignore[arg-type]  # a str

    @property
    def open(self) -> dict[str, OrderView]:
        return {i: o for i, o in self.orders.items() if self.status[i] in OPEN}

    def place(self, security: str, lots: int, status: str = "open") -> str:
        """Accept an order."""
        self.seq += 1
        order_id = f"id-{len(self.orders)}"
        self.orders[order_id] = OrderView(
            id=order_id, time=self.seq, user_id="me", security=security, type="bid",
            exec_type="limit", price=1.0, amount=number(lots), filled=0.0, remaining=number(lots),
            avg_price=None, client_order_id=order_id,
        )  # fmt: skip
        self.status[order_id] = status
        return order_id

    def match(self, security: str, taker: str | None, makers: list[tuple[str | None, int]]) -> None:
        """Fill orders of the user (None: another's), and tell: own fills, then the new states."""
        told: list[Any] = []
        for maker, lots in makers:
            self.fill_ids[security] += 1
            if taker is not None:
                self.say(self._fill(security, taker, "taker", lots))
            if maker is not None:
                fill = self._fill(security, maker, "maker", lots)
                if taker is not None:
                    self.say(fill)
                told += [self.view(maker)] if taker is not None else [fill, self.view(maker)]
        if taker is not None:
            order = self.orders[taker]
            add = Add(order=NewOrder(type="bid", exec_type="limit", amount=order.amount,
                                     security=security))  # fmt: skip
            self.say(self.view(taker), add)
        for frame in told:
            self.say(frame)

    def _fill(self, security: str, order_id: str, role: Any, lots: int) -> Fill:
        order = self.orders[order_id]
        filled = round(order.filled * 10) + lots
        remaining = round(order.amount * 10) - filled
        assert remaining >= 0
        self.orders[order_id] = replace(order, filled=number(filled), remaining=number(remaining))
        self.status[order_id] = "partiallyFilled" if remaining else "filled"
        fill = Fill(
            fill_id=self.fill_ids[security], seq=self.seq, time=self.seq, type="bid", price=1.0,
            amount=number(lots), order_id=order_id, role=role, security=security,
            filled=number(filled), remaining=number(remaining), client_order_id=order_id,
        )  # fmt: skip
        self.fills[security].append(fill)
        return fill

    def cancel(self, order_id: str) -> None:
        self.seq += 1
        self.status[order_id] = "cancelled"
        self.say(self.view(order_id))

    def answer(self, command: Any) -> None:
        """Execute a command. The fills come from the history, and so before what is on its way."""
        match command:
            case Orders():
                self.say(OrdersFrame(orders=tuple(self.open.values())), command)
            case GetOrder(id=order_id):
                assert order_id is not None
                unknown = OrderFrame(status="rejected", code="unknown_order")
                stored = self.stored.get(order_id, unknown)
                self.say(stored if self.relaxed else self.view(order_id), command)
            case GetFills(security=security) if security in self.unlisted:
                self.say(Error(code="unknown_security", message=""), command)
            case GetFills(security=security):
                assert security is not None
                self.stored = {order_id: self.view(order_id) for order_id in self.orders}
                self.way.insert(0, (command, self._page(security, command)))

    def _page(self, security: str, command: GetFills) -> OwnFills:
        own = sorted(self.fills[security], key=lambda f: (f.fill_id, f.role != "taker"))
        found = [f for f in own if command.since is None or f.fill_id > command.since]
        ids = sorted({f.fill_id for f in found})
        limit = min(command.limit, PAGE)
        wanted = set(ids[:limit] if command.since is not None else ids[-limit:])
        names = OwnFillView.__struct_fields__
        views = [
            OwnFillView(**{n: getattr(f, n) for n in names}) for f in found if f.fill_id in wanted
        ]
        return OwnFills(security=security, fills=tuple(views), more=len(ids) > limit)


class ModelClient:
    """`OwnEvents` on a line to the model; ``told`` are its events, ``replies`` what callers got."""

    def __init__(self, server: ModelServer, **past: Any) -> None:
        self.server = server
        self.told: list[Event] = []
        self.replies: list[OrderFrame] = []
        self.own = OwnEvents(self.told.append, 1_000, **past)
        self.steps: Any = None
        self.asked: list[Any] = []
        self.got: list[Any] = []

    def connect(self) -> None:
        """Lose the connection, with what is on its way, and reconcile on the next one."""
        self.cut()
        self.steps = self.own.reconcile("me", INSTRUMENTS, lambda: True)
        self.go_on(None)

    def cut(self) -> None:
        self.server.way.clear()
        self.own.disconnected()
        self.steps, self.asked, self.got = None, [], []

    def go_on(self, replies: Any) -> None:
        try:
            self.asked, self.got = list(self.steps.send(replies)), []
        except StopIteration:
            self.steps, self.asked = None, []
        for command in self.asked:
            self.server.answer(command)

    def deliver(self, count: int) -> None:
        """Let the next frames arrive."""
        for _ in range(min(count, len(self.server.way))):
            command, frame = self.server.way.pop(0)
            if command is None:
                self.own.handle(frame)
            elif isinstance(command, Add):
                self.own.replied(command, frame)
                self.replies.append(frame)
            else:
                self.got.append(frame)
                if len(self.got) == len(self.asked):
                    self.go_on(self.got)

    def settle(self) -> None:
        while self.server.way:
            self.deliver(1)
        assert self.steps is None

    @property
    def fills(self) -> list[Fill]:
        return [event for event in self.told if isinstance(event, Fill)]
