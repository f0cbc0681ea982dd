// Tables of this user's orders (open, fills, history), and the position.

import { byId, choice, el, say } from "./dom.js";
import { clockText, fixed } from "./numbers.js";

const SHOWN_MAX = 100;
const COLUMNS = {
  open: ["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Client id", ""],
  fills: ["Time", "Security", "Side", "Price", "Amount", "Total", "Role"],
  history: ["Time", "Security", "Side", "Price", "Amount", "Filled", "Average", "Outcome"],
};
const EMPTY = { open: "No open orders", fills: "No fills yet", history: "No finished orders" };
const WORDS = { filled: "filled", cancelled: "cancelled", ended: "ended" };
const NUMBERS = new Set(["Price", "Amount", "Filled", "Average", "Total"]);

export class Blotter {
  constructor({ market, account, loop, notice }) {
    Object.assign(this, { market, account, loop, notice });
    this.shown = "open";
    this._seen = "";
    this._showTab = choice(byId("blotter-tabs"), (value) => this._show(value));
    this._showTab("open");
    byId("cancel-all").addEventListener("click", () => this.cancelAll());
    byId("blotter-body").addEventListener("click", (event) => {
      const button = event.target.closest("button[data-id]");
      if (button) this._cancel(button);
    });
  }
  _show(tab) {
    this.shown = tab;
    this._seen = "";
    this.loop.invalidate();
  }

  /** Cancel all orders of this user, in every security. */
  async cancelAll() {
    const reply = await this.account.cancelAll();
    if (reply?.event === "deletedAll")
      this.notice(`${reply.count} ${reply.count === 1 ? "order" : "orders"} cancelled`);
    else
      this.notice(
        reply ? `Not cancelled: ${reply.message}` : "Not connected: nothing was cancelled",
      );
  }
  async _cancel(button) {
    button.disabled = true;
    const reply = await this.account.cancel(button.dataset.id);
    if (reply?.status === "cancelled") return;
    button.disabled = false;
    this.notice(reply ? `Not cancelled: ${reply.message}` : "Not connected: nothing was cancelled");
  }

  frame() {
    const { account, market } = this;
    const { security, instruments } = market;
    const seen = [account.version, instruments.length, security, this.shown].join();
    if (seen === this._seen) return;
    this._seen = seen;
    say(byId("open-count"), account.open.size ? String(account.open.size) : "");
    byId("cancel-all").disabled = account.open.size === 0;
    this._sayPosition();
    this._head();
    const rows = this._rows();
    const body = byId("blotter-body");
    body.replaceChildren(...rows);
    say(byId("blotter-empty"), rows.length ? "" : EMPTY[this.shown]);
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
  _rows() {
    const { open, fills, history } = this.account;
    if (this.shown === "open")
      return [...open.values()]
        .slice(-SHOWN_MAX)
        .reverse()
        .map((o) => this._openRow(o));
    if (this.shown === "fills")
      return fills
        .slice(-SHOWN_MAX)
        .reverse()
        .map((f) => this._fillRow(f));
    return history
      .slice(-SHOWN_MAX)
      .reverse()
      .map((o) => this._historyRow(o));
  }
  _start({ time, security, type }) {
    const side = el("td", { className: type }, type === "bid" ? "▲ buy" : "▼ sell");
    return [cell(clockText(time)), cell(security), side];
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
  _openRow(order) {
    const verb = order.type === "bid" ? "buy" : "sell";
    const label = `Cancel: ${verb} ${order.amount} at ${order.price}`;
    const button = el(
      "button",
      { type: "button", className: "x", "data-id": order.id, "aria-label": label, title: "Cancel" },
      "×",
    );
    const client = cell(order.clientOrderId ?? "–");
    client.className = "id";
    client.title = order.clientOrderId ?? "";
    return el(
      "tr",
      {},
      ...this._start(order),
      ...this._amounts(order),
      client,
      el("td", { className: "n" }, button),
    );
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
      order.reason && order.reason !== "user" ? `, ${order.reason.replace("_", " ")}` : "";
    const outcome = (WORDS[order.status] ?? order.status) + reason;
    return el("tr", {}, ...this._start(order), ...this._amounts(order), cell(outcome));
  }
}

const cell = (text) => el("td", {}, text);
const number = (text) => el("td", { className: "n" }, text);
