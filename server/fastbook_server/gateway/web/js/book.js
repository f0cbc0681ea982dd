// Sums over one side of a book. A level is {t: price in ticks, q: amount in lots}, best first.

/** Return the levels merged into steps of `step` ticks: asks round up, bids round down. */
export function group(levels, side, step) {
  if (step === 1) return levels;
  const merged = [];
  let last = null;
  for (const { t, q } of levels) {
    const rounded = side === "ask" ? Math.ceil(t / step) * step : Math.floor(t / step) * step;
    if (last !== null && last.t === rounded) last.q += q;
    else merged.push((last = { t: rounded, q }));
  }
  return merged;
}

/** Return the first `count` levels, each with `c`: the cumulative lots from the best level. */
export function cumulate(levels, count = levels.length) {
  const rows = [];
  let c = 0;
  for (let i = 0; i < count && i < levels.length; i++) {
    c += levels[i].q;
    rows.push({ t: levels[i].t, q: levels[i].q, c });
  }
  return rows;
}

/**
 * Return what an order that sweeps `levels` would get: {lots, cost (ticks x lots), worst, levels,
 * more: whether it would have gone on}. The sweep stops at `lots`, before a lot that would make it
 * cost more than `cost`, and before any price worse than `limit`.
 */
export function sweep(levels, side, { lots = Infinity, cost = Infinity, limit = null } = {}) {
  const got = { lots: 0, cost: 0, worst: null, levels: 0, more: false };
  for (const { t, q } of levels) {
    if (got.lots >= lots) break;
    if (limit !== null && (side === "ask" ? t > limit : t < limit)) break;
    const taken = Math.min(q, lots - got.lots, Math.floor((cost - got.cost) / t));
    if (taken === 0) return got;
    got.lots += taken;
    got.cost += taken * t;
    got.worst = t;
    got.levels += 1;
    if (taken < q) return got;
  }
  got.more = got.lots < lots && got.cost < cost;
  return got;
}

/** One side of a book, built from changes: price in ticks -> lots; sorted on demand. */
export class Side {
  constructor(side) {
    this.side = side;
    this.lots = new Map();
    this._levels = null;
  }
  clear() {
    this.lots.clear();
    this._levels = null;
  }
  set(t, q) {
    if (q === 0) this.lots.delete(t);
    else this.lots.set(t, q);
    this._levels = null;
  }
  get levels() {
    if (this._levels === null) {
      const prices = Float64Array.from(this.lots.keys()).sort();
      if (this.side === "bid") prices.reverse();
      this._levels = Array.from(prices, (t) => ({ t, q: this.lots.get(t) }));
    }
    return this._levels;
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** Return the wire's checksum: the CRC-32 of the best 100 levels of each side, as text. */
export function checksum(asks, bids) {
  const text = [asks, bids]
    .map((levels) =>
      levels
        .slice(0, 100)
        .map(({ t, q }) => `${t}:${q}`)
        .join(","),
    )
    .join("|");
  let crc = ~0;
  for (let i = 0; i < text.length; i++) crc = CRC[(crc ^ text.charCodeAt(i)) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
