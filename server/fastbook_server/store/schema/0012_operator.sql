-- What the operator did on the running server, in its place among the batches. A security whose last
-- action is a halt stays halted over restarts.

CREATE TABLE IF NOT EXISTS operator_actions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_no bigint NOT NULL,
    time bigint NOT NULL,
    action text NOT NULL,
    security text COLLATE "C",
    user_id text COLLATE "C",
    orders bigint NOT NULL
);

ALTER TYPE cancel_reason ADD VALUE IF NOT EXISTS 'operator';
