// The user's own fills of one security: each once, in order, over lost connections.

import { Position } from "./position.js";

const KEPT_MAX = 1_000;

export class OwnFills {
  constructor() {
    this._last = 0;
    this._role = "maker";
    this._position = new Position();
    this._told = false; // whether all fills up to a moment since the page was loaded are known
    this.fills = []; // the newest ones, oldest first
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
  /** The position, or null if it is not known yet. */
  get position() {
    return this._told ? this._position : null;
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

  _take(fill, grid) {
    const { fillId, role } = fill;
    const second = fillId === this._last && role === "maker" && this._role === "taker";
    if (fillId <= this._last && !second) return false;
    this._last = fillId;
    this._role = role;
    this._position.take(fill, grid.ticks(fill.price), grid.lots(fill.amount));
    this.fills.push(fill);
    if (this.fills.length > 2 * KEPT_MAX) this.fills.splice(0, this.fills.length - KEPT_MAX);
    return true;
  }
}
