// The tape: one line per fill, newest on top; colour and arrow show the taker's side.

import { Canvas, MONO, colours } from "./canvas.js";
import { byId, fillRows } from "./dom.js";
import { Slowly } from "./loop.js";
import { clockText, fixed } from "./numbers.js";

const ROW = 18;
const TABLE_MS = 1_000;
const TABLE_ROWS = 20;

export class Tape {
  /** Calls `pick` with the price in ticks of the fill that is clicked. */
  constructor({ market, account, loop, pick }) {
    Object.assign(this, { market, account });
    this.canvas = new Canvas(byId("tape"), loop);
    this._drawn = []; // the fills by row: a click means what was seen
    this.canvas.node.addEventListener("click", ({ offsetY }) => {
      const fill = this._drawn[Math.floor(offsetY / ROW)];
      if (fill) pick(market.grid.ticks(fill.price));
    });
    this._seen = "";
    this._table = new Slowly(TABLE_MS, () => this._fillTable());
  }

  frame() {
    const { market, account } = this;
    const seen = [market.versions.tape, market.versions.security, account.version].join();
    if (seen === this._seen && !this.canvas.dirty) return;
    this._seen = seen;
    this._draw();
    this._table.poke();
  }

  _fillTable() {
    const newest = this.market.tape.slice(-TABLE_ROWS).reverse();
    fillRows(
      byId("tape-rows"),
      newest.map((fill) => this._texts(fill)),
    );
  }

  _texts(fill) {
    const { grid } = this.market;
    return [
      clockText(fill.time),
      fill.side === "bid" ? "bought" : "sold",
      fixed(fill.price, grid.priceDecimals),
      grid.amountText(fill.lots),
    ];
  }

  _draw() {
    const context = this.canvas.begin();
    if (!context) return;
    const c = colours();
    const { tape, grid, security } = this.market;
    const own = this.account.ownFillIds(security);
    const { width, height } = this.canvas;
    const rows = Math.min(tape.length, Math.ceil(height / ROW));
    this._drawn = tape.slice(tape.length - rows).reverse();
    let largest = 1;
    for (let i = 1; i <= rows; i++) largest = Math.max(largest, tape.at(-i).lots);
    context.font = `12px ${MONO}`;
    for (let i = 0; i < rows; i++) {
      const fill = this._drawn[i];
      const y = i * ROW;
      const bar = Math.round((fill.lots / largest) * width);
      context.fillStyle = c[fill.side + "-soft"];
      context.fillRect(width - bar, y + 1, bar, ROW - 2);
      if (own.has(fill.id)) {
        context.fillStyle = c.own;
        context.fillRect(0, y + 2, 3, ROW - 4);
      }
      const base = y + ROW / 2 + 0.5;
      context.textAlign = "left";
      context.fillStyle = c.muted;
      context.fillText(clockText(fill.time), 10, base);
      context.textAlign = "right";
      context.fillStyle = c[fill.side];
      const sign = fill.side === "bid" ? "▲" : "▼";
      context.fillText(
        `${sign} ${fixed(fill.price, grid.priceDecimals)}`,
        Math.round(width * 0.66),
        base,
      );
      context.fillStyle = c.text;
      context.fillText(grid.amountShort(fill.lots, 8), width - 8, base);
    }
  }
}
