-- The functions for dashboards, as quick on a year as on a day. JIT would cost them more than it saves: a
-- plan over a year of chunks has thousands of expressions.

-- The users who traded most of a security from since up to before until, by volume; net is what they
-- bought less what they sold, turnover the sum of price x amount. A fill counts for both its users.
CREATE OR REPLACE FUNCTION top_users(security text, since bigint, until bigint, at_most bigint DEFAULT 20)
RETURNS TABLE (
    user_id text, volume double precision, turnover double precision, net double precision,
    fills bigint
)
LANGUAGE sql STABLE SET search_path FROM CURRENT SET jit = off AS $$
    SELECT s.user_id,
           (s.lots * i.lot_size)::double precision,
           s.cost * (i.tick_size * i.lot_size)::double precision,
           (s.net * i.lot_size)::double precision,
           s.fills
    FROM (
        SELECT coalesce(f.taker, f.maker) AS user_id, sum(f.lots) AS lots, sum(f.cost) AS cost,
               sum(CASE WHEN (f.type = 'bid') = (f.taker IS NOT NULL) THEN f.lots ELSE -f.lots END)
                   AS net,
               sum(f.fills)::bigint AS fills
        FROM (
            SELECT f.taker_user_id AS taker, f.maker_user_id AS maker, f.type,
                   sum(f.quantity_lots) AS lots, count(*) AS fills,
                   sum(f.price_ticks::double precision * f.quantity_lots) AS cost
            FROM fills AS f
            WHERE f.security = top_users.security AND f.time >= since AND f.time < until
            GROUP BY GROUPING SETS ((f.taker_user_id, f.type), (f.maker_user_id, f.type))
        ) AS f
        GROUP BY 1
    ) AS s JOIN instruments AS i ON i.security = top_users.security
    ORDER BY s.lots DESC, s.user_id LIMIT at_most
$$;

ALTER FUNCTION spread_over_time(text, bigint, bigint, bigint) SET jit = off;

-- All that happened to an order, in order: placed, amended (by user, self_trade or trigger), filled,
-- cancelled. amount is what it was placed or amended to, what was filled, or what was left. What was
-- filled is found among its user's fills, 16 days at a time, until nothing of it is left, and an order
-- that is open has no end: so one that has rested for a year is told without reading that year. No row
-- for an unknown id.
CREATE OR REPLACE FUNCTION order_life(id uuid)
RETURNS TABLE (
    "time" bigint, seq bigint, event text, price double precision, amount double precision,
    reason text, other_user_id text
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan
SET jit = off SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    placed orders;
    grid instruments;
    open_lots bigint;
    days record;
    happened record;
    total bigint;
    gone bigint := 0;
BEGIN
    SELECT o.* INTO placed FROM orders AS o
    WHERE o.id = order_life.id AND o.time = id_time(order_life.id);
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT i.* INTO grid FROM instruments AS i WHERE i.security = placed.security;
    SELECT o.remaining_lots INTO open_lots FROM open_orders AS o WHERE o.id = order_life.id;
    total := units(placed.amount, grid.lot_size);
    RETURN QUERY SELECT placed.time, placed.seq, 'placed', placed.price, placed.amount,
                        placed.exec_type::text, NULL::text;
    -- The first day alone, since most orders end soon; then 16 days at a time.
    FOR days IN
        SELECT min(d.time) AS since, max(d.time) + 86400000 AS until,
               min(d.seq) AS first_seq, min(d.fill_id) AS after_fill,
               lead(min(d.fill_id), 1, 9223372036854775807) OVER (ORDER BY min(d.time)) AS last_fill
        FROM (
            SELECT d.*, (row_number() OVER (ORDER BY d.time) + 14) / 16 AS part FROM days AS d
            WHERE d.security = placed.security AND d.time > placed.time - 86400000
        ) AS d
        GROUP BY d.part ORDER BY 1
    LOOP
        FOR happened IN
            SELECT e.*
            FROM (
                SELECT c.time, c.seq, 1 AS step, c.n, 'amended' AS event, c.price_ticks,
                       c.quantity_lots AS lots, c.cause::text AS reason, NULL::text AS other
                FROM order_changes AS c
                WHERE c.order_id = order_life.id AND c.time >= days.since AND c.time < days.until
                UNION ALL
                SELECT f.time, f.seq, 2, f.n, 'filled', f.price_ticks, f.quantity_lots,
                       'taker', f.maker_user_id
                FROM fills AS f
                WHERE f.taker_user_id = placed.user_id AND f.security = placed.security
                  AND f.fill_id > days.after_fill AND f.fill_id <= days.last_fill
                  AND f.time >= days.since AND f.time < days.until
                  AND f.taker_order_id = order_life.id
                UNION ALL
                SELECT f.time, f.seq, 2, f.n, 'filled', f.price_ticks, f.quantity_lots,
                       'maker', f.taker_user_id
                FROM fills AS f
                WHERE f.maker_user_id = placed.user_id AND f.security = placed.security
                  AND f.fill_id > days.after_fill AND f.fill_id <= days.last_fill
                  AND f.time >= days.since AND f.time < days.until
                  AND f.maker_order_id = order_life.id
                UNION ALL
                SELECT c.time, c.seq, 3, c.n, 'cancelled', c.price_ticks, c.quantity_lots,
                       c.reason::text, NULL
                FROM cancellations AS c
                WHERE open_lots IS NULL AND c.security = placed.security
                  AND c.time >= days.since AND c.time < days.until
                  AND c.seq >= greatest(placed.seq, days.first_seq) AND c.order_id = order_life.id
            ) AS e ORDER BY e.seq, e.step, e.n
        LOOP
            IF happened.event = 'amended' THEN
                total := happened.lots;
            ELSE
                gone := gone + happened.lots;
            END IF;
            RETURN QUERY SELECT happened.time, happened.seq, happened.event,
                                (happened.price_ticks * grid.tick_size)::double precision,
                                (happened.lots * grid.lot_size)::double precision,
                                happened.reason, happened.other;
        END LOOP;
        EXIT WHEN open_lots IS NULL AND gone >= total;
    END LOOP;
END
$$;
