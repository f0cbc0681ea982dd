-- Every fill has a number: fill_id counts the fills of a security without gaps, from 1. Those there
-- are get theirs now, in order; where history has been dropped, from the first that is left.

ALTER TABLE fills ADD COLUMN fill_id bigint;

-- All in one transaction, however many rows compressed chunks hold.
SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
UPDATE fills AS f SET fill_id = numbered.fill_id
FROM (
    SELECT security, seq, n, time,
           row_number() OVER (PARTITION BY security ORDER BY seq, n) AS fill_id
    FROM fills
) AS numbered
WHERE f.security = numbered.security AND f.seq = numbered.seq AND f.n = numbered.n
  AND f.time = numbered.time;

-- By number; and the fills of a user, on either side.
CREATE INDEX fills_fill_id ON fills (security, fill_id);
CREATE INDEX fills_taker ON fills (taker_user_id, security, fill_id);
CREATE INDEX fills_maker ON fills (maker_user_id, security, fill_id);

-- The number of the last fill of each security.
ALTER TABLE markets ADD COLUMN fill_id bigint NOT NULL DEFAULT 0;
UPDATE markets AS m SET fill_id = last.fill_id
FROM (SELECT security, max(fill_id) AS fill_id FROM fills GROUP BY security) AS last
WHERE m.security = last.security;

CREATE OR REPLACE VIEW fills_as_numbers AS
SELECT
    f.security, f.seq, f.n, f.time, f.type,
    (f.price_ticks * i.tick_size)::double precision AS price,
    (f.quantity_lots * i.lot_size)::double precision AS amount,
    (f.price_ticks * f.quantity_lots::numeric * i.tick_size * i.lot_size)::double precision
        AS total,
    f.maker_order_id, f.maker_user_id, f.taker_order_id, f.taker_user_id,
    f.fill_id
FROM fills AS f
JOIN instruments AS i USING (security);

-- The number of the first fill of a security at or after a time, or one more than the last: a binary
-- search, since times never go back from fill to fill.
CREATE FUNCTION fill_id_at(security text, since bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    low bigint := 1;
    high bigint;
    middle bigint;
    found_time bigint;
BEGIN
    SELECT m.fill_id + 1 INTO high FROM markets AS m WHERE m.security = fill_id_at.security;
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT f.time INTO found_time FROM fills AS f
        WHERE f.security = fill_id_at.security AND f.fill_id >= middle
        ORDER BY f.fill_id LIMIT 1;
        IF found_time >= since THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
