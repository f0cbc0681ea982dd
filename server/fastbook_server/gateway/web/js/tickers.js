// The tickers of securities other than the selected one, while somebody shows them.

const SUBSCRIBED_MAX = 80; // of the 100 subscriptions that a connection may have by default

export class Tickers {
  constructor({ connection, market, loop }) {
    Object.assign(this, { connection, market, loop });
    this.version = 0;
    this._known = new Map();
    this._wanted = new Map(); // who -> securities
    this._subscribed = new Set();
  }
  /** Return the ticker of a security, or null while it is not known. */
  of(security) {
    const { market } = this;
    return (security === market.security ? market.ticker : this._known.get(security)) ?? null;
  }
  /** Return the last price of a security in ticks, or null. */
  last(security) {
    const { market } = this;
    const last = security === market.security ? market.last : (this.of(security)?.last ?? null);
    return last === null ? null : market.gridOf(security).ticks(last);
  }
  /** Let `who` have the tickers of these securities, in place of what it had. */
  want(who, securities) {
    this._wanted.set(who, securities);
    this.sync();
  }
  /** Subscribe to what is wanted; the selected security's ticker comes to the market anyway. */
  sync() {
    if (this.connection.state !== "live") return;
    const { security: selected } = this.market;
    const all = new Set([...this._wanted.values()].flat());
    all.delete(selected);
    const wanted = [...all].slice(0, SUBSCRIBED_MAX);
    for (const security of this._subscribed)
      if (!wanted.includes(security) && security !== selected) this._send("unsubscribe", security);
    for (const security of wanted)
      if (!this._subscribed.has(security)) this._send("subscribe", security);
    this._subscribed = new Set(wanted);
  }
  _send(op, security) {
    this.connection.ask({ op, security, channel: "ticker" });
  }
  /** Handle a new connection, which has no subscriptions yet. */
  welcome() {
    this._subscribed.clear();
    this.sync();
  }
  take(ticker) {
    this._known.set(ticker.security, ticker);
    this.version += 1;
    this.loop.invalidate();
  }
}
