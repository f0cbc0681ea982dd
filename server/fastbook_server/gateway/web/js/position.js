// A position at its average price: what it has earned, and what it would earn if it were closed.

/** Counted in lots, prices in ticks, money in ticks × lots. */
export class Position {
  constructor() {
    this.lots = 0;
    this._cost = 0; // what the open lots were traded at, together
    this._cash = 0; // what was sold less what was bought
    this._before = null; // what a trade with oneself, told as two fills, goes back to
  }
  /** Count a fill. The second half of a trade with oneself undoes the first. */
  take({ fillId, role, type }, t, lots) {
    const { _before: before } = this;
    if (before?.fillId === fillId && role === "maker") return void Object.assign(this, before.was);
    const { lots: open, _cost, _cash } = this;
    this._before = role === "taker" ? { fillId, was: { lots: open, _cost, _cash } } : null;
    const signed = type === "bid" ? lots : -lots;
    const size = Math.abs(open);
    if (open * signed >= 0) this._cost += t * lots;
    else if (lots >= size) this._cost = t * (lots - size);
    else this._cost -= (this._cost * lots) / size;
    this.lots += signed;
    this._cash -= signed * t;
  }
  /** The average price of the open lots, or null. */
  get average() {
    return this.lots === 0 ? null : this._cost / Math.abs(this.lots);
  }
  get realised() {
    return this._cash + Math.sign(this.lots) * this._cost;
  }
  /** Return what closing at the price `t` would earn; null if there is none. */
  unrealised(t) {
    if (this.lots === 0) return 0;
    return t === null ? null : this.lots * t - Math.sign(this.lots) * this._cost;
  }
}
