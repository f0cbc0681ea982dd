// The ticket: the order to place, an estimate of its fills, and the reply.

import { sweep } from "./book.js";
import { isTriggered, oddity } from "./checks.js";
import { ask } from "./confirm.js";
import { byId, choice, say } from "./dom.js";
import { fixed, typed } from "./numbers.js";
import { keepChecked, keepChosen } from "./prefs.js";
import { byAmount, fitting, orderOf } from "./terms.js";
import { averageText, termsText, triggerSign, triggerText } from "./words.js";

const WHEN = ["now", "stop", "takeProfit"];
const FIELDS = ["price", "amount", "total", "trigger", "display", "expire", "tif", "post-only"];
/** The field to blame, by the refusal's code or by the field of the wire that its message names. */
const BLAMED = new Map([
  ["invalid_price", "price"],
  ["post_only_would_cross", "price"],
  ["invalid_amount", "amount"],
  ...FIELDS.map((field) => [field, field]),
  ["triggerPrice", "trigger"],
  ["expireTime", "expire"],
  ["timeInForce", "tif"],
  ["postOnly", "post-only"],
]);
const REASONS = {
  no_liquidity: "no more liquidity",
  total: "its total does not pay for a lot",
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
    this.when = "now";
    this._aimed = "price"; // of the two fields with prices, that which a click on a price fills in
    this._forces = { limit: "gtc", market: "ioc" };
    this._seen = "";
    this._security = null;
    this._busy = 0;
    this._showSide = choice(byId("side"), (value) => this.setSide(value));
    this._showType = choice(byId("type"), (value) => this.setType(value));
    this._showWhen = choice(byId("when"), (value) => this.setWhen(value));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("input", () => this._edited());
    this.form.addEventListener("click", (event) => this._click(event.target.closest("button")));
    this.form.addEventListener("keydown", (event) => this._key(event));
    this.form.addEventListener("focusin", ({ target }) => {
      if (target.id === "price" || target.id === "trigger") this._aimed = target.id;
    });
    byId("tif").addEventListener("change", (event) => {
      this._forces[this.type] = event.target.value;
      this._edited();
    });
    keepChecked(byId("confirm-orders"), "confirm");
    keepChosen(byId("self-trade"), "selfTrade");
    this.setSide("bid");
    this.setType("limit");
    this.setWhen("now");
  }

  // ---- the fields ----------------------------------------------------------------------------

  get amount() {
    return typed(byId("amount").value);
  }
  /** Return the number in a field, NaN for what is none, null if it is empty or has no effect. */
  _number(id) {
    const { disabled, value } = byId(id);
    return disabled || value.trim() === "" ? null : typed(value);
  }
  /** Return what the fields say, as `orderOf` takes it. */
  get fields() {
    const { side, type, when } = this;
    const { disabled, value, validity } = byId("expire");
    const expire = validity.badInput ? NaN : new Date(value).getTime();
    const numbers = ["price", "amount", "total", "trigger", "display"];
    const fields = {
      security: this.market.security,
      side,
      type,
      when,
      ...Object.fromEntries(numbers.map((id) => [id, this._number(id)])),
      expire: disabled || (value === "" && !validity.badInput) ? null : expire,
      tif: byId("tif").value,
      postOnly: byId("post-only").checked && !byId("post-only").disabled,
      selfTrade: byId("self-trade").value,
    };
    return byAmount(fields, this.market.grid);
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
    byId("tif").options[0].hidden = byId("tif").options[0].disabled = type === "market";
    byId("tif").value = this._forces[type];
    this._edited();
  }
  /** Let the order take effect "now", or wait as a "stop" or a "takeProfit" order. */
  setWhen(when) {
    this.when = when;
    this._showWhen(when);
    byId("trigger").closest(".field").hidden = when === "now";
    this._aimed = when === "now" ? "price" : "trigger";
    this._edited();
  }
  nextWhen() {
    this.setWhen(WHEN[(WHEN.indexOf(this.when) + 1) % WHEN.length]);
  }
  /** Copy a level of the book: an order that trades at its price, or sweeps up to it. */
  pick({ side, t, lots }) {
    if (this.when !== "now") return this.setPrice(t); // its side is not that which trades there
    this.setType("limit");
    this.setSide(side === "ask" ? "bid" : "ask");
    byId("price").value = this._priceOf(t);
    if (lots !== null) this._size(lots);
    this._edited();
  }
  /** Copy a price in ticks, for the side that is chosen. */
  setPrice(t) {
    if (this.when === "now") this.setType("limit");
    byId(this._aim).value = this._priceOf(Math.max(1, t));
    this._edited();
  }
  get _aim() {
    return byId("price").disabled ? "trigger" : this._aimed;
  }
  /** Fill in a share of the position, and the side that reduces it. */
  setShare(share) {
    const lots = this.account.position(this.market.security)?.lots ?? 0;
    if (lots === 0) return;
    this._size(Math.max(1, Math.floor(Math.abs(lots) * share)));
    this.setSide(lots > 0 ? "ask" : "bid");
  }
  /** Fill in an amount; a total would take its place. */
  _size(lots) {
    byId("total").value = "";
    byId("amount").value = this._amountOf(lots);
  }
  /** Move a price by ticks; if it is empty, start at the best price of this side. */
  nudge(ticks, field = this._aim) {
    if (byId(field).disabled) return;
    const { grid, sides } = this.market;
    const own = sides[this.side][0]?.t ?? sides[this.side === "bid" ? "ask" : "bid"][0]?.t ?? 0;
    const now = typed(byId(field).value);
    const t = Number.isNaN(now) ? own : grid.ticks(now) + ticks;
    byId(field).value = this._priceOf(Math.max(1, t));
    this._edited();
  }
  nudgeAmount(lots, field = "amount") {
    if (byId(field).disabled) return;
    const { grid } = this.market;
    const typedNow = typed(byId(field).value);
    const now = Number.isNaN(typedNow) ? 0 : grid.lots(typedNow);
    byId(field).value = this._amountOf(Math.max(1, now + lots));
    this._edited();
  }
  clear() {
    byId("price").value = byId("trigger").value = "";
    this._edited();
  }
  _priceOf(t) {
    return this.market.grid.price(t).toFixed(this.market.grid.priceDecimals);
  }
  _amountOf(lots) {
    return this.market.grid.amount(lots).toFixed(this.market.grid.amountDecimals);
  }
  /** Move a price by a tick, an amount by a lot, with Shift by ten. */
  _key(event) {
    const { id } = event.target;
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (step === undefined || event.target.tagName !== "INPUT") return;
    const by = step * (event.shiftKey ? 10 : 1);
    if (id === "price" || id === "trigger") this.nudge(by, id);
    else if (id === "amount" || id === "display") this.nudgeAmount(by, id);
    else return;
    event.preventDefault();
  }
  _click(button) {
    if (button?.dataset.nudge)
      this.nudge(Number(button.dataset.nudge), button.closest(".field").querySelector("input").id);
    if (button?.dataset.share) this.setShare(Number(button.dataset.share));
    if (button?.dataset.times) {
      const { grid } = this.market;
      const lots = grid.lots(Number.isNaN(this.amount) ? 0 : this.amount);
      this.nudgeAmount(Math.round(lots * Number(button.dataset.times)) - lots);
    }
  }
  _edited() {
    this._clearAnswer();
    this._fit();
    this._seen = "";
    this.loop.invalidate();
  }

  /** Disable the fields that do not go with the others, and say which advanced ones have effect. */
  _fit() {
    const filled = (id) => byId(id).value.trim() !== "";
    const { type, when, side } = this;
    const fits = fitting({ type, when, tif: byId("tif").value, total: filled("total") });
    for (const [id, fit] of Object.entries(fits)) byId(id).disabled = !fit;
    const sign = when === "now" ? "" : ` ${triggerSign(side, when)}`;
    say(byId("trigger").labels[0], `Trigger${sign}`);
    const set = ["display", "expire", "total"].filter(
      (id) => !byId(id).disabled && (filled(id) || byId(id).validity.badInput),
    );
    if (byId("self-trade").value !== "cancelNewest") set.push("self-trade");
    const names = set.map((id) => byId(id).labels[0].firstChild.textContent.trim().toLowerCase());
    say(byId("advanced-set"), names.length ? `: ${names.join(", ")}` : "");
  }

  /** Fill in the order that closes the position. */
  close() {
    if (this.market.security !== this._security) this._meet();
    this.setType("market");
    this.setWhen("now");
    this.setShare(1);
  }

  // ---- the estimate --------------------------------------------------------------------------

  frame() {
    const { market, connection, account } = this;
    if (market.security !== this._security) this._meet();
    const { versions } = market;
    const lots = account.position(market.security)?.lots ?? 0;
    const { state, onlyWatches } = connection;
    const last = this.when === "now" ? 0 : versions.tape; // what is triggered depends on it
    const shown = [versions.book, versions.security, last, Math.sign(lots)];
    const seen = [...shown, state, onlyWatches].join();
    if (seen === this._seen) return;
    this._seen = seen;
    this._estimate();
    for (const button of byId("shares").children) button.disabled = lots === 0;
    const halted = market.instrument?.status === "halted";
    const verb = this.side === "bid" ? "Buy" : "Sell";
    say(byId("send"), halted ? "Trading is halted" : `${verb} ${market.security ?? ""}`);
    byId("send").disabled = state !== "live" || halted || onlyWatches;
  }
  _meet() {
    this._security = this.market.security;
    this.market.setDepth("ticket", false);
    for (const id of ["price", "trigger", "display", "total"]) byId(id).value = "";
    byId("amount").value = this._amountExample();
    this._edited();
  }

  _estimate() {
    const { market, side, fields } = this;
    const { grid } = market;
    const lots = fields.amount > 0 ? grid.lots(fields.amount) : 0;
    const cost = fields.total > 0 ? Math.floor(fields.total / (grid.tick * grid.lot) + 1e-6) : 0;
    const other = side === "bid" ? "ask" : "bid";
    const limit = fields.type === "limit" ? grid.ticks(fields.price) : null;
    const enters = fields.when === "now" && (limit === null || fields.price > 0);
    const known = enters && (lots > 0 || cost > 0);
    const most = fields.total === null ? { lots } : { cost };
    const got = known ? sweep(market.sides[other], other, { ...most, limit }) : null;
    if (got?.levels && got.more && !market.depth) market.setDepth("ticket", true); // it goes deeper
    const dash = "–";
    const average = got?.lots ? got.cost / got.lots : null;
    const best = market.sides[other][0]?.t;
    say(byId("est-now"), known ? grid.amountText(got.lots) : dash);
    say(byId("est-average"), average ? fixed(average * grid.tick, grid.priceDecimals + 1) : dash);
    const points = average && best ? (10_000 * Math.abs(average - best)) / best : null;
    say(byId("est-slippage"), points === null ? dash : `${points.toFixed(1)} bp`);
    byId("est-slippage").classList.toggle("warn", points !== null && points >= 50);
    const resting = known ? Math.max(0, lots - got.lots) : 0;
    const total = known ? (got.cost + resting * (limit ?? 0)) * grid.tick * grid.lot : null;
    say(byId("est-total"), total === null ? dash : grid.totalText(total));
    say(byId("est-rest"), this._fate(fields, known, resting, total));
  }
  /** Return what becomes of an order that does not fill at once, or of its `resting` lots. */
  _fate(fields, known, resting, total) {
    const { grid, last } = this.market;
    const { side, when, trigger } = fields;
    if (isTriggered(fields, last)) return "triggers at once";
    if (trigger > 0) return `waits for ${triggerText(side, trigger, grid, when)}`;
    if (!known) return "–";
    if (fields.total !== null) return `${grid.totalText(fields.total - total)} not used`;
    if (resting <= 0) return fields.postOnly ? "would be refused" : "nothing";
    const text = grid.amountText(resting);
    if (fields.tif === "fok") return "all cancelled";
    return `${text} ${fields.tif === "gtc" ? "rests" : "cancelled"}`;
  }

  // ---- placing the order ---------------------------------------------------------------------

  async send() {
    if (byId("send").disabled) return;
    this._clearAnswer();
    const { fields } = this;
    const needed = fields.type === "limit" ? ["price"] : [];
    if (fields.total === null) needed.push("amount");
    if (fields.when !== "now") needed.push("trigger");
    const wrong = FIELDS.find(
      (id) => Number.isNaN(fields[id]) || (fields[id] === null && needed.includes(id)),
    );
    if (wrong) return this._refuse(wrong, this._needed(wrong));
    if (!(await this._agreed(fields))) return this._say("not sent", "warn");
    const order = orderOf(fields);
    this._busy += 1;
    this.form.setAttribute("aria-busy", "true");
    const reply = await this.account.add(order);
    this._busy -= 1;
    if (!this._busy) this.form.removeAttribute("aria-busy");
    this._answered(reply);
  }
  /** Ask where the user wants to be asked, and about what looks like a slip of the hand. */
  async _agreed(fields) {
    const { grid, sides, security, last } = this.market;
    const plain = fields.type === "limit" && fields.when === "now";
    const lots = fields.amount > 0 ? grid.lots(fields.amount) : null;
    const limit = plain && fields.price > 0 ? grid.ticks(fields.price) : null;
    const triggered = isTriggered(fields, last);
    const odd = oddity({ side: this.side, lots, limit, triggered }, sides);
    if (!odd && !byId("confirm-orders").checked) return true;
    const verb = this.side === "bid" ? "Buy" : "Sell";
    return ask(`${verb} ${termsText(fields, grid)}? ${odd}`.trim(), `${verb} ${security}`);
  }
  _needed(field) {
    if (field === "expire") return "expected a date and a time";
    const isPrice = field === "price" || field === "trigger";
    const example = isPrice ? this._priceExample() : this._amountExample();
    const got = byId(field).value.trim();
    return got
      ? `expected a number such as ${example}, got '${got.slice(0, 20)}'`
      : `expected ${isPrice ? "a price" : "an amount"}, such as ${example}`;
  }
  _priceExample() {
    const t = this.market.sides[this.side][0]?.t;
    return t === undefined ? "100" : this._priceOf(t);
  }
  _amountExample() {
    return this._amountOf(Math.max(1, this.market.grid.lots(1)));
  }

  _answered(reply) {
    const { status, order } = reply;
    if (status === "unknown") return this._say(`Outcome unknown: ${reply.message}`, "warn");
    if (!order) {
      const blamed = BLAMED.get(/^\w+/.exec(reply.message)?.[0]) ?? BLAMED.get(reply.code);
      return this._refuse(blamed, reply.message, reply.code);
    }
    const grid = this.market.gridOf(order.security);
    const filled = order.filled;
    const at = order.avgPrice === null ? "" : ` at ${averageText(order.avgPrice, grid)}`;
    const did = order.type === "bid" ? "bought" : "sold";
    const waits = triggerText(order.type, order.triggerPrice ?? 0, grid, order.execType);
    const words = {
      open: "resting in the book",
      untriggered: `waiting for ${waits}`,
      filled: `${did} ${fixed(filled, grid.amountDecimals)}${at}`,
    };
    words.partiallyFilled = `${words.filled}; the remainder rests in the book`;
    const why = REASONS[reply.reason] ?? reply.reason;
    words.cancelled =
      filled > 0 ? `${words.filled}; remainder cancelled: ${why}` : `cancelled: ${why}`;
    this._say(words[status] ?? status, status === "cancelled" && !filled ? "warn" : "good");
  }
  _refuse(field, message, code = "") {
    if (field) {
      byId(field).setAttribute("aria-invalid", "true");
      if (byId(field).closest("#advanced")) byId("advanced").open = true;
    }
    this._say(`Refused: ${message}`, "bad", code);
  }
  _say(text, kind, code = "") {
    const node = byId("answer");
    node.dataset.kind = kind;
    node.title = code;
    say(node, text);
  }
  _clearAnswer() {
    for (const field of FIELDS) byId(field).removeAttribute("aria-invalid");
    const node = byId("answer");
    node.dataset.kind = "";
    say(node, "");
  }
}
