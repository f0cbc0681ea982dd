// How the page speaks of orders.

import { fixed } from "./numbers.js";

export const sideText = (side) => (side === "bid" ? "▲ buy" : "▼ sell");

/** Return a short description for labels: buy 2.00 at 99.50. */
export function orderText({ type, amount, price }, grid) {
  const at = price === null ? "market" : fixed(price, grid.priceDecimals);
  return `${type === "bid" ? "buy" : "sell"} ${fixed(amount, grid.amountDecimals)} at ${at}`;
}

const isStop = (kind) => kind.startsWith("stop");

/** Return from which side the price must come to trigger an order of `side`: ≥ or ≤. */
export const triggerSign = (side, kind) => ((side === "bid") === isStop(kind) ? "≥" : "≤");

/** Return which prices trigger an order of `side` that waits: ≥ 101.00. */
export function triggerText(side, price, grid, kind) {
  return `${triggerSign(side, kind)} ${fixed(price, grid.priceDecimals)}`;
}

/** Return what an order of this `kind` waits for, in a word or two. */
export const waitsText = (kind) => (isStop(kind) ? "stop" : "take profit");

/** Return an open order's status, with what it shows and until when it is good. */
export function statusText(order, grid) {
  const { status, type, execType, triggerPrice, display, expireTime, timeInForce } = order;
  const parts = [status === "partiallyFilled" ? "partially filled" : status];
  if (status === "untriggered")
    parts[0] = `${waitsText(execType)} ${triggerText(type, triggerPrice, grid, execType)}`;
  if (display !== undefined) parts.push(`shows ${fixed(display, grid.amountDecimals)}`);
  if (expireTime !== undefined) parts.push(`until ${new Date(expireTime).toLocaleString()}`);
  if (order.postOnly) parts.push("post-only");
  if (timeInForce === "fok" || (timeInForce === "ioc" && execType.endsWith("Limit")))
    parts.push(timeInForce.toUpperCase()); // one that waits, and what then holds
  return parts.join(", ");
}

/** Return what the ticket's fields ask for, without the verb: 2.00 COIN at 99.50. */
export function termsText({ side, type, when, security, price, amount, total, trigger }, grid) {
  const size =
    total === null
      ? `${fixed(amount, grid.amountDecimals)} ${security}`
      : `${security} for ${grid.totalText(total)} in total`;
  const at = type === "limit" ? ` at ${fixed(price, grid.priceDecimals)}` : " at market";
  if (when === "now") return size + at;
  return `${size + at}, ${waitsText(when)} ${triggerText(side, trigger, grid, when)}`;
}

/** Return a sum of money with its sign: +12.50. */
export function profitText(value) {
  const text = fixed(value, 2);
  if (Number(text) === 0) return "0.00"; // nor -0.00
  return value > 0 ? `+${text}` : text;
}

/** Return the side whose colour tells a gain from a loss. */
export const profitSide = (value) => (value > 0 ? "bid" : value < 0 ? "ask" : "");

/** Return a count with its noun: 1 order, 2 orders. */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Return an average price: as a price if it is one, else with one more digit and the word. */
export function averageText(average, grid) {
  const isPrice = Math.abs(average - grid.price(grid.ticks(average))) < grid.tick * 1e-6;
  if (isPrice) return fixed(average, grid.priceDecimals);
  return `${fixed(average, grid.priceDecimals + 1)} on average`;
}
