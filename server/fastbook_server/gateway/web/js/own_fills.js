// The user's own fills of one security: each once, in order, over lost connections and reloads.

export class OwnFills {
  /** `past` is what `kept` returned before a reload. */
  constructor({ last = 0, role = "maker", lots = 0 } = {}) {
    this._last = last;
    this._role = role;
    this._lots = lots;
    this._told = false; // whether the position is that of a moment since the reload
    this.begin();
  }
  /** Begin a connection: what it tells waits for what was missed before. */
  begin() {
    this.asked = false;
    this._early = [];
    this._joined = false;
  }
  /** The number to ask from. The last one again: a user who met himself has two of it. */
  get since() {
    return Math.max(0, this._last - 1);
  }
  /** The position in lots, or null if it is not known yet. */
  get position() {
    return this._told ? this._lots : null;
  }
  /** What to keep over a reload. */
  get kept() {
    return { last: this._last, role: this._role, lots: this._lots };
  }

  /** Take a page of missed fills; return those that are new. */
  missed(fills, grid) {
    return fills.filter((fill) => this._take(fill, grid));
  }
  /** Take a fill that has just happened; return the new ones that can be shown now. */
  live(fill, grid) {
    if (this._joined) return this.missed([fill], grid);
    this._early.push(fill);
    return [];
  }
  /** All that was missed has come: return the new ones among those that waited for it. */
  join(grid) {
    const early = this._early;
    this._early = [];
    this._joined = this._told = true;
    return this.missed(early, grid);
  }

  _take({ fillId, role, type, amount }, grid) {
    const second = fillId === this._last && role === "maker" && this._role === "taker";
    if (fillId <= this._last && !second) return false;
    this._last = fillId;
    this._role = role;
    this._lots += (type === "bid" ? 1 : -1) * grid.lots(amount);
    return true;
  }
}
