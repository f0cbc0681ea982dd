// Tables of orders (open, fills, history), of positions, leaders and balances; the tabs.

import { byId, choice, el, say } from "./dom.js";
import { clockText, fixed } from "./numbers.js";
import { OpenOrders } from "./open_orders.js";
import { recall, remember } from "./prefs.js";
import { sideText, waitsText } from "./words.js";

const SHOWN_MAX = 100;
const COLUMNS = {
  open: [
    ...["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Status"],
    ...["Client id", ""],
  ],
  positions: ["Security", "Position", "Average", "Last", "Unrealised", "Realised", ""],
  fills: ["Time", "Security", "Side", "Price", "Amount", "Total", "Role"],
  history: ["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Outcome"],
  leaders: ["Rank", "User", "Profit", "Fills"],
  balances: ["Asset", "Free", "Locked"],
};
const EMPTY = {
  open: "No open orders",
  positions: "No positions yet",
  fills: "No fills yet",
  history: "No finished orders",
  leaders: "Nobody has traded yet",
  balances: "Choose Balances again to log in with an account's key",
};
const WORDS = { filled: "filled", cancelled: "cancelled", ended: "ended" };
const NUMBERS = new Set([
  ...["Price", "Amount", "Filled", "Average", "Total"],
  ...["Position", "Last", "Unrealised", "Realised", "Profit", "Fills"],
  ...["Free", "Locked"],
]);
const OFFERED = new Set(["leaders", "balances"]); // not by every server
const ACTS = { open: "Cancel", positions: "Close" };

export class Blotter {
  /** `positions`, `leaders` and `balances` fill their tables; `desk` cancels and amends. */
  constructor({ market, account, tickers, loop, toasts, desk, positions, leaders, balances }) {
    Object.assign(this, { market, account, tickers, loop, positions, leaders, balances });
    const kept = recall("blotter", "open");
    this.shown = OFFERED.has(kept) || !(kept in COLUMNS) ? "open" : kept;
    this._seen = this._seenLine = "";
    this._rows = SHOWN_MAX; // how many of the history are shown
    this._hides = false; // there are more
    byId("older").addEventListener("click", () => this._showOlder());
    this._showTab = choice(byId("blotter-tabs"), (value) => this._show(value));
    this._showTab(this.shown);
    this._open = new OpenOrders({ market, account, toasts, desk });
    for (const [id, side] of [["cancel-all"], ["cancel-bids", "bid"], ["cancel-asks", "ask"]]) {
      const where = "in this security; with Shift, in every one";
      byId(id).title = `${byId(id).firstChild.textContent.trim()} ${where}`;
      byId(id).addEventListener("click", (event) =>
        desk.cancelAll({ side, everywhere: event.shiftKey }),
      );
    }
  }
  _show(tab) {
    this.shown = tab;
    remember("blotter", tab);
    this.leaders.watch(tab === "leaders");
    this.balances.watch(tab === "balances");
    this.redraw();
  }
  /** Show more of the history, from the server if need be. */
  async _showOlder() {
    this._rows += SHOWN_MAX;
    if (!this._hides) await this.account.loadOlder();
    this.redraw();
  }
  redraw() {
    this._seen = "";
    this.loop.invalidate();
  }

  frame() {
    const { account, market, tickers, shown } = this;
    const { security, instruments, versions } = market;
    const seen = [account.version, instruments.length, security, shown].join();
    const line = [seen, tickers.version, versions.tape, versions.ticker].join();
    if (line !== this._seenLine) this.positions.showLine();
    const current = shown === "positions" ? line === this._seenLine : true;
    this._seenLine = line;
    if (seen === this._seen && current) return;
    this._seen = seen;
    say(byId("open-count"), account.open.size ? String(account.open.size) : "");
    this._enableCancels();
    this._head();
    say(byId("blotter-empty"), this._fillBody() ? "" : EMPTY[shown]);
    byId("older").hidden = !(shown === "history" && (account.hasOlder || this._hides));
  }
  _enableCancels() {
    const sides = new Set([...this.account.open.values()].map((order) => order.type));
    byId("cancel-all").disabled = sides.size === 0;
    for (const side of ["bid", "ask"]) byId(`cancel-${side}s`).disabled = !sides.has(side);
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
        if (!name) cell.replaceChildren(el("span", { className: "sr" }, ACTS[this.shown]));
        return cell;
      }),
    );
  }
  /** Fill the table; return the number of its rows. */
  _fillBody() {
    if (this.shown === "open") return this._open.fill();
    if (this.shown === "positions") return this.positions.fill();
    if (this.shown === "leaders") return this.leaders.fill();
    if (this.shown === "balances") return this.balances.fill();
    const all = this.account[this.shown];
    const newest = all.slice(-this._rows).reverse();
    this._hides = newest.length < all.length;
    const row = this.shown === "fills" ? (f) => this._fillRow(f) : (o) => this._historyRow(o);
    byId("blotter-body").replaceChildren(...newest.map(row));
    return newest.length;
  }
  _start({ time, security, type, execType, triggerPrice }) {
    const kind = triggerPrice === undefined ? "" : ` ${waitsText(execType)}`;
    return [
      cell(clockText(time)),
      cell(security),
      el("td", { className: type }, sideText(type) + kind),
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
