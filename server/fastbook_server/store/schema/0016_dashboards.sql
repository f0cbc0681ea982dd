-- What people put on dashboards. Times are Unix milliseconds, as everywhere; every function takes the
-- period that it looks at, so that a year is as quick as its buckets, and a day reads a day.

-- What traded in each hour, of all securities.
CREATE VIEW volume_by_hour AS
SELECT
    c.security, c.time, to_timestamp(c.time / 1000.0) AS at, c.trades,
    (c.volume_lots * i.lot_size)::double precision AS volume,
    (c.close_ticks * i.tick_size)::double precision AS close
FROM candles_1h AS c JOIN instruments AS i USING (security);

-- The users who traded most of a security from since up to before until, by volume; net is what they
-- bought less what they sold, turnover the sum of price x amount. A fill counts for both its users.
CREATE FUNCTION top_users(security text, since bigint, until bigint, at_most bigint DEFAULT 20)
RETURNS TABLE (
    user_id text, volume double precision, turnover double precision, net double precision,
    fills bigint
)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT s.user_id,
           (s.lots * i.lot_size)::double precision,
           (s.cost * i.tick_size * i.lot_size)::double precision,
           (s.net * i.lot_size)::double precision,
           s.fills
    FROM (
        SELECT u.user_id, sum(f.lots) AS lots, sum(f.cost) AS cost,
               sum(CASE u.side WHEN 'bid' THEN f.lots ELSE -f.lots END) AS net,
               sum(f.fills)::bigint AS fills
        FROM (
            SELECT f.taker_user_id, f.maker_user_id, f.type, sum(f.quantity_lots) AS lots,
                   sum(f.price_ticks::numeric * f.quantity_lots) AS cost, count(*) AS fills
            FROM fills AS f
            WHERE f.security = top_users.security AND f.time >= since AND f.time < until
            GROUP BY 1, 2, 3
        ) AS f, LATERAL (VALUES
            (f.taker_user_id, f.type),
            (f.maker_user_id, CASE f.type WHEN 'bid' THEN 'ask'::side ELSE 'bid'::side END)
        ) AS u (user_id, side)
        GROUP BY u.user_id
    ) AS s JOIN instruments AS i ON i.security = top_users.security
    ORDER BY s.lots DESC, s.user_id LIMIT at_most
$$;

-- The spread that takers paid, in buckets of step_ms: the mean price at which they bought, less that
-- at which they sold. A bucket is there if takers did both.
CREATE FUNCTION spread_over_time(security text, since bigint, until bigint, step_ms bigint)
RETURNS TABLE (
    "time" bigint, bought_at double precision, sold_at double precision, spread double precision
)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT b.time, (b.bought * i.tick_size)::double precision,
           (b.sold * i.tick_size)::double precision,
           ((b.bought - b.sold) * i.tick_size)::double precision
    FROM (
        SELECT f.time / step_ms * step_ms AS time,
               avg(f.price_ticks) FILTER (WHERE f.type = 'bid') AS bought,
               avg(f.price_ticks) FILTER (WHERE f.type = 'ask') AS sold
        FROM fills AS f
        WHERE f.security = spread_over_time.security AND f.time >= since AND f.time < until
        GROUP BY 1
    ) AS b JOIN instruments AS i ON i.security = spread_over_time.security
    WHERE b.bought IS NOT NULL AND b.sold IS NOT NULL
    ORDER BY b.time
$$;

-- All that happened to an order, in order: placed, amended (by user, self_trade or trigger), filled,
-- cancelled. amount is what it was placed or amended to, what was filled, or what was left. Reads day
-- by day from its placement on, until nothing of it is left; no row for an unknown id.
CREATE FUNCTION order_life(id uuid)
RETURNS TABLE (
    "time" bigint, seq bigint, event text, price double precision, amount double precision,
    reason text, other_user_id text
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    day_ms CONSTANT bigint := 86400000;
    placed orders;
    grid instruments;
    open_lots bigint;
    day bigint;
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
    FOR day IN
        SELECT d.time FROM days AS d
        WHERE d.security = placed.security AND d.time > placed.time - day_ms ORDER BY d.time
    LOOP
        RETURN QUERY
        SELECT e.time, e.seq, e.event, (e.price_ticks * grid.tick_size)::double precision,
               (e.lots * grid.lot_size)::double precision, e.reason, e.other
        FROM (
            SELECT c.time, c.seq, 1 AS step, c.n, 'amended' AS event, c.price_ticks,
                   c.quantity_lots AS lots, c.cause::text AS reason, NULL::text AS other
            FROM order_changes AS c
            WHERE c.order_id = order_life.id AND c.time >= day AND c.time < day + day_ms
            UNION ALL
            SELECT f.time, f.seq, 2, f.n, 'filled', f.price_ticks, f.quantity_lots,
                   CASE f.taker_order_id WHEN order_life.id THEN 'taker' ELSE 'maker' END,
                   CASE f.taker_order_id WHEN order_life.id
                       THEN f.maker_user_id ELSE f.taker_user_id END
            FROM fills AS f
            WHERE f.security = placed.security AND f.time >= day AND f.time < day + day_ms
              AND f.seq >= placed.seq
              AND (f.taker_order_id = order_life.id OR f.maker_order_id = order_life.id)
            UNION ALL
            SELECT c.time, c.seq, 3, c.n, 'cancelled', c.price_ticks, c.quantity_lots,
                   c.reason::text, NULL
            FROM cancellations AS c
            WHERE c.security = placed.security AND c.time >= day AND c.time < day + day_ms
              AND c.seq >= placed.seq AND c.order_id = order_life.id
        ) AS e ORDER BY e.seq, e.step, e.n;
        SELECT coalesce(max(c.quantity_lots), total) INTO total FROM (
            SELECT c.quantity_lots FROM order_changes AS c
            WHERE c.order_id = order_life.id AND c.time >= day AND c.time < day + day_ms
            ORDER BY c.seq DESC, c.n DESC LIMIT 1
        ) AS c;
        SELECT gone + coalesce(sum(g.lots), 0) INTO gone FROM (
            SELECT f.quantity_lots AS lots FROM fills AS f
            WHERE f.security = placed.security AND f.time >= day AND f.time < day + day_ms
              AND f.seq >= placed.seq
              AND (f.taker_order_id = order_life.id OR f.maker_order_id = order_life.id)
            UNION ALL
            SELECT c.quantity_lots FROM cancellations AS c
            WHERE c.security = placed.security AND c.time >= day AND c.time < day + day_ms
              AND c.seq >= placed.seq AND c.order_id = order_life.id
        ) AS g;
        EXIT WHEN open_lots IS NULL AND gone >= total;
    END LOOP;
END
$$;
