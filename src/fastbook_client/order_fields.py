"""Checks the fields of a new order or of a change, as a program gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fastbook_client import arguments
from fastbook_client.arguments import AnySide
from fastbook_wire.commands import NewOrder
from fastbook_wire.words import ExecType, SelfTradeName, TimeInForceName

_NUMBERS = ("price", "trigger_price", "amount", "total", "display")
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_NUMBERS, arguments.number),
    **dict.fromkeys(("security", "client_order_id", "new_client_order_id"), arguments.text),
    "expire_time": partial(arguments.integer, least=0),
    "post_only": arguments.flag,
    "time_in_force": partial(arguments.word, words=TimeInForceName),
    "self_trade": partial(arguments.word, words=SelfTradeName),
}


def new_order(
    exec_type: ExecType, side: AnySide, given: Mapping[str, Any], **required: Any
) -> NewOrder:
    """Return an order; what is None in `given` keeps its default.

    Raises:
        TypeError, ValueError: a field has a wrong type, or a value that it cannot have.
    """
    side_name = arguments.side_of(side)
    needed = {name: _CHECKS[name](name, value) for name, value in required.items()}
    return NewOrder(type=side_name, exec_type=exec_type, **needed, **optional(**given))


def optional(**given: Any) -> dict[str, Any]:
    """Return those fields that are not None, checked; raises what `new_order` raises."""
    return {n: _CHECKS[n](n, value) for n, value in given.items() if value is not None}
