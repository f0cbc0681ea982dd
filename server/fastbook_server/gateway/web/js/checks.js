// What looks like a slip of the hand: an order far larger than the book, or far through it, or one
// that is meant to wait and would not.

import { triggerSign } from "./words.js";

const TIMES_MAX = 10;
const THROUGH_MAX = 0.05;

/**
 * Return what is odd about an order, as a sentence, or "". `sides` are the levels of the book;
 * `lots` and `limit`, a price in ticks, are null where the order has none; `triggered` says that it
 * would not wait.
 */
export function oddity({ side, lots, limit, triggered = false }, sides) {
  const other = sides[side === "bid" ? "ask" : "bid"];
  const depth = Math.max(sumOf(sides.ask), sumOf(sides.bid));
  const times = depth > 0 && lots !== null ? lots / depth : 0;
  const said = [];
  if (triggered) said.push("The last price already meets its trigger: it takes effect at once.");
  if (times >= TIMES_MAX) said.push(`It is ${Math.floor(times)} times the depth of the book.`);
  const best = other[0]?.t;
  const through =
    best === undefined || limit === null
      ? 0
      : (side === "bid" ? limit - best : best - limit) / best;
  if (through > THROUGH_MAX) {
    const verb = side === "bid" ? "above the best ask" : "below the best bid";
    said.push(`Its price is ${(100 * through).toFixed(0)} % ${verb}.`);
  }
  return said.join(" ");
}

/** Return whether the `last` price already triggers an order that is meant to wait. */
export function isTriggered({ side, when, trigger }, last) {
  if (when === "now" || !(trigger > 0) || last === null) return false;
  return triggerSign(side, when) === "≥" ? last >= trigger : last <= trigger;
}

function sumOf(levels) {
  let sum = 0;
  for (const { q } of levels) sum += q;
  return sum;
}
