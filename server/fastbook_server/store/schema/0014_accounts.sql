-- Accounts: API keys with balances. Whoever is no account has unlimited credit, and no row here.

-- The key says who asks, the secret proves it. A secret is needed in clear to check a signature, so
-- it stands here, and nowhere else. A removed account has neither, and its name stays taken.
CREATE TABLE accounts (
    name text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL UNIQUE,
    key text COLLATE "C" UNIQUE,
    secret text COLLATE "C",
    created bigint NOT NULL,
    CHECK ((key IS NULL) = (secret IS NULL))
);

-- What was paid in. batch_no is null until a batch holds it; the server looks for these.
CREATE TABLE deposits (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts (user_id),
    asset text COLLATE "C" NOT NULL,
    amount numeric NOT NULL CHECK (amount > 0),
    batch_no bigint
);
CREATE INDEX deposits_pending ON deposits (number) WHERE batch_no IS NULL;

-- What an account has of an asset, free and locked together: what open orders lock follows from
-- open_orders. Written in the transaction of the batch that changed it.
CREATE TABLE balances (
    user_id text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    total numeric NOT NULL CHECK (total >= 0),
    PRIMARY KEY (user_id, asset)
) WITH (fillfactor = 50);

-- The base and the quote asset of each security whose name says both.
CREATE VIEW pairs AS
SELECT security, split_part(security, '-', 1) AS base, split_part(security, '-', 2) AS quote,
       tick_size, lot_size
FROM instruments WHERE security ~ '^[^-]+-[^-]+$';

-- Each balance beside what deposits, fills and open orders say it must be: free below 0, or expected
-- other than total, would be a fault, unless fills have been dropped.
CREATE VIEW account_balances AS
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
           sum(o.remaining_lots * p.lot_size
               * CASE o.type WHEN 'ask' THEN 1 ELSE o.price_ticks * p.tick_size END) AS locked
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
