-- Orders that change, wait, expire and hide: amended and decremented orders, stop orders, good till
-- time, icebergs, and market orders by total.

ALTER TYPE exec_type ADD VALUE IF NOT EXISTS 'stop';
ALTER TYPE exec_type ADD VALUE IF NOT EXISTS 'stopLimit';
ALTER TYPE time_in_force ADD VALUE IF NOT EXISTS 'gtt';
ALTER TYPE self_trade ADD VALUE IF NOT EXISTS 'decrement';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'total';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'level_full';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'post_only';
CREATE TYPE change_cause AS ENUM ('user', 'self_trade', 'trigger');

-- budget is what a market order may trade for, in ticks x lots; its amount then is what that paid
-- for. hidden_lots is what did not show when the order came to rest, null for none.
ALTER TABLE orders ADD COLUMN trigger_price double precision;
ALTER TABLE orders ADD COLUMN display double precision;
ALTER TABLE orders ADD COLUMN expire_time bigint;
ALTER TABLE orders ADD COLUMN budget bigint;
ALTER TABLE orders ADD COLUMN hidden_lots bigint;

-- What an iceberg showed anew once the fill had used up its slice; null for nothing.
ALTER TABLE fills ADD COLUMN refill_lots bigint;

-- What showed of the quantity that ended; null if all of it did.
ALTER TABLE cancellations ADD COLUMN shown_lots bigint;

-- Each change of an order after it was accepted, with its terms before and after: amended by its
-- user, decremented by a self-trade, or, with the same terms, triggered. left_lots went from the
-- level at the old price; came_lots came to that at the new one, of which hidden_lots did not show
-- once the order rested (null for none). A change that lets the order match again has fills of the
-- same seq.
CREATE TABLE order_changes (
    security text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    n integer NOT NULL,
    time bigint NOT NULL,
    order_id uuid NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    type side NOT NULL,
    cause change_cause NOT NULL,
    price_ticks_before bigint,
    quantity_lots_before bigint NOT NULL,
    client_order_id_before text COLLATE "C",
    price_ticks bigint,
    quantity_lots bigint NOT NULL,
    client_order_id text COLLATE "C",
    left_lots bigint NOT NULL,
    came_lots bigint NOT NULL,
    hidden_lots bigint,
    PRIMARY KEY (security, seq, n, time)
);
CREATE INDEX order_changes_order ON order_changes (order_id);

-- held: a stop order that waits for its trigger, and so is not in the book. visible_lots is what
-- shows of an iceberg, null for others. The place in the queue of a level goes by queued_seq and
-- queued_n: where the order, or its slice, came to the end. placed_… and former_client_order_ids are
-- what the order was placed with and was called, null unless that has changed.
ALTER TABLE open_orders ALTER COLUMN price_ticks DROP NOT NULL;
ALTER TABLE open_orders ADD COLUMN exec_type exec_type NOT NULL DEFAULT 'limit';
ALTER TABLE open_orders ADD COLUMN held boolean NOT NULL DEFAULT false;
ALTER TABLE open_orders ADD COLUMN trigger_ticks bigint;
ALTER TABLE open_orders ADD COLUMN display_lots bigint;
ALTER TABLE open_orders ADD COLUMN visible_lots bigint;
ALTER TABLE open_orders ADD COLUMN expire_time bigint;
ALTER TABLE open_orders ADD COLUMN queued_seq bigint;
ALTER TABLE open_orders ADD COLUMN queued_n integer;
ALTER TABLE open_orders ADD COLUMN placed_price_ticks bigint;
ALTER TABLE open_orders ADD COLUMN placed_quantity_lots bigint;
ALTER TABLE open_orders ADD COLUMN former_client_order_ids text[];

-- The price of the last fill, which triggers stop orders.
ALTER TABLE markets ADD COLUMN last_ticks bigint;
UPDATE markets AS m SET last_ticks = f.price_ticks
FROM fills AS f WHERE f.security = m.security AND f.fill_id = m.fill_id;

DO $$
BEGIN
    IF current_setting('fastbook.timescale') = 'on' THEN
        IF (SELECT count(*) > 0 FROM timescaledb_information.hypertables AS h
            WHERE h.hypertable_schema = current_schema() AND h.hypertable_name = 'orders') THEN
            PERFORM create_hypertable(
                'order_changes'::regclass, by_range('time', 86400000),
                create_default_indexes => false
            );
            PERFORM set_integer_now_func('order_changes'::regclass, 'exchange_time');
        END IF;
    END IF;
END
$$;

-- When the order or trade with an id of ours was made: the first 48 bits of a UUIDv7.
CREATE FUNCTION id_time(id uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
$$;

CREATE OR REPLACE VIEW agg_order_book AS
SELECT
    o.security,
    o.type,
    (o.price_ticks * i.tick_size)::double precision AS price,
    (o.quantity_lots * i.lot_size)::double precision AS amount,
    (o.price_ticks * o.quantity_lots * i.tick_size * i.lot_size)::double precision AS total,
    o.price_ticks,
    o.quantity_lots
FROM (
    SELECT security, type, price_ticks,
           sum(coalesce(visible_lots, remaining_lots)) AS quantity_lots
    FROM open_orders WHERE NOT held GROUP BY security, type, price_ticks
) AS o
JOIN instruments AS i USING (security)
ORDER BY o.security, o.type, CASE o.type WHEN 'bid' THEN -o.price_ticks ELSE o.price_ticks END;

CREATE OR REPLACE VIEW open_orders_as_numbers AS
SELECT
    o.id, o.time, o.user_id, o.security, o.type,
    (o.price_ticks * i.tick_size)::double precision AS price,
    (o.quantity_lots * i.lot_size)::double precision AS amount,
    (o.remaining_lots * i.lot_size)::double precision AS remaining,
    (o.notional * i.tick_size / nullif(o.quantity_lots - o.remaining_lots, 0))::double precision
        AS avg_price,
    o.seq, o.time_in_force, o.post_only, o.self_trade, o.client_order_id, o.withdraw_on_close,
    o.exec_type, o.held,
    (o.trigger_ticks * i.tick_size)::double precision AS trigger_price,
    (o.display_lots * i.lot_size)::double precision AS display,
    o.expire_time
FROM open_orders AS o
JOIN instruments AS i USING (security);

CREATE VIEW order_changes_as_numbers AS
SELECT
    c.security, c.seq, c.n, c.time, c.order_id, c.user_id, c.type, c.cause,
    (c.price_ticks_before * i.tick_size)::double precision AS price_before,
    (c.quantity_lots_before * i.lot_size)::double precision AS amount_before,
    c.client_order_id_before,
    (c.price_ticks * i.tick_size)::double precision AS price,
    (c.quantity_lots * i.lot_size)::double precision AS amount,
    c.client_order_id
FROM order_changes AS c
JOIN instruments AS i USING (security);

-- The book of a security right after its command number seq, from the immutable tables: the last
-- checkpoint before it, plus what entered since (limit orders, changed and triggered ones), minus
-- what was filled of takers at their own limit and of makers at the fill's price, minus what was
-- changed or cancelled. Of icebergs what showed counts. Where those rows have been dropped it is an
-- error.
CREATE OR REPLACE FUNCTION book_at(security text, seq bigint)
RETURNS TABLE (
    type side,
    price double precision,
    amount double precision,
    total double precision,
    price_ticks bigint,
    quantity_lots numeric
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    instrument instruments;
    start book_checkpoints;
    since_seq bigint;
    since_time bigint;
    first_seq bigint;
    last_seq bigint;
BEGIN
    SELECT * INTO instrument FROM instruments AS i WHERE i.security = book_at.security;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'book_at: there is no security %', book_at.security;
    END IF;
    SELECT m.seq INTO last_seq FROM markets AS m WHERE m.security = book_at.security;
    SELECT d.seq INTO first_seq FROM dropped AS d WHERE d.security = book_at.security;
    first_seq := coalesce(first_seq, 0);
    IF book_at.seq IS NULL OR book_at.seq < first_seq OR book_at.seq > last_seq THEN
        RAISE EXCEPTION 'book_at: expected a seq of % from % to %, got %',
            book_at.security, first_seq, last_seq, book_at.seq;
    END IF;
    SELECT * INTO start FROM book_checkpoints AS c
    WHERE c.security = book_at.security AND c.seq <= book_at.seq
    ORDER BY c.seq DESC LIMIT 1;
    since_seq := coalesce(start.seq, 0);
    since_time := coalesce(start.time, 0);
    RETURN QUERY
    WITH changed AS (
        SELECT c.seq, c.type, c.price_ticks_before, c.price_ticks, c.left_lots, c.came_lots,
               c.came_lots - coalesce(c.hidden_lots, 0) AS quantity_lots
        FROM order_changes AS c
        WHERE c.security = book_at.security AND c.seq > since_seq AND c.seq <= book_at.seq
          AND c.time >= since_time
    ), placed AS (
        SELECT o.seq, o.type,
               units(o.price, instrument.tick_size) AS price_ticks,
               units(o.amount, instrument.lot_size) - coalesce(o.hidden_lots, 0) AS quantity_lots
        FROM orders AS o
        WHERE o.security = book_at.security AND o.seq > since_seq AND o.seq <= book_at.seq
          AND o.time >= since_time AND o.price IS NOT NULL AND o.trigger_price IS NULL
        UNION ALL
        SELECT c.seq, c.type, c.price_ticks, c.quantity_lots
        FROM changed AS c WHERE c.came_lots > 0 AND c.price_ticks IS NOT NULL
    ), filled AS (
        SELECT f.seq, f.type, f.price_ticks, sum(f.quantity_lots) AS quantity_lots,
               sum(coalesce(f.refill_lots, 0)) AS refill_lots
        FROM fills AS f
        WHERE f.security = book_at.security AND f.seq > since_seq AND f.seq <= book_at.seq
          AND f.time >= since_time
        GROUP BY f.seq, f.type, f.price_ticks
    ), changes AS (
        SELECT c.type, c.price_ticks, c.quantity_lots
        FROM unnest(start.type, start.price_ticks, start.quantity_lots)
            AS c (type, price_ticks, quantity_lots)
        UNION ALL
        SELECT p.type, p.price_ticks, p.quantity_lots FROM placed AS p
        UNION ALL
        SELECT p.type, p.price_ticks, -f.quantity_lots
        FROM placed AS p JOIN filled AS f ON f.seq = p.seq AND f.type = p.type
        UNION ALL
        SELECT CASE f.type WHEN 'bid' THEN 'ask'::side ELSE 'bid'::side END,
               f.price_ticks, f.refill_lots - f.quantity_lots
        FROM filled AS f
        UNION ALL
        SELECT c.type, c.price_ticks_before, -c.left_lots
        FROM changed AS c WHERE c.price_ticks_before IS NOT NULL
        UNION ALL
        SELECT c.type, c.price_ticks, -coalesce(c.shown_lots, c.quantity_lots)
        FROM cancellations AS c
        WHERE c.security = book_at.security AND c.seq > since_seq AND c.seq <= book_at.seq
          AND c.time >= since_time AND c.price_ticks IS NOT NULL
    )
    SELECT l.type,
           (l.price_ticks * instrument.tick_size)::double precision,
           (l.quantity_lots * instrument.lot_size)::double precision,
           (l.price_ticks * l.quantity_lots
               * instrument.tick_size * instrument.lot_size)::double precision,
           l.price_ticks,
           l.quantity_lots
    FROM (
        SELECT c.type, c.price_ticks, sum(c.quantity_lots) AS quantity_lots
        FROM changes AS c
        GROUP BY c.type, c.price_ticks
    ) AS l
    WHERE l.quantity_lots <> 0
    ORDER BY l.type, CASE l.type WHEN 'bid' THEN -l.price_ticks ELSE l.price_ticks END;
END
$$;

CREATE OR REPLACE FUNCTION drop_before(cutoff bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    market record;
    last_seq bigint;
    name text;
BEGIN
    FOR market IN
        SELECT m.security, coalesce(d.seq, 0) AS seq
        FROM markets AS m LEFT JOIN dropped AS d USING (security)
    LOOP
        SELECT greatest(
            market.seq,
            (SELECT max(o.seq) FROM orders AS o
             WHERE o.security = market.security AND o.time < cutoff),
            (SELECT max(c.seq) FROM cancellations AS c
             WHERE c.security = market.security AND c.time < cutoff),
            (SELECT max(c.seq) FROM order_changes AS c
             WHERE c.security = market.security AND c.time < cutoff)
        ) INTO last_seq;
        IF last_seq > market.seq THEN
            INSERT INTO book_checkpoints (security, seq, time, type, price_ticks, quantity_lots)
            SELECT market.security, last_seq, cutoff,
                   coalesce(array_agg(b.type), '{}'),
                   coalesce(array_agg(b.price_ticks), '{}'),
                   coalesce(array_agg(b.quantity_lots), '{}')
            FROM book_at(market.security, last_seq) AS b
            ON CONFLICT DO NOTHING;
            DELETE FROM book_checkpoints AS c
            WHERE c.security = market.security AND c.seq < last_seq;
        END IF;
        INSERT INTO dropped (security, seq, time) VALUES (market.security, last_seq, cutoff)
        ON CONFLICT (security) DO UPDATE SET seq = excluded.seq, time = excluded.time;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['orders', 'trades', 'fills', 'cancellations', 'order_changes'] LOOP
        PERFORM drop_chunks(name::regclass, older_than => cutoff);
    END LOOP;
END
$$;
