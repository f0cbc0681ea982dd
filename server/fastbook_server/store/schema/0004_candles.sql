-- Candles: what traded in each bucket of time, in ticks and lots. A bucket starts at a multiple of
-- its interval and is there only if something traded in it. trades counts incoming orders that
-- traded, that is fills with n = 0.
--
-- candles_1s … candles_1d have the same columns everywhere. With TimescaleDB under its community
-- licence they are continuous aggregates: seconds and minutes over fills, the rest over the one
-- before. Elsewhere they are views of one table, candles, which every batch keeps up to date.
-- Which of the two it is, is decided here once: whether there is a table candles tells.

-- The time of the last batch: never ahead of what is still to come, whatever the clock says. Policies
-- measure the age of data by it.
CREATE FUNCTION exchange_time() RETURNS bigint
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT time FROM engine_state), 0)
$$;

DO $$
DECLARE
    hyper boolean := false;
    name text;
BEGIN
    IF current_setting('fastbook.timescale') = 'on' THEN
        SELECT count(*) > 0 INTO hyper FROM timescaledb_information.hypertables AS h
        WHERE h.hypertable_schema = current_schema() AND h.hypertable_name = 'fills';
    END IF;
    IF hyper THEN
        FOREACH name IN ARRAY ARRAY['orders', 'trades', 'fills', 'cancellations'] LOOP
            PERFORM set_integer_now_func(name::regclass, 'exchange_time');
        END LOOP;
    END IF;
    IF hyper AND current_setting('fastbook.timescale_licence') = 'timescale' THEN
        -- What has not been aggregated yet is read from fills, by time: almost free to keep.
        CREATE INDEX fills_time ON fills USING brin (time);

        -- The fills of one order share their seq, so first and last go by seq and n.
        CREATE MATERIALIZED VIEW candles_1s
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            security, time_bucket(1000::bigint, time) AS time,
            first(price_ticks, seq::numeric * 4294967296 + n) AS open_ticks,
            max(price_ticks) AS high_ticks,
            min(price_ticks) AS low_ticks,
            last(price_ticks, seq::numeric * 4294967296 + n) AS close_ticks,
            sum(quantity_lots) AS volume_lots,
            count(*) FILTER (WHERE n = 0) AS trades
        FROM fills GROUP BY security, time_bucket(1000::bigint, time)
        WITH NO DATA;

        CREATE MATERIALIZED VIEW candles_1m
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            security, time_bucket(60000::bigint, time) AS time,
            first(price_ticks, seq::numeric * 4294967296 + n) AS open_ticks,
            max(price_ticks) AS high_ticks,
            min(price_ticks) AS low_ticks,
            last(price_ticks, seq::numeric * 4294967296 + n) AS close_ticks,
            sum(quantity_lots) AS volume_lots,
            count(*) FILTER (WHERE n = 0) AS trades
        FROM fills GROUP BY security, time_bucket(60000::bigint, time)
        WITH NO DATA;

        CREATE MATERIALIZED VIEW candles_5m
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            security, time_bucket(300000::bigint, time) AS time,
            first(open_ticks, time) AS open_ticks,
            max(high_ticks) AS high_ticks,
            min(low_ticks) AS low_ticks,
            last(close_ticks, time) AS close_ticks,
            sum(volume_lots) AS volume_lots,
            sum(trades)::bigint AS trades
        FROM candles_1m GROUP BY security, time_bucket(300000::bigint, time)
        WITH NO DATA;

        CREATE MATERIALIZED VIEW candles_1h
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            security, time_bucket(3600000::bigint, time) AS time,
            first(open_ticks, time) AS open_ticks,
            max(high_ticks) AS high_ticks,
            min(low_ticks) AS low_ticks,
            last(close_ticks, time) AS close_ticks,
            sum(volume_lots) AS volume_lots,
            sum(trades)::bigint AS trades
        FROM candles_5m GROUP BY security, time_bucket(3600000::bigint, time)
        WITH NO DATA;

        CREATE MATERIALIZED VIEW candles_1d
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
        SELECT
            security, time_bucket(86400000::bigint, time) AS time,
            first(open_ticks, time) AS open_ticks,
            max(high_ticks) AS high_ticks,
            min(low_ticks) AS low_ticks,
            last(close_ticks, time) AS close_ticks,
            sum(volume_lots) AS volume_lots,
            sum(trades)::bigint AS trades
        FROM candles_1h GROUP BY security, time_bucket(86400000::bigint, time)
        WITH NO DATA;

        -- Only buckets that have ended are aggregated for good.
        PERFORM add_continuous_aggregate_policy('candles_1s', NULL::bigint, 1000::bigint, '30 s');
        PERFORM add_continuous_aggregate_policy('candles_1m', NULL::bigint, 60000::bigint, '1 min');
        PERFORM add_continuous_aggregate_policy('candles_5m', NULL::bigint, 300000::bigint, '5 min');
        PERFORM add_continuous_aggregate_policy('candles_1h', NULL::bigint, 3600000::bigint, '1 h');
        PERFORM add_continuous_aggregate_policy('candles_1d', NULL::bigint, 86400000::bigint, '6 h');
    ELSE
        -- The newest rows change with every batch that trades: room on their pages for that.
        CREATE TABLE candles (
            security text COLLATE "C" NOT NULL,
            interval_ms integer NOT NULL,
            time bigint NOT NULL,
            open_ticks bigint NOT NULL,
            high_ticks bigint NOT NULL,
            low_ticks bigint NOT NULL,
            close_ticks bigint NOT NULL,
            volume_lots numeric NOT NULL,
            trades bigint NOT NULL,
            PRIMARY KEY (security, interval_ms, time)
        ) WITH (
            fillfactor = 80,
            autovacuum_vacuum_threshold = 5000,
            autovacuum_vacuum_scale_factor = 0.01,
            autovacuum_vacuum_cost_delay = 0
        );

        -- A database that has traded before gets its candles now. Arrays compare from the left, so
        -- the least one holds the first price, and the greatest one the last.
        INSERT INTO candles
        SELECT
            f.security, 1000, f.time - f.time % 1000,
            (min(ARRAY[f.seq, f.n, f.price_ticks]))[3],
            max(f.price_ticks),
            min(f.price_ticks),
            (max(ARRAY[f.seq, f.n, f.price_ticks]))[3],
            sum(f.quantity_lots),
            count(*) FILTER (WHERE f.n = 0)
        FROM fills AS f GROUP BY 1, 3;
        INSERT INTO candles
        SELECT
            c.security, i.interval_ms, c.time - c.time % i.interval_ms,
            (min(ARRAY[c.time, c.open_ticks]))[2],
            max(c.high_ticks),
            min(c.low_ticks),
            (max(ARRAY[c.time, c.close_ticks]))[2],
            sum(c.volume_lots),
            sum(c.trades)
        FROM candles AS c, unnest(ARRAY[60000, 300000, 3600000, 86400000]) AS i (interval_ms)
        GROUP BY 1, 2, 3;

        CREATE VIEW candles_1s AS
        SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
        FROM candles WHERE interval_ms = 1000;
        CREATE VIEW candles_1m AS
        SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
        FROM candles WHERE interval_ms = 60000;
        CREATE VIEW candles_5m AS
        SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
        FROM candles WHERE interval_ms = 300000;
        CREATE VIEW candles_1h AS
        SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
        FROM candles WHERE interval_ms = 3600000;
        CREATE VIEW candles_1d AS
        SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
        FROM candles WHERE interval_ms = 86400000;
    END IF;
END
$$;

-- All of them as numbers, as the wire shows them; ask for one interval.
CREATE VIEW candles_as_numbers AS
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
