"""The tables that can be exported: their columns, and the SELECT that returns them in order.

Prices and amounts are the numbers of the wire, or integers of ticks and lots.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from fastbook_wire.words import Interval

Table = Literal["orders", "order_changes", "trades", "fills", "candles"]
Kind = Literal["text", "bool", "int", "float", "big"]
"""``big``: an integer that may need more than 64 bits."""

TABLES: tuple[Table, ...] = get_args(Table)


class Column(msgspec.Struct, frozen=True):
    """One column: its name in the file, its kind, and its SQL expression."""

    name: str
    kind: Kind
    sql: str


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The rows to export: a table, some securities (none: all), a period."""

    table: Table
    securities: tuple[str, ...] = ()
    start_ms: int | None = None
    end_ms: int | None = None
    interval: Interval = "1m"
    integers: bool = False


def columns(selection: Selection) -> tuple[Column, ...]:
    """Return the columns of a selection, in the order of the file."""
    numbers, integers, text = NUMBERS, INTEGERS, TEXT
    found = integers if selection.integers else numbers
    return tuple(
        Column(name, kind, sql)
        for name, kind, sql in (*text[selection.table][0], *found[selection.table],
                                *text[selection.table][1])
    )  # fmt: skip


def query(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT of a selection, which needs no sort, and its arguments."""
    listed = ", ".join(f"{column.sql} AS {column.name}" for column in columns(selection))
    source, arguments = _source(selection)
    order = ORDER[selection.table]
    return f"SELECT {listed} {source} ORDER BY {order}", arguments


def count(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT that counts the rows of a selection, and its arguments."""
    source, arguments = _source(selection)
    return f"SELECT count(*) {source}", arguments


def _source(selection: Selection) -> tuple[str, list[Any]]:
    relation: str = selection.table
    if selection.table == "candles":
        relation = f"candles_{selection.interval}"
    wanted, arguments = ["true"], []
    for condition, value in (
        ("x.security = ANY(${}::text[])", list(selection.securities) or None),
        ("x.time >= ${}::bigint", selection.start_ms),
        ("x.time < ${}::bigint", selection.end_ms),
    ):
        if value is not None:
            arguments.append(value)
            wanted.append(condition.format(len(arguments)))
    return (
        f"FROM {relation} AS x JOIN instruments AS i USING (security) WHERE {' AND '.join(wanted)}"
    ), arguments


ORDER: dict[Table, str] = {
    "orders": "x.security, x.seq",
    "order_changes": "x.security, x.seq, x.n",
    "trades": "x.security, x.seq",
    "fills": "x.security, x.seq, x.n",
    "candles": "x.security, x.time",
}

Fields = tuple[tuple[str, Kind, str], ...]

# The columns that both forms share: those before the numbers, and those after them.
TEXT: dict[Table, tuple[Fields, Fields]] = {
    "orders": (
        (
            ("id", "text", "x.id::text"),
            ("time", "int", "x.time"),
            ("user_id", "text", "x.user_id"),
            ("security", "text", "x.security"),
            ("type", "text", "x.type::text"),
            ("exec_type", "text", "x.exec_type::text"),
        ),
        (
            ("seq", "int", "x.seq"),
            ("time_in_force", "text", "x.time_in_force::text"),
            ("post_only", "bool", "x.post_only"),
            ("self_trade", "text", "x.self_trade::text"),
            ("client_order_id", "text", "x.client_order_id"),
            ("withdraw_on_close", "bool", "x.withdraw_on_close"),
            ("expire_time", "int", "x.expire_time"),
        ),
    ),
    "order_changes": (
        (
            ("security", "text", "x.security"),
            ("seq", "int", "x.seq"),
            ("n", "int", "x.n"),
            ("time", "int", "x.time"),
            ("order_id", "text", "x.order_id::text"),
            ("user_id", "text", "x.user_id"),
            ("type", "text", "x.type::text"),
            ("cause", "text", "x.cause::text"),
        ),
        (
            ("client_order_id_before", "text", "x.client_order_id_before"),
            ("client_order_id", "text", "x.client_order_id"),
        ),
    ),
    "trades": (
        (
            ("id", "text", "x.id::text"),
            ("time", "int", "x.time"),
            ("user_id", "text", "x.user_id"),
            ("security", "text", "x.security"),
            ("type", "text", "x.type::text"),
        ),
        (("order_id", "text", "x.order_id::text"), ("seq", "int", "x.seq")),
    ),
    "fills": (
        (
            ("security", "text", "x.security"),
            ("seq", "int", "x.seq"),
            ("n", "int", "x.n"),
            ("time", "int", "x.time"),
            ("type", "text", "x.type::text"),
        ),
        (
            ("maker_order_id", "text", "x.maker_order_id::text"),
            ("maker_user_id", "text", "x.maker_user_id"),
            ("taker_order_id", "text", "x.taker_order_id::text"),
            ("taker_user_id", "text", "x.taker_user_id"),
            ("fill_id", "int", "x.fill_id"),
        ),
    ),
    "candles": (
        (("security", "text", "x.security"), ("time", "int", "x.time")),
        (("trades", "int", "x.trades"),),
    ),
}

NOTIONAL = (
    "(SELECT sum(f.price_ticks::numeric * f.quantity_lots) FROM fills AS f"
    " WHERE f.security = x.security AND f.seq = x.seq AND f.time = x.time)"
)
PRICES = ("open", "high", "low", "close")

NUMBERS: dict[Table, Fields] = {
    "orders": (
        ("price", "float", "x.price"),
        ("amount", "float", "x.amount"),
        ("trigger_price", "float", "x.trigger_price"),
        ("display", "float", "x.display"),
        ("total", "float", "(x.budget * i.tick_size * i.lot_size)::double precision"),
    ),
    "order_changes": (
        ("price_before", "float", "(x.price_ticks_before * i.tick_size)::double precision"),
        ("amount_before", "float", "(x.quantity_lots_before * i.lot_size)::double precision"),
        ("price", "float", "(x.price_ticks * i.tick_size)::double precision"),
        ("amount", "float", "(x.quantity_lots * i.lot_size)::double precision"),
    ),
    "trades": (
        ("price", "float", "x.avg_price"),
        ("amount", "float", "x.amount"),
        ("total", "float", f"({NOTIONAL} * i.tick_size * i.lot_size)::double precision"),
    ),
    "fills": (
        ("price", "float", "(x.price_ticks * i.tick_size)::double precision"),
        ("amount", "float", "(x.quantity_lots * i.lot_size)::double precision"),
        (
            "total",
            "float",
            "(x.price_ticks * x.quantity_lots::numeric * i.tick_size * i.lot_size)"
            "::double precision",
        ),
    ),
    "candles": (
        *((name, "float", f"(x.{name}_ticks * i.tick_size)::double precision") for name in PRICES),
        ("volume", "float", "(x.volume_lots * i.lot_size)::double precision"),
    ),
}

INTEGERS: dict[Table, Fields] = {
    "orders": (
        ("price_ticks", "int", "units(x.price, i.tick_size)"),
        ("quantity_lots", "int", "units(x.amount, i.lot_size)"),
        ("trigger_ticks", "int", "units(x.trigger_price, i.tick_size)"),
        ("display_lots", "int", "units(x.display, i.lot_size)"),
        ("budget", "int", "x.budget"),
    ),
    "order_changes": tuple(
        (name, "int", f"x.{name}")
        for name in ("price_ticks_before", "quantity_lots_before", "price_ticks", "quantity_lots")
    ),
    "trades": (
        ("quantity_lots", "int", "units(x.amount, i.lot_size)"),
        ("notional", "big", NOTIONAL),
    ),
    "fills": (
        ("price_ticks", "int", "x.price_ticks"),
        ("quantity_lots", "int", "x.quantity_lots"),
    ),
    "candles": (
        *((f"{name}_ticks", "int", f"x.{name}_ticks") for name in PRICES),
        ("volume_lots", "big", "x.volume_lots"),
    ),
}
