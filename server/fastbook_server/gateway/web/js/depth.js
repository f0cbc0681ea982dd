// The depth chart: cumulative lots from the mid to each price; shares the ladder's crosshair.

import { Canvas, MONO, colours } from "./canvas.js";
import { byId } from "./dom.js";

const FOOT = 16;
const LOTS_SHOWN = 0.9;
const LEVELS_SHOWN = 0.8;

export class DepthChart {
  /** Calls `pick` with {side, t, lots: null} of the level that is clicked. */
  constructor({ market, ui, loop, pick }) {
    Object.assign(this, { market, ui });
    this.canvas = new Canvas(byId("depth"), loop);
    this._seen = "";
    this._view = null;
    const { node } = this.canvas;
    node.addEventListener("pointermove", (e) => ui.point(this._at(e.offsetX)));
    node.addEventListener("pointerleave", () => ui.point(null));
    node.addEventListener("click", (e) => {
      const level = this._at(e.offsetX);
      if (level) pick({ ...level, lots: null });
    });
  }

  frame() {
    const { market, ui } = this;
    const seen = [market.versions.book, market.versions.security, ui.version].join();
    if (seen === this._seen && !this.canvas.dirty) return;
    this._seen = seen;
    const context = this.canvas.begin();
    if (!context) return;
    this._view = this._measure();
    if (this._view) this._draw(context);
  }

  /** Return the visible range: the mid, the distance to both ends, the sums and the largest sum. */
  _measure() {
    const { ask, bid } = this.market.sides;
    const best = ask[0]?.t ?? bid[0]?.t;
    if (best === undefined) return null;
    const middle = ask[0] && bid[0] ? (ask[0].t + bid[0].t) / 2 : best;
    const distance = Math.max(reach(ask, middle), reach(bid, middle), 2);
    const sums = { ask: sumsOf(ask, middle, distance), bid: sumsOf(bid, middle, distance) };
    const largest = Math.max(sums.ask.at(-1)?.c ?? 0, sums.bid.at(-1)?.c ?? 0, 1);
    return { middle, distance, sums, largest };
  }
  _x(t) {
    const { middle, distance } = this._view;
    return ((t - middle) / distance / 2 + 0.5) * this.canvas.width;
  }
  _y(c) {
    const height = this.canvas.height - FOOT;
    return height - (c / this._view.largest) * (height - 8);
  }

  _draw(context) {
    const c = colours();
    const { grid } = this.market;
    const { width, height } = this.canvas;
    const { middle, distance, sums, largest } = this._view;
    for (const side of ["bid", "ask"]) this._drawSide(context, side, sums[side], c);
    context.fillStyle = c.line;
    context.fillRect(0, height - FOOT, width, 1);
    context.font = `10.5px ${MONO}`;
    context.fillStyle = c.muted;
    for (const [x, align, t] of [
      [4, "left", middle - distance],
      [width / 2, "center", middle],
      [width - 4, "right", middle + distance],
    ]) {
      context.textAlign = align;
      context.fillText(grid.priceText(Math.max(0, t)), x, height - FOOT / 2 + 1);
    }
    context.textAlign = "right";
    const most = grid.amountShort(largest);
    context.fillStyle = c.panel;
    context.fillRect(width - 8 - context.measureText(most).width, 2, 999, 15);
    context.fillStyle = c.muted;
    context.fillText(most, width - 4, 10);
    this._drawCrosshair(context, c);
  }

  _drawSide(context, side, sums, c) {
    if (!sums.length) return;
    const edge = side === "ask" ? this.canvas.width : 0;
    const ground = this.canvas.height - FOOT;
    context.beginPath();
    context.moveTo(this._x(sums[0].t), ground);
    let y = ground;
    for (const { t, c: sum } of sums) {
      const x = this._x(t);
      context.lineTo(x, y);
      context.lineTo(x, (y = this._y(sum)));
    }
    context.lineTo(edge, y);
    context.strokeStyle = c[side];
    context.lineWidth = 1.25;
    context.stroke();
    context.lineTo(edge, ground);
    context.fillStyle = c[side + "-soft"];
    context.fill();
  }

  _drawCrosshair(context, c) {
    const { hover } = this.ui;
    if (hover === null) return;
    const x = Math.round(this._x(hover.t));
    if (x < 0 || x > this.canvas.width) return;
    const { grid } = this.market;
    const sums = this._view.sums[hover.side];
    const sum =
      sums.findLast(({ t }) => (hover.side === "ask" ? t <= hover.t : t >= hover.t))?.c ?? 0;
    context.fillStyle = c.muted;
    context.fillRect(x, 0, 1, this.canvas.height - FOOT);
    context.fillStyle = c[hover.side];
    context.beginPath();
    context.arc(x + 0.5, this._y(sum), 3, 0, 7);
    context.fill();
    const left = x > this.canvas.width / 2;
    context.textAlign = left ? "right" : "left";
    context.fillStyle = c.text;
    context.font = `11px ${MONO}`;
    context.fillText(
      `${grid.priceText(hover.t)}  Σ ${grid.amountShort(sum)}`,
      x + (left ? -8 : 8),
      20,
    );
  }

  /** Return the level at the pointer, or the nearest one towards the mid. */
  _at(x) {
    const view = this._view;
    if (!view) return null;
    const t = (x / this.canvas.width - 0.5) * 2 * view.distance + view.middle;
    const side = t >= view.middle ? "ask" : "bid";
    const sums = view.sums[side];
    if (!sums.length) return null;
    const level = sums.findLast((row) => (side === "ask" ? row.t <= t : row.t >= t)) ?? sums[0];
    return { side, t: level.t };
  }
}

/**
 * Return the distance from the mid that holds most of a side: most of its lots or most of its
 * levels, whichever is nearer. Showing every level would let one large, distant order squeeze the
 * traded range into a line.
 */
export function reach(levels, middle) {
  if (!levels.length) return 0;
  const all = levels.reduce((sum, { q }) => sum + q, 0);
  let sum = 0;
  const byLots = levels.findIndex(({ q }) => (sum += q) >= LOTS_SHOWN * all);
  const byLevels = Math.ceil(LEVELS_SHOWN * levels.length) - 1;
  return Math.abs(levels[Math.min(byLots, byLevels)].t - middle);
}

function sumsOf(levels, middle, distance) {
  const rows = [];
  let c = 0;
  for (const { t, q } of levels) {
    if (Math.abs(t - middle) > distance) break;
    rows.push({ t, c: (c += q) });
  }
  return rows;
}
