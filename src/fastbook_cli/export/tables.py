"""The tables that can be exported: their columns, and the SELECT that returns them in order.

Prices and amounts are the numbers of the wire, or integers of ticks and lots.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from fastbook_cli.export.columns import INTEGERS, NUMBERS, TEXT, Fields, Kind, Table
from fastbook_server.store.days import DAY_MS, INT64_MAX
from fastbook_wire.words import Interval

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
    table = selection.table
    numbers = (INTEGERS if selection.integers else NUMBERS)[table]
    before, after = TEXT[table]
    interval: Fields = ()
    if table == "candles":
        interval = (("interval", "text", f"'{selection.interval}'"),)
    return tuple(
        Column(name, kind, sql) for name, kind, sql in (*before, *interval, *numbers, *after)
    )


def metadata(selection: Selection, instruments: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Return what a file may say of its rows, given tick and lot of each security.

    ``instruments`` is a JSON object of them; ``tick`` and ``lot`` are there if it is only one.
    """
    steps = {security: {"tick": tick, "lot": lot} for security, (tick, lot) in instruments.items()}
    found = {"table": selection.table, "instruments": msgspec.json.encode(steps).decode()}
    if len(instruments) == 1:
        found |= next(iter(steps.values()))
    if selection.table == "candles":
        found["interval"] = selection.interval
    return found


class Window(msgspec.Struct, frozen=True):
    """A part of one security's history: seqs and times from the first up to before the second."""

    security: str
    seqs: tuple[int, int]
    times: tuple[int, int]


def query(selection: Selection, window: Window | None) -> tuple[str, list[Any]]:
    """Return the SELECT of a selection, and its arguments.

    The tables of ``WINDOWED`` are read window by window, and need no sort.
    """
    listed = ", ".join(f"{column.sql} AS {column.name}" for column in columns(selection))
    if window is None:
        source, arguments = _source(selection)
    else:
        source, arguments = _within(selection, window)
    return f"SELECT {listed} {source} ORDER BY {ORDER[selection.table]}", arguments


def instrument_rows(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT of the rows that begin an export of events, and its arguments.

    They hold the tick as price and the lot as amount, and the security.
    """
    numbers = ("1", "1") if selection.integers else ("i.tick_size", "i.lot_size")
    kinds = {"int": "bigint", "time": "bigint", "float": "double precision", "bool": "boolean"}
    listed = []
    for column in columns(selection):
        value = {
            "security": "i.security",
            "seq": "0",
            "event": "'instrument'",
            "price": numbers[0],
            "amount": numbers[1],
            "price_ticks": numbers[0],
            "quantity_lots": numbers[1],
        }.get(column.name, "NULL")
        listed.append(f"({value})::{kinds.get(column.kind, 'text')} AS {column.name}")
    return (
        f"SELECT {', '.join(listed)} FROM instruments AS i"
        " WHERE $1::text[] IS NULL OR i.security = ANY($1) ORDER BY i.security"
    ), [list(selection.securities) or None]


def count(selection: Selection, window: Window | None) -> tuple[str, list[Any]]:
    """Return the SELECT that counts the rows of a selection, and its arguments; see `query`."""
    source, arguments = _source(selection) if window is None else _within(selection, window)
    return f"SELECT count(*) {source}", arguments


def windows(selection: Selection) -> tuple[str, list[Any]]:
    """Return the SELECT of a `Window` for each day of a selection, in order, and its arguments."""
    return WINDOWS, [list(selection.securities) or None, selection.start_ms, selection.end_ms]


def _within(selection: Selection, window: Window) -> tuple[str, list[Any]]:
    relation = EVENTS if selection.table == "events" else selection.table
    source = f"FROM {relation} AS x JOIN instruments AS i USING (security)"
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
    elif selection.table == "events":
        relation = EVENTS
    wanted, arguments = ["true"], []
    for condition, value in (
        ("x.security = ANY(${}::text[])", list(selection.securities) or None),
        ("x.time >= ${}::bigint", selection.start_ms),
        ("x.time < ${}::bigint", selection.end_ms),
    ):
        if value is not None:
            arguments.append(value)
            wanted.append(condition.format(len(arguments)))
    joined = "" if selection.table == "instruments" else " JOIN instruments AS i USING (security)"
    return f"FROM {relation} AS x{joined} WHERE {' AND '.join(wanted)}", arguments


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
WINDOWED = frozenset({"orders", "order_changes", "cancellations", "trades", "fills", "events"})
ORDER: dict[Table, str] = {
    "orders": "x.security, x.seq",
    "order_changes": "x.security, x.seq, x.n",
    "cancellations": "x.security, x.seq, x.n",
    "open_orders": "x.security, x.seq",
    "instruments": "x.number",
    "events": "x.security, x.seq, x.step, x.n",
    "trades": "x.security, x.seq",
    "fills": "x.security, x.seq, x.n",
    "candles": "x.security, x.time",
}

# All that changed a book, in one form: orders as they came, their changes, fills, and their ends.
EVENTS = """(
    SELECT security, seq, 0 AS step, 0 AS n, time, 'placed' AS event, id AS order_id, user_id, type,
           exec_type, price, amount, budget, trigger_price, display, time_in_force, post_only,
           self_trade, expire_time, client_order_id, NULL::bigint AS price_ticks,
           NULL::bigint AS quantity_lots, NULL::uuid AS maker_order_id,
           NULL::text AS maker_user_id, NULL::bigint AS fill_id, NULL::text AS reason
    FROM orders
    UNION ALL
    SELECT security, seq, 1, n, time, CASE cause WHEN 'trigger' THEN 'triggered' ELSE 'amended' END,
           order_id, user_id, type, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           client_order_id, price_ticks, quantity_lots, NULL, NULL, NULL, cause::text
    FROM order_changes
    UNION ALL
    SELECT security, seq, 2, n, time, 'filled', taker_order_id, taker_user_id, type, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, price_ticks, quantity_lots,
           maker_order_id, maker_user_id, fill_id, NULL
    FROM fills
    UNION ALL
    SELECT security, seq, 3, n, time, 'cancelled', order_id, user_id, type, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, price_ticks, quantity_lots, NULL, NULL, NULL,
           reason::text
    FROM cancellations
)"""
