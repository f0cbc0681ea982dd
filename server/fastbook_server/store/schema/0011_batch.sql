-- A batch of commands as one value, so that one statement makes it durable in one round trip, and the
-- rules of its counts, which that statement checks itself.

CREATE TYPE moved_market AS (
    security text, seq bigint, fill_id bigint, last_ticks bigint
);
CREATE TYPE changed_order AS (id uuid, remaining_lots bigint, notional numeric);
CREATE TYPE changed_iceberg AS (
    id uuid, remaining_lots bigint, notional numeric,
    visible_lots bigint, queued_seq bigint, queued_n integer
);
CREATE TYPE added_candle AS (
    security text, interval_ms integer, time bigint,
    open_ticks bigint, high_ticks bigint, low_ticks bigint, close_ticks bigint,
    volume_lots numeric, trades bigint
);

-- markets, changed and sliced are what becomes of rows that are there, gone the ids of open orders
-- that leave. Candles are added to their buckets. The rows of the other parts are new.
CREATE TYPE batch_parts AS (
    markets moved_market[],
    gone uuid[],
    orders orders[],
    trades trades[],
    fills fills[],
    cancellations cancellations[],
    order_changes order_changes[],
    opened open_orders[],
    changed changed_order[],
    sliced changed_iceberg[],
    client_orders client_orders[],
    candles added_candle[],
    cancel_rules cancel_rules[]
);
CREATE DOMAIN batch AS batch_parts;

-- Refuse what a statement did to a table unless it did it to as many rows as expected.
CREATE FUNCTION expect(name text, what text, expected bigint, got bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF got <> expected THEN
        RAISE EXCEPTION '%: expected % %, got % %', name, what, expected, what, got;
    END IF;
END
$$;

-- From now on a client order id has its row when its order ends: until then the order itself tells
-- it, and a row that is written once costs a third of one that changes. The key grows with time, so
-- that new rows meet on one page; an id that is used again after its 24 hours has several rows.
DELETE FROM client_orders WHERE ended IS NULL;
DROP INDEX client_orders_ended;
ALTER TABLE client_orders DROP CONSTRAINT client_orders_pkey;
ALTER TABLE client_orders ADD PRIMARY KEY (ended, order_id, client_order_id);
