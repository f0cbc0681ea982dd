"""The tables that can be exported: their columns, and the SELECT that returns them in order.

Prices and amounts are the numbers of the wire, or integers of ticks and lots.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from fastbook_server.store.days import DAY_MS, INT64_MAX
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


class Window(msgspec.Struct, frozen=True):
    """A part of one security's history: seqs and times from the first up to before the second."""

    security: str
    seqs: tuple[int, int]
    times: tuple[int, int]


def query(selection: Selection, window: Window | None) -> tuple[str, list[Any]]:
    """Return the SELECT of a selection, which needs no sort, and its arguments.

    All tables but candles are read window by window.
    """
    listed = ", ".join(f"{column.sql} AS {column.name}" for column in columns(selection))
    if window is None:
        source, arguments = _source(selection)
    else:
        source, arguments = _within(selection, window)
    return f"SELECT {listed} {source} ORDER BY {ORDER[selection.table]}", arguments


def count(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT that counts the rows of a selection, and its arguments."""
    source, arguments = _source(selection)
    return f"SELECT count(*) {source}", arguments


def windows(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT of a `Window` for each day of a selection, in order, and its arguments."""
    return WINDOWS, [list(selection.securities) or None, selection.start_ms, selection.end_ms]


def _within(selection: Selection, window: Window) -> tuple[str, list[Any]]:
    source = f"FROM {selection.table} AS x JOIN instruments AS i USING (security)"
    if selection.table == "trades":
        source += f" LEFT JOIN ({NOTIONALS}) AS f ON f.seq = x.seq"
    return f"{source} WHERE {WITHIN.format('x')}", [
        window.security,
        *window.seqs,
        *window.times,
    ]


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


WITHIN = "{0}.security = $1 AND {0}.seq >= $2 AND {0}.seq < $3 AND {0}.time >= $4 AND {0}.time < $5"
# Of trades by the seq that their fills share with them; both are found in order of seq.
NOTIONALS = (
    "SELECT o.seq, sum(o.price_ticks::numeric * o.quantity_lots) AS notional"
    f" FROM fills AS o WHERE {WITHIN.format('o')} GROUP BY o.seq"
)
# $1: securities or null, $2 and $3: the period, of which each may be null. Bounds of a day both in
# seq, which finds rows by index, and in time, which spares TimescaleDB the other chunks.
WINDOWS = f"""
SELECT d.security, d.seq, d.seq_end,
       greatest(d.time, $2::bigint) AS time, least(d.time + {DAY_MS}, $3::bigint) AS time_end
FROM (
    SELECT security, time, seq,
           lead(seq, 1, {INT64_MAX}) OVER (PARTITION BY security ORDER BY time) AS seq_end
    FROM days
) AS d
WHERE ($1::text[] IS NULL OR d.security = ANY($1))
  AND ($2 IS NULL OR d.time + {DAY_MS} > $2) AND ($3 IS NULL OR d.time < $3)
ORDER BY d.security, d.time
"""
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
        ("total", "float", "(f.notional * i.tick_size * i.lot_size)::double precision"),
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
        ("notional", "big", "f.notional"),
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
