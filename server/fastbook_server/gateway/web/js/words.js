// How the page speaks of orders.

import { fixed } from "./numbers.js";

export const sideText = (side) => (side === "bid" ? "▲ buy" : "▼ sell");

/** Return a short description for labels: buy 2.00 at 99.50. */
export function orderText({ type, amount, price }, grid) {
  const at = price === null ? "market" : fixed(price, grid.priceDecimals);
  return `${type === "bid" ? "buy" : "sell"} ${fixed(amount, grid.amountDecimals)} at ${at}`;
}

/** Return which prices trigger a stop order of `side`: ≥ 101.00. */
export const triggerText = (side, price, grid) =>
  `${side === "bid" ? "≥" : "≤"} ${fixed(price, grid.priceDecimals)}`;

/** Return an open order's status, with what it shows and until when it is good. */
export function statusText(order, grid) {
  const { status, type, triggerPrice, display, expireTime } = order;
  const parts = [status === "partiallyFilled" ? "partially filled" : status];
  if (status === "untriggered") parts[0] += ` ${triggerText(type, triggerPrice, grid)}`;
  if (display !== undefined) parts.push(`shows ${fixed(display, grid.amountDecimals)}`);
  if (expireTime !== undefined) parts.push(`until ${new Date(expireTime).toLocaleString()}`);
  return parts.join(", ");
}
