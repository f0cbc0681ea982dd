-- A history of thousands of days within the locks that a server has by default. A query that
-- TimescaleDB cannot bound by constants when it plans it locks every chunk that there is, with all of
-- its indexes; and the lock table holds some thousands.

-- What is aggregated, and what readers see, are now two: aggregated_1s … aggregated_1d hold the buckets
-- that have been aggregated and nothing else, so that the aggregate of an interval is made from those
-- of a shorter one without a look at the fills; candles_1s … candles_1d are views that compute the
-- rest, as TimescaleDB defined them until now. Policies would not know that they have to wait for each
-- other; refresh_candles does.
DO $$
DECLARE
    names CONSTANT text[] := ARRAY['1s', '1m', '5m', '1h', '1d'];
    definitions text[];
BEGIN
    IF to_regclass('candles') IS NOT NULL THEN
        RETURN;
    END IF;
    FOR n IN 1 .. 5 LOOP
        PERFORM remove_continuous_aggregate_policy(
            ('candles_' || names[n])::regclass, if_exists => true
        );
        definitions[n] := pg_get_viewdef(('candles_' || names[n])::regclass);
    END LOOP;
    FOR n IN 1 .. 5 LOOP
        EXECUTE format(
            'ALTER MATERIALIZED VIEW candles_%s SET (timescaledb.materialized_only = true)', names[n]
        );
        EXECUTE format(
            'ALTER MATERIALIZED VIEW candles_%s RENAME TO aggregated_%s', names[n], names[n]
        );
        -- In it, the name of the shorter interval now means the view of that name.
        EXECUTE format('CREATE VIEW candles_%s AS %s', names[n], definitions[n]);
    END LOOP;
END
$$;

CREATE OR REPLACE VIEW candles_as_numbers AS
SELECT
    c.security, c.interval, c.time,
    (c.open_ticks * i.tick_size)::double precision AS open,
    (c.high_ticks * i.tick_size)::double precision AS high,
    (c.low_ticks * i.tick_size)::double precision AS low,
    (c.close_ticks * i.tick_size)::double precision AS close,
    (c.volume_lots * i.lot_size)::double precision AS volume,
    c.trades
FROM (
    SELECT '1s' AS interval, * FROM candles_1s
    UNION ALL
    SELECT '1m' AS interval, * FROM candles_1m
    UNION ALL
    SELECT '5m' AS interval, * FROM candles_5m
    UNION ALL
    SELECT '1h' AS interval, * FROM candles_1h
    UNION ALL
    SELECT '1d' AS interval, * FROM candles_1d
) AS c
JOIN instruments AS i USING (security);

CREATE OR REPLACE VIEW volume_by_hour AS
SELECT
    c.security, c.time, to_timestamp(c.time / 1000.0) AS at, c.trades,
    (c.volume_lots * i.lot_size)::double precision AS volume,
    (c.close_ticks * i.tick_size)::double precision AS close
FROM candles_1h AS c JOIN instruments AS i USING (security);

-- The next step for the candles of an interval: from since up to before until, both multiples of the
-- interval, and never before what has been dropped. No row if none is due. A step far behind holds as
-- many days as have a million fills together, at least one and at most 30: few transactions, of which
-- none is long. Days without a command are skipped. Only buckets that have ended are aggregated, and
-- of those that are made from a shorter interval, only where that one has been.
CREATE OR REPLACE FUNCTION next_refresh(
    candles text, interval_ms bigint, OUT since bigint, OUT until bigint
)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    day_ms CONSTANT bigint := 86400000;
    days_max CONSTANT bigint := 30;
    fills_max CONSTANT bigint := 1000000;
    made_from CONSTANT text := CASE candles WHEN '5m' THEN '1m' WHEN '1h' THEN '5m' WHEN '1d' THEN '1h' END;
    day bigint;
    last_day bigint;
BEGIN
    until := exchange_time();
    IF made_from IS NOT NULL THEN
        until := least(
            until, coalesce((SELECT r.time FROM refreshed AS r WHERE r.candles = made_from), 0)
        );
    END IF;
    until := until / interval_ms * interval_ms;
    since := greatest(
        (SELECT r.time FROM refreshed AS r WHERE r.candles = next_refresh.candles),
        (SELECT max(d.time) FROM dropped AS d),
        0
    );
    SELECT min(d.time) INTO day FROM days AS d WHERE d.time > since - day_ms;
    IF day IS NOT NULL THEN
        since := greatest(since, day);
        SELECT max(sums.time) INTO last_day FROM (
            SELECT f.time, sum(f.fills) OVER (ORDER BY f.time) AS fills
            FROM (
                SELECT d.time, sum(coalesce((
                    SELECT n.fill_id FROM days AS n
                    WHERE n.security = d.security AND n.time > d.time ORDER BY n.time LIMIT 1
                ), m.fill_id) - d.fill_id) AS fills
                FROM days AS d JOIN markets AS m USING (security)
                WHERE d.time >= day AND d.time < day + days_max * day_ms AND d.time < until
                GROUP BY d.time
            ) AS f
        ) AS sums
        WHERE sums.time = day OR sums.fills <= fills_max;
        until := least(until, coalesce(last_day, day) + day_ms);
    END IF;
    IF since < until THEN
        RETURN NEXT;
    END IF;
END
$$;

-- The job that aggregates; config has schema. A step is one transaction of TimescaleDB's own, and the
-- note of it another one: between them nothing is lost, and a step that is done again finds nothing
-- to do.
CREATE OR REPLACE PROCEDURE refresh_candles(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    schema CONSTANT text := config ->> 'schema';
    names CONSTANT text[] := ARRAY['1s', '1m', '5m', '1h', '1d'];
    lengths CONSTANT bigint[] := ARRAY[1000, 60000, 300000, 3600000, 86400000];
    -- TimescaleDB 2.28 would walk in batches of 10 buckets.
    has_options CONSTANT boolean := (
        SELECT bool_or('options' = ANY (proargnames)) FROM pg_proc
        WHERE proname = 'refresh_continuous_aggregate'
    );
    aggregate regclass;
    since bigint;
    until bigint;
BEGIN
    FOR n IN 1 .. 5 LOOP
        aggregate := format('%I.%I', schema, 'aggregated_' || names[n])::regclass;
        LOOP
            EXECUTE format('SELECT since, until FROM %I.next_refresh($1, $2)', schema)
            INTO since, until USING names[n], lengths[n];
            EXIT WHEN since IS NULL;
            IF has_options THEN
                CALL refresh_continuous_aggregate(
                    aggregate, since, until, force => false, options => '{"buckets_per_batch": 0}'
                );
            ELSE
                CALL refresh_continuous_aggregate(aggregate, since, until);
            END IF;
            EXECUTE format(
                'INSERT INTO %I.refreshed AS r (candles, time) VALUES ($1, $2)'
                ' ON CONFLICT (candles) DO UPDATE SET time = greatest(r.time, excluded.time)',
                schema
            ) USING names[n], until;
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;

-- The functions for dashboards that look at a period, planned for it: so one day of a thousand reads
-- and locks that day, and a year adds its users up without sorting its fills.
CREATE OR REPLACE FUNCTION top_users(security text, since bigint, until bigint, at_most bigint DEFAULT 20)
RETURNS TABLE (
    user_id text, volume double precision, turnover double precision, net double precision,
    fills bigint
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan
SET jit = off SET enable_sort = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
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
            WHERE f.security = top_users.security
              AND f.time >= top_users.since AND f.time < top_users.until
            GROUP BY GROUPING SETS ((f.taker_user_id, f.type), (f.maker_user_id, f.type))
        ) AS f
        GROUP BY 1
    ) AS s JOIN instruments AS i ON i.security = top_users.security
    ORDER BY s.lots DESC, s.user_id LIMIT at_most;
END
$$;

CREATE OR REPLACE FUNCTION spread_over_time(security text, since bigint, until bigint, step_ms bigint)
RETURNS TABLE (
    "time" bigint, bought_at double precision, sold_at double precision, spread double precision
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan
SET jit = off SET enable_sort = off SET max_parallel_workers_per_gather = 0 SET work_mem = '32MB' AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT b.time, (b.bought * i.tick_size)::double precision,
           (b.sold * i.tick_size)::double precision,
           ((b.bought - b.sold) * i.tick_size)::double precision
    FROM (
        SELECT f.time / step_ms * step_ms AS time,
               avg(f.price_ticks) FILTER (WHERE f.type = 'bid') AS bought,
               avg(f.price_ticks) FILTER (WHERE f.type = 'ask') AS sold
        FROM fills AS f
        WHERE f.security = spread_over_time.security
          AND f.time >= spread_over_time.since AND f.time < spread_over_time.until
        GROUP BY 1
    ) AS b JOIN instruments AS i ON i.security = spread_over_time.security
    WHERE b.bought IS NOT NULL AND b.sold IS NOT NULL
    ORDER BY b.time;
END
$$;
