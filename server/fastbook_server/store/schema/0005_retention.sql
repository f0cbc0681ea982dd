-- Dropping history: orders, trades, fills and cancellations before a day, whole chunks of all four
-- at once. Candles stay, and so does all that a start needs: open_orders, client_orders (24 h).

-- What has been dropped: everything of a security up to and including seq, all before time.
CREATE TABLE dropped (
    security text COLLATE "C" PRIMARY KEY REFERENCES instruments (security),
    seq bigint NOT NULL,
    time bigint NOT NULL
);

-- The book of a security right after its command number seq, from the immutable tables: the last
-- checkpoint before it, plus every limit order since, minus what was filled of takers at their own
-- limit and of makers at the fill's price, minus what was cancelled. Where those rows have been
-- dropped it is an error.
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
    WITH placed AS (
        SELECT o.seq, o.type,
               units(o.price, instrument.tick_size) AS price_ticks,
               units(o.amount, instrument.lot_size) AS quantity_lots
        FROM orders AS o
        WHERE o.security = book_at.security AND o.seq > since_seq AND o.seq <= book_at.seq
          AND o.time >= since_time AND o.price IS NOT NULL
    ), filled AS (
        SELECT f.seq, f.type, f.price_ticks, sum(f.quantity_lots) AS quantity_lots
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
        FROM placed AS p JOIN filled AS f ON f.seq = p.seq
        UNION ALL
        SELECT CASE f.type WHEN 'bid' THEN 'ask'::side ELSE 'bid'::side END,
               f.price_ticks, -f.quantity_lots
        FROM filled AS f
        UNION ALL
        SELECT c.type, c.price_ticks, -c.quantity_lots
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

-- Drop all before cutoff, a multiple of a day, in one transaction. The books as they were then are
-- kept as checkpoints, for book_at to start from.
CREATE FUNCTION drop_before(cutoff bigint) RETURNS void
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
    FOREACH name IN ARRAY ARRAY['orders', 'trades', 'fills', 'cancellations'] LOOP
        PERFORM drop_chunks(name::regclass, older_than => cutoff);
    END LOOP;
END
$$;

-- The job of retain_days; config has schema and days. What is dropped has become candles before:
-- they are brought up to the cutoff from where the last drop ended, never again from before it,
-- where there is nothing left to make them from.
CREATE PROCEDURE drop_history(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    schema text := config ->> 'schema';
    day_ms CONSTANT bigint := 86400000;
    since bigint;
    cutoff bigint;
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
    EXECUTE format('SELECT %I.drop_before($1)', schema) USING cutoff;
END
$$;
