"""One table of functions: what can be asked for, by path and by the socket API's names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cython

from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.values.accounts import Account


@cython.cclass
class Call:
    """A request that has been let in; `account` is None where everybody may ask.

    ``user_id`` is that of the account. ``too_many`` is why no order may be placed, if so, where the
    function decides what becomes of the rest of the request.
    """

    def __init__(
        self,
        params: Parameters,
        account: Account | None,
        now_ms: int,
        too_many: DialectRefusal | None = None,
    ) -> None:
        self.params = params
        self.account = account
        self.now_ms = now_ms
        self.too_many = too_many
        self.user_id = "" if account is None else account.user_id


Function = Callable[[Call], Awaitable[Any]]

Done = Callable[[Any], None]
"""Is given the answer to a request, once, or the DialectRefusal that it is."""

Begin = Callable[[Call, Done], None]
"""Begins to answer a request; raises a DialectRefusal if nothing has come of it."""


def awaited(begin: Begin) -> Function:
    """Return the function that waits for what `begin` begins."""

    async def function(call: Call) -> Any:
        future = asyncio.get_running_loop().create_future()
        begin(call, partial(settle, future))
        return await future

    return function


def settle(future: asyncio.Future[Any], answer: Any) -> None:
    """Give an answer, or a refusal, to whoever waits for it, if anybody still does."""
    if future.done():
        return
    if isinstance(answer, DialectRefusal):
        future.set_exception(answer)
    else:
        future.set_result(answer)


@dataclass(frozen=True)
class Offer:
    """A function of the dialect: its path, its name on the socket API ("": none), its weight.

    ``signed`` ones are for accounts alone; ``keyed`` ones want a key, but no signature.
    ``is_order`` marks those about orders that weigh nothing if they succeed, ``places`` those that
    place an order, which is counted; those that do ``more`` are called even if it is one too many.
    What is asked most ``begins`` at once, and needs nobody who waits.
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
    begins: Begin | None = None

    def weighs(self, params: Parameters) -> int:
        """Return what a request counts."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)
