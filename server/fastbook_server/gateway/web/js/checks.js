// What looks like a slip of the hand: an order far larger than the book, or far through it.

const TIMES_MAX = 10;
const THROUGH_MAX = 0.05;

/**
 * Return what is odd about an order, as a sentence, or "". `sides` are the levels of the book;
 * `lots` and `limit`, a price in ticks, are null where the order has none.
 */
export function oddity({ side, lots, limit }, sides) {
  const other = sides[side === "bid" ? "ask" : "bid"];
  const depth = Math.max(sumOf(sides.ask), sumOf(sides.bid));
  const times = depth > 0 && lots !== null ? lots / depth : 0;
  const said = [];
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

function sumOf(levels) {
  let sum = 0;
  for (const { q } of levels) sum += q;
  return sum;
}
