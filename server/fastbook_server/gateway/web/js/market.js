// The public state of the selected security: only the latest of everything, no queue.

import { Side, checksum } from "./book.js";
import { Folded } from "./folds.js";
import { Grid } from "./numbers.js";

const TAPE_MAX = 500;
const TRIES_MAX = 3;
const RETRY_MS = 1_000;

export class Market {
  /** `interval` is that of the candles, one of `INTERVALS`. */
  constructor(connection, loop, interval = "1m") {
    this._connection = connection;
    this._loop = loop;
    this.instruments = [];
    this.security = null;
    this.interval = interval;
    this._wanting = new Set();
    this.gaps = 0;
    this.epoch = null;
    this._reset();
  }

  _reset() {
    this.grid = new Grid(this.instrument ?? { tickSize: 0.01, lotSize: 0.01 });
    this.book = null;
    this.depth = null;
    this.ticker = null;
    this._resetTape();
    this._bookText = null;
    this.refused = new Map();
    this.versions = { book: 0, tape: 0, ticker: 0, security: (this.versions?.security ?? 0) + 1 };
    this._resetCandles();
  }
  _resetTape() {
    this.tape = [];
    this._opening = false; // whether the next fills are those that open the channel
    this._held = null; // fills behind a gap that is being filled
  }
  _resetCandles() {
    this.candles = new Folded(this.interval);
    this.changed = new Map(); // by time: what the chart has not drawn yet
  }

  get instrument() {
    return this.instruments.find((i) => i.security === this.security);
  }
  /** Return the grid of a security's prices and amounts. */
  gridOf(security) {
    const instrument = this.instruments.find((i) => i.security === security);
    return instrument ? new Grid(instrument) : this.grid;
  }
  /** The price of the newest fill, or null. */
  get last() {
    return this.tape.at(-1)?.price ?? this.ticker?.last ?? null;
  }
  /** The deepest known book: the whole book if `depth` is subscribed, else the best rows. */
  get sides() {
    if (this.depth?.whole) return { ask: this.depth.ask.levels, bid: this.depth.bid.levels };
    return this.book ?? { ask: [], bid: [] };
  }

  /** Handle a new connection: learn the instruments, and select `wanted` if it is traded. */
  welcome(frame, wanted) {
    this.instruments = frame.instruments;
    const known = frame.instruments.some((i) => i.security === wanted);
    const security = known ? wanted : (this.instrument?.security ?? frame.security);
    if (frame.epoch !== this.epoch) this._resetTape();
    this.epoch = frame.epoch;
    if (security === this.security) {
      this.refused.clear();
      this.depth = null;
      this._held = null;
      this._resetCandles();
      this._subscribeAll();
    } else {
      this._show(security);
    }
    return known || !wanted;
  }

  /** Select another security. */
  follow(security) {
    if (security === this.security) return;
    for (const channel of this._channels()) this._send("unsubscribe", channel, this.security);
    this._show(security);
  }
  _show(security) {
    this.security = security;
    this._reset();
    this._subscribeAll();
    this._loop.invalidate();
  }

  setInterval(interval) {
    if (interval === this.interval) return;
    if (this.security) this._send("unsubscribe", this.candlesChannel, this.security);
    this.interval = interval;
    this._resetCandles();
    if (this.security) this._subscribe(this.candlesChannel);
    this._loop.invalidate();
  }

  get candlesChannel() {
    return "candles:" + this.candles.base;
  }
  get wantsDepth() {
    return this._wanting.size > 0;
  }
  /** Subscribe to the whole book while any view wants more than the best rows. */
  setDepth(who, wanted) {
    const before = this.wantsDepth;
    if (wanted) this._wanting.add(who);
    else this._wanting.delete(who);
    if (before === this.wantsDepth) return;
    if (wanted) this._subscribe("depth");
    else {
      if (this.security) this._send("unsubscribe", "depth", this.security);
      this.depth = null;
      this.versions.book += 1;
    }
    this._loop.invalidate();
  }

  _channels() {
    const always = ["book", "fills", "ticker", this.candlesChannel];
    return this.wantsDepth ? [...always, "depth"] : always;
  }
  _subscribeAll() {
    for (const channel of this._channels()) this._subscribe(channel);
  }
  async _subscribe(channel) {
    const security = this.security;
    const reply = await this._send("subscribe", channel, security);
    if (channel === "fills" && reply?.event === "subscribed") this._opening = true;
    if (reply?.event !== "error" || security !== this.security) return;
    this.refused.set(channel, reply.message);
    if (channel === "depth") this.depth = null;
    this._loop.invalidate();
  }
  _send(op, channel, security) {
    const named = channel === "book" ? {} : { channel };
    return this._connection.ask({ op, security, ...named });
  }

  // ---- frames --------------------------------------------------------------------------------

  /** Keep the newest book as text; it is parsed when a frame is drawn, if it is still newest. */
  bookText(text) {
    this._bookText = text;
    this._loop.invalidate();
  }

  /** Apply a public frame. */
  take(frame) {
    if (frame.security !== this.security) return;
    if (frame.event === "fills") this._takeFills(frame.fills);
    else if (frame.event === "depth") this._takeDepth(frame);
    else if (frame.event === "checksum") this._check(frame);
    else if (frame.event === "candles") this._takeCandles(frame);
    else if (frame.event === "ticker") {
      this.ticker = frame;
      this.versions.ticker += 1;
    }
    this._loop.invalidate();
  }

  /** Parse the book kept as text; called once per drawn frame, before the views. */
  frame() {
    const text = this._bookText;
    if (text === null) return;
    this._bookText = null;
    const frame = JSON.parse(text);
    if (frame.security !== this.security) return;
    const { grid } = this;
    const levels = (rows) =>
      rows.map((row) => ({ t: grid.ticks(row.price), q: grid.lots(row.amount) }));
    const { ask, bid } = frame.aggOrderBook;
    this.book = { seq: frame.seq, time: frame.time, ask: levels(ask), bid: levels(bid) };
    this.versions.book += 1;
  }

  /** Take fills in order. After a gap they are held until the missing ones have been fetched. */
  _takeFills(fills) {
    const opening = this._opening;
    this._opening = false;
    if (this._held !== null) return void this._held.push(...fills);
    const last = this.tape.at(-1)?.id ?? null;
    const fresh = last === null ? fills : fills.filter((f) => f.fillId > last);
    if (last !== null && fresh.length && fresh[0].fillId !== last + 1) {
      if (!opening) this.gaps += 1; // else the connection was lost meanwhile
      this._held = fresh;
      this._fillGap(last);
    } else this._addFills(fresh);
  }
  /** Fetch the fills between the tape and those held, or, of many, as many as the tape holds. */
  async _fillGap(last) {
    const { security, _held: held } = this;
    const first = held[0].fillId;
    const since = Math.max(last, first - 1 - TAPE_MAX);
    const missing = await fetchFills(security, since, first - 1 - since);
    if (held !== this._held) return; // another security or connection by now
    this._held = null;
    if (since > last || missing.length < first - 1 - since) this.tape = []; // show no gap
    this._addFills([...missing, ...held]);
    this._loop.invalidate();
  }
  _addFills(fills) {
    const { tape, grid } = this;
    for (const { fillId: id, type: side, time, price, amount } of fills)
      if (tape.length === 0 || id > tape.at(-1).id)
        tape.push({ id, side, time, price, lots: grid.lots(amount) });
    if (tape.length > 2 * TAPE_MAX) tape.splice(0, tape.length - TAPE_MAX);
    this.versions.tape += 1;
  }

  _takeDepth(frame) {
    const { grid } = this;
    if (!this.wantsDepth) return;
    if (frame.prevSeq === null) {
      this.depth = { ask: new Side("ask"), bid: new Side("bid"), seq: frame.seq, whole: true };
    } else if (!this.depth?.whole || frame.prevSeq !== this.depth.seq) {
      return this._resyncDepth();
    }
    for (const name of ["ask", "bid"])
      for (const { price, amount } of frame[name])
        this.depth[name].set(grid.ticks(price), grid.lots(amount));
    this.depth.seq = frame.seq;
    this.versions.book += 1;
  }
  _check(frame) {
    const { depth } = this;
    if (!depth?.whole || frame.seq !== depth.seq) return;
    if (checksum(depth.ask.levels, depth.bid.levels) !== frame.checksum) this._resyncDepth();
  }
  _resyncDepth() {
    if (this.depth?.whole === false) return; // already requested
    this.gaps += 1;
    this.depth = { whole: false };
    this._subscribe("depth");
  }

  _takeCandles(frame) {
    if (frame.interval !== this.candles.base) return;
    for (const candle of frame.candles) {
      const folded = this.candles.put(candle);
      this.changed.set(folded.time, folded);
    }
  }
}

/** Return the `limit` fills after number `since`; none if the server cannot say. */
async function fetchFills(security, since, limit) {
  const url = new URL("api/fills", location.href);
  for (const [name, value] of Object.entries({ security, since, limit }))
    url.searchParams.set(name, value);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      const answer = await fetch(url);
      if (answer.ok) return (await answer.json()).fills;
    } catch {
      // No connection: try again, like after a refusal.
    }
    await new Promise((later) => setTimeout(later, RETRY_MS));
  }
  return [];
}
