-- A client order id is remembered for 24 h from the end of its order, not from its placement. ended
-- is null while the order is open. When older orders ended is not looked up: from now on is safe.

ALTER TABLE client_orders ADD COLUMN ended bigint;

UPDATE client_orders AS c SET ended = s.time
FROM engine_state AS s
WHERE NOT EXISTS (SELECT 1 FROM open_orders AS o WHERE o.id = c.order_id);

DROP INDEX client_orders_time;
CREATE INDEX client_orders_ended ON client_orders (ended) WHERE ended IS NOT NULL;
