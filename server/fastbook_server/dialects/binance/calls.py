"""One table of functions: what can be asked for, by path and by the socket API's names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
        user_id: str | None = None,
    ) -> None:
        self.params = params
        self.account = account
        self.now_ms = now_ms
        self.too_many = too_many
        if user_id is None:
            user_id = "" if account is None else account.user_id
        self.user_id = user_id


Function = Callable[[Call], Awaitable[Any]]
Weight = int | Callable[[Parameters], int]


@cython.cclass
class Caller:
    """Who has asked something, and waits for the answer."""

    def done(self, answer: Any) -> None:
        """Take the answer, once, or the DialectRefusal that it is."""
        raise NotImplementedError


@cython.cclass
class AwaitingCaller(Caller):
    """Somebody who awaits a future."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def done(self, answer: Any) -> None:
        """Give the answer to whoever waits for it, if anybody still does."""
        if self._future.done():
            return
        if isinstance(answer, DialectRefusal):
            self._future.set_exception(answer)
        else:
            self._future.set_result(answer)


Written = bytes
"""An answer that is JSON already."""

Begin = Callable[[Call, Caller], None]
"""Begins to answer a request; raises a DialectRefusal if nothing has come of it."""


def awaited(begin: Begin) -> Function:
    """Return the function that waits for what `begin` begins."""

    async def function(call: Call) -> Any:
        future = asyncio.get_running_loop().create_future()
        begin(call, AwaitingCaller(future))
        return await future

    return function


@cython.cclass
class Offer:
    """A function of the dialect: its path, its name on the socket API ("": none), its weight.

    ``signed`` ones are for accounts alone; ``keyed`` ones want a key, but no signature.
    ``is_order`` marks those about orders that weigh nothing if they succeed, ``places`` those that
    place an order, which is counted; those that do ``more`` are called even if it is one too many.
    What is asked most ``begins`` at once, and needs nobody who waits.
    """

    def __init__(
        self,
        method: str,
        path: str,
        name: str,
        weight: Weight,
        function: Function,
        *,
        signed: bool = False,
        keyed: bool = False,
        is_order: bool = False,
        places: bool = False,
        more: bool = False,
        begins: Begin | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.name = name
        self.weight = weight
        self.function = function
        self.signed = signed
        self.keyed = keyed
        self.is_order = is_order
        self.places = places
        self.more = more
        self.begins = begins

    def weighs(self, params: Parameters) -> int:
        """Return what a request counts."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)
