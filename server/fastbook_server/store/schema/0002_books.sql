-- The aggregated book: now (agg_order_book), and at any moment of the past (book_at).
-- Rows come best first within each side: bids descend, asks ascend. total = price x amount,
-- calculated with exact decimals and rounded once, to the nearest double.

CREATE VIEW agg_order_book AS
SELECT
    o.security,
    o.type,
    (o.price_ticks * i.tick_size)::double precision AS price,
    (sum(o.remaining_lots) * i.lot_size)::double precision AS amount,
    (o.price_ticks * sum(o.remaining_lots) * i.tick_size * i.lot_size)::double precision AS total,
    o.price_ticks,
    sum(o.remaining_lots) AS quantity_lots
FROM open_orders AS o
JOIN instruments AS i USING (security)
GROUP BY o.security, o.type, o.price_ticks, i.tick_size, i.lot_size
ORDER BY o.security, o.type, CASE o.type WHEN 'bid' THEN -o.price_ticks ELSE o.price_ticks END;

-- How many steps of size a number is, for any double on the grid: its mantissa and power of two are
-- exact integers, divided by size with so many digits that only the last step rounds.
CREATE FUNCTION units_exactly(value double precision, size numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT round(
        CASE
            WHEN d.exponent >= 0 THEN d.mantissa * 2::numeric ^ d.exponent / size
            ELSE d.mantissa * 1.00000000000000000000 / (2::numeric ^ (-d.exponent) * size)
        END
    )::bigint
    FROM (
        SELECT
            ((b.bits & 4503599627370495) | 4503599627370496)::numeric AS mantissa,
            ((b.bits >> 52) & 2047)::integer - 1075 AS exponent
        FROM (SELECT ('x' || encode(float8send(value), 'hex'))::bit(64)::bigint AS bits) AS b
    ) AS d
$$;

-- How many steps of size a number is that lies on the grid, as all in orders and trades do. Below
-- 2^50 steps a division of doubles is off by less than half a step, and much faster.
CREATE FUNCTION units(value double precision, size numeric) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN value / size::double precision < 1125899906842624
            THEN round(value / size::double precision)::bigint
        ELSE units_exactly(value, size)
    END
$$;

-- The book of a security right after its command number seq, from the immutable tables: the last
-- checkpoint before it, plus every limit order since, minus what was filled of takers at their own
-- limit and of makers at the fill's price, minus what was cancelled.
CREATE FUNCTION book_at(security text, seq bigint)
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
    last_seq bigint;
BEGIN
    SELECT * INTO instrument FROM instruments AS i WHERE i.security = book_at.security;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'book_at: there is no security %', book_at.security;
    END IF;
    SELECT m.seq INTO last_seq FROM markets AS m WHERE m.security = book_at.security;
    IF book_at.seq IS NULL OR book_at.seq < 0 OR book_at.seq > last_seq THEN
        RAISE EXCEPTION 'book_at: expected a seq of % from 0 to %, got %',
            book_at.security, last_seq, book_at.seq;
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
