-- Where in time a seq or a fill lies: the day is looked up here, so that every query of the
-- history can be bounded in time on every hypertable that it touches, and reads only the chunks
-- of those days.

-- The days of UTC on which commands changed a security: time is the start of the day, seq that
-- of its first command, fill_id the number of the last fill before that command, 0 for none. A
-- row is written with the batch that begins the day, and goes with the history of its day.
CREATE TABLE days (
    security text COLLATE "C" NOT NULL REFERENCES instruments (security),
    time bigint NOT NULL,
    seq bigint NOT NULL,
    fill_id bigint NOT NULL,
    PRIMARY KEY (security, time)
);
CREATE INDEX days_seq ON days (security, seq);
CREATE INDEX days_fill_id ON days (security, fill_id, time);

-- The history that is there, in one pass over each table.
INSERT INTO days (security, time, seq, fill_id)
SELECT d.security, d.time, d.seq,
       coalesce(min(f.fill_id) OVER later - 1, m.fill_id)
FROM (
    SELECT e.security, e.time, min(e.seq) AS seq
    FROM (
        SELECT security, time - time % 86400000 AS time, min(seq) AS seq
        FROM orders GROUP BY 1, 2
        UNION ALL
        SELECT security, time - time % 86400000, min(seq) FROM cancellations GROUP BY 1, 2
        UNION ALL
        SELECT security, time - time % 86400000, min(seq) FROM order_changes GROUP BY 1, 2
    ) AS e
    GROUP BY e.security, e.time
) AS d
JOIN markets AS m USING (security)
LEFT JOIN (
    SELECT security, time - time % 86400000 AS time, min(fill_id) AS fill_id
    FROM fills GROUP BY 1, 2
) AS f USING (security, time)
WINDOW later AS (
    PARTITION BY d.security ORDER BY d.time ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
);

-- The number of the first fill of a security at or after a time, or one more than the last: a
-- binary search within the fills of one day, since times never go back from fill to fill.
CREATE OR REPLACE FUNCTION fill_id_at(security text, since bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    day days;
    low bigint;
    high bigint;
    middle bigint;
    found_time bigint;
BEGIN
    SELECT d.* INTO day FROM days AS d
    WHERE d.security = fill_id_at.security AND d.time <= since
    ORDER BY d.time DESC LIMIT 1;
    SELECT n.fill_id + 1 INTO high FROM days AS n
    WHERE n.security = fill_id_at.security AND n.time > since
    ORDER BY n.time LIMIT 1;
    IF NOT FOUND THEN
        SELECT m.fill_id + 1 INTO high FROM markets AS m WHERE m.security = fill_id_at.security;
    END IF;
    low := coalesce(day.fill_id + 1, high, 1);
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT f.time INTO found_time FROM fills AS f
        WHERE f.security = fill_id_at.security AND f.fill_id = middle
          AND f.time >= day.time AND f.time < day.time + 86400000;
        IF found_time >= since THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The book of a security right after its command number seq, from the immutable tables: the
-- last checkpoint before it, plus what entered since (limit orders, changed and triggered
-- ones), minus what was filled of takers at their own limit and of makers at the fill's price,
-- minus what was changed or cancelled. Of icebergs what showed counts. Every table is read
-- within the days of those commands. Where they have been dropped it is an error.
CREATE OR REPLACE FUNCTION book_at(security text, seq bigint)
RETURNS TABLE (
    type side,
    price double precision,
    amount double precision,
    total double precision,
    price_ticks bigint,
    quantity_lots numeric
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    instrument instruments;
    start book_checkpoints;
    since_seq bigint;
    since_time bigint;
    until_time bigint;
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
    SELECT coalesce(min(d.time), 9223372036854775807) INTO until_time FROM days AS d
    WHERE d.security = book_at.security AND d.seq > book_at.seq;
    RETURN QUERY
    WITH changed AS (
        SELECT c.seq, c.type, c.price_ticks_before, c.price_ticks, c.left_lots, c.came_lots,
               c.came_lots - coalesce(c.hidden_lots, 0) AS quantity_lots
        FROM order_changes AS c
        WHERE c.security = book_at.security AND c.seq > since_seq AND c.seq <= book_at.seq
          AND c.time >= since_time AND c.time < until_time
    ), placed AS (
        SELECT o.seq, o.type,
               units(o.price, instrument.tick_size) AS price_ticks,
               units(o.amount, instrument.lot_size) - coalesce(o.hidden_lots, 0) AS quantity_lots
        FROM orders AS o
        WHERE o.security = book_at.security AND o.seq > since_seq AND o.seq <= book_at.seq
          AND o.time >= since_time AND o.time < until_time
          AND o.price IS NOT NULL AND o.trigger_price IS NULL
        UNION ALL
        SELECT c.seq, c.type, c.price_ticks, c.quantity_lots
        FROM changed AS c WHERE c.came_lots > 0 AND c.price_ticks IS NOT NULL
    ), filled AS (
        SELECT f.seq, f.type, f.price_ticks, sum(f.quantity_lots) AS quantity_lots,
               sum(coalesce(f.refill_lots, 0)) AS refill_lots
        FROM fills AS f
        WHERE f.security = book_at.security AND f.seq > since_seq AND f.seq <= book_at.seq
          AND f.time >= since_time AND f.time < until_time
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
          AND c.time >= since_time AND c.time < until_time AND c.price_ticks IS NOT NULL
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

-- Drop all before cutoff, a multiple of a day, in one transaction. The books as they were then are
-- kept as checkpoints, for book_at to start from.
CREATE OR REPLACE FUNCTION drop_before(cutoff bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    market record;
    name text;
BEGIN
    FOR market IN
        SELECT m.security, coalesce(d.seq, 0) AS seq, greatest(
            coalesce(d.seq, 0),
            coalesce(
                (SELECT min(n.seq) - 1 FROM days AS n
                 WHERE n.security = m.security AND n.time >= cutoff),
                m.seq
            )
        ) AS last_seq
        FROM markets AS m LEFT JOIN dropped AS d USING (security)
    LOOP
        IF market.last_seq > market.seq THEN
            INSERT INTO book_checkpoints (security, seq, time, type, price_ticks, quantity_lots)
            SELECT market.security, market.last_seq, cutoff,
                   coalesce(array_agg(b.type), '{}'),
                   coalesce(array_agg(b.price_ticks), '{}'),
                   coalesce(array_agg(b.quantity_lots), '{}')
            FROM book_at(market.security, market.last_seq) AS b
            ON CONFLICT DO NOTHING;
            DELETE FROM book_checkpoints AS c
            WHERE c.security = market.security AND c.seq < market.last_seq;
        END IF;
        INSERT INTO dropped (security, seq, time) VALUES (market.security, market.last_seq, cutoff)
        ON CONFLICT (security) DO UPDATE SET seq = excluded.seq, time = excluded.time;
    END LOOP;
    DELETE FROM days AS d WHERE d.time < cutoff;
    FOREACH name IN ARRAY ARRAY['orders', 'trades', 'fills', 'cancellations', 'order_changes'] LOOP
        PERFORM drop_chunks(name::regclass, older_than => cutoff);
    END LOOP;
END
$$;

-- The job of retain_days; config has schema and days. What is dropped has become candles before:
-- they are brought up to the cutoff from where the last drop ended, never again from before it,
-- where there is nothing left to make them from. Each day goes in a transaction of its own: every
-- chunk dropped is a lock held until the end, and the lock table holds only so many.
CREATE OR REPLACE PROCEDURE drop_history(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    schema text := config ->> 'schema';
    day_ms CONSTANT bigint := 86400000;
    since bigint;
    cutoff bigint;
    day bigint;
BEGIN
    EXECUTE format('SELECT %I.exchange_time(), (SELECT max(time) FROM %I.dropped)', schema, schema)
    INTO cutoff, since;
    cutoff := (cutoff / day_ms - (config ->> 'days')::bigint) * day_ms;
    IF cutoff <= coalesce(since, 0) THEN
        RETURN;
    END IF;
    IF to_regclass(format('%I.candles', schema)) IS NULL THEN
        CALL refresh_continuous_aggregate(
            format('%I.candles_1s', schema)::regclass, since, cutoff
        );
        CALL refresh_continuous_aggregate(
            format('%I.candles_1m', schema)::regclass, since, cutoff
        );
    END IF;
    LOOP
        EXECUTE format('SELECT min(time) FROM %I.days', schema) INTO day;
        day := least(coalesce(day + day_ms, cutoff), cutoff);
        EXECUTE format('SELECT %I.drop_before($1)', schema) USING day;
        COMMIT;
        EXIT WHEN day >= cutoff;
    END LOOP;
END
$$;
