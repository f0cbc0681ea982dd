"""A random flow of commands of every kind, which names orders by the ids that it gave them."""

from __future__ import annotations

import itertools
import random
from typing import Any

from trading import amend, ask, bid, by_total, delete, delete_all, market, stop

from fastbook_wire.commands import ExchangeCommand

MIDDLE, SPREAD = 100, 8
SELF_TRADES = ("allow", "cancelNewest", "cancelOldest", "cancelBoth", "decrement")
WEIGHTS = {
    "limit": 40,
    "iceberg": 12,
    "till_time": 6,
    "at_once": 8,
    "market": 8,
    "by_total": 6,
    "stop": 10,
    "amend": 25,
    "delete": 10,
    "delete_all": 1,
}


class EveryKind:
    """Commands of some users in COIN around one price; ``counts`` tells how many of each kind.

    `even`: as many of each kind, else many limit orders. Times are as of
    ``now_ms``, which the caller moves. The same `seed` gives the same commands.
    """

    def __init__(self, seed: int, users: int = 4, *, even: bool = False) -> None:
        self.now_ms = 0
        self.counts = dict.fromkeys(WEIGHTS, 0)
        self._random = random.Random(seed)
        self._users = [f"u{n}" for n in range(users)]
        self._names: dict[str, list[str]] = {user: [] for user in self._users}
        self._numbers = itertools.count(1)
        self._choose = tuple(WEIGHTS), tuple(WEIGHTS.values())
        self._even = even
        self._deck: list[str] = []

    def next(self) -> tuple[str, ExchangeCommand]:
        """Return the next user and command."""
        user = self._random.choice(self._users)
        return user, self.next_of(user)

    def next_of(self, user: str) -> ExchangeCommand:
        """Return the next command, as one of this user."""
        kind = self._kind()
        self.counts[kind] += 1
        command: ExchangeCommand = getattr(self, f"_{kind}")(user)
        return command

    def _kind(self) -> str:
        if not self._even:
            return self._random.choices(*self._choose)[0]
        if not self._deck:
            self._deck = list(WEIGHTS)
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def _given(self, user: str) -> dict[str, Any]:
        name = f"n{next(self._numbers)}"
        self._names[user].append(name)
        del self._names[user][:-40]
        return {"client_order_id": name, "self_trade": self._random.choice(SELF_TRADES)}

    def _price(self) -> int:
        return MIDDLE + self._random.randint(-SPREAD, SPREAD)

    def _amount(self) -> int:
        return self._random.randint(1, 20)

    def _limit(self, user: str, **terms: Any) -> ExchangeCommand:
        make = self._random.choice((bid, ask))
        lean = self._random.randint(0, SPREAD) * (-1 if make is bid else 1)
        return make(
            MIDDLE + lean, terms.pop("amount", self._amount()), **self._given(user), **terms
        )

    def _iceberg(self, user: str) -> ExchangeCommand:
        return self._limit(
            user, amount=self._random.randint(5, 30), display=self._random.randint(1, 5)
        )

    def _till_time(self, user: str) -> ExchangeCommand:
        return self._limit(user, expire_time=self.now_ms + self._random.randint(1, 50))

    def _at_once(self, user: str) -> ExchangeCommand:
        terms = self._random.choice(({"time_in_force": "ioc"}, {"time_in_force": "fok"}))
        terms = self._random.choice((terms, {"post_only": True}))
        make = self._random.choice((bid, ask))
        return make(self._price(), self._amount(), **self._given(user), **terms)

    def _side(self) -> str:
        return self._random.choice(("bid", "ask"))

    def _market(self, user: str) -> ExchangeCommand:
        tif = self._random.choice((None, "fok"))
        return market(self._side(), self._amount(), time_in_force=tif, **self._given(user))

    def _by_total(self, user: str) -> ExchangeCommand:
        return by_total(self._side(), self._random.randint(50, 3_000), **self._given(user))

    def _stop(self, user: str) -> ExchangeCommand:
        price = self._random.choice(({}, {"price": float(self._price())}))
        takes = self._random.random() < 0.3
        terms = self._given(user) | price
        return stop(self._side(), self._price(), self._amount(), takes_profit=takes, **terms)

    def _some(self, user: str) -> str:
        return self._random.choice(self._names[user] or ["none"])

    def _amend(self, user: str) -> ExchangeCommand:
        fields: dict[str, Any] = {}
        while not fields:
            if self._random.random() < 0.5:
                fields["price"] = float(self._price())
            if self._random.random() < 0.6:
                fields["amount"] = float(self._amount())
            if self._random.random() < 0.2:
                fields["new_client_order_id"] = f"m{next(self._numbers)}"
        old = self._some(user)
        if "new_client_order_id" in fields:
            self._names[user].append(fields["new_client_order_id"])
        return amend(client_order_id=old, **fields)

    def _delete(self, user: str) -> ExchangeCommand:
        return delete(client_order_id=self._some(user))

    def _delete_all(self, _user: str) -> ExchangeCommand:
        return delete_all(type=self._side())
