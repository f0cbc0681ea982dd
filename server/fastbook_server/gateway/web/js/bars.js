// The bars of a chart: candles, and in every bucket between them where nothing traded a flat one at
// the last price, so that the time axis runs evenly.

import { INTERVALS } from "./folds.js";

const FLAT_MAX = 500; // in a row: a market that has slept for a month need not be drawn as such

export class Bars {
  /** `candles` are all of one interval, oldest first. */
  constructor(interval, candles = []) {
    this._length = INTERVALS.get(interval);
    this._at = new Map(); // time -> index
    this.all = [];
    for (const candle of candles) this.put(candle);
  }
  get last() {
    return this.all.at(-1) ?? null;
  }
  /** Return the bar that starts at this time, or null. */
  get(time) {
    return this.all[this._at.get(time)] ?? null;
  }
  indexOf(bar) {
    return this._at.get(bar.time);
  }
  has(time) {
    return this._at.has(time);
  }

  /** Take a candle; return the index of the first bar that has changed, null if it has no place. */
  put(candle) {
    const at = this._at.get(candle.time);
    if (at === undefined) {
      if (this.last !== null && candle.time < this.last.time) return null;
      const first = this._fill(candle.time);
      this._push(candle);
      return first;
    }
    this.all[at] = candle;
    for (let i = at + 1; i < this.all.length && this.all[i].flat; i++)
      this.all[i] = flat(this.all[i].time, candle.close);
    return at;
  }
  /** Add flat bars up to the one that starts at `time`; return the index of the first. */
  extend(time) {
    return this._fill(time + this._length);
  }
  _fill(before) {
    const first = this.all.length;
    if (this.last === null) return first;
    const { time: last, close } = this.last;
    const from = Math.max(last + this._length, before - FLAT_MAX * this._length);
    for (let time = from; time < before; time += this._length) this._push(flat(time, close));
    return first;
  }
  _push(bar) {
    this._at.set(bar.time, this.all.length);
    this.all.push(bar);
  }
}

const flat = (time, price) => ({
  time,
  open: price,
  high: price,
  low: price,
  close: price,
  volume: 0,
  trades: 0,
  flat: true,
});
