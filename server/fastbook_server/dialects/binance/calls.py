"""One table of functions: what can be asked for, by path and by the socket API's names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.values.accounts import Account


@dataclass(frozen=True)
class Call:
    """A request that has been let in; `account` is None where everybody may ask.

    ``too_many`` is why no order may be placed, if so, where the function decides what becomes of
    the rest of the request.
    """

    params: Parameters
    account: Account | None
    now_ms: int
    too_many: DialectRefusal | None = None

    @property
    def user_id(self) -> str:
        """The user who asks."""
        assert self.account is not None, "only who has signed is let in"
        return self.account.user_id


Function = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Offer:
    """A function of the dialect: its path, its name on the socket API ("": none), its weight.

    ``signed`` ones are for accounts alone; ``keyed`` ones want a key, but no signature.
    ``is_order`` marks those about orders that weigh nothing if they succeed, ``places`` those that
    place an order, which is counted; those that do ``more`` are called even if it is one too many.
    """

    method: str
    path: str
    name: str
    weight: int | Callable[[Parameters], int]
    function: Function
    signed: bool = False
    keyed: bool = False
    is_order: bool = False
    places: bool = False
    more: bool = False

    def weighs(self, params: Parameters) -> int:
        """Return what a request counts."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)
