// This user's orders (open, filled, ended), and the commands that change them.

import { recall, remember } from "./identity.js";

const KEPT_MAX = 200;
const SAVE_MS = 1_000;
const OPEN = new Set(["open", "partiallyFilled"]);

export class Account {
  constructor(connection, loop) {
    this._connection = connection;
    this._loop = loop;
    this.userId = null;
    this.version = 0;
    this._unanswered = [];
    this._pages = [];
    this._number = 0;
    this._name = Math.random().toString(36).slice(2, 8);
    this._clear();
    addEventListener("pagehide", () => this._save());
    setInterval(() => this._save(), SAVE_MS);
  }
  _clear() {
    this.open = new Map();
    this.fills = [];
    this.history = [];
    this._dirty = false;
    this._own = null;
  }

  /** Handle a new connection; if it has the same user, resend the unanswered orders. */
  welcome(userId) {
    this._pages = []; // of a list of open orders that has begun to arrive
    const again = userId === this.userId;
    if (!again) {
      this.userId = userId;
      this._clear();
      const past = recall(userId);
      this.fills = past?.fills ?? [];
      this.history = past?.history ?? [];
    }
    const unanswered = this._unanswered;
    this._unanswered = [];
    for (const { order, answer } of unanswered) {
      if (again) this._add(order, answer);
      else answer({ status: "unknown", message: "the connection was lost, see Orders" });
    }
    this._changed();
  }

  /** Place an order; return a promise of its reply, which may arrive on a later connection. */
  add(order) {
    if (this._connection.state !== "live")
      return Promise.resolve({ status: "rejected", message: "not connected: nothing was sent" });
    const clientOrderId = `web-${this._name}-${++this._number}`;
    return new Promise((answer) => this._add({ ...order, clientOrderId }, answer));
  }
  async _add(order, answer) {
    const reply = await this._connection.ask({ op: "add", order });
    if (reply === null) this._unanswered.push({ order, answer });
    else answer(reply);
  }
  cancel(id) {
    return this._connection.ask({ op: "delete", id });
  }
  cancelAll(security = null) {
    return this._connection.ask({ op: "deleteAll", ...(security ? { security } : {}) });
  }

  /** Apply a private frame. */
  take(frame) {
    if (frame.event === "orders") {
      this._pages.push(...frame.orders);
      if (frame.more) return;
      this._takeOrders(this._pages);
      this._pages = [];
    } else if (frame.event === "order" && frame.order) {
      this._takeOrder(frame);
    } else return;
    this._changed();
  }
  _takeOrders(orders) {
    const listed = new Set(orders.map((o) => o.id));
    for (const order of [...this.open.values()])
      if (!listed.has(order.id)) this._end(order, "ended", "while disconnected");
    for (const order of orders) this._note(order);
  }
  _takeOrder({ order, status, reason, ref, lastPrice, lastAmount }) {
    const known = this.open.has(order.id) || this.history.some((h) => h.id === order.id);
    const now = Date.now() + this._connection.offsetMs;
    if (lastPrice !== undefined) this._fill(order, now, lastPrice, lastAmount, "maker");
    else if (ref !== undefined && !known && order.avgPrice !== null)
      this._fill(order, order.time, order.avgPrice, order.filled, "taker");
    if (OPEN.has(status)) this._note(order);
    else if (!this.history.some((h) => h.id === order.id)) this._end(order, status, reason);
  }
  _fill({ id, security, type }, time, price, amount, role) {
    this.fills.push({ id, time, security, type, price, amount, role });
    if (this.fills.length > KEPT_MAX) this.fills.shift();
    this._dirty = true;
  }
  _note(order) {
    this.open.set(order.id, order);
  }
  _end(order, status, reason) {
    this.open.delete(order.id);
    this.history.push({ ...order, status, reason });
    if (this.history.length > KEPT_MAX) this.history.shift();
    this._dirty = true;
  }
  _changed() {
    this.version += 1;
    this._own = null;
    this._loop.invalidate();
  }
  _save() {
    if (!this._dirty || this.userId === null) return;
    this._dirty = false;
    remember(this.userId, { fills: this.fills, history: this.history });
  }

  /** Return this user's open lots in a security: {ask, bid}, each a Map from price in ticks. */
  own(security, grid) {
    if (this._own?.security === security) return this._own;
    const own = { security, ask: new Map(), bid: new Map() };
    for (const order of this.open.values()) {
      if (order.security !== security || order.price === null) continue;
      const t = grid.ticks(order.price);
      const side = own[order.type];
      side.set(t, (side.get(t) ?? 0) + grid.lots(order.remaining));
    }
    return (this._own = own);
  }
}
