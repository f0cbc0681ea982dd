"""How to take a database back to an older schema: what undoes each migration, newest first."""

from __future__ import annotations

_UNDO = {
    11: """
        DROP FUNCTION expect;
        DROP DOMAIN batch;
        DROP TYPE batch_parts, moved_market, changed_order, changed_iceberg, added_candle;
        ALTER TABLE client_orders DROP CONSTRAINT client_orders_pkey;
        ALTER TABLE client_orders ALTER COLUMN ended DROP NOT NULL;
        ALTER TABLE client_orders ADD PRIMARY KEY (user_id, client_order_id);
        CREATE INDEX client_orders_ended ON client_orders (ended) WHERE ended IS NOT NULL;
    """,
    10: "DROP TABLE days;",  # its functions are newer forms of older ones
    9: """
        DROP VIEW order_changes_as_numbers, agg_order_book, open_orders_as_numbers;
        DROP TABLE order_changes;
        DROP TYPE change_cause;
        DROP FUNCTION id_time;
        ALTER TABLE orders DROP COLUMN trigger_price, DROP COLUMN display,
            DROP COLUMN expire_time, DROP COLUMN budget, DROP COLUMN hidden_lots;
        ALTER TABLE fills DROP COLUMN refill_lots;
        ALTER TABLE cancellations DROP COLUMN shown_lots;
        ALTER TABLE open_orders DROP COLUMN exec_type, DROP COLUMN held,
            DROP COLUMN trigger_ticks, DROP COLUMN display_lots, DROP COLUMN visible_lots,
            DROP COLUMN expire_time, DROP COLUMN queued_seq, DROP COLUMN queued_n,
            DROP COLUMN placed_price_ticks, DROP COLUMN placed_quantity_lots,
            DROP COLUMN former_client_order_ids;
        ALTER TABLE markets DROP COLUMN last_ticks;
    """,
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
