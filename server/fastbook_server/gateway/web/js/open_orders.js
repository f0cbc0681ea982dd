// The table of open orders. A row lives as long as its order, so the focus and an edit stay in it.

import { byId, el, say } from "./dom.js";
import { clockText, fixed, typed } from "./numbers.js";
import { orderText, sideText, statusText } from "./words.js";

const SHOWN_MAX = 100;
const EDITED = ["price", "amount"];

export class OpenOrders {
  constructor({ market, account, toasts, desk }) {
    Object.assign(this, { market, account, toasts, desk });
    this._rows = new Map();
    this._body = byId("blotter-body");
    this._body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      const row = this._rows.get(event.target.closest("tr")?.dataset.id);
      if (!button || !row) return;
      if (button.dataset.edit) row.edit(button.dataset.edit);
      else this._cancel(row, button);
    });
  }

  /** Show the newest orders; return their number. Touches only what has changed. */
  fill() {
    const body = this._body;
    const orders = [...this.account.open.values()].slice(-SHOWN_MAX).reverse();
    const rows = orders.map((order) => this._rowOf(order));
    this._rows = new Map(orders.map((order, i) => [order.id, rows[i]]));
    const nodes = new Set(rows.map((row) => row.node));
    for (const node of [...body.children]) {
      if (nodes.has(node)) continue;
      if (node.contains(document.activeElement)) body.closest("[tabindex]").focus();
      node.remove();
    }
    rows.forEach(({ node }, i) => {
      if (body.children[i] !== node) body.insertBefore(node, body.children[i] ?? null);
    });
    return rows.length;
  }
  _rowOf(order) {
    const grid = this.market.gridOf(order.security);
    const row = this._rows.get(order.id) ?? new Row(order, (changes) => this._amend(row, changes));
    row.show(order, grid);
    return row;
  }

  async _cancel({ order }, button) {
    button.disabled = true;
    const reply = await this.account.cancel(order.id);
    if (reply?.status === "cancelled") return;
    button.disabled = false;
    this._bad(reply ? `Not cancelled: ${reply.message}` : "Not connected: nothing was cancelled");
  }
  _amend(row, changes) {
    const wrong = Object.keys(changes).find((field) => Number.isNaN(changes[field]));
    if (wrong) return this._bad(`Not changed: expected a number as the ${wrong}`);
    row.leave(true);
    if (Object.keys(changes).length) this.desk.amend(row.order.id, changes);
  }
  _bad(text) {
    this.toasts.show(text, { kind: "bad" });
  }
}

/** One order: its cells, and the fields in place of price and amount while they are edited. */
class Row {
  /** Calls `amend` with the changed fields: {price, amount}, NaN for what is no number. */
  constructor({ id, time, security, type, clientOrderId }, amend) {
    this._amend = amend;
    this._fields = null;
    this._shown = null;
    this._buttons = Object.fromEntries(
      EDITED.map((name) => [
        name,
        el("button", { type: "button", className: "edit", "data-edit": name }),
      ]),
    );
    this._x = el("button", { type: "button", className: "x", title: "Cancel" }, "×");
    const number = () => el("td", { className: "n" });
    this._cells = { price: number(), amount: number(), filled: number(), average: number() };
    this._status = el("td", { className: "status" });
    this.node = el(
      "tr",
      { "data-id": id },
      el("td", {}, clockText(time)),
      el("td", {}, security),
      el("td", { className: type }, sideText(type)),
      ...Object.values(this._cells),
      this._status,
      el("td", { className: "id", title: clientOrderId ?? "" }, clientOrderId ?? "–"),
      el("td", { className: "n" }, el("span", { className: "where" }, security), this._x),
    );
    this.node.addEventListener("keydown", (event) => this._key(event));
    this.node.addEventListener("focusout", (event) => {
      if (!this.node.contains(event.relatedTarget)) this.leave(false);
    });
  }

  show(order, grid) {
    if (order === this._shown) return;
    this.order = this._shown = order;
    this._grid = grid;
    const said = orderText(order, grid);
    const n = (value, decimals) => (value === null ? "–" : fixed(value, decimals));
    for (const name of EDITED) {
      const button = this._buttons[name];
      say(button, n(order[name], this._decimals(name)));
      button.setAttribute("aria-label", `Change ${name} ${button.textContent}: ${said}`);
    }
    if (this._fields === null) this._showTexts();
    say(this._cells.filled, n(order.filled, grid.amountDecimals));
    say(this._cells.average, n(order.avgPrice, grid.priceDecimals));
    say(this._status, statusText(order, grid));
    this._x.setAttribute("aria-label", `Cancel: ${said}`);
  }
  _decimals(name) {
    return name === "price" ? this._grid.priceDecimals : this._grid.amountDecimals;
  }
  _showTexts() {
    for (const name of EDITED) {
      const shown = this.order[name] === null ? "market" : this._buttons[name];
      if (this._cells[name].firstChild !== shown) this._cells[name].replaceChildren(shown);
    }
  }

  /** Put fields in the place of price and amount, and the cursor into the one with this name. */
  edit(name) {
    const fields = new Map();
    for (const field of EDITED) {
      if (this.order[field] === null) continue;
      const value = this.order[field].toFixed(this._decimals(field));
      const label = `New ${field}: ${orderText(this.order, this._grid)}`;
      const input = el("input", { className: "num", inputMode: "decimal", "aria-label": label });
      input.value = input.defaultValue = value;
      fields.set(field, input);
      this._cells[field].replaceChildren(input);
    }
    this._fields = fields; // only now: a button that is replaced loses the focus
    fields.get(name).focus();
    fields.get(name).select();
  }
  /** Leave the edit; `stay` puts the focus on the button that opened it. */
  leave(stay) {
    if (this._fields === null) return;
    const focused = [...this._fields].find(([, input]) => input === document.activeElement);
    this._fields = null;
    this._showTexts();
    if (stay && focused) this._buttons[focused[0]].focus();
  }
  _key(event) {
    if (event.target.tagName !== "INPUT") return;
    event.stopPropagation(); // no letter or arrow typed here is a shortcut
    if (event.key === "Escape") this.leave(true);
    if (event.key !== "Enter") return;
    event.preventDefault();
    const changed = [...this._fields].filter(([, input]) => input.value !== input.defaultValue);
    for (const [, input] of this._fields)
      input.setAttribute("aria-invalid", String(Number.isNaN(typed(input.value))));
    this._amend(Object.fromEntries(changed.map(([field, input]) => [field, typed(input.value)])));
  }
}
