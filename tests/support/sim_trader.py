"""A client in simulated time, that checks whatever it is told."""

from __future__ import annotations

import random
from typing import Any, Protocol

import msgspec


class Place(Protocol):
    """Where a trader trades: a server in simulated time, and what is known of it from outside."""

    draw: random.Random
    trace: Any
    durable: dict[str, str]  # orders that are, and their client order ids
    faults: list[AssertionError]

    def connect(self, client: Any, resume: str | None) -> Any:
        """Connect a client; return its socket."""

    def check(self) -> None:
        """Check what must hold at any time."""


class Trader:
    """A client that loses its line and resumes; it retries what was not answered.

    ``open`` is what remains of its open orders, as it has been told: None until it has a list.
    """

    def __init__(self, house: Place, name: str, securities: tuple[str, ...] = ("COIN",)) -> None:
        self.house = house
        self.name = name
        self.token: str | None = None
        self.wire: Any = None
        self.count = 0
        self.unanswered: dict[int, dict[str, Any]] = {}
        self.orders: dict[str, str] = {}
        self.open: dict[str, float] | None = None
        self.depths: dict[str, dict[str, dict[float, float]]] = {}
        self.depth_seqs: dict[str, int] = {}
        self._securities = securities

    @property
    def is_connected(self) -> bool:
        return self.wire is not None and not self.wire.closed

    def connect(self) -> None:
        self.depth_seqs = {}
        self.open = None
        self.wire = self.house.connect(self, self.token)

    def heard(self, frame: bytes) -> None:
        """Take a frame; what is wrong with it is for the story to say, not for the server."""
        self.house.trace.update(self.name.encode() + frame)
        try:
            self._hear(msgspec.json.decode(frame))
        except AssertionError as fault:
            self.house.faults.append(fault)

    def _hear(self, frame: dict[str, Any]) -> None:
        """Check a frame: nothing may be told that is not durable."""
        self.house.check()
        order = frame.get("order")
        if order is not None:
            assert order["id"] in self.house.durable, f"told before it was durable: {frame}"
            self.orders[order["id"]] = frame["status"]
            self._follow(order, frame["status"])
        if "ref" in frame and not frame.get("more"):
            self.unanswered.pop(frame["ref"], None)
        match frame["event"]:
            case "welcome":
                if self.token is not None and frame["resumeToken"] != self.token:
                    self.unanswered.clear()  # another user: what was sent is not to be repeated
                self.token = frame["resumeToken"]
                for security in self._securities:
                    self.wire.say({"op": "subscribe", "security": security, "channel": "depth"})
                for command in self.unanswered.values():
                    self.wire.say(command)
            case "depth":
                self._take_depth(frame)
            case "orders":
                self._take_list(frame)

    def _follow(self, order: dict[str, Any], status: str) -> None:
        if self.open is None:
            return
        if status in ("open", "partiallyFilled", "untriggered"):
            self.open[order["id"]] = order["remaining"]
        else:
            self.open.pop(order["id"], None)

    def _take_list(self, frame: dict[str, Any]) -> None:
        """Check that a list is what reports have told before it, in the order of age."""
        listed = {order["id"]: order["remaining"] for order in frame["orders"]}
        assert list(listed) == sorted(listed), f"not in the order of age: {frame}"
        assert self.open in (None, listed), f"expected {self.open}, got {frame}"
        self.open = listed

    def _take_depth(self, frame: dict[str, Any]) -> None:
        security = frame["security"]
        if frame["prevSeq"] is None:
            self.depths[security] = {"bid": {}, "ask": {}}
        else:
            assert frame["prevSeq"] == self.depth_seqs[security], f"a gap in depth: {frame}"
        self.depth_seqs[security] = frame["seq"]
        for side, levels in self.depths[security].items():
            for level in frame[side]:
                levels[level["price"]] = level["amount"]
                if not level["amount"]:
                    del levels[level["price"]]

    def command(self) -> dict[str, Any]:
        """Return something to do."""
        draw = self.house.draw
        self.count += 1
        known = draw.choice([*self.orders, "none"])
        new = {
            "type": draw.choice(("bid", "ask")), "execType": "limit",
            "security": draw.choice(self._securities),
            "price": float(draw.randrange(8, 13)), "amount": float(draw.randrange(1, 5)),
            "clientOrderId": f"{self.name}-{self.count}",
        }  # fmt: skip
        if draw.random() < 0.15:
            new |= {"execType": "market"}
            del new["price"]
        elif draw.random() < 0.2:
            new |= {"timeInForce": draw.choice(("ioc", "fok")), "selfTrade": "cancelNewest"}
        kinds = (
            *[{"op": "add", "order": new}] * 6,
            {"op": "delete", "id": known},
            {"op": "amend", "id": known, "amount": float(draw.randrange(1, 6))},
            {"op": "deleteAll"},
            {"op": "orders"},
            {"op": "cancelAfter", "ms": 2_000},
        )
        return draw.choice(kinds) | {"ref": self.count}

    def act(self) -> None:
        """Say something, or come back."""
        if not self.is_connected:
            self.connect()
            return
        command = self.command()
        if command["op"] == "add":  # all else must not be repeated blindly
            self.unanswered[command["ref"]] = command
        self.wire.say(command)
