// Indicators: each keeps a state after every bar, so that a change of the last bar costs one step.

const DAY_MS = 86_400_000;

/** Each kind's next state after the one before (undefined at first), of bar `i`, over `n` bars. */
const KINDS = {
  sma: (before, bars, i, n) => {
    const sum = (before?.sum ?? 0) + bars[i].close - (i >= n ? bars[i - n].close : 0);
    return { sum, value: i >= n - 1 ? sum / n : null };
  },
  ema: (before, bars, i, n) => {
    const { close } = bars[i];
    const average = before ? before.average + ((close - before.average) * 2) / (n + 1) : close;
    return { average, value: i >= n - 1 ? average : null };
  },
  vwap: (before, bars, i) => {
    const { time, high, low, close, volume } = bars[i];
    const day = Math.floor(time / DAY_MS);
    const { worth, amount } = before?.day === day ? before : { worth: 0, amount: 0 };
    const next = { worth: worth + ((high + low + close) / 3) * volume, amount: amount + volume };
    return { day, ...next, value: next.amount > 0 ? next.worth / next.amount : null };
  },
  /** Wilder's: the first `n` changes are averaged plainly, later ones smoothed. */
  rsi: (before, bars, i, n) => {
    if (i === 0) return { up: 0, down: 0, value: null };
    const change = bars[i].close - bars[i - 1].close;
    const weight = 1 / Math.min(i, n);
    const up = before.up + (Math.max(change, 0) - before.up) * weight;
    const down = before.down + (Math.max(-change, 0) - before.down) * weight;
    const share = up + down > 0 ? up / (up + down) : 0.5;
    return { up, down, value: i >= n ? 100 * share : null };
  },
};

export class Indicator {
  /** `kind` is sma, ema, vwap or rsi; `length` counts bars. */
  constructor(kind, length) {
    this._next = KINDS[kind];
    this._length = length;
    this._states = [];
  }
  /** Compute the values from bar `first` on. */
  update(bars, first = 0) {
    this._states.length = Math.min(this._states.length, first);
    for (let i = this._states.length; i < bars.length; i++)
      this._states.push(this._next(this._states[i - 1], bars, i, this._length));
  }
  /** Return the value at bar `i`: null where it does not exist yet. */
  at(i) {
    return this._states[i]?.value ?? null;
  }
}
