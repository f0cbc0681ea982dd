-- A market may be divided into shards: each has a matcher and a log of its own, and each log is recorded
-- by itself. engine_state then has a row for each of them. What one server decides is one shard, main.

ALTER TABLE engine_state DROP COLUMN only_row;
ALTER TABLE engine_state ADD COLUMN shard text COLLATE "C" PRIMARY KEY DEFAULT 'main';
ALTER TABLE markets ADD COLUMN shard text COLLATE "C" NOT NULL DEFAULT 'main';

-- When a user's orders are cancelled unasked is for each matcher to know: it was told a moment earlier
-- or later than the others, and may have done it already when they have not.
ALTER TABLE cancel_rules ADD COLUMN shard text COLLATE "C" NOT NULL DEFAULT 'main';
ALTER TABLE cancel_rules DROP CONSTRAINT cancel_rules_pkey;
ALTER TABLE cancel_rules ADD PRIMARY KEY (user_id, shard);

CREATE TYPE changed_rule AS (user_id text, after_disconnect_s integer, deadline bigint);
ALTER TYPE batch_parts ALTER ATTRIBUTE cancel_rules SET DATA TYPE changed_rule[];

-- The time of the last batch of the shard that is furthest behind.
CREATE OR REPLACE FUNCTION exchange_time() RETURNS bigint
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce((SELECT min(time) FROM engine_state), 0)
$$;
