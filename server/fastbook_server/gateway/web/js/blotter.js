// Tables of this user's orders (open, fills, history), and the position.

import { byId, choice, el, say } from "./dom.js";
import { clockText, fixed } from "./numbers.js";
import { OpenOrders } from "./open_orders.js";
import { sideText } from "./words.js";

const SHOWN_MAX = 100;
const COLUMNS = {
  open: [
    ...["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Status"],
    ...["Client id", ""],
  ],
  fills: ["Time", "Security", "Side", "Price", "Amount", "Total", "Role"],
  history: ["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Outcome"],
};
const EMPTY = { open: "No open orders", fills: "No fills yet", history: "No finished orders" };
const WORDS = { filled: "filled", cancelled: "cancelled", ended: "ended" };
const NUMBERS = new Set(["Price", "Amount", "Filled", "Average", "Total"]);

export class Blotter {
  constructor({ market, account, loop, notice, amend }) {
    Object.assign(this, { market, account, loop, notice });
    this.shown = "open";
    this._seen = "";
    this._showTab = choice(byId("blotter-tabs"), (value) => this._show(value));
    this._showTab("open");
    this._open = new OpenOrders({ market, account, notice, amend });
    byId("cancel-all").addEventListener("click", () => this.cancelAll());
    for (const side of ["bid", "ask"])
      byId(`cancel-${side}s`).addEventListener("click", () => this.cancelAll(side));
  }
  _show(tab) {
    this.shown = tab;
    this._seen = "";
    this.loop.invalidate();
  }

  /** Cancel all orders of this user, or all of a side, in every security. */
  async cancelAll(side = null) {
    const reply = await this.account.cancelAll(side);
    if (reply?.event === "deletedAll")
      this.notice(`${reply.count} ${reply.count === 1 ? "order" : "orders"} cancelled`);
    else
      this.notice(
        reply ? `Not cancelled: ${reply.message}` : "Not connected: nothing was cancelled",
      );
  }

  frame() {
    const { account, market } = this;
    const { security, instruments } = market;
    const seen = [account.version, instruments.length, security, this.shown].join();
    if (seen === this._seen) return;
    this._seen = seen;
    say(byId("open-count"), account.open.size ? String(account.open.size) : "");
    this._enableCancels();
    this._sayPosition();
    this._head();
    say(byId("blotter-empty"), this._fillBody() ? "" : EMPTY[this.shown]);
  }
  _enableCancels() {
    const sides = new Set([...this.account.open.values()].map((order) => order.type));
    byId("cancel-all").disabled = sides.size === 0;
    for (const side of ["bid", "ask"]) byId(`cancel-${side}s`).disabled = !sides.has(side);
  }
  _sayPosition() {
    const { account, market } = this;
    const lots = account.position(market.security);
    say(byId("position"), lots === null ? "–" : market.grid.amountText(lots));
    byId("position").dataset.side = lots > 0 ? "bid" : lots < 0 ? "ask" : "";
  }
  _head() {
    const head = byId("blotter-head");
    if (head.dataset.shown === this.shown) return;
    head.dataset.shown = head.closest("table").dataset.shown = this.shown;
    head.replaceChildren(
      ...COLUMNS[this.shown].map((name) => {
        const cell = el(
          "th",
          { scope: "col", className: NUMBERS.has(name) ? "n" : "" },
          name || " ",
        );
        if (!name) cell.replaceChildren(el("span", { className: "sr" }, "Cancel"));
        return cell;
      }),
    );
  }
  /** Fill the table; return the number of its rows. */
  _fillBody() {
    if (this.shown === "open") return this._open.fill();
    const newest = this.account[this.shown].slice(-SHOWN_MAX).reverse();
    const row = this.shown === "fills" ? (f) => this._fillRow(f) : (o) => this._historyRow(o);
    byId("blotter-body").replaceChildren(...newest.map(row));
    return newest.length;
  }
  _start({ time, security, type }) {
    return [
      cell(clockText(time)),
      cell(security),
      el("td", { className: type }, sideText(type)),
    ];
  }
  _amounts(order) {
    const grid = this.market.gridOf(order.security);
    const n = (value, decimals) => number(value === null ? "–" : fixed(value, decimals));
    return [
      order.price === null ? number("market") : n(order.price, grid.priceDecimals),
      n(order.amount, grid.amountDecimals),
      n(order.filled, grid.amountDecimals),
      n(order.avgPrice, grid.priceDecimals),
    ];
  }
  _fillRow(fill) {
    const grid = this.market.gridOf(fill.security);
    const numbers = [
      number(fixed(fill.price, grid.priceDecimals)),
      number(fixed(fill.amount, grid.amountDecimals)),
      number(grid.totalText(fill.price * fill.amount)),
    ];
    return el("tr", {}, ...this._start(fill), ...numbers, cell(fill.role));
  }
  _historyRow(order) {
    const reason =
      order.reason && order.reason !== "user" ? `, ${order.reason.replaceAll("_", " ")}` : "";
    const outcome = (WORDS[order.status] ?? order.status) + reason;
    return el("tr", {}, ...this._start(order), ...this._amounts(order), cell(outcome));
  }
}

const cell = (text) => el("td", {}, text);
const number = (text) => el("td", { className: "n" }, text);
