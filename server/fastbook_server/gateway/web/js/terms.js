// The terms of an order: which fields of the ticket go together, and the order that they make.

/**
 * Return which fields go with the others, by their ids. `when` is "now", or what the order waits
 * for: "stop", "takeProfit"; `total` says whether that field is filled in.
 */
export function fitting({ type, when, tif, total }) {
  const limit = type === "limit";
  const waits = when !== "now";
  const rests = limit && tif === "gtc";
  const byTotal = (limit || !waits) && total;
  return {
    price: limit,
    "price-up": limit,
    "price-down": limit,
    "post-only": rests,
    display: rests,
    expire: rests || waits,
    trigger: waits,
    total: limit || !waits,
    amount: !byTotal,
    tif: limit || !byTotal, // what is left of such an order is always cancelled
  };
}

/**
 * Return the fields with an amount in place of the total of a limit order: the whole lots that it
 * pays for at its price. The wire knows totals of market orders only.
 */
export function byAmount(fields, grid) {
  const { type, total, price } = fields;
  if (type !== "limit" || total === null || Number.isNaN(total)) return fields;
  const lots = Math.floor(total / (price * grid.lot) + 1e-9);
  return { ...fields, total: null, amount: price > 0 ? grid.amount(lots) : null };
}

/** Return the wire's order; of the fields, null says that one is empty or does not go with it. */
export function orderOf(fields) {
  const { security, side, type, when, price, amount, total, trigger, display, expire } = fields;
  const kind = when === "now" ? type : type === "limit" ? `${when}Limit` : when;
  const size = total === null ? { amount, timeInForce: fields.tif } : { total };
  const order = { security, type: side, execType: kind, ...size };
  if (price !== null) order.price = price;
  if (trigger !== null) order.triggerPrice = trigger;
  if (display !== null) order.display = display;
  if (expire !== null) order.expireTime = expire;
  if (expire !== null && type === "limit") order.timeInForce = "gtt";
  if (fields.postOnly) order.postOnly = true;
  if (fields.selfTrade !== "allow") order.selfTrade = fields.selfTrade; // the wire's default
  return order;
}
