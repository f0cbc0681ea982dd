"""How much each address asks and how many orders each account places, and what is too much.

Both are counted in the venue's intervals, whether or not there is a bound, and told with answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cython
import msgspec

from fastbook_server.dialects.binance.auth import check_time
from fastbook_server.dialects.binance.calls import Offer
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal

SECOND_MS = 1_000
REFUSALS_MAX = 50
"""Who is refused more often in one minute, and goes on, is refused everything for a while."""
BAN_MS = 120_000


class VenueBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an address may weigh, and how many orders an account may place; 0 is no limit.

    With ``checks_age`` a request must have been signed within its ``recvWindow``.
    """

    weight_per_minute_max: int = 0
    orders_per_10s_max: int = 0
    orders_per_day_max: int = 0
    checks_age: bool = False


AS_AT_THE_VENUE = VenueBounds(
    weight_per_minute_max=6_000,
    orders_per_10s_max=100,
    orders_per_day_max=200_000,
    checks_age=True,
)


@cython.cclass
class Interval:
    """A bound over an interval of the clock, and what has been counted since it began, by name."""

    def __init__(self, kind: str, word: str, number: int, width_ms: int, most: int) -> None:
        self.kind = kind
        self.most = most
        self.text = f"{number} {word}"
        self.letter = f"{number}{word[0]}"
        counts = "USED-WEIGHT" if kind == "REQUEST_WEIGHT" else "ORDER-COUNT"
        self.header = f"X-MBX-{counts}-{self.letter}"
        self._word = word
        self._number = number
        self._width_ms = width_ms
        self._began = 0
        self._counts: dict[str, int] = {}

    def add(self, name: str, count: int, now_ms: int) -> int:
        """Count more, or less, and return the sum."""
        began = now_ms // self._width_ms
        if began != self._began:
            self._began = began
            self._counts.clear()
        counted = self._counts.get(name, 0)
        if count:
            counted = self._counts[name] = max(0, counted + count)
        return counted

    def left_s(self, now_ms: int) -> int:
        """Return in how many seconds another interval begins."""
        return -(-(self._width_ms - now_ms % self._width_ms) // SECOND_MS)

    def told(self, count: int | None = None) -> dict[str, Any]:
        """Return the bound as clients are told of it, perhaps with what has been counted."""
        told = {
            "rateLimitType": self.kind,
            "interval": self._word,
            "intervalNum": self._number,
            "limit": self.most,
        }
        return told if count is None else told | {"count": count}


@cython.cclass
class Limits:
    """Counts requests and orders, and refuses what is too much."""

    def __init__(self, bounds: VenueBounds, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self._checks_age = bounds.checks_age
        most = bounds.weight_per_minute_max
        self.weight = Interval("REQUEST_WEIGHT", "MINUTE", 1, 60 * SECOND_MS, most)
        ten, day = bounds.orders_per_10s_max, bounds.orders_per_day_max
        self.orders = (
            Interval("ORDERS", "SECOND", 10, 10 * SECOND_MS, ten),
            Interval("ORDERS", "DAY", 1, 86_400 * SECOND_MS, day),
        )
        self._refusals = Interval("REFUSED", "MINUTE", 1, 60 * SECOND_MS, REFUSALS_MAX)
        self._banned: dict[str, int] = {}

    def told(self) -> list[dict[str, Any]]:
        """Return the bounds that hold; none if they are off."""
        return [bound.told() for bound in (self.weight, *self.orders) if bound.most]

    def of_account(self, user_id: str) -> list[dict[str, Any]]:
        """Return the bounds on an account's orders, and how many it has placed."""
        now_ms = self.now_ms()
        return [b.told(b.add(user_id, 0, now_ms)) for b in self.orders if b.most]

    def weigh(self, address: str, weight: int, now_ms: int) -> None:
        """Count a request of an address.

        Raises:
            DialectRefusal: the address asks too much, or has gone on asking too much for too long.
        """
        self._check_not_banned(address, now_ms)
        used = self.weight.add(address, weight, now_ms)
        if not self.weight.most or used <= self.weight.most:
            return
        if self._refusals.add(address, 1, now_ms) > self._refusals.most:
            self._banned = {a: until for a, until in self._banned.items() if until > now_ms}
            self._banned[address] = now_ms + BAN_MS
            self._check_not_banned(address, now_ms)
        text = (
            f"Too much request weight used; current limit is {self.weight.most} request weight per "
            f"{self.weight.text}. Please use WebSocket Streams for live updates to avoid polling "
            "the API."
        )
        raise DialectRefusal(-1003, text, 429, self.weight.left_s(now_ms))

    def _check_not_banned(self, address: str, now_ms: int) -> None:
        until_ms = self._banned.get(address) if self._banned else None
        if until_ms is None:
            return
        if until_ms <= now_ms:
            del self._banned[address]
            return
        text = (
            f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket "
            "Streams for live updates to avoid bans."
        )
        raise DialectRefusal(-1003, text, 418, -(-(until_ms - now_ms) // SECOND_MS))

    def check_age(self, params: Mapping[str, str]) -> None:
        """Check that a request was signed not long ago; refuse otherwise, if that is limited."""
        if self._checks_age:
            check_time(params, self.now_ms())

    def place(self, user_id: str, now_ms: int) -> None:
        """Count a new order of an account.

        Raises:
            DialectRefusal: the account places too many.
        """
        for bound in self.orders:
            if bound.most and bound.add(user_id, 0, now_ms) >= bound.most:
                text = (
                    f"Too many new orders; current limit is {bound.most} orders per {bound.text}."
                )
                raise DialectRefusal(-1015, text, 429, bound.left_s(now_ms))
        for bound in self.orders:
            bound.add(user_id, 1, now_ms)


@cython.cclass
class Charge:
    """What one request counts that comes ``now_ms``: as much as it says, or as it turns out."""

    def __init__(self, limits: Limits, address: str) -> None:
        self._limits = limits
        self._address = address
        self.now_ms = limits.now_ms()
        self._entry: Offer | None = None
        self._placer: str | None = None

    def weigh(self, entry: Offer | None, params: Parameters) -> None:
        """Count the request; what is an order weighs nothing yet. Raises like `Limits.weigh`."""
        self._entry = entry
        free = entry is not None and entry.is_order
        weight = 0 if free else 1 if entry is None else entry.weighs(params)
        self._limits.weigh(self._address, weight, self.now_ms)

    def place(self, user_id: str) -> DialectRefusal | None:
        """Count the order that the request places, if it does.

        Raises like `Limits.place`, or returns the refusal if the request is to do more than that.
        """
        if self._entry is None or not self._entry.places:
            return None
        try:
            self._limits.place(user_id, self.now_ms)
        except DialectRefusal as refused:
            if not self._entry.more:
                raise
            return refused
        self._placer = user_id
        return None

    def failed(self, refused: DialectRefusal) -> None:
        """Count a request that has failed: an order weighs something then, and is none."""
        limits, now_ms = self._limits, self._limits.now_ms()
        if self._entry is not None and self._entry.is_order:
            limits.weight.add(self._address, 1, now_ms)
        if self._placer is not None and not _has_placed(refused):
            for bound in limits.orders:
                bound.add(self._placer, -1, now_ms)
            self._placer = None

    def headers(self) -> dict[str, str]:
        """Return the headers that tell what has been counted."""
        limits, now_ms = self._limits, self._limits.now_ms()
        used = str(limits.weight.add(self._address, 0, now_ms))
        told = {"X-MBX-USED-WEIGHT": used, limits.weight.header: used}
        if self._placer is not None:
            for bound in limits.orders:
                told[bound.header] = str(bound.add(self._placer, 0, now_ms))
        return told

    def header_lines(self) -> bytes:
        """Return the same headers as they are written."""
        text = ""
        for name, value in self.headers().items():
            text += name + ": " + value + "\r\n"
        return text.encode()

    def told(self) -> list[dict[str, Any]]:
        """Return what has been counted of each bound that holds."""
        limits, now_ms = self._limits, self._limits.now_ms()
        told = []
        if limits.weight.most:
            told.append(limits.weight.told(limits.weight.add(self._address, 0, now_ms)))
        return told if self._placer is None else limits.of_account(self._placer) + told


def _has_placed(refused: DialectRefusal) -> bool:
    return refused.data is not None and refused.data.get("newOrderResult") == "SUCCESS"
