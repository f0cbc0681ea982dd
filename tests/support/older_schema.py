"""How to take a database back to an older schema: what undoes each migration, newest first."""

from __future__ import annotations

_UNDO = {
    8: "DROP TABLE cancel_rules;",  # the reasons that it adds to an enumeration stay
    7: """
        DROP VIEW fills_as_numbers;
        ALTER TABLE fills DROP COLUMN fill_id;
        DROP INDEX IF EXISTS fills_taker, fills_maker;
        ALTER TABLE markets DROP COLUMN fill_id;
        DROP FUNCTION fill_id_at;
    """,
    6: """
        ALTER TABLE client_orders DROP COLUMN ended;
        CREATE INDEX client_orders_time ON client_orders (time);
    """,
    5: """
        DROP TABLE dropped;
        DROP FUNCTION drop_before;
        DROP PROCEDURE drop_history;
    """,
    4: """
        DROP VIEW candles_as_numbers, candles_1s, candles_1m, candles_5m, candles_1h, candles_1d;
        DROP TABLE candles;
        DROP FUNCTION exchange_time;
    """,
}


def undo_to(number: int) -> str:
    """Return the SQL that undoes all migrations after `number`, on plain PostgreSQL."""
    assert number >= min(_UNDO) - 1
    undone = "".join(_UNDO[n] for n in sorted(_UNDO, reverse=True) if n > number)
    return f"{undone} DELETE FROM schema_migrations WHERE number > {number}"
