"""The terms of a new order, checked against its instrument's grids; and the refusal of a rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import cython
from msgspec.structs import astuple

from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_wire.commands import NewOrder
from fastbook_wire.grid import UNITS_MAX, Grid
from fastbook_wire.words import Code, ExecType, SelfTradeName, SideName, TimeInForceName

SLICES_MAX = 100
"""The most slices of an iceberg: each is a fill of its own, and one order may take them all."""

_PRICED = ("limit", "stopLimit", "takeProfitLimit")
_TRIGGERED = ("stop", "stopLimit", "takeProfit", "takeProfitLimit")
_BUDGET_MAX = 2**63 - 1  # ticks x lots; the book counts in 64 bits


class RuleBroken(Exception):
    """The command breaks a rule and has changed nothing; `code` says which."""

    def __init__(self, code: Code, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


@cython.freelist(8)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class Terms:
    """The terms of an order in ticks and lots; a retry must repeat them exactly.

    ``price`` is None for an order that matches at any price. With a ``budget``, in ticks x lots,
    ``quantity`` is 0: how much it pays for shows when the order matches.
    """

    side: SideName
    exec_type: ExecType
    price: int | None
    quantity: int
    time_in_force: TimeInForceName
    post_only: bool = False
    self_trade: SelfTradeName = "allow"
    trigger_price: int | None = None
    display: int = 0
    expire_ms: int | None = None
    budget: int | None = None

    def may_rest(self) -> bool:
        """Whether the order may stay open."""
        return self.time_in_force in ("gtc", "gtt") or self.trigger_price is not None


def terms_of(order: Order) -> Terms:
    """Return the terms with which an accepted order was placed."""
    quantity = order.quantity if order.placed_quantity is None else order.placed_quantity
    return Terms(
        order.side,
        order.exec_type,
        order.price if order.placed_price is None else order.placed_price,
        quantity if order.budget is None else 0,
        order.time_in_force,
        order.post_only,
        order.self_trade,
        order.trigger_price,
        order.display,
        order.expire_ms,
        order.budget,
    )


def checked(new: NewOrder, instrument: Instrument) -> Terms:
    """Return the terms of a new order after checking them.

    Raises:
        RuleBroken: a number is off its grid or out of range, or fields contradict each other.
    """
    # All fields at once: to look up each takes longer than to check it.
    side, kind, amount, total, price, trigger, shown, _, in_force, expires, post_only, _, mode = (
        astuple(new)
    )
    exec_type: ExecType = "market" if kind == "immediate" else kind
    is_plain = exec_type == "limit" and price is not None and amount is not None
    has_more = post_only or total is not None or trigger is not None or shown is not None
    if not is_plain or has_more or expires is not None:
        _check_fields(new, exec_type, price, trigger, amount)
    time_in_force = _time_in_force(in_force, exec_type, expires=expires is not None)
    quantity = display = 0
    budget = None
    if amount is None:
        budget = _budget(new, time_in_force, instrument)
    else:
        quantity = amount_of("amount", amount, instrument)
    if shown is not None:
        display = amount_of("display", shown, instrument)
        check_display(display, quantity, instrument)
    return Terms(
        side,
        exec_type,
        None if price is None else price_of("price", price, instrument),
        quantity,
        time_in_force,
        post_only,
        mode,
        None if trigger is None else price_of("triggerPrice", trigger, instrument),
        display,
        expires,
        budget,
    )


def amount_of(name: str, amount: float, instrument: Instrument) -> int:
    """Return an amount in lots; RuleBroken if it is off the grid or out of range."""
    quantity = instrument.amount.units(amount)
    if not quantity:
        message = _off_grid(name, amount, "lotSize", instrument.lot)
        raise RuleBroken(Code.INVALID_AMOUNT, message)
    return quantity


def check_display(display: int, quantity: int, instrument: Instrument) -> None:
    """Raise RuleBroken if an iceberg shows more than it has, or would have too many slices."""
    lot = instrument.lot.number
    least = -(-quantity // SLICES_MAX)
    if not least <= display <= quantity:
        raise RuleBroken(
            Code.INVALID_AMOUNT,
            f"display: expected {lot(least)!r} to {lot(quantity)!r} of amount "
            f"{lot(quantity)!r} (at most {SLICES_MAX} slices), got {lot(display)!r}",
        )


def price_of(name: str, price: float, instrument: Instrument) -> int:
    """Return a price in ticks; RuleBroken if it is off the grid or out of range."""
    ticks = instrument.price.units(price)
    if not ticks:
        raise RuleBroken(Code.INVALID_PRICE, _off_grid(name, price, "tickSize", instrument.tick))
    return ticks


def _time_in_force(
    given: TimeInForceName | None, exec_type: ExecType, *, expires: bool
) -> TimeInForceName:
    """Return what happens when the order enters the book; a stop order may expire before that."""
    if exec_type not in _PRICED:
        if given not in (None, "ioc", "fok"):
            raise RuleBroken(
                Code.INVALID_ORDER, f"timeInForce: a {exec_type} order is ioc or fok, got {given}"
            )
        return given or "ioc"
    if given is None:
        return "gtt" if expires else "gtc"
    if given == "gtt" and not expires:
        raise RuleBroken(Code.INVALID_ORDER, "expireTime: an order with timeInForce gtt needs one")
    if expires and given == "gtc":
        raise RuleBroken(Code.INVALID_ORDER, "expireTime: expected timeInForce gtt, got gtc")
    if expires and given != "gtt" and exec_type == "limit":
        raise RuleBroken(
            Code.INVALID_ORDER, f"expireTime: a limit order that is {given} never rests"
        )
    return given


def _check_fields(
    new: NewOrder,
    exec_type: ExecType,
    price: float | None,
    trigger: float | None,
    amount: float | None,
) -> None:
    """Raise RuleBroken if fields contradict the kind of order."""
    needs_price, needs_trigger = exec_type in _PRICED, exec_type in _TRIGGERED
    if needs_price and price is None:
        raise RuleBroken(Code.INVALID_PRICE, f"price: a {exec_type} order needs one")
    if not needs_price and price is not None:
        raise RuleBroken(Code.INVALID_ORDER, f"price: a {exec_type} order takes none")
    if needs_trigger and trigger is None:
        raise RuleBroken(Code.INVALID_PRICE, f"triggerPrice: a {exec_type} order needs one")
    if not needs_trigger and trigger is not None:
        raise RuleBroken(Code.INVALID_ORDER, f"triggerPrice: a {exec_type} order takes none")
    total = new.total
    if amount is None and total is None:
        or_total = ", or a total" if exec_type == "market" else ""
        raise RuleBroken(Code.INVALID_AMOUNT, f"amount: a {exec_type} order needs one{or_total}")
    if new.expire_time is not None and exec_type == "market":
        raise RuleBroken(Code.INVALID_ORDER, "expireTime: a market order never rests")
    if total is not None and amount is not None:
        raise RuleBroken(Code.INVALID_ORDER, "total: expected instead of amount, got both")
    if total is not None and exec_type != "market":
        raise RuleBroken(Code.INVALID_ORDER, f"total: a {exec_type} order takes an amount")
    if new.post_only:
        _check_rests("postOnly", new, exec_type)
    if new.display is not None:
        _check_rests("display", new, exec_type)


def _check_rests(name: str, new: NewOrder, exec_type: ExecType) -> None:
    """Raise RuleBroken if an order never rests, and so cannot have the field `name`."""
    if exec_type not in _PRICED:
        raise RuleBroken(Code.INVALID_ORDER, f"{name}: a {exec_type} order never rests")
    if new.time_in_force not in (None, "gtc", "gtt"):
        raise RuleBroken(
            Code.INVALID_ORDER,
            f"{name}: expected timeInForce gtc or gtt, got {new.time_in_force}",
        )


def _budget(new: NewOrder, time_in_force: TimeInForceName, instrument: Instrument) -> int:
    """Return a total in whole ticks x lots, rounded down from the decimal that it shows."""
    assert new.total is not None, "asked for"
    if time_in_force == "fok":
        raise RuleBroken(Code.INVALID_ORDER, "timeInForce: an order by total is always ioc")
    if not new.total > 0:
        raise RuleBroken(Code.INVALID_AMOUNT, f"total {new.total!r} is not positive")
    most = _total_max(instrument)
    if new.total > most:
        message = f"total {new.total!r} is more than the largest, {most!r}"
        raise RuleBroken(Code.INVALID_AMOUNT, message)
    budget = _ticks_times_lots(new.total, instrument)
    if not budget:
        message = f"total {new.total!r} does not pay for a lot at any price"
        raise RuleBroken(Code.INVALID_AMOUNT, message)
    return budget


def _total_max(instrument: Instrument) -> float:
    """Return the largest total that the book can count."""
    tick, lot = instrument.tick, instrument.lot
    up, down = tick.numerator * lot.numerator, tick.denominator * lot.denominator
    most = _BUDGET_MAX * up / down
    while _ticks_times_lots(most, instrument) > _BUDGET_MAX:  # the double nearest to it is above
        most = math.nextafter(most, 0.0)
    return most


def _ticks_times_lots(total: float, instrument: Instrument) -> int:
    tick, lot = instrument.tick, instrument.lot
    up, down = tick.numerator * lot.numerator, tick.denominator * lot.denominator
    numerator, denominator = Decimal(repr(float(total))).as_integer_ratio()
    return numerator * down // (denominator * up)


def _off_grid(name: str, value: float, step_name: str, grid: Grid) -> str:
    if value <= 0:
        return f"{name} {value!r} is not positive"
    if value > grid.number(UNITS_MAX):
        return f"{name} {value!r} is more than the largest, {grid.number(UNITS_MAX)!r}"
    return f"{name} {value!r} is not a multiple of {step_name} {grid.step}"
