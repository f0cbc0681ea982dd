// This user's orders that have ended: the server's pages of them, and those that end meanwhile.

const PAGE = 50;

export class EndedOrders {
  constructor(connection) {
    this._connection = connection;
    this.clear();
  }
  /** Forget everything: the user is another one. */
  clear() {
    this._orders = new Map(); // id -> the order as it ended
    this._pages = new Map(); // security -> {first: the oldest id, more: whether older ones exist}
    this._loaded = new Set(); // the securities that have been asked for on this connection
    this._sorted = null;
  }
  /** A new connection: what ended meanwhile has to be asked for. */
  begin() {
    this._loaded.clear();
  }
  has(id) {
    return this._orders.has(id);
  }
  add(order) {
    this._orders.set(order.id, order);
    this._sorted = null;
  }
  /** All that are known, oldest first: ids sort by the time of placement. */
  get orders() {
    const byId = (a, b) => (a.id < b.id ? -1 : 1);
    this._sorted ??= [...this._orders.values()].sort(byId);
    return this._sorted;
  }
  /** Whether the server has older ones of some security. */
  get more() {
    return [...this._pages.values()].some((page) => page.more);
  }

  /** Ask for the newest of a security, once per connection; return whether they came. */
  async load(security) {
    if (this._loaded.has(security)) return false;
    this._loaded.add(security);
    return this._ask(security);
  }
  /** Ask for the page before what is known, of each security that has one. */
  async loadOlder() {
    for (const [security, { first, more }] of this._pages)
      if (more) await this._ask(security, first);
  }
  async _ask(security, before) {
    const of = before === undefined ? { security } : { security, before };
    const reply = await this._connection.ask({ op: "endedOrders", ...of, limit: PAGE });
    if (reply?.event !== "endedOrders") {
      this._loaded.delete(security); // refused or cut off: the next connection asks again
      return false;
    }
    const first = reply.orders[0]?.id;
    const joins = before === undefined && this._pages.has(security) && this.has(first);
    if (!joins) this._pages.set(security, { first, more: reply.more });
    for (const order of reply.orders) this.add(order);
    return true;
  }
}
