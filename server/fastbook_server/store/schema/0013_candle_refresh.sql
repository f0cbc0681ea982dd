-- Continuous aggregates are refreshed by a job of our own, from where it came to, the oldest day
-- first, each day in one step. TimescaleDB's policies look back from now, so that what traded before
-- a long silence would be passed over; and they walk in small steps from the newest on, with their
-- watermark ahead of the steps still to come: until then, buckets in between would have no candle.

-- How far each continuous aggregate holds all that traded: every bucket before time.
CREATE TABLE refreshed (
    candles text COLLATE "C" PRIMARY KEY,
    time bigint NOT NULL
);

-- The next step for the candles of an interval: from since up to before until, both multiples of the
-- interval, at most one day, and never before what has been dropped. No row if none is due. Days
-- without a command are skipped. Only buckets that have ended are aggregated.
CREATE FUNCTION next_refresh(candles text, interval_ms bigint, OUT since bigint, OUT until bigint)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    day_ms CONSTANT bigint := 86400000;
    day bigint;
BEGIN
    until := exchange_time() / interval_ms * interval_ms;
    since := greatest(
        (SELECT r.time FROM refreshed AS r WHERE r.candles = next_refresh.candles),
        (SELECT max(d.time) FROM dropped AS d),
        0
    );
    SELECT min(d.time) INTO day FROM days AS d WHERE d.time > since - day_ms;
    IF day IS NOT NULL THEN
        since := greatest(since, day);
        until := least(until, day + day_ms);
    END IF;
    IF since < until THEN
        RETURN NEXT;
    END IF;
END
$$;

-- How long ago, in the exchange's time, the oldest bucket has ended that is not aggregated yet; 0 for
-- none, and where candles are a table.
CREATE FUNCTION candles_behind() RETURNS bigint
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN to_regclass('candles') IS NOT NULL THEN 0 ELSE coalesce(max(
        exchange_time() - i.length - n.since
    ), 0) END
    FROM (VALUES
        ('1s', 1000::bigint), ('1m', 60000), ('5m', 300000), ('1h', 3600000), ('1d', 86400000)
    ) AS i (name, length), LATERAL next_refresh(i.name, i.length) AS n
$$;

-- The job that aggregates; config has schema. A step is one transaction of TimescaleDB's own,
-- whatever the day holds, and the note of it another one: between them nothing is lost, and a step
-- that is done again finds nothing to do.
CREATE PROCEDURE refresh_candles(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    schema CONSTANT text := config ->> 'schema';
    names CONSTANT text[] := ARRAY['1s', '1m', '5m', '1h', '1d'];
    lengths CONSTANT bigint[] := ARRAY[1000, 60000, 300000, 3600000, 86400000];
    -- TimescaleDB 2.28 would walk in batches of 10 buckets.
    has_options CONSTANT boolean := (
        SELECT bool_or('options' = ANY (proargnames)) FROM pg_proc
        WHERE proname = 'refresh_continuous_aggregate'
    );
    view regclass;
    since bigint;
    until bigint;
BEGIN
    FOR n IN 1 .. 5 LOOP
        view := format('%I.%I', schema, 'candles_' || names[n])::regclass;
        LOOP
            EXECUTE format('SELECT since, until FROM %I.next_refresh($1, $2)', schema)
            INTO since, until USING names[n], lengths[n];
            EXIT WHEN since IS NULL;
            IF has_options THEN
                CALL refresh_continuous_aggregate(
                    view, since, until, force => false, options => '{"buckets_per_batch": 0}'
                );
            ELSE
                CALL refresh_continuous_aggregate(view, since, until);
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

-- The job of retain_days; config has schema and days. Where candles are continuous aggregates, only
-- what has become part of them is dropped. Each day goes in a transaction of its own: every chunk
-- dropped is a lock held until the end, and the lock table holds only so many.
CREATE OR REPLACE PROCEDURE drop_history(job_id integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    schema CONSTANT text := config ->> 'schema';
    day_ms CONSTANT bigint := 86400000;
    since bigint;
    cutoff bigint;
    candles_end bigint;
    day bigint;
BEGIN
    EXECUTE format('SELECT %I.exchange_time(), (SELECT max(time) FROM %I.dropped)', schema, schema)
    INTO cutoff, since;
    cutoff := (cutoff / day_ms - (config ->> 'days')::bigint) * day_ms;
    IF to_regclass(format('%I.candles', schema)) IS NULL THEN
        EXECUTE format(
            'SELECT CASE count(*) WHEN 2 THEN min(time) ELSE 0 END FROM %I.refreshed'
            ' WHERE candles IN (''1s'', ''1m'')', schema
        ) INTO candles_end;
        cutoff := least(cutoff, candles_end / day_ms * day_ms);
    END IF;
    IF cutoff <= coalesce(since, 0) THEN
        RETURN;
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
