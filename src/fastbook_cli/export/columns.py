"""The columns of each table that can be exported, with their SQL expressions.

A row of the table is x, its instrument is i. A name means the same column in every table.
"""

from __future__ import annotations

from typing import Literal

Table = Literal[
    "orders", "order_changes", "cancellations", "open_orders", "trades", "fills", "candles",
    "instruments", "events",
]  # fmt: skip
Kind = Literal["text", "given", "bool", "int", "float", "big", "time"]
"""``big``: an integer that may need more than 64 bits. ``time``: Unix milliseconds. ``given``: text
that users or operators have chosen."""

Fields = tuple[tuple[str, Kind, str], ...]

_KINDS: dict[Kind, str] = {
    "given": "security client_order_id client_order_id_before",
    "text": "user_id maker_user_id taker_user_id event tick lot",
    "bool": "rested waits post_only withdraw_on_close",
    "int": "seq n fill_id trades",
    "time": "time expire_time",
}
_AS_TEXT = "id order_id maker_order_id taker_order_id type exec_type time_in_force self_trade"
_AS_TEXT += " cause reason"
_COLUMNS: dict[str, tuple[str, Kind, str]] = {
    name: (name, kind, f"x.{name}") for kind, names in _KINDS.items() for name in names.split()
}
_COLUMNS |= {name: (name, "text", f"x.{name}::text") for name in _AS_TEXT.split()}
_COLUMNS["waits"] = ("waits", "bool", "x.held")


def _named(names: str) -> Fields:
    return tuple(_COLUMNS[name] for name in names.split())


def _double(name: str, expression: str) -> tuple[str, Kind, str]:
    return name, "float", f"({expression})::double precision"


def _price(name: str = "price", ticks: str = "price_ticks") -> tuple[str, Kind, str]:
    return _double(name, f"x.{ticks} * i.tick_size")


def _amount(name: str = "amount", lots: str = "quantity_lots") -> tuple[str, Kind, str]:
    return _double(name, f"x.{lots} * i.lot_size")


def _as_stored(kind: Kind, names: str) -> Fields:
    return tuple((name, kind, f"x.{name}") for name in names.split())


def _units(name: str, column: str, step: str) -> tuple[str, Kind, str]:
    """Return the number of steps that a column in the wire's numbers is."""
    return name, "int", f"units(x.{column}, i.{step})"


_TERMS = "time_in_force post_only self_trade"
_BUDGET = _double("total", "x.budget * i.tick_size * i.lot_size")

# The columns that both forms share: those before the numbers, and those after them.
TEXT: dict[Table, tuple[Fields, Fields]] = {
    "cancellations": (
        _named("security seq n time order_id user_id type"),
        _named("reason rested"),
    ),
    "open_orders": (
        _named("id time user_id security type exec_type"),
        _named(f"seq waits {_TERMS} client_order_id withdraw_on_close expire_time"),
    ),
    "instruments": (_named("security tick lot"), ()),
    "events": (
        _named("security seq n time event order_id user_id type exec_type"),
        _named(f"{_TERMS} expire_time client_order_id maker_order_id maker_user_id fill_id reason"),
    ),
    "orders": (
        _named("id time user_id security type exec_type"),
        _named(f"seq {_TERMS} client_order_id withdraw_on_close expire_time"),
    ),
    "order_changes": (
        _named("security seq n time order_id user_id type cause"),
        _named("client_order_id_before client_order_id"),
    ),
    "trades": (_named("id time user_id security type"), _named("order_id seq")),
    "fills": (
        _named("security seq n time type"),
        _named("maker_order_id maker_user_id taker_order_id taker_user_id fill_id"),
    ),
    "candles": (_named("security time"), _named("trades")),
}

PRICES = ("open", "high", "low", "close")

NUMBERS: dict[Table, Fields] = {
    "cancellations": (_price(), _amount()),
    "open_orders": (
        _price(),
        _amount(),
        _amount("remaining", "remaining_lots"),
        _price("trigger_price", "trigger_ticks"),
        _amount("display", "display_lots"),
    ),
    "instruments": (),
    "events": (
        ("price", "float", f"coalesce(x.price, {_price()[2]})"),
        ("amount", "float", f"coalesce(x.amount, {_amount()[2]})"),
        _BUDGET,
        *_as_stored("float", "trigger_price display"),
    ),
    "orders": (*_as_stored("float", "price amount trigger_price display"), _BUDGET),
    "order_changes": (
        _price("price_before", "price_ticks_before"),
        _amount("amount_before", "quantity_lots_before"),
        _price(),
        _amount(),
    ),
    "trades": (
        ("price", "float", "x.avg_price"),
        ("amount", "float", "x.amount"),
        _double("total", "f.notional * i.tick_size * i.lot_size"),
    ),
    "fills": (
        _price(),
        _amount(),
        _double("total", "x.price_ticks * x.quantity_lots::numeric * i.tick_size * i.lot_size"),
    ),
    "candles": (
        *(_price(name, f"{name}_ticks") for name in PRICES),
        _amount("volume", "volume_lots"),
    ),
}

_TRIGGER_TICKS = _units("trigger_ticks", "trigger_price", "tick_size")
_DISPLAY_LOTS = _units("display_lots", "display", "lot_size")
_PRICE_TICKS = _units("price_ticks", "price", "tick_size")
_QUANTITY_LOTS = _units("quantity_lots", "amount", "lot_size")

INTEGERS: dict[Table, Fields] = {
    "cancellations": _as_stored("int", "price_ticks quantity_lots"),
    "open_orders": _as_stored(
        "int", "price_ticks quantity_lots remaining_lots trigger_ticks display_lots"
    ),
    "instruments": (),
    "events": (
        ("price_ticks", "int", f"coalesce(x.price_ticks, {_PRICE_TICKS[2]})"),
        ("quantity_lots", "int", f"coalesce(x.quantity_lots, {_QUANTITY_LOTS[2]})"),
        *_as_stored("int", "budget"),
        _TRIGGER_TICKS,
        _DISPLAY_LOTS,
    ),
    "orders": (
        _PRICE_TICKS,
        _QUANTITY_LOTS,
        _TRIGGER_TICKS,
        _DISPLAY_LOTS,
        *_as_stored("int", "budget"),
    ),
    "order_changes": _as_stored(
        "int", "price_ticks_before quantity_lots_before price_ticks quantity_lots"
    ),
    "trades": (_QUANTITY_LOTS, ("notional", "big", "f.notional")),
    "fills": _as_stored("int", "price_ticks quantity_lots"),
    "candles": (
        *_as_stored("int", " ".join(f"{name}_ticks" for name in PRICES)),
        *_as_stored("big", "volume_lots"),
    ),
}
