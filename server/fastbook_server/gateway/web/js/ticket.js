// The ticket: the order to place, an estimate of its fills, and the reply.

import { sweep } from "./book.js";
import { byId, choice, say } from "./dom.js";
import { fixed, typed } from "./numbers.js";

const FIELD_OF = {
  invalid_price: "price",
  post_only_would_cross: "price",
  invalid_amount: "amount",
};
const REASONS = {
  no_liquidity: "no more liquidity",
  ioc: "it could not fill at once",
  fok: "it could not fill completely",
  self_trade: "it would have traded with your own order",
  user: "at your request",
};

export class Ticket {
  constructor({ market, account, connection, loop }) {
    Object.assign(this, { market, account, connection, loop });
    this.form = byId("ticket");
    this.side = "bid";
    this.type = "limit";
    this._seen = "";
    this._security = null;
    this._busy = 0;
    this._showSide = choice(byId("side"), (value) => this.setSide(value));
    this._showType = choice(byId("type"), (value) => this.setType(value));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("input", () => this._edited());
    this.form.addEventListener("click", (event) => this._click(event.target.closest("button")));
    byId("tif").addEventListener("change", () => this._edited());
    this.setSide("bid");
    this.setType("limit");
  }

  // ---- the fields ----------------------------------------------------------------------------

  get price() {
    return typed(byId("price").value);
  }
  get amount() {
    return typed(byId("amount").value);
  }
  setSide(side) {
    this.side = side;
    this.form.dataset.side = side;
    this._showSide(side);
    this._edited();
  }
  setType(type) {
    this.type = type;
    this.form.dataset.type = type;
    this._showType(type);
    for (const name of ["price", "tif", "post-only", "price-up", "price-down"])
      byId(name).disabled = type === "market";
    this._edited();
  }
  /** Copy a level of the book: an order that trades at its price, or sweeps up to it. */
  pick({ side, t, lots }) {
    this.setType("limit");
    this.setSide(side === "ask" ? "bid" : "ask");
    byId("price").value = this._priceOf(t);
    if (lots !== null)
      byId("amount").value = this.market.grid.amount(lots).toFixed(this.market.grid.amountDecimals);
    this._edited();
  }
  /** Move the price by ticks; if it is empty, start at the best price of this side. */
  nudge(ticks) {
    if (this.type !== "limit") return;
    const { grid, sides } = this.market;
    const own = sides[this.side][0]?.t ?? sides[this.side === "bid" ? "ask" : "bid"][0]?.t ?? 0;
    const t = Number.isNaN(this.price) ? own : grid.ticks(this.price) + ticks;
    byId("price").value = this._priceOf(Math.max(1, t));
    this._edited();
  }
  nudgeAmount(lots) {
    const { grid } = this.market;
    const now = Number.isNaN(this.amount) ? 0 : grid.lots(this.amount);
    byId("amount").value = grid.amount(Math.max(1, now + lots)).toFixed(grid.amountDecimals);
    this._edited();
  }
  clear() {
    byId("price").value = "";
    this._edited();
  }
  _priceOf(t) {
    return this.market.grid.price(t).toFixed(this.market.grid.priceDecimals);
  }
  _click(button) {
    if (button?.dataset.nudge) this.nudge(Number(button.dataset.nudge));
    if (button?.dataset.times) {
      const { grid } = this.market;
      const lots = grid.lots(Number.isNaN(this.amount) ? 0 : this.amount);
      this.nudgeAmount(Math.round(lots * Number(button.dataset.times)) - lots);
    }
  }
  _edited() {
    this._clearAnswer();
    this._seen = "";
    this.loop.invalidate();
  }

  // ---- the estimate --------------------------------------------------------------------------

  frame() {
    const { market, connection } = this;
    if (market.security !== this._security) this._meet();
    const seen = [market.versions.book, market.versions.security, connection.state].join();
    if (seen === this._seen) return;
    this._seen = seen;
    this._estimate();
    const halted = market.instrument?.status === "halted";
    const verb = this.side === "bid" ? "Buy" : "Sell";
    say(byId("send"), halted ? "Trading is halted" : `${verb} ${market.security ?? ""}`);
    byId("send").disabled = connection.state !== "live" || halted;
  }
  _meet() {
    this._security = this.market.security;
    this.market.setDepth("ticket", false);
    byId("price").value = "";
    byId("amount").value = this._amountExample();
    this._clearAnswer();
  }

  _estimate() {
    const { market, amount, price, type, side } = this;
    const { grid } = market;
    const lots = Number.isNaN(amount) ? 0 : grid.lots(amount);
    const other = side === "bid" ? "ask" : "bid";
    const limit = type === "limit" ? grid.ticks(price) : null;
    const known = lots > 0 && !(type === "limit" && Number.isNaN(price));
    const got = known ? sweep(market.sides[other], other, { lots, limit }) : null;
    const exhausted =
      known && got.levels > 0 && got.levels === market.sides[other].length && got.lots < lots;
    if (exhausted && !market.depth) market.setDepth("ticket", true); // it may go deeper
    const dash = "–";
    const average = got?.lots ? got.cost / got.lots : null;
    const best = market.sides[other][0]?.t;
    say(byId("est-now"), known ? grid.amountText(got.lots) : dash);
    say(byId("est-average"), average ? fixed(average * grid.tick, grid.priceDecimals + 1) : dash);
    const points = average && best ? (10_000 * Math.abs(average - best)) / best : null;
    say(byId("est-slippage"), points === null ? dash : `${points.toFixed(1)} bp`);
    byId("est-slippage").classList.toggle("warn", points !== null && points >= 50);
    const resting = known ? lots - got.lots : 0;
    const total = known
      ? (got.cost + (type === "limit" ? resting * limit : 0)) * grid.tick * grid.lot
      : null;
    say(byId("est-total"), total === null ? dash : grid.totalText(total));
    say(byId("est-rest"), known ? this._fate(resting) : dash);
  }
  _fate(resting) {
    if (resting <= 0)
      return byId("post-only").checked && this.type === "limit" ? "would be refused" : "nothing";
    const text = this.market.grid.amountText(resting);
    if (this.type === "market") return `${text} cancelled`;
    const force = byId("tif").value;
    return force === "gtc"
      ? `${text} rests`
      : force === "ioc"
        ? `${text} cancelled`
        : "all cancelled";
  }

  // ---- placing the order ---------------------------------------------------------------------

  async send() {
    if (byId("send").disabled) return;
    this._clearAnswer();
    const { type, side, price, amount } = this;
    if (type === "limit" && Number.isNaN(price))
      return this._refuse("price", this._needed("price", this._priceExample()));
    if (Number.isNaN(amount))
      return this._refuse("amount", this._needed("amount", this._amountExample()));
    const { security } = this.market;
    const order = { security, type: side, execType: type, amount };
    if (type === "limit") {
      Object.assign(order, { price, timeInForce: byId("tif").value });
      if (byId("post-only").checked) order.postOnly = true;
    }
    this._busy += 1;
    this.form.setAttribute("aria-busy", "true");
    const reply = await this.account.add(order);
    this._busy -= 1;
    if (!this._busy) this.form.removeAttribute("aria-busy");
    this._answered(reply);
  }
  _needed(field, example) {
    const got = byId(field).value.trim();
    return got
      ? `expected a number such as ${example}, got '${got.slice(0, 20)}'`
      : `expected ${field === "price" ? "a price" : "an amount"}, such as ${example}`;
  }
  _priceExample() {
    const t = this.market.sides[this.side][0]?.t;
    return t === undefined ? "100" : this._priceOf(t);
  }
  _amountExample() {
    const { grid } = this.market;
    return grid.amount(Math.max(1, grid.lots(1))).toFixed(grid.amountDecimals);
  }

  _answered(reply) {
    const { status, order } = reply;
    if (status === "unknown") return this._say(`Outcome unknown: ${reply.message}`, "warn");
    if (!order) return this._refuse(FIELD_OF[reply.code], reply.message, reply.code);
    const { grid } = this.market;
    const filled = order.filled;
    const at = order.avgPrice === null ? "" : ` at ${fixed(order.avgPrice, grid.priceDecimals)}`;
    const did = order.type === "bid" ? "bought" : "sold";
    const words = {
      open: "resting in the book",
      filled: `${did} ${fixed(filled, grid.amountDecimals)}${at}`,
    };
    words.partiallyFilled = `${words.filled}; the remainder rests in the book`;
    words.cancelled =
      filled > 0
        ? `${words.filled}; remainder cancelled: ${REASONS[reply.reason]}`
        : `cancelled: ${REASONS[reply.reason] ?? reply.reason}`;
    this._say(words[status] ?? status, status === "cancelled" && !filled ? "warn" : "good");
  }
  _refuse(field, message, code = "") {
    if (field) byId(field).setAttribute("aria-invalid", "true");
    this._say(`Refused: ${message}`, "bad", code);
  }
  _say(text, kind, code = "") {
    const node = byId("answer");
    node.dataset.kind = kind;
    node.title = code;
    say(node, text);
  }
  _clearAnswer() {
    for (const field of ["price", "amount"]) byId(field).removeAttribute("aria-invalid");
    const node = byId("answer");
    node.dataset.kind = "";
    say(node, "");
  }
}
