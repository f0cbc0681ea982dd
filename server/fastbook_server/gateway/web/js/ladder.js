// The ladder: the levels of both sides, best prices in the middle, with cumulative sums.

import { cumulate, group, sweep } from "./book.js";
import { Canvas, MONO, colours } from "./canvas.js";
import { byId, fillRows, say } from "./dom.js";
import { Drag } from "./drag.js";
import { layOut } from "./ladder_layout.js";
import { Slowly } from "./loop.js";
import { fixed } from "./numbers.js";
import { recall, remember } from "./prefs.js";

const GRIP = 24;
const TABLE_MS = 1_000;
const TABLE_ROWS = 10;
const HINT = matchMedia("(hover: none)").matches
  ? "Tap a price to copy it to the ticket"
  : "Point at a price to preview a sweep";

export class Ladder {
  /**
   * Calls `pick` with {side, t, lots} of a click; `lots` is null if only the price is wanted. Calls
   * `amend` with the id of each order whose marker was dragged, and its new price.
   */
  constructor({ market, account, ui, loop, pick, amend }) {
    Object.assign(this, { market, account, ui, loop, pick, amend });
    this.canvas = new Canvas(byId("ladder"), loop);
    this.step = 1;
    this.rows = { ask: [], bid: [] };
    this.layout = layOut(0, 0);
    this._seen = "";
    this._table = new Slowly(TABLE_MS, () => this._fillTable());
    const { node } = this.canvas;
    this._drag = new Drag(node, {
      take: (event) => this._markerAt(event),
      target: (place) => this._ticksAt(place),
      show: () => this._redraw(),
      drop: (drop) => this._amendAll(drop),
    });
    node.addEventListener("pointermove", (e) => this._hover(e));
    node.addEventListener("pointerleave", () => ui.point(null));
    node.addEventListener("click", (e) => this._click(e));
    node.addEventListener("keydown", (e) => this._key(e));
    byId("group").addEventListener("change", (e) => {
      remember(`group ${market.security}`, e.target.value);
      this.setStep(Number(e.target.value));
    });
  }
  /** Group the levels of a security as they were grouped when it was last shown. */
  meet(security) {
    byId("group").value = recall(`group ${security}`, "1");
    if (!byId("group").value) byId("group").value = "1";
    this.setStep(Number(byId("group").value));
  }
  setStep(step) {
    this.step = step;
    this.market.setDepth("ladder", step > 1);
    this._redraw();
  }
  _redraw() {
    this.canvas.dirty = true;
    this.loop.invalidate();
  }

  frame() {
    const { market, account, ui } = this;
    const seen = [
      market.versions.book,
      market.versions.tape,
      market.versions.ticker,
      market.versions.security,
      account.version,
      ui.version,
    ].join();
    if (seen === this._seen && !this.canvas.dirty) return;
    this._seen = seen;
    const { ask, bid } = market.sides;
    this._layOut();
    const { perSide } = this.layout;
    this.rows = {
      ask: cumulate(group(ask, "ask", this.step), perSide),
      bid: cumulate(group(bid, "bid", this.step), perSide),
    };
    this._draw();
    this._sayHover();
    this._table.poke();
  }

  _layOut() {
    const { width, height } = this.canvas;
    if (width === this.layout.width && height === this.layout.height) return;
    this.layout = layOut(width, height);
    byId("terminal").querySelector(".ladder").classList.toggle("abreast", this.layout.abreast);
  }

  // ---- drawing -------------------------------------------------------------------------------

  _draw() {
    const context = this.canvas.begin();
    if (!context) return;
    const largest = Math.max(this.rows.ask.at(-1)?.c ?? 0, this.rows.bid.at(-1)?.c ?? 0, 1);
    const own = this._ownRows();
    context.font = `12px ${MONO}`;
    for (const side of ["ask", "bid"])
      this.rows[side].forEach((row, i) => {
        const share = row.c / largest;
        const box = this.layout.box(side, i);
        this._drawRow(context, { side, row, share, own: own[side].get(row.t), ...box });
      });
    this._drawMiddle(context);
    this._drawDragged(context);
  }

  /** Draw the marker that is dragged where the pointer is, with the price there. */
  _drawDragged(context) {
    const { now } = this._drag;
    if (now === null) return;
    const { row } = this.layout;
    const { x, width } = this.layout.box(now.side, 0);
    const c = colours();
    const text = this._priceText(now.to);
    context.textAlign = "left";
    context.fillStyle = c.panel;
    context.fillRect(x, now.y - row / 2, 24 + context.measureText(text).width, row);
    context.fillStyle = c.own;
    context.fillRect(x, now.y + row / 2, width, 1);
    context.fillText(text, x + 17, now.y);
    drawMarker(context, { x, y: now.y - row / 2, height: row, colour: c.own });
  }

  _drawRow(context, { side, row, x, y, width, share, own }) {
    const c = colours();
    const { grid } = this.market;
    const height = this.layout.row;
    const bar = Math.max(1, Math.round(share * (width - 2)));
    context.fillStyle = c[side + "-soft"];
    context.fillRect(x + width - bar, y + 1, bar, height - 2);
    if (this._isSwept(side, row.t)) {
      context.fillStyle = c.hover;
      context.fillRect(x, y, width, height);
      if (row.t === this.ui.hover.t) {
        context.fillStyle = c[side];
        const isUpper = side === "ask" && !this.layout.abreast;
        context.fillRect(x, isUpper ? y : y + height - 1, width, 1);
      }
    }
    if (own) drawMarker(context, { x, y, height, colour: c.own });
    const base = y + height / 2 + 0.5;
    context.textAlign = "left";
    context.fillStyle = c[side];
    context.fillText(grid.priceText(row.t), x + 17, base);
    context.textAlign = "right";
    context.fillStyle = c.text;
    context.fillText(grid.amountShort(row.q), x + Math.round(width * 0.68), base);
    context.fillStyle = c.muted;
    context.fillText(grid.amountShort(row.c), x + width - 8, base);
  }

  _drawMiddle(context) {
    const c = colours();
    const { grid, tape, book, last } = this.market;
    const { centre, middle: height, width } = this.layout;
    const top = centre - height / 2;
    const right = this.layout.box("bid", 0).width - 8;
    context.fillStyle = c.line;
    context.fillRect(0, top + 1, width, 1);
    context.fillRect(0, top + height - 2, width, 1);
    if (last !== null) {
      const side = tape.at(-1)?.side ?? "bid";
      context.font = `600 15px ${MONO}`;
      context.textAlign = "left";
      context.fillStyle = c[side];
      const sign = side === "bid" ? "▲" : "▼";
      context.fillText(`${fixed(last, grid.priceDecimals)} ${sign}`, 17, centre);
    }
    context.font = `12px ${MONO}`;
    context.textAlign = "right";
    context.fillStyle = c.muted;
    const ask = book?.ask[0];
    const bid = book?.bid[0];
    if (ask && bid) {
      const points = (20_000 * (ask.t - bid.t)) / (ask.t + bid.t);
      context.fillText(`${grid.priceText(ask.t - bid.t)}  ${points.toFixed(1)} bp`, right, centre);
    } else {
      context.fillText(ask ? "no bids" : bid ? "no asks" : "empty book", right, centre);
    }
  }

  /** Return the user's own lots by the price of their row, without those that are dragged. */
  _ownRows() {
    const own = this.account.own(this.market.security, this.market.grid);
    const merged = { ask: new Map(), bid: new Map() };
    for (const side of ["ask", "bid"])
      for (const [t, q] of own[side]) {
        const row = this._rowOf(side, t);
        merged[side].set(row, (merged[side].get(row) ?? 0) + q);
      }
    const { now } = this._drag;
    if (now !== null) merged[now.side].delete(now.from);
    return merged;
  }
  _priceText(t) {
    return t === null ? "–" : this.market.grid.priceText(t);
  }
  _rowOf(side, t) {
    return group([{ t, q: 0 }], side, this.step)[0].t;
  }

  // ---- own orders that are dragged -------------------------------------------------------------

  /** Return the row whose marker of own orders a pointer is on, or null. */
  _markerAt(event) {
    const at = this._at(event);
    if (at === null || at.across >= GRIP) return null;
    return this._ownRows()[at.side].has(at.t) ? { side: at.side, t: at.t } : null;
  }
  /**
   * Return the price of a place on the ladder, in ticks: that of its row; behind the last row one
   * step further for each; in the middle one step better than the best of `side`, or null if
   * that would meet the other side.
   */
  _ticksAt({ side, y }) {
    const { rows, step } = this;
    const { side: shown, nth } = this.layout.along({ side, y });
    if (nth < 0) {
      const other = rows[side === "ask" ? "bid" : "ask"][0]?.t;
      const better = rows[side].length ? rows[side][0].t - outward(side) * step : null;
      const meets = better !== null && (better - other) * outward(side) <= 0;
      return meets ? null : better;
    }
    const last = rows[shown].length - 1;
    if (last < 0) return null;
    const beyond = Math.max(0, nth - last);
    return Math.max(1, rows[shown][nth - beyond].t + outward(shown) * beyond * step);
  }
  _amendAll({ side, from, to }) {
    const { grid, security } = this.market;
    const price = grid.price(to);
    for (const order of this.account.resting(security))
      if (order.type === side && this._rowOf(side, grid.ticks(order.price)) === from)
        this.amend(order.id, { price });
  }

  // ---- hover and click -----------------------------------------------------------------------

  _isSwept(side, t) {
    const { hover } = this.ui;
    return hover !== null && hover.side === side && (side === "ask" ? t <= hover.t : t >= hover.t);
  }
  /** Return the level at a pointer, and how far `across` its row that is; null if none. */
  _at({ offsetX, offsetY }) {
    const { side, nth } = this.layout.at({ x: offsetX, y: offsetY });
    const row = this.rows[side][nth];
    const across = offsetX - this.layout.box(side, nth).x;
    return row ? { side, t: row.t, lots: row.c, across } : null;
  }
  _hover(event) {
    const at = this._drag.now === null ? this._at(event) : null;
    this.canvas.node.classList.toggle("grip", this._markerAt(event) !== null);
    this.ui.point(at && { side: at.side, t: at.t });
  }
  _click(event) {
    const at = this._drag.swallowsClick ? null : this._at(event);
    if (!at) return;
    const { width } = this.layout.box(at.side, 0);
    const wantsAmount = event.shiftKey || at.across > width * 0.7;
    this.pick({ side: at.side, t: at.t, lots: wantsAmount ? at.lots : null });
  }
  /** Handle the keyboard: up and down select a level, Enter picks it. */
  _key(event) {
    if (event.key === "Escape" && this._drag.now !== null) {
      event.stopPropagation();
      return this._drag.stop();
    }
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (step === undefined && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    const all = [
      ...this.rows.bid.map((r) => ({ side: "bid", ...r })).reverse(),
      ...this.rows.ask.map((r) => ({ side: "ask", ...r })),
    ];
    const { hover } = this.ui;
    const here = hover ? all.findIndex((r) => r.side === hover.side && r.t === hover.t) : -1;
    if (event.key === "Enter") {
      if (here >= 0)
        this.pick({
          side: all[here].side,
          t: all[here].t,
          lots: event.shiftKey ? all[here].c : null,
        });
      return;
    }
    const from = here >= 0 ? here + step : this.rows.bid.length - (step > 0 ? 0 : 1);
    const to = all[Math.min(all.length - 1, Math.max(0, from))];
    if (to) this.ui.point({ side: to.side, t: to.t });
  }

  _sayHover() {
    const { hover } = this.ui;
    const strip = byId("sweep");
    const { grid, sides } = this.market;
    const { now } = this._drag;
    strip.classList.toggle("on", hover !== null);
    if (now !== null) return say(byId("sweep-to"), `Move to ${this._priceText(now.to)}`);
    if (hover === null) return say(byId("sweep-to"), HINT);
    const got = sweep(sides[hover.side], hover.side, { limit: hover.t });
    const verb = hover.side === "ask" ? "Buy" : "Sell";
    say(byId("sweep-to"), `${verb} to ${grid.priceText(hover.t)}`);
    say(byId("sweep-amount"), grid.amountText(got.lots));
    const average = got.lots ? (got.cost / got.lots) * grid.tick : 0;
    say(byId("sweep-average"), got.lots ? fixed(average, grid.priceDecimals + 1) : "–");
    say(byId("sweep-cost"), grid.totalText(got.cost * grid.tick * grid.lot));
  }

  _fillTable() {
    const { grid } = this.market;
    const texts = (name) => (row) => [
      name,
      grid.priceText(row.t),
      grid.amountText(row.q),
      grid.amountText(row.c),
    ];
    const asks = this.rows.ask.slice(0, TABLE_ROWS).reverse().map(texts("ask"));
    const bids = this.rows.bid.slice(0, TABLE_ROWS).map(texts("bid"));
    fillRows(byId("ladder-rows"), [...asks, ...bids]);
  }
}

const outward = (side) => (side === "ask" ? 1 : -1);

/** Draw the marker of own orders into the row of this `height` whose corner is at x, y. */
function drawMarker(context, { x, y, height, colour }) {
  context.fillStyle = colour;
  context.fillRect(x, y + 2, 3, height - 4);
  context.beginPath();
  context.arc(x + 9, y + height / 2, 2.5, 0, 7);
  context.fill();
}
