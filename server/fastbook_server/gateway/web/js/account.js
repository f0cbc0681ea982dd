// This user's orders (open, ended), fills and positions, and the commands that change them. What is
// past comes from the server.

import { EndedOrders } from "./ended_orders.js";
import { OwnFills } from "./own_fills.js";

const KEPT_MAX = 200;
const FILLS_PAGE = 1_000;
const FOLLOWED_MAX = 100;
const OPEN = new Set(["untriggered", "triggered", "open", "partiallyFilled"]);

export class Account {
  /**
   * Calls `tell` with what happens to the user's orders without being asked: {fill}, {ended} (the
   * order as it is kept in the history), {missed} (how many fills, while not connected).
   */
  constructor(connection, market, loop, tell = () => {}) {
    this._connection = connection;
    this._market = market;
    this._loop = loop;
    this._tell = tell;
    this.userId = null;
    this.version = 0;
    this._unanswered = [];
    this._pages = [];
    this._number = 0;
    this._session = 0;
    this._name = Math.random().toString(36).slice(2, 8);
    this._ended = new EndedOrders(connection);
    this._clear();
  }
  _clear() {
    this.open = new Map();
    this._ended.clear();
    this._ownFills = new Map();
    this._moving = new Map(); // order id -> the price that an unanswered amend asks for
    this._forgetDerived();
  }
  _forgetDerived() {
    this._own = null;
    this._ids = null;
    this._fills = null;
  }

  /** Handle a new connection; if it has the same user, resend the unanswered orders. */
  welcome(userId) {
    this._session += 1;
    this._pages = []; // of a list of open orders that has begun to arrive
    const again = userId === this.userId;
    if (!again) {
      this.userId = userId;
      this._clear();
    }
    for (const own of this._ownFills.values()) own.begin();
    this._ended.begin();
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
  /** Change the `price` or `amount` of an open order; return a promise of the reply. */
  async amend(id, changes) {
    if (changes.price !== undefined) this._moving.set(id, changes.price);
    this._changed();
    const reply = await this._connection.ask({ op: "amend", id, ...changes });
    this._moving.delete(id);
    this._changed();
    return reply;
  }
  cancel(id) {
    return this._connection.ask({ op: "delete", id });
  }
  /** Cancel the open orders of a security (null: of all), perhaps only those of a side. */
  cancelAll(security, side = null) {
    const of = { ...(security ? { security } : {}), ...(side ? { type: side } : {}) };
    return this._connection.ask({ op: "deleteAll", ...of });
  }

  // ---- frames --------------------------------------------------------------------------------

  /** Apply a private frame. */
  take(frame) {
    if (frame.event === "orders") {
      this._pages.push(...frame.orders);
      if (frame.more) return;
      this._takeOrders(this._pages);
      this._pages = [];
    } else if (frame.event === "order" && frame.order) this._takeOrder(frame);
    else if (frame.event === "fill") this._takeFill(frame);
    else return;
    this._changed();
  }
  _takeOrders(orders) {
    const listed = new Set(orders.map((o) => o.id));
    for (const order of this.open.values()) if (!listed.has(order.id)) this._askStatus(order);
    for (const order of orders) {
      this._note({ ...order, status: this._statusOf(order) });
      this.follow(order.security);
    }
  }
  _statusOf({ filled, waits }) {
    if (waits) return "untriggered";
    return filled > 0 ? "partiallyFilled" : "open";
  }
  /** Ask what has become of an order; the reply is taken like any other report on it. */
  async _askStatus({ id }) {
    const reply = await this._connection.ask({ op: "order", id });
    const order = this.open.get(id);
    if (reply?.status === "rejected" && order) this._end(order, "ended", "while disconnected");
    this._changed();
  }
  _takeOrder({ order, status, reason }) {
    if (OPEN.has(status)) this._note({ ...order, status });
    else if (!this._ended.has(order.id)) this._end(order, status, reason);
  }
  _note(order) {
    this.open.set(order.id, order);
  }
  _end(order, status, reason) {
    const known = this.open.delete(order.id);
    const ended = { ...order, status, reason };
    this._ended.add(ended);
    if (known) this._tell({ ended });
  }
  _changed() {
    this.version += 1;
    this._forgetDerived();
    this._loop.invalidate();
  }

  // ---- fills ---------------------------------------------------------------------------------

  _takeFill(fill) {
    const own = this._fillsOf(fill.security);
    const fresh = own.live(fill, this._market.gridOf(fill.security));
    for (const one of fresh) this._tell({ fill: { ...one, security: fill.security } });
    this.follow(fill.security);
  }
  /** Fetch what was missed of all securities, one after the other; `first` first. */
  async followAll(first, securities) {
    const session = this._session;
    for (const security of [first, ...securities.slice(0, FOLLOWED_MAX)]) {
      await this.follow(security);
      if (session !== this._session) return;
    }
    for (const security of [first, ...securities.slice(0, FOLLOWED_MAX)]) {
      if (await this._ended.load(security)) this._changed();
      if (session !== this._session) return;
    }
  }
  /** Ask for older ended orders of all securities. */
  async loadOlder() {
    await this._ended.loadOlder();
    this._changed();
  }
  /** The ended orders that are known, oldest first. */
  get history() {
    return this._ended.orders;
  }
  /** Whether the server has older ones. */
  get hasOlder() {
    return this._ended.more;
  }
  /** Fetch the fills of a security that were missed, once per connection. */
  async follow(security) {
    const own = this._fillsOf(security);
    if (own.asked) return;
    own.asked = true;
    const session = this._session;
    const again = own.position !== null;
    let [reply, missed] = [null, 0];
    do {
      const command = { op: "fills", security, since: own.since, limit: FILLS_PAGE };
      reply = await this._connection.ask(command);
      if (session !== this._session || reply === null) return; // the next connection asks again
      const grid = this._market.gridOf(security);
      if (reply.event === "ownFills") missed += own.missed(reply.fills, grid).length;
      else if (reply.retryAfterMs !== undefined)
        await new Promise((later) => setTimeout(later, reply.retryAfterMs));
    } while (session === this._session && (reply.more || reply.retryAfterMs !== undefined));
    if (session !== this._session) return;
    missed += own.join(this._market.gridOf(security)).length;
    if (again && missed) this._tell({ missed, security });
    this._changed();
  }
  _fillsOf(security) {
    let own = this._ownFills.get(security);
    if (!own) this._ownFills.set(security, (own = new OwnFills()));
    return own;
  }

  // ---- what is derived -----------------------------------------------------------------------

  /** Return the position in a security; null until the fills are known. */
  position(security) {
    return this._ownFills.get(security)?.position ?? null;
  }
  /** The securities in which this user has traded. */
  get traded() {
    return [...this._ownFills].filter(([, own]) => own.fills.length).map(([security]) => security);
  }
  /** Return the newest fills of a security, oldest first. */
  fillsOf(security) {
    return this._ownFills.get(security)?.fills ?? [];
  }
  /** The newest fills of all securities, oldest first. */
  get fills() {
    if (this._fills === null) {
      const newest = ([security, { fills }]) =>
        fills.slice(-KEPT_MAX).map((fill) => ({ ...fill, security }));
      const all = [...this._ownFills].flatMap(newest).sort((a, b) => a.time - b.time);
      this._fills = all.slice(-KEPT_MAX);
    }
    return this._fills;
  }
  /** Return the numbers of this user's fills in a security. */
  ownFillIds(security) {
    if (this._ids?.security !== security)
      this._ids = { security, numbers: new Set(this.fillsOf(security).map((f) => f.fillId)) };
    return this._ids.numbers;
  }
  /** Return this user's lots in a security's book: {ask, bid}, each a Map from price in ticks. */
  own(security, grid) {
    if (this._own?.security === security) return this._own;
    const own = { security, ask: new Map(), bid: new Map() };
    for (const order of this.resting(security)) {
      const t = grid.ticks(this._moving.get(order.id) ?? order.price);
      const side = own[order.type];
      side.set(t, (side.get(t) ?? 0) + grid.lots(order.remaining));
    }
    return (this._own = own);
  }
  /** Return this user's stop orders that wait in a security. */
  waiting(security) {
    return [...this.open.values()].filter(
      (o) => o.security === security && o.status === "untriggered" && o.triggerPrice,
    );
  }
  /** Return this user's orders in a security's book. */
  resting(security) {
    return [...this.open.values()].filter(
      (o) => o.security === security && o.price !== null && o.status !== "untriggered",
    );
  }
}
