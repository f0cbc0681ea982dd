-- Aggregate trades have numbers: agg_trade_id counts, per security and without gaps from 1, what one
-- taker took at one price; its fills there share it. Those there are get theirs now, in order; where
-- history has been dropped, from the first that is left.

ALTER TABLE fills ADD COLUMN agg_trade_id bigint;

-- All in one transaction, however many rows compressed chunks hold.
SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
UPDATE fills AS f SET agg_trade_id = numbered.agg_trade_id
FROM (
    SELECT security, seq, n, time,
           sum(begins::integer) OVER (PARTITION BY security ORDER BY fill_id) AS agg_trade_id
    FROM (
        SELECT security, seq, n, time, fill_id,
               (seq, price_ticks) IS DISTINCT FROM
               (lag(seq) OVER w, lag(price_ticks) OVER w) AS begins
        FROM fills WINDOW w AS (PARTITION BY security ORDER BY fill_id)
    ) AS one
) AS numbered
WHERE f.security = numbered.security AND f.seq = numbered.seq AND f.n = numbered.n
  AND f.time = numbered.time;

-- The number of the last aggregate trade of each security.
ALTER TABLE markets ADD COLUMN agg_trade_id bigint NOT NULL DEFAULT 0;
UPDATE markets AS m SET agg_trade_id = last.agg_trade_id
FROM (SELECT security, max(agg_trade_id) AS agg_trade_id FROM fills GROUP BY security) AS last
WHERE m.security = last.security;
ALTER TYPE moved_market ADD ATTRIBUTE agg_trade_id bigint;

CREATE OR REPLACE VIEW fills_as_numbers AS
SELECT
    f.security, f.seq, f.n, f.time, f.type,
    (f.price_ticks * i.tick_size)::double precision AS price,
    (f.quantity_lots * i.lot_size)::double precision AS amount,
    (f.price_ticks * f.quantity_lots::numeric * i.tick_size * i.lot_size)::double precision
        AS total,
    f.maker_order_id, f.maker_user_id, f.taker_order_id, f.taker_user_id,
    f.fill_id, f.agg_trade_id
FROM fills AS f
JOIN instruments AS i USING (security);

-- The first fill of an aggregate trade, or one more than the last fill: a binary search, since the
-- numbers of both grow together, and each step reads the fills of one day.
CREATE FUNCTION fill_id_of_agg_trade(security text, agg_trade_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    low bigint;
    high bigint;
    middle bigint;
    day bigint;
    found_number bigint;
BEGIN
    SELECT min(d.fill_id) + 1 INTO low FROM days AS d
    WHERE d.security = fill_id_of_agg_trade.security;
    SELECT m.fill_id + 1 INTO high FROM markets AS m
    WHERE m.security = fill_id_of_agg_trade.security;
    low := greatest(coalesce(low, high, 1), fill_id_of_agg_trade.agg_trade_id);
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT d.time INTO day FROM days AS d
        WHERE d.security = fill_id_of_agg_trade.security AND d.fill_id < middle
        ORDER BY d.fill_id DESC, d.time DESC LIMIT 1;
        SELECT f.agg_trade_id INTO found_number FROM fills AS f
        WHERE f.security = fill_id_of_agg_trade.security AND f.fill_id = middle
          AND f.time >= day AND f.time < day + 86400000;
        IF found_number >= fill_id_of_agg_trade.agg_trade_id THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN least(low, high);
END
$$;

-- Orders that take a profit, and the end of one that its account cannot pay for once it is triggered.
ALTER TYPE exec_type ADD VALUE IF NOT EXISTS 'takeProfit';
ALTER TYPE exec_type ADD VALUE IF NOT EXISTS 'takeProfitLimit';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'balance';

-- A stop order that buys at any price locks what it would cost at its trigger price.
CREATE OR REPLACE VIEW account_balances AS
WITH moved AS (
    SELECT user_id, asset, amount FROM deposits WHERE batch_no IS NOT NULL
    UNION ALL
    SELECT f.user_id, a.asset, a.amount
    FROM (
        SELECT security, taker_user_id AS user_id, price_ticks, quantity_lots,
               CASE type WHEN 'bid' THEN 1 ELSE -1 END AS sign
        FROM fills WHERE taker_user_id LIKE 'api#%'
        UNION ALL
        SELECT security, maker_user_id, price_ticks, quantity_lots,
               CASE type WHEN 'bid' THEN -1 ELSE 1 END
        FROM fills WHERE maker_user_id LIKE 'api#%'
    ) AS f
    JOIN pairs AS p USING (security),
    LATERAL (VALUES
        (p.base, f.sign * f.quantity_lots * p.lot_size),
        (p.quote, -f.sign * f.quantity_lots * p.lot_size * f.price_ticks * p.tick_size)
    ) AS a (asset, amount)
), locked AS (
    SELECT o.user_id, CASE o.type WHEN 'ask' THEN p.base ELSE p.quote END AS asset,
           sum(o.remaining_lots * p.lot_size * CASE o.type
                   WHEN 'ask' THEN 1 ELSE coalesce(o.price_ticks, o.trigger_ticks) * p.tick_size
               END) AS locked
    FROM open_orders AS o JOIN pairs AS p USING (security)
    WHERE o.user_id LIKE 'api#%' GROUP BY 1, 2
), expected AS (
    SELECT user_id, asset, sum(amount) AS expected FROM moved GROUP BY 1, 2
)
SELECT user_id, asset, b.total - coalesce(l.locked, 0) AS free, coalesce(l.locked, 0) AS locked,
       b.total, e.expected
FROM balances AS b
LEFT JOIN locked AS l USING (user_id, asset)
LEFT JOIN expected AS e USING (user_id, asset);
