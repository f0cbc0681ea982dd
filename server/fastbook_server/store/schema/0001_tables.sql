-- The tables. All live in the schema that the connection's search_path names first (fastbook).
--
-- Numbers: price, amount, avg_price are what the wire says (double precision); *_ticks and *_lots
-- are integers of the instrument's tick_size and lot_size; notional is in ticks x lots. Times are
-- Unix milliseconds. seq counts the commands that changed a security, without gaps; n counts the
-- rows of one table that share a seq. Texts compare byte by byte, which is cheap in indexes.
--
-- orders, trades, fills and cancellations are never changed once written; with TimescaleDB they
-- are hypertables, one chunk a day.

CREATE TYPE side AS ENUM ('bid', 'ask');
CREATE TYPE exec_type AS ENUM ('limit', 'market');
CREATE TYPE time_in_force AS ENUM ('gtc', 'ioc', 'fok');
CREATE TYPE self_trade AS ENUM ('allow', 'cancelNewest', 'cancelOldest', 'cancelBoth');
CREATE TYPE cancel_reason AS ENUM
    ('user', 'disconnect', 'no_liquidity', 'ioc', 'fok', 'self_trade');

-- One row, moved by every transaction of the one server that owns the database: whoever finds
-- another epoch here than its own has been replaced and can write nothing any more.
CREATE TABLE engine_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch integer NOT NULL,
    batch_no bigint NOT NULL,
    time bigint NOT NULL,
    token_key bytea NOT NULL
) WITH (fillfactor = 10);

-- tick and lot as they were configured, and as exact decimals to calculate with.
CREATE TABLE instruments (
    number smallint PRIMARY KEY CHECK (number BETWEEN 0 AND 4095),
    security text COLLATE "C" NOT NULL UNIQUE,
    tick text NOT NULL,
    lot text NOT NULL,
    tick_size numeric NOT NULL CHECK (tick_size > 0),
    lot_size numeric NOT NULL CHECK (lot_size > 0)
);

-- The last seq of each security.
CREATE TABLE markets (
    security text COLLATE "C" PRIMARY KEY REFERENCES instruments (security),
    seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Every accepted order, as it came. price is null for a market order.
CREATE TABLE orders (
    id uuid NOT NULL,
    time bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    security text COLLATE "C" NOT NULL,
    type side NOT NULL,
    exec_type exec_type NOT NULL,
    amount double precision NOT NULL,
    price double precision,
    seq bigint NOT NULL,
    time_in_force time_in_force NOT NULL,
    post_only boolean NOT NULL,
    self_trade self_trade NOT NULL,
    client_order_id text COLLATE "C",
    withdraw_on_close boolean NOT NULL,
    PRIMARY KEY (id, time),
    UNIQUE (security, seq, time)
);

-- All fills of one incoming order at once; user_id and type are the taker's.
CREATE TABLE trades (
    id uuid NOT NULL,
    time bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    security text COLLATE "C" NOT NULL,
    type side NOT NULL,
    amount double precision NOT NULL,
    avg_price double precision NOT NULL,
    order_id uuid NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (id, time),
    UNIQUE (security, seq, time)
);

-- One match of a taker with a maker, at the maker's price. type is the taker's side.
CREATE TABLE fills (
    security text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    n integer NOT NULL,
    time bigint NOT NULL,
    type side NOT NULL,
    price_ticks bigint NOT NULL,
    quantity_lots bigint NOT NULL,
    maker_order_id uuid NOT NULL,
    maker_user_id text COLLATE "C" NOT NULL,
    taker_order_id uuid NOT NULL,
    taker_user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (security, seq, n, time)
);

-- What of an order ended without a fill, and why. rested: it left the book; otherwise it is the
-- remainder of an incoming order that never got there. type and price_ticks are the order's.
CREATE TABLE cancellations (
    security text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    n integer NOT NULL,
    time bigint NOT NULL,
    order_id uuid NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    type side NOT NULL,
    price_ticks bigint,
    quantity_lots bigint NOT NULL,
    reason cancel_reason NOT NULL,
    rested boolean NOT NULL,
    PRIMARY KEY (security, seq, n, time)
);

-- What rests in the books now. Rows come and go with every batch, so there is no index but the
-- key, room on the pages for updates in place, and an autovacuum that does not wait. notional is
-- what its fills have cost so far, null before the first one.
CREATE TABLE open_orders (
    id uuid PRIMARY KEY,
    time bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    security text COLLATE "C" NOT NULL,
    type side NOT NULL,
    price_ticks bigint NOT NULL,
    quantity_lots bigint NOT NULL,
    remaining_lots bigint NOT NULL,
    notional numeric,
    seq bigint NOT NULL,
    time_in_force time_in_force NOT NULL,
    post_only boolean NOT NULL,
    self_trade self_trade NOT NULL,
    client_order_id text COLLATE "C",
    withdraw_on_close boolean NOT NULL
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- The orders of the last 24 h that bore a client order id, so that a retry is recognised.
CREATE TABLE client_orders (
    user_id text COLLATE "C" NOT NULL,
    client_order_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    time bigint NOT NULL,
    PRIMARY KEY (user_id, client_order_id)
);
CREATE INDEX client_orders_time ON client_orders (time);

-- The aggregated book of a security right after seq, level by level, for book_at to start from.
CREATE TABLE book_checkpoints (
    security text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    time bigint NOT NULL,
    type side[] NOT NULL,
    price_ticks bigint[] NOT NULL,
    quantity_lots numeric[] NOT NULL,
    PRIMARY KEY (security, seq)
);

-- The default index on time would be one more to write; chunks are found by time without it.
DO $$
DECLARE
    name text;
BEGIN
    IF current_setting('fastbook.timescale') = 'on' THEN
        FOREACH name IN ARRAY ARRAY['orders', 'trades', 'fills', 'cancellations'] LOOP
            PERFORM create_hypertable(
                name::regclass, by_range('time', 86400000), create_default_indexes => false
            );
        END LOOP;
    END IF;
END
$$;
