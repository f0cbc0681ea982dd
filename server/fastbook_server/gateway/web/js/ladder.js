// The ladder: asks above, bids below, best prices in the middle, with cumulative sums.

import { cumulate, group, sweep } from "./book.js";
import { Canvas, MONO, colours } from "./canvas.js";
import { byId, fillRows, say } from "./dom.js";
import { Slowly } from "./loop.js";
import { fixed } from "./numbers.js";

const ROW = 20;
const MIDDLE = 34;
const TABLE_MS = 1_000;
const TABLE_ROWS = 10;
const HINT = matchMedia("(hover: none)").matches
  ? "Tap a price to copy it to the ticket"
  : "Point at a price to preview a sweep";

export class Ladder {
  /** Calls `pick` with {side, t, lots} of a click; `lots` is null if only the price is wanted. */
  constructor({ market, account, ui, loop, pick }) {
    Object.assign(this, { market, account, ui, loop, pick });
    this.canvas = new Canvas(byId("ladder"), loop);
    this.step = 1;
    this.rows = { ask: [], bid: [] };
    this._seen = "";
    this._table = new Slowly(TABLE_MS, () => this._fillTable());
    const { node } = this.canvas;
    node.addEventListener("pointermove", (e) => this._hover(e));
    node.addEventListener("pointerleave", () => ui.point(null));
    node.addEventListener("click", (e) => this._click(e));
    node.addEventListener("keydown", (e) => this._key(e));
    byId("group").addEventListener("change", (e) => this.setStep(Number(e.target.value)));
  }
  setStep(step) {
    this.step = step;
    this.market.setDepth("ladder", step > 1);
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
    const perSide = Math.max(1, Math.floor((this.canvas.height - MIDDLE) / 2 / ROW));
    this.rows = {
      ask: cumulate(group(ask, "ask", this.step), perSide),
      bid: cumulate(group(bid, "bid", this.step), perSide),
    };
    this._draw();
    this._sayHover();
    this._table.poke();
  }

  // ---- drawing -------------------------------------------------------------------------------

  _draw() {
    const context = this.canvas.begin();
    if (!context) return;
    const { width, height } = this.canvas;
    const middle = Math.round(height / 2);
    const largest = Math.max(this.rows.ask.at(-1)?.c ?? 0, this.rows.bid.at(-1)?.c ?? 0, 1);
    const own = this._ownRows();
    context.font = `12px ${MONO}`;
    for (const side of ["ask", "bid"])
      this.rows[side].forEach((row, i) => {
        const y =
          side === "ask" ? middle - MIDDLE / 2 - (i + 1) * ROW : middle + MIDDLE / 2 + i * ROW;
        this._drawRow(context, {
          side,
          row,
          y,
          width,
          share: row.c / largest,
          own: own[side].get(row.t),
        });
      });
    this._drawMiddle(context, middle, width);
  }

  _drawRow(context, { side, row, y, width, share, own }) {
    const c = colours();
    const { grid } = this.market;
    const bar = Math.max(1, Math.round(share * (width - 2)));
    context.fillStyle = c[side + "-soft"];
    context.fillRect(width - bar, y + 1, bar, ROW - 2);
    if (this._isSwept(side, row.t)) {
      context.fillStyle = c.hover;
      context.fillRect(0, y, width, ROW);
      if (row.t === this.ui.hover.t) {
        context.fillStyle = c[side];
        context.fillRect(0, side === "ask" ? y : y + ROW - 1, width, 1);
      }
    }
    if (own) {
      context.fillStyle = c.own;
      context.fillRect(0, y + 2, 3, ROW - 4);
      context.beginPath();
      context.arc(9, y + ROW / 2, 2.5, 0, 7);
      context.fill();
    }
    const base = y + ROW / 2 + 0.5;
    context.textAlign = "left";
    context.fillStyle = c[side];
    context.fillText(grid.priceText(row.t), 17, base);
    context.textAlign = "right";
    context.fillStyle = c.text;
    context.fillText(grid.amountShort(row.q), Math.round(width * 0.68), base);
    context.fillStyle = c.muted;
    context.fillText(grid.amountShort(row.c), width - 8, base);
  }

  _drawMiddle(context, middle, width) {
    const c = colours();
    const { grid, tape, book, last } = this.market;
    const top = middle - MIDDLE / 2;
    context.fillStyle = c.line;
    context.fillRect(0, top + 1, width, 1);
    context.fillRect(0, top + MIDDLE - 2, width, 1);
    if (last !== null) {
      const side = tape.at(-1)?.side ?? "bid";
      context.font = `600 15px ${MONO}`;
      context.textAlign = "left";
      context.fillStyle = c[side];
      const sign = side === "bid" ? "▲" : "▼";
      context.fillText(`${fixed(last, grid.priceDecimals)} ${sign}`, 17, middle);
    }
    context.font = `12px ${MONO}`;
    context.textAlign = "right";
    context.fillStyle = c.muted;
    const ask = book?.ask[0];
    const bid = book?.bid[0];
    if (ask && bid) {
      const points = (20_000 * (ask.t - bid.t)) / (ask.t + bid.t);
      context.fillText(
        `${grid.priceText(ask.t - bid.t)}  ${points.toFixed(1)} bp`,
        width - 8,
        middle,
      );
    } else {
      context.fillText(ask ? "no bids" : bid ? "no asks" : "empty book", width - 8, middle);
    }
  }

  /** Return the user's own lots by the price of their row. */
  _ownRows() {
    const own = this.account.own(this.market.security, this.market.grid);
    if (this.step === 1) return own;
    const merged = { ask: new Map(), bid: new Map() };
    for (const side of ["ask", "bid"])
      for (const [t, q] of own[side]) {
        const [{ t: row }] = group([{ t, q }], side, this.step);
        merged[side].set(row, (merged[side].get(row) ?? 0) + q);
      }
    return merged;
  }

  // ---- hover and click -----------------------------------------------------------------------

  _isSwept(side, t) {
    const { hover } = this.ui;
    return hover !== null && hover.side === side && (side === "ask" ? t <= hover.t : t >= hover.t);
  }
  _at({ offsetY }) {
    const middle = Math.round(this.canvas.height / 2);
    const away = Math.abs(offsetY - middle) - MIDDLE / 2;
    if (away < 0) return null;
    const side = offsetY < middle ? "ask" : "bid";
    const row = this.rows[side][Math.floor(away / ROW)];
    return row ? { side, t: row.t, lots: row.c } : null;
  }
  _hover(event) {
    const at = this._at(event);
    this.ui.point(at && { side: at.side, t: at.t });
  }
  _click(event) {
    const at = this._at(event);
    if (!at) return;
    const wantsAmount = event.shiftKey || event.offsetX > this.canvas.width * 0.7;
    this.pick({ side: at.side, t: at.t, lots: wantsAmount ? at.lots : null });
  }
  /** Handle the keyboard: up and down select a level, Enter picks it. */
  _key(event) {
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
    strip.classList.toggle("on", hover !== null);
    if (hover === null) return say(byId("sweep-to"), HINT);
    const { grid, sides } = this.market;
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
