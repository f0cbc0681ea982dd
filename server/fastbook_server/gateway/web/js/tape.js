// The tape: one line per sweep, newest on top; colour and arrow show its side.

import { Canvas, MONO, colours } from "./canvas.js";
import { byId, fillRows } from "./dom.js";
import { Slowly } from "./loop.js";
import { clockText, fixed } from "./numbers.js";

const ROW = 18;
const TABLE_MS = 1_000;
const TABLE_ROWS = 20;

export class Tape {
  constructor({ market, account, loop }) {
    Object.assign(this, { market, account });
    this.canvas = new Canvas(byId("tape"), loop);
    this._seen = "";
    this._table = new Slowly(TABLE_MS, () => this._fillTable());
  }

  frame() {
    const { market } = this;
    const seen = [market.versions.tape, market.versions.security].join();
    if (seen === this._seen && !this.canvas.dirty) return;
    this._seen = seen;
    this._draw();
    this._table.poke();
  }

  _fillTable() {
    const newest = this.market.tape.slice(-TABLE_ROWS).reverse();
    fillRows(
      byId("tape-rows"),
      newest.map((t) => this._texts(t)),
    );
  }

  _texts(trade) {
    const { grid } = this.market;
    const price = fixed(trade.price, grid.priceDecimals);
    return [
      clockText(trade.time),
      trade.side === "bid" ? "bought" : "sold",
      price,
      grid.amountText(trade.lots),
    ];
  }

  _draw() {
    const context = this.canvas.begin();
    if (!context) return;
    const c = colours();
    const { tape, grid } = this.market;
    const { width, height } = this.canvas;
    const rows = Math.min(tape.length, Math.ceil(height / ROW));
    let largest = 1;
    for (let i = 1; i <= rows; i++) largest = Math.max(largest, tape.at(-i).lots);
    context.font = `12px ${MONO}`;
    for (let i = 0; i < rows; i++) {
      const trade = tape.at(-1 - i);
      const y = i * ROW;
      const bar = Math.round((trade.lots / largest) * width);
      context.fillStyle = c[trade.side + "-soft"];
      context.fillRect(width - bar, y + 1, bar, ROW - 2);
      if (trade.userId === this.account.userId) {
        context.fillStyle = c.own;
        context.fillRect(0, y + 2, 3, ROW - 4);
      }
      const base = y + ROW / 2 + 0.5;
      context.textAlign = "left";
      context.fillStyle = c.muted;
      context.fillText(clockText(trade.time), 10, base);
      context.textAlign = "right";
      context.fillStyle = c[trade.side];
      const sign = trade.side === "bid" ? "▲" : "▼";
      context.fillText(
        `${sign} ${fixed(trade.price, grid.priceDecimals)}`,
        Math.round(width * 0.66),
        base,
      );
      context.fillStyle = c.text;
      const times = trade.count > 1 && width > 300 ? ` ×${trade.count}` : "";
      context.fillText(grid.amountShort(trade.lots, 8) + times, width - 8, base);
    }
  }
}
