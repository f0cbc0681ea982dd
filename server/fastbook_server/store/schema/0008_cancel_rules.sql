-- When a user's orders are cancelled unasked: after_disconnect_s seconds after the end of the
-- connection, and at deadline, a time; null for never. Users of whom both are null have no row.

CREATE TABLE cancel_rules (
    user_id text COLLATE "C" PRIMARY KEY,
    after_disconnect_s integer CHECK (after_disconnect_s >= 0),
    deadline bigint,
    CHECK (after_disconnect_s IS NOT NULL OR deadline IS NOT NULL)
) WITH (fillfactor = 50);

-- Until now a user's newest open order told whether all of them go with the connection; they were
-- promised the default resume_grace_s to come back.
INSERT INTO cancel_rules (user_id, after_disconnect_s)
SELECT newest.user_id, 60
FROM (
    SELECT DISTINCT ON (o.user_id) o.user_id, o.withdraw_on_close
    FROM open_orders AS o
    ORDER BY o.user_id, o.id DESC
) AS newest
WHERE newest.withdraw_on_close;

ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'cancel_after';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'delisted';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'expired';
ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'amend';
