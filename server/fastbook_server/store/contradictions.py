"""What holds in a sound database, as queries that select what contradicts it.

The tables tell everything twice: what became of each order is in ``orders``, ``order_changes``,
``fills`` and ``cancellations``, what is left of it in ``open_orders``; candles, trades and counters
follow from the fills. History that has been dropped is left out.
"""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """Something that holds in a sound database; each of `contradictions` selects texts, of faults.

    What can be asked apart is: a query locks the chunks and indexes of all tables that it reads.
    """

    name: str
    contradictions: tuple[str, ...]


_KEPT = """
LEFT JOIN dropped AS d USING (security)
WHERE {0}.time >= coalesce(d.time, 0)
"""

_ENDED_ORDERS = f"""
WITH placed AS (
    SELECT o.security, o.id, o.type, units(o.amount, i.lot_size) AS lots
    FROM orders AS o JOIN instruments AS i USING (security) {_KEPT.format("o")}
), changed AS (
    SELECT DISTINCT ON (order_id) order_id AS id, quantity_lots AS lots
    FROM order_changes ORDER BY order_id, seq DESC, n DESC
), filled AS (
    SELECT id, sum(lots) AS lots FROM (
        SELECT maker_order_id AS id, quantity_lots AS lots FROM fills
        UNION ALL SELECT taker_order_id, quantity_lots FROM fills
    ) AS f GROUP BY id
), cancelled AS (
    SELECT order_id AS id, sum(quantity_lots) AS lots FROM cancellations GROUP BY order_id
)
SELECT format('%s order %s: %s lots, of which %s filled, %s cancelled, %s open',
              p.security, p.id, coalesce(c.lots, p.lots), coalesce(f.lots, 0),
              coalesce(e.lots, 0), coalesce(o.remaining_lots, 0))
FROM placed AS p
LEFT JOIN changed AS c USING (id) LEFT JOIN filled AS f USING (id)
LEFT JOIN cancelled AS e USING (id) LEFT JOIN open_orders AS o USING (id)
WHERE coalesce(c.lots, p.lots)
    <> coalesce(f.lots, 0) + coalesce(e.lots, 0) + coalesce(o.remaining_lots, 0)
   OR p.lots = 0 AND e.lots IS NULL  -- its total paid for nothing: then it was cancelled
"""

_CHANGES = """
SELECT format('%s order %s: what it was before its change at seq %s', c.security, c.order_id, c.seq)
FROM (
    SELECT c.*, lag(quantity_lots) OVER w AS lots, lag(price_ticks) OVER w AS price,
           lag(client_order_id) OVER w AS name, lag(seq) OVER w AS since
    FROM order_changes AS c WINDOW w AS (PARTITION BY order_id ORDER BY seq, n)
) AS c
JOIN instruments AS i USING (security)
JOIN orders AS o ON o.id = c.order_id AND o.time = id_time(c.order_id)
WHERE (c.quantity_lots_before, c.price_ticks_before, c.client_order_id_before) IS DISTINCT FROM
      CASE WHEN c.since IS NULL
           THEN (units(o.amount, i.lot_size), units(o.price, i.tick_size), o.client_order_id)
           ELSE (c.lots, c.price, c.name) END
"""

_STRANGERS = tuple(
    f"SELECT format('%s order %s is in {table}, but was never placed', t.security, t.{order_id})"
    f" FROM {table} AS t {_KEPT.format('t')}"
    f" AND id_time(t.{order_id}) >= coalesce(d.time, 0)"
    f" AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.id = t.{order_id}"
    f" AND o.time = id_time(t.{order_id}))"
    for table, order_id in (
        *(("fills", "maker_order_id"), ("fills", "taker_order_id")),
        *(("cancellations", "order_id"), ("order_changes", "order_id"), ("open_orders", "id")),
    )
)

_OPEN = """
SELECT format('%s order %s: %s of %s lots open', security, id, remaining_lots, quantity_lots)
FROM open_orders
WHERE remaining_lots <= 0 OR remaining_lots > quantity_lots
   OR (price_ticks IS NULL AND NOT held) OR price_ticks <= 0
   OR visible_lots <= 0 OR visible_lots > remaining_lots
"""

_CROSSED = """
SELECT format('%s: the best bid is %s ticks, the best ask %s', security, bid, ask) FROM (
    SELECT security, max(price_ticks) FILTER (WHERE type = 'bid') AS bid,
           min(price_ticks) FILTER (WHERE type = 'ask') AS ask
    FROM open_orders WHERE NOT held GROUP BY security
) AS best WHERE bid >= ask
"""

_BOOK = """
WITH by_history AS (
    SELECT m.security, b.type, b.price_ticks, b.quantity_lots
    FROM markets AS m, LATERAL book_at(m.security, m.seq) AS b
)
SELECT format('%s %s at %s ticks: %s lots by its history, %s by open_orders', security, type,
              price_ticks, coalesce(h.quantity_lots, 0), coalesce(a.quantity_lots, 0))
FROM by_history AS h FULL JOIN agg_order_book AS a USING (security, type, price_ticks)
WHERE h.quantity_lots IS DISTINCT FROM a.quantity_lots
"""

_SEQS = """
WITH used AS (
    SELECT security, seq FROM orders UNION SELECT security, seq FROM cancellations
    UNION SELECT security, seq FROM order_changes UNION SELECT security, seq FROM fills
), counted AS (
    SELECT m.security, m.seq AS last, coalesce(d.seq, 0) AS before,
           count(u.seq) AS found, max(u.seq) AS newest
    FROM markets AS m LEFT JOIN dropped AS d USING (security)
    LEFT JOIN used AS u ON u.security = m.security AND u.seq > coalesce(d.seq, 0)
    GROUP BY m.security, m.seq, d.seq
)
SELECT format('%s: expected seq %s to %s, got %s of them up to %s',
              security, before + 1, last, found, newest)
FROM counted WHERE found <> last - before OR newest <> last
"""

_FILL_IDS = """
SELECT format('%s: fill %s follows %s', security, fill_id, before) FROM (
    SELECT security, fill_id, lag(fill_id) OVER w AS before,
           seq, lag(seq) OVER w AS seq_before
    FROM fills WINDOW w AS (PARTITION BY security ORDER BY fill_id, seq, n)
) AS f WHERE fill_id <> before + 1 OR seq < seq_before
UNION ALL
SELECT format('%s: the first fill is %s', security, first) FROM (
    SELECT security, min(fill_id) AS first FROM fills GROUP BY security
) AS f WHERE first <> 1 AND security NOT IN (SELECT security FROM dropped)
UNION ALL
SELECT format('%s: expected %s as the last fill, got %s', m.security, m.fill_id, last)
FROM markets AS m JOIN (
    SELECT security, max(fill_id) AS last FROM fills GROUP BY security
) AS f USING (security) WHERE last <> m.fill_id
UNION ALL
SELECT format('%s: expected %s fills, got none', m.security, m.fill_id) FROM markets AS m
WHERE m.fill_id > 0 AND m.security NOT IN (SELECT security FROM fills)
  AND m.security NOT IN (SELECT security FROM dropped)
"""

_AGG_TRADE_IDS = """
SELECT format('%s: aggregate trade %s of fill %s follows %s',
              security, agg_trade_id, fill_id, before) FROM (
    SELECT security, fill_id, agg_trade_id, lag(agg_trade_id) OVER w AS before,
           (seq, price_ticks) IS DISTINCT FROM (lag(seq) OVER w, lag(price_ticks) OVER w) AS begins
    FROM fills WINDOW w AS (PARTITION BY security ORDER BY fill_id)
) AS f WHERE agg_trade_id <> before + begins::integer
UNION ALL
SELECT format('%s: expected aggregate trade %s last, got %s', m.security, m.agg_trade_id, last)
FROM markets AS m JOIN (
    SELECT security, max(agg_trade_id) AS last FROM fills GROUP BY security
) AS f USING (security) WHERE last <> m.agg_trade_id
"""

_SIDES = """
SELECT format('%s fill %s: a %s took from a %s', f.security, f.fill_id, t.type, m.type)
FROM fills AS f
JOIN orders AS t ON t.id = f.taker_order_id AND t.time = id_time(f.taker_order_id)
JOIN orders AS m ON m.id = f.maker_order_id AND m.time = id_time(f.maker_order_id)
WHERE t.type <> f.type OR m.type = f.type OR t.user_id <> f.taker_user_id
   OR m.user_id <> f.maker_user_id OR t.security <> f.security OR m.security <> f.security
"""

_BUYS = """
SELECT format('%s: %s lots bought, %s sold', security, bought, sold) FROM (
    SELECT security, sum(lots) FILTER (WHERE type = 'bid') AS bought,
           sum(lots) FILTER (WHERE type = 'ask') AS sold
    FROM (
        SELECT f.security, o.type, f.quantity_lots AS lots FROM fills AS f
        JOIN orders AS o ON o.id = f.taker_order_id AND o.time = id_time(f.taker_order_id)
        UNION ALL
        SELECT f.security, o.type, f.quantity_lots FROM fills AS f
        JOIN orders AS o ON o.id = f.maker_order_id AND o.time = id_time(f.maker_order_id)
    ) AS both_sides GROUP BY security
) AS sums WHERE coalesce(bought, 0) <> coalesce(sold, 0)
  AND security NOT IN (SELECT security FROM dropped)
"""

_TRADES = f"""
WITH sums AS (
    SELECT f.security, f.seq, f.taker_order_id AS order_id, f.taker_user_id AS user_id, f.type,
           sum(f.quantity_lots) AS lots, sum(f.price_ticks * f.quantity_lots::numeric) AS value
    FROM fills AS f GROUP BY 1, 2, 3, 4, 5
), told AS (SELECT t.* FROM trades AS t {_KEPT.format("t")})
SELECT format('%s trade of order %s at seq %s: %s at %s, fills say %s at %s',
              security, order_id, seq, t.amount, t.avg_price,
              (s.lots * i.lot_size)::double precision,
              (s.value / s.lots * i.tick_size)::double precision)
FROM told AS t FULL JOIN sums AS s USING (security, seq, order_id)
JOIN instruments AS i USING (security)
WHERE t.id IS NULL OR s.lots IS NULL OR (t.user_id, t.type) <> (s.user_id, s.type)
   OR 'NaN' IN (t.amount, t.avg_price)
   OR t.amount <> (s.lots * i.lot_size)::double precision
   OR abs(t.avg_price - (s.value / s.lots * i.tick_size)::double precision)
        > 1e-12 * t.avg_price
"""

_CANDLES = tuple(
    f"""
SELECT format('%s {name} of %s: candle %s, fills %s', security, time,
              (c.open_ticks, c.high_ticks, c.low_ticks, c.close_ticks, c.volume_lots, c.trades),
              (f.open, f.high, f.low, f.close, f.volume, f.trades))
FROM (SELECT c.* FROM candles_{name} AS c {_KEPT.format("c")}) AS c
FULL JOIN (
    SELECT security, time - time % {length_ms} AS time,
           (min(ARRAY[seq, n, price_ticks]))[3] AS open, max(price_ticks) AS high,
           min(price_ticks) AS low, (max(ARRAY[seq, n, price_ticks]))[3] AS close,
           sum(quantity_lots) AS volume, count(*) FILTER (WHERE n = 0) AS trades
    FROM fills GROUP BY 1, 2
) AS f USING (security, time)
WHERE (c.open_ticks, c.high_ticks, c.low_ticks, c.close_ticks, c.volume_lots, c.trades)
    IS DISTINCT FROM (f.open, f.high, f.low, f.close, f.volume, f.trades)
"""
    for name, length_ms in (
        *(("1s", 1_000), ("1m", 60_000), ("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)),
    )
)

_LAST = """
SELECT format('%s: the last price is %s ticks, its last fill was at %s', m.security,
              m.last_ticks, f.price_ticks)
FROM markets AS m JOIN fills AS f ON f.security = m.security AND f.fill_id = m.fill_id
WHERE m.last_ticks IS DISTINCT FROM f.price_ticks
"""

_STATE = """
SELECT format('engine_state has %s rows', count(*)) FROM engine_state HAVING count(*) = 0
UNION ALL
SELECT format('%s is of shard %s, of which engine_state has no row', m.security, m.shard)
FROM markets AS m WHERE NOT EXISTS (SELECT FROM engine_state AS s WHERE s.shard = m.shard)
UNION ALL
SELECT 'the key of the resume tokens is lost' FROM engine_state WHERE octet_length(token_key) < 16
UNION ALL
SELECT format('%s at %s is later than the last batch, %s', name, newest, s.time)
FROM (SELECT max(time) AS time FROM engine_state) AS s, (
    SELECT 'orders' AS name, max(time) AS newest FROM orders
    UNION ALL SELECT 'fills', max(time) FROM fills
    UNION ALL SELECT 'cancellations', max(time) FROM cancellations
    UNION ALL SELECT 'order_changes', max(time) FROM order_changes
) AS t WHERE newest > s.time
"""

_GRID = """
SELECT format('%s order %s: %s at %s is off the grid', o.security, o.id, o.amount, o.price)
FROM orders AS o JOIN instruments AS i USING (security)
WHERE NOT o.amount BETWEEN 0 AND 1e300 OR NOT coalesce(o.price, 1) BETWEEN 0 AND 1e300
   OR (units(o.amount, i.lot_size) * i.lot_size)::double precision <> o.amount
   OR (units(o.price, i.tick_size) * i.tick_size)::double precision <> o.price
"""

# values/ids.py: time 48, version 4, epoch 12, variant 2, epoch 8, seq 40, instrument 12, kind 2
_IDS = """
SELECT format('%s %s %s: its id belongs to another', t.security, kind, id) FROM (
    SELECT t.*, ('x' || replace(id::text, '-', ''))::bit(128) AS bits FROM (
        SELECT 'order' AS kind, 1 AS code, security, seq, time, id FROM orders
        UNION ALL SELECT 'trade', 2, security, seq, time, id FROM trades
    ) AS t
) AS t
JOIN instruments AS i USING (security)
WHERE id_time(id) <> t.time OR substring(bits FROM 75 FOR 40)::bit(40)::bigint <> seq
   OR substring(bits FROM 115 FOR 12)::bit(12)::integer <> i.number
   OR substring(bits FROM 127)::bit(2)::integer <> code
   OR (substring(bits FROM 53 FOR 12) || substring(bits FROM 67 FOR 8))::bit(20)::integer
      > (SELECT max(epoch) FROM engine_state)
"""

_MOMENTS = """
WITH moments AS (
    SELECT security, seq, min(time) AS first, max(time) AS last FROM (
        SELECT security, seq, time FROM orders UNION SELECT security, seq, time FROM fills
        UNION SELECT security, seq, time FROM cancellations
        UNION SELECT security, seq, time FROM order_changes
    ) AS t GROUP BY security, seq
)
SELECT format('%s: seq %s from %s to %s, the one before at %s', security, seq, first, last, before)
FROM (
    SELECT m.*, lag(last) OVER (PARTITION BY security ORDER BY seq) AS before FROM moments AS m
) AS m WHERE first <> last OR first < before
"""

_TRADED_AT = """
SELECT format('%s: the trade of seq %s at %s, its fills at %s', t.security, t.seq, t.time, f.time)
FROM trades AS t JOIN fills AS f USING (security, seq) WHERE t.time <> f.time AND f.n = 0
"""

_OWNERS = tuple(
    f"SELECT format('%s order %s of %s: in {table} it is a %s of %s', o.security, o.id, o.user_id,"
    f" t.type, t.user_id)"
    f" FROM {table} AS t JOIN orders AS o ON o.id = t.{order_id} AND o.time = id_time(t.{order_id})"
    f" WHERE (o.user_id, o.type, o.security) <> (t.user_id, t.type, t.security)"
    for table, order_id in (
        *(("cancellations", "order_id"), ("order_changes", "order_id"), ("trades", "order_id")),
        ("open_orders", "id"),
    )
)

_PRICES = """
WITH changed AS (  -- the price of an order from one change to the next, by seq
    SELECT order_id, price_ticks, seq AS since,
           lead(seq) OVER (PARTITION BY order_id ORDER BY seq, n) AS until
    FROM order_changes
)
SELECT format('%s order %s: at %s ticks at seq %s, it was placed at %s', o.security, o.id,
              e.price_ticks, e.seq, o.price)
FROM (
    SELECT order_id, seq, price_ticks FROM cancellations
    UNION ALL SELECT maker_order_id, seq, price_ticks FROM fills
) AS e
JOIN orders AS o ON o.id = e.order_id AND o.time = id_time(e.order_id)
JOIN instruments AS i ON i.security = o.security
LEFT JOIN changed AS c
    ON c.order_id = e.order_id AND c.since <= e.seq AND (c.until IS NULL OR e.seq < c.until)
WHERE e.price_ticks IS DISTINCT FROM
      CASE WHEN c.since IS NULL THEN units(o.price, i.tick_size) ELSE c.price_ticks END
"""

_TERMS = """
WITH spent AS (
    SELECT id, sum(price_ticks * lots::numeric) AS notional FROM (
        SELECT maker_order_id AS id, price_ticks, quantity_lots AS lots FROM fills
        UNION ALL SELECT taker_order_id, price_ticks, quantity_lots FROM fills
    ) AS f GROUP BY id
), changed AS (
    SELECT DISTINCT ON (order_id) order_id AS id, price_ticks, quantity_lots AS lots,
           client_order_id
    FROM order_changes ORDER BY order_id, seq DESC, n DESC
)
SELECT format('%s order %s: it is open on other terms than it was placed on', o.security, o.id)
FROM open_orders AS a
JOIN orders AS o ON o.id = a.id AND o.time = id_time(a.id)
JOIN instruments AS i ON i.security = o.security
LEFT JOIN changed AS c ON c.id = a.id LEFT JOIN spent AS s ON s.id = a.id
WHERE (a.seq, a.time, a.post_only, a.self_trade) <> (o.seq, o.time, o.post_only, o.self_trade)
   OR a.expire_time IS DISTINCT FROM o.expire_time
   OR a.trigger_ticks IS DISTINCT FROM units(o.trigger_price, i.tick_size)
   OR a.notional IS DISTINCT FROM s.notional
   OR (a.price_ticks, a.quantity_lots, a.client_order_id) IS DISTINCT FROM
      CASE WHEN c.id IS NULL
           THEN (units(o.price, i.tick_size), units(o.amount, i.lot_size), o.client_order_id)
           ELSE (c.price_ticks, c.lots, c.client_order_id) END
"""

_CLIENT_IDS = """
SELECT format('%s calls order %s %L, which is another''s or none', t.user_id, order_id,
              t.client_order_id)
FROM client_orders AS t
WHERE id_time(order_id) >= (SELECT coalesce(max(time), 0) FROM dropped)
  AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.id = t.order_id
                  AND o.time = id_time(t.order_id) AND o.user_id = t.user_id)
"""

_DAYS = """
WITH happened AS (
    SELECT security, day, min(seq) AS seq, min(fill_id) AS fill_id FROM (
        SELECT security, time - time % 86400000 AS day, seq, NULL::bigint AS fill_id FROM orders
        UNION ALL SELECT security, time - time % 86400000, seq, NULL FROM cancellations
        UNION ALL SELECT security, time - time % 86400000, seq, NULL FROM order_changes
        UNION ALL SELECT security, time - time % 86400000, seq, fill_id FROM fills
    ) AS t GROUP BY security, day
)
SELECT format('%s day %s: begins with seq %s after fill %s, got %s after %s', h.security, h.day,
              h.seq, h.before, d.seq, d.fill_id)
FROM (
    SELECT h.*, min(fill_id) OVER (
        PARTITION BY security ORDER BY day ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    ) - 1 AS before FROM happened AS h
) AS h
LEFT JOIN days AS d ON (d.security, d.time) = (h.security, h.day)
WHERE d.seq IS DISTINCT FROM h.seq OR d.fill_id <> h.before
"""

CHECKS = (
    Check("orders = fills + cancellations + open", (_ENDED_ORDERS,)),
    Check("each change of an order follows from the one before", (_CHANGES,)),
    Check("whatever happened, happened to an order", _STRANGERS),
    Check("what is open is possible", (_OPEN,)),
    Check("books are uncrossed", (_CROSSED,)),
    Check("the book by its history = the book by open orders", (_BOOK,)),
    Check("seq is gapless", (_SEQS,)),
    Check("fillId is gapless", (_FILL_IDS,)),
    Check("aggregate trades are gapless", (_AGG_TRADE_IDS,)),
    Check("each fill is of a bid and an ask", (_SIDES,)),
    Check("buys = sells", (_BUYS,)),
    Check("trades = fills", (_TRADES,)),
    Check("candles = fills", _CANDLES),
    Check("the last price is that of the last fill", (_LAST,)),
    Check("time never went back", (_STATE,)),
    Check("orders are on the grid", (_GRID,)),
    Check("each id says when and where", (_IDS,)),
    Check("each seq is one moment", (_MOMENTS, _TRADED_AT)),
    Check("whatever happens to an order happens to its user", _OWNERS),
    Check("orders are filled and cancelled at their price", (_PRICES,)),
    Check("what is open has the terms it was placed on", (_TERMS,)),
    Check("client order ids lead to their orders", (_CLIENT_IDS,)),
    Check("days begin where they should", (_DAYS,)),
)
