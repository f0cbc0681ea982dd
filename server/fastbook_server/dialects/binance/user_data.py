"""The events of accounts: what happens to their orders, and what they have afterwards.

A client subscribes on the socket API, or listens to the stream named by its listen key.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cython

from fastbook_server.dialects.binance.account_keys import AccountKeys, listen_key
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.order_answers import (
    order_type,
    self_trade_mode,
    time_in_force,
)
from fastbook_server.dialects.binance.orders import AccountOrder, OrderUpdate
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.dialects.binance.topics import Make, Topics

LISTEN_KEY_MS = 3_600_000
"""A listen key ends so long after it was last asked for or kept alive."""
_LISTEN_KEY_BYTES = 32

Hear = Callable[[Make], None]
"""Takes an event of the account that somebody has subscribed to."""


@dataclass
class _ListenKey:
    user_id: str
    until_ms: int


@cython.cclass
class UserData:
    """Who hears of which account. All events of a batch leave in the order in which it happened.

    With `shared` keys there are several gateways, and a listen key that one of them gives is good
    at all: it follows from the account's secret, and does not end by itself.
    """

    def __init__(
        self, topics: Topics, now_ms: Callable[[], int], shared: AccountKeys | None = None
    ) -> None:
        self._topics = topics
        self._now_ms = now_ms
        self._shared = shared
        self._hearing: dict[str, dict[Hear, None]] = {}
        self._keys: dict[str, _ListenKey] = {}
        self._key_of: dict[str, str] = {}  # by user
        self._ended: set[str] = set()  # of shared ones, by their accounts, here
        # Unique over all starts, as long as nothing happens a thousand times a millisecond.
        self._executions = itertools.count(now_ms() * 1_000)

    def entries(self) -> list[Offer]:
        """Return the functions of listen keys, which the venue itself has given up."""
        path, name = "userDataStream", "userDataStream"
        return [
            Offer("POST", path, f"{name}.start", 2, self.start_key, keyed=True),
            Offer("PUT", path, f"{name}.ping", 2, self.keep_key, keyed=True),
            Offer("DELETE", path, f"{name}.stop", 2, self.end_key, keyed=True),
        ]

    # ---- who hears ----------------------------------------------------------------------------

    def hear(self, user_id: str, hear: Hear) -> None:
        """Give every event of an account to `hear` from now on."""
        self._hearing.setdefault(user_id, {})[hear] = None

    def forget(self, user_id: str, hear: Hear) -> None:
        """Give no more events to `hear`."""
        hearing = self._hearing.get(user_id, {})
        hearing.pop(hear, None)
        if not hearing:
            self._hearing.pop(user_id, None)

    def is_listen_key(self, name: str) -> bool:
        """Return whether a stream of this name is an account's."""
        return self._alive(name) is not None

    def _alive(self, key: str) -> _ListenKey | None:
        known = self._keys.get(key)
        if self._shared is not None:
            user_id = self._shared.by_listen_key.get(key)
            if known is None and user_id is not None and key not in self._ended:
                known = self._begin(key, user_id)
            if known is None or user_id is not None:
                return known
        elif known is None or known.until_ms > self._now_ms():
            return known
        self._drop(key, known)
        self._topics.tell(key, self._expired(key))
        return None

    def _begin(self, key: str, user_id: str) -> _ListenKey:
        known = self._keys[key] = _ListenKey(user_id, 0)
        self._key_of[user_id] = key
        return known

    def _drop(self, key: str, known: _ListenKey) -> None:
        del self._keys[key]
        del self._key_of[known.user_id]

    def _expired(self, key: str) -> Make:
        now_ms = self._now_ms()
        return lambda scale: {"e": "listenKeyExpired", "E": now_ms * scale, "listenKey": key}

    async def start_key(self, call: Call) -> dict[str, Any]:
        """Return the listen key of an account, a new one or the one that it has."""
        key = self._key_of.get(call.user_id)
        known = None if key is None else self._alive(key)
        if key is None or known is None:
            key = self._new_key(call)
            self._ended.discard(key)
            known = self._begin(key, call.user_id)
        known.until_ms = self._now_ms() + LISTEN_KEY_MS
        return {"listenKey": key}

    def _new_key(self, call: Call) -> str:
        assert call.account is not None, "only who has a key is let in"
        if self._shared is not None:
            return listen_key(call.account)
        return secrets.token_hex(_LISTEN_KEY_BYTES)

    async def keep_key(self, call: Call) -> dict[str, Any]:
        """Keep a listen key alive."""
        self._own(call).until_ms = self._now_ms() + LISTEN_KEY_MS
        return {}

    async def end_key(self, call: Call) -> dict[str, Any]:
        """End a listen key."""
        key = call.params.text("listenKey")
        self._drop(key, self._own(call))
        if self._shared is not None:
            self._ended.add(key)
        return {}

    def _own(self, call: Call) -> _ListenKey:
        known = self._alive(call.params.text("listenKey"))
        if known is None or known.user_id != call.user_id:
            raise DialectRefusal(-1125, "This listenKey does not exist.")
        return known

    # ---- what is told -------------------------------------------------------------------------

    def on_batch(
        self,
        updates: Iterable[OrderUpdate],
        changes: Mapping[str, Sequence[Mapping[str, str]]],
    ) -> None:
        """Tell what has happened to orders, then what each account has of the changed assets."""
        now_ms = self._now_ms()
        for update in updates:
            number = next(self._executions)
            self._tell(update.order.order.user_id, execution_report(update, number, now_ms))
        for user_id, assets in changes.items():
            self._tell(user_id, _position(assets, now_ms))

    def is_heard(self, user_id: str) -> bool:
        """Return whether anybody is told of an account."""
        return user_id in self._hearing or user_id in self._key_of

    def _tell(self, user_id: str, make: Make) -> None:
        for hear in tuple(self._hearing.get(user_id, ())):
            hear(make)
        key = self._key_of.get(user_id)
        if key is not None and self._alive(key) is not None:
            self._topics.tell(key, make)


def _position(assets: Sequence[Mapping[str, str]], now_ms: int) -> Make:
    return lambda scale: {
        "e": "outboundAccountPosition",
        "E": now_ms * scale,
        "u": now_ms * scale,
        "B": assets,
    }


def execution_report(update: OrderUpdate, number: int, now_ms: int) -> Make:
    """Return the event of an update; `number` is unique."""
    known = update.order
    order, symbol, fill = known.order, known.symbol, update.fill
    cancel = update.kind == "CANCELED"
    report = {
        "e": "executionReport",
        "s": symbol.name,
        "c": (update.cancel_id or known.client_order_id) if cancel else known.client_order_id,
        "S": "BUY" if order.side == "bid" else "SELL",
        "o": order_type(order),
        "f": time_in_force(order),
        "q": symbol.quantity(order.quantity),
        "p": symbol.price(order.price),
        "P": symbol.price(order.trigger_price),
        "F": symbol.quantity(order.display),
        "g": -1,
        "C": known.client_order_id if cancel else (update.former_id or ""),
        "x": update.kind,
        "X": update.status,
        "r": "NONE",
        "i": known.order_id,
        "l": symbol.quantity(0 if fill is None else fill.quantity),
        "z": symbol.quantity(update.filled),
        "L": symbol.price(0 if fill is None else fill.price),
        "n": "0.00000000",
        "N": None if fill is None else _received(known),
        "t": -1 if fill is None else fill.fill_id,
        "I": number,
        "w": update.status in ("NEW", "PARTIALLY_FILLED") and known.is_working,
        "m": fill is not None and fill.is_maker,
        "M": fill is not None,
        "Z": symbol.notional(update.notional),
        "Y": symbol.notional(0 if fill is None else fill.price * fill.quantity),
        "Q": symbol.notional(order.budget or 0),
        "V": self_trade_mode(order),
    }
    if update.kind == "EXPIRED" and known.expiry_reason is not None:
        report["eR"] = known.expiry_reason
    if update.kind == "TRADE_PREVENTION":
        report["A"] = report["B"] = symbol.quantity(known.prevented)
        match = known.prevented_match
        if match is not None:
            report |= {"v": match.id, "u": 1, "Cs": symbol.name, "U": match.other(known).order_id}
    times = {"E": now_ms, "T": update.time_ms, "O": order.time_ms}
    if known.is_working:
        times["W"] = order.time_ms
    return lambda scale: report | {name: time_ms * scale for name, time_ms in times.items()}


def _received(known: AccountOrder) -> str:
    return known.symbol.base if known.order.side == "bid" else known.symbol.quote
