-- The integer tables as numbers, as the wire shows them.

CREATE VIEW fills_as_numbers AS
SELECT
    f.security, f.seq, f.n, f.time, f.type,
    (f.price_ticks * i.tick_size)::double precision AS price,
    (f.quantity_lots * i.lot_size)::double precision AS amount,
    (f.price_ticks * f.quantity_lots::numeric * i.tick_size * i.lot_size)::double precision
        AS total,
    f.maker_order_id, f.maker_user_id, f.taker_order_id, f.taker_user_id
FROM fills AS f
JOIN instruments AS i USING (security);

CREATE VIEW cancellations_as_numbers AS
SELECT
    c.security, c.seq, c.n, c.time, c.order_id, c.user_id, c.type,
    (c.price_ticks * i.tick_size)::double precision AS price,
    (c.quantity_lots * i.lot_size)::double precision AS amount,
    c.reason, c.rested
FROM cancellations AS c
JOIN instruments AS i USING (security);

CREATE VIEW open_orders_as_numbers AS
SELECT
    o.id, o.time, o.user_id, o.security, o.type,
    (o.price_ticks * i.tick_size)::double precision AS price,
    (o.quantity_lots * i.lot_size)::double precision AS amount,
    (o.remaining_lots * i.lot_size)::double precision AS remaining,
    (o.notional * i.tick_size / nullif(o.quantity_lots - o.remaining_lots, 0))::double precision
        AS avg_price,
    o.seq, o.time_in_force, o.post_only, o.self_trade, o.client_order_id, o.withdraw_on_close
FROM open_orders AS o
JOIN instruments AS i USING (security);
