"""The terms of a new order, checked against its instrument's grids; and the refusal of a rule."""

from __future__ import annotations

import msgspec

from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_wire.commands import NewOrder
from fastbook_wire.grid import UNITS_MAX, Grid
from fastbook_wire.words import Code, SelfTradeName, SideName, TimeInForceName


class RuleBroken(Exception):
    """The command breaks a rule and has changed nothing; `code` says which."""

    def __init__(self, code: Code, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The terms of an order in ticks and lots; a retry must repeat them exactly.

    ``price`` is None for a market order.
    """

    side: SideName
    price: int | None
    quantity: int
    time_in_force: TimeInForceName
    post_only: bool
    self_trade: SelfTradeName

    @classmethod
    def of(cls, order: Order) -> Terms:
        """Return the terms of an accepted order."""
        return cls(
            order.side,
            order.price,
            order.quantity,
            order.time_in_force,
            order.post_only,
            order.self_trade,
        )

    @classmethod
    def check(cls, new: NewOrder, instrument: Instrument) -> Terms:
        """Return the terms of a new order after checking them.

        Raises:
            RuleBroken: a number is off its grid or out of range, or fields contradict each other.
        """
        quantity = instrument.lot.units(new.amount)
        if quantity is None:
            raise RuleBroken(
                Code.INVALID_AMOUNT, _off_grid("amount", new.amount, "lotSize", instrument.lot)
            )
        if new.exec_type == "limit":
            price, time_in_force = _limit_price(new, instrument), new.time_in_force or "gtc"
            if new.post_only and time_in_force != "gtc":
                raise RuleBroken(
                    Code.INVALID_ORDER, f"postOnly: expected timeInForce gtc, got {time_in_force}"
                )
            return cls(new.type, price, quantity, time_in_force, new.post_only, new.self_trade)
        if new.price is not None:
            raise RuleBroken(Code.INVALID_ORDER, "price: a market order takes none")
        if new.time_in_force not in (None, "ioc"):
            raise RuleBroken(Code.INVALID_ORDER, "timeInForce: a market order is always ioc")
        if new.post_only:
            raise RuleBroken(Code.INVALID_ORDER, "postOnly: a market order never rests")
        return cls(new.type, None, quantity, "ioc", False, new.self_trade)


def _limit_price(new: NewOrder, instrument: Instrument) -> int:
    if new.price is None:
        raise RuleBroken(Code.INVALID_PRICE, "price: a limit order needs one")
    price = instrument.tick.units(new.price)
    if price is None:
        raise RuleBroken(
            Code.INVALID_PRICE, _off_grid("price", new.price, "tickSize", instrument.tick)
        )
    return price


def _off_grid(name: str, value: float, step_name: str, grid: Grid) -> str:
    if value <= 0:
        return f"{name} {value!r} is not positive"
    if value > grid.number(UNITS_MAX):
        return f"{name} {value!r} is more than the largest, {grid.number(UNITS_MAX)!r}"
    return f"{name} {value!r} is not a multiple of {step_name} {grid.step}"
