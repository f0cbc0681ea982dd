// Candles of any interval, folded from those of the server's.

const S = 1_000;
const M = 60 * S;
const H = 60 * M;
const D = 24 * H;
const SERVED = ["1d", "1h", "5m", "1m", "1s"]; // longest first

/** How long each interval is, in ms. */
export const INTERVALS = new Map([
  ["1s", S],
  ["5s", 5 * S],
  ["15s", 15 * S],
  ["30s", 30 * S],
  ["1m", M],
  ["3m", 3 * M],
  ["5m", 5 * M],
  ["15m", 15 * M],
  ["30m", 30 * M],
  ["1h", H],
  ["2h", 2 * H],
  ["4h", 4 * H],
  ["6h", 6 * H],
  ["12h", 12 * H],
  ["1d", D],
  ["1w", 7 * D],
]);

const MONDAY = 4 * D; // time 0 was a Thursday

/** Return the longest of the server's intervals that an interval consists of. */
export const baseOf = (interval) =>
  SERVED.find((served) => INTERVALS.get(interval) % INTERVALS.get(served) === 0);

/** Return the start of a time's bucket: at a multiple of the interval (UTC); weeks on Monday. */
export function startOf(interval, time) {
  const length = INTERVALS.get(interval);
  const offset = interval === "1w" ? MONDAY : 0;
  return Math.floor((time - offset) / length) * length + offset;
}

/** Return candles that follow one another as one, which starts at `time`. */
export function fold(time, candles) {
  return {
    time,
    open: candles[0].open,
    high: Math.max(...candles.map((c) => c.high)),
    low: Math.min(...candles.map((c) => c.low)),
    close: candles.at(-1).close,
    volume: candles.reduce((sum, c) => sum + c.volume, 0),
    trades: candles.reduce((sum, c) => sum + c.trades, 0),
  };
}

const SERVED_MAX = 40_000;

/** The candles of one interval, from those of its base. */
export class Folded {
  constructor(interval) {
    this.interval = interval;
    this.base = baseOf(interval);
    this._served = new Map(); // by time
    this._folded = new Map();
  }
  get size() {
    return this._folded.size;
  }
  /** How many candles of the server's are kept. */
  get served() {
    return this._served.size;
  }
  /** The time of the first of the server's candles. */
  get first() {
    let first = Infinity;
    for (const time of this._served.keys()) first = Math.min(first, time);
    return first;
  }
  /** Take one of the server's candles; return the candle that it is part of. */
  put(candle) {
    this._served.set(candle.time, candle);
    const start = startOf(this.interval, candle.time);
    const folded = this.base === this.interval ? candle : fold(start, this._of(start));
    this._folded.set(start, folded);
    if (this._served.size > SERVED_MAX) this._trim();
    return folded;
  }
  /** Return all candles, oldest first. */
  all() {
    return [...this._folded.values()].sort((a, b) => a.time - b.time);
  }
  /** Drop the older half. */
  _trim() {
    const times = [...this._served.keys()].sort((a, b) => a - b);
    const from = startOf(this.interval, times[times.length >> 1]);
    for (const time of times) if (time < from) this._served.delete(time);
    for (const start of this._folded.keys()) if (start < from) this._folded.delete(start);
  }
  _of(start) {
    const step = INTERVALS.get(this.base);
    const parts = [];
    for (let time = start; time < start + INTERVALS.get(this.interval); time += step)
      if (this._served.has(time)) parts.push(this._served.get(time));
    return parts;
  }
}
