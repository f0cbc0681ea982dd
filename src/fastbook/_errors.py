"""The exceptions of scalar calls, worded once for both books: first expected, then got."""

from __future__ import annotations

from fastbook._types import (
    REJECT_DUPLICATE_ORDER,
    REJECT_INVALID_DISPLAY,
    REJECT_INVALID_ORDER,
    REJECT_INVALID_PRICE,
    REJECT_INVALID_QUANTITY,
    REJECT_OVERFLOW,
    REJECT_UNKNOWN_ORDER,
    SelfTrade,
    Side,
    TimeInForce,
)

INT64_MAX = 2**63 - 1
OWNER_MAX = 2**32 - 1


def expected(name: str, words: str, value: object) -> ValueError:
    """Return the error for an argument whose value is out of range."""
    return ValueError(f"{name}: expected {words}, got {value}")


def expected_int(name: str, value: object) -> TypeError:
    """Return the error for an argument that is not an integer."""
    return TypeError(f"{name}: expected an int, got {type(value).__name__}")


def expected_side(value: int) -> ValueError:
    """Return the error for an invalid side."""
    return expected("side", f"{Side.BID:d} (bid) or {Side.ASK:d} (ask)", value)


def expected_time_in_force(value: int) -> ValueError:
    """Return the error for an invalid time in force."""
    words = ", ".join(f"{member:d} ({member.name.lower()})" for member in TimeInForce)
    return expected("tif", f"one of {words}", value)


def expected_self_trade(value: int) -> ValueError:
    """Return the error for an invalid self-trade mode."""
    words = ", ".join(f"{member:d} ({member.name.lower()})" for member in SelfTrade)
    return expected("self_trade", f"one of {words}", value)


def expect_display(display: int, quantity: int, tif: int) -> None:
    """Raise ValueError unless a limit order may have this display."""
    if not 0 < display <= quantity:
        raise expected("display", "0 (everything) or 1 .. quantity", display)
    if tif != TimeInForce.GTC:
        raise expected("tif", "0 (gtc), because a display is given", tif)


def expect_slice(visible: int, display: int, quantity: int) -> None:
    """Raise ValueError unless an order that rests may show this slice; 0: as much as it may."""
    if display < 0:
        raise expected("display", "0 (everything) or a positive integer below 2**63", display)
    if visible and not 0 < visible <= min(display, quantity):
        raise expected("visible", "0 or 1 .. display and quantity", visible)


def crossing(price: int) -> ValueError:
    """Return the error for an order that should only rest."""
    return expected("price", "one that does not cross the book", price)


def expect_budget(budget: int, quantity: int, tif: int) -> None:
    """Raise ValueError unless a market order may have this budget."""
    if budget < 0:
        raise expected("budget", "0 (none) or a positive integer below 2**63", budget)
    if quantity:
        raise expected("quantity", "0, because a budget is given", quantity)
    if tif == TimeInForce.FOK:
        raise expected("tif", "0 (gtc) or 1 (ioc), because a budget is given", tif)


def refusal(
    reason: int,
    order_id: int,
    price: int,
    quantity: int,
    new_order_id: int | None,
    level_quantity_max: int,
) -> ValueError | KeyError:
    """Return the error for a refused command; only a replace has a `new_order_id`.

    REJECT_INVALID_ORDER can only concern the id of the incoming order: the scalar calls have
    already checked side, time in force and self-trade mode, and named the argument at fault.
    """
    positive = "a positive integer below 2**63"
    incoming_name, incoming = "order_id", order_id
    if new_order_id is not None:
        incoming_name, incoming = "new_order_id", new_order_id
    if reason == REJECT_UNKNOWN_ORDER:
        return KeyError(order_id)
    if reason == REJECT_DUPLICATE_ORDER:
        return expected(incoming_name, "an id that is not resting", incoming)
    if reason == REJECT_INVALID_PRICE:
        return expected("price", positive, price)
    if reason == REJECT_INVALID_QUANTITY:
        return expected("quantity", positive, quantity)
    if reason == REJECT_OVERFLOW:
        words = f"{_total(level_quantity_max)} at price {price}"
        return expected("quantity", words, quantity)
    return expected(incoming_name, positive, incoming)


def _total(level_quantity_max: int) -> str:
    bound = "2**63 - 1" if level_quantity_max == INT64_MAX else level_quantity_max
    return f"a total of at most {bound}"


def busy(unfinished: bool) -> RuntimeError:
    """Return the error of a call while another one is not at its end."""
    if unfinished:
        return RuntimeError("OrderBook: the last call is unfinished: expected go_on()")
    return RuntimeError(
        "OrderBook: another thread is in process() on this book, which serves one thread at a time"
    )


def expect_records(name: str, length: int, item_length: int, record_length: int) -> None:
    """Raise ValueError unless a buffer holds whole records."""
    if length % record_length or item_length not in (1, record_length):
        raise ValueError(
            f"{name}: expected records of {record_length} bytes, "
            f"got {length} bytes in items of {item_length}"
        )


def expect_orders(dtype: object) -> None:
    """Raise TypeError unless an array has ORDER_DTYPE."""
    from fastbook._dtypes import ORDER_DTYPE

    if dtype != ORDER_DTYPE:
        raise TypeError(f"orders: expected an array of ORDER_DTYPE, got one of {dtype}")


def bad_order(reason: int, at: int, level_quantity_max: int) -> ValueError:
    """Return the error for record number `at`, which cannot be a resting order."""
    words = {
        REJECT_INVALID_ORDER: "a positive order_id, and side 0 (bid) or 1 (ask)",
        REJECT_INVALID_PRICE: "a positive price",
        REJECT_INVALID_QUANTITY: "a positive quantity",
        REJECT_DUPLICATE_ORDER: "each order_id only once",
        REJECT_INVALID_DISPLAY: "nothing hidden without a display, or 1 .. display lots visible",
        REJECT_OVERFLOW: f"{_total(level_quantity_max)} at a price",
    }
    return ValueError(f"orders: expected {words[reason]}; see record {at}")
