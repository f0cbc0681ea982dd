// A follower: keeps the books, all fills, and its user's orders and positions, over lost
// connections and restarts of the server. It needs nothing but Node: 22 or newer, or 20.15 with
// --experimental-websocket.
//
//     node follower.mjs ADDRESS [SECURITY…]      default: every security
//
// ADDRESS is http://HOST:PORT, ws://HOST:PORT/ws or HOST:PORT. A server that wants a token for
// commands gets that of FASTBOOK_TOKEN, from the environment.
// An order without a security is for the first one given, by default the server's first.
// A line on standard input is either a command as JSON, which is sent, or the word `state`, which
// prints everything known as one JSON object on one line. SIGTERM and the end of the input print it
// too, and end the program. Titles in quotation marks are those of docs/protocol.md.

import { createInterface } from "node:readline";
import * as zlib from "node:zlib"; // an older Node has no crc32 to name here
import { setTimeout as sleep } from "node:timers/promises";

import { Grid } from "./grid.mjs";

const RETRY_MS = 100;
const RETRY_MS_MAX = 5_000;
const SILENCE_MS = 5_000; // a `checksum` comes every second
const PAGE = 1_000; // the largest `limit`
const CHECKSUM_LEVELS = 100;
const RESUMED_ELSEWHERE = 4001;

const fail = (error) => {
  console.error(error);
  process.exit(1);
};

// "Channels", depth: the whole book of a security, in ticks and lots.
class Book {
  constructor(instrument, resubscribe) {
    this.ticks = new Grid(instrument.tickSize);
    this.lots = new Grid(instrument.lotSize);
    this.resubscribe = resubscribe;
    this.counts = { opened: 0, gaps: 0, verified: 0, wrong: 0 };
    this.close();
  }

  // From now on, only an opening frame counts.
  close() {
    this.seq = null;
    this.sides = { ask: new Map(), bid: new Map() };
  }

  onDepth(frame) {
    if (frame.prevSeq === null) {
      this.close();
      this.counts.opened += 1;
    } else if (this.seq === null) {
      return; // sent before the opening frame that we wait for
    } else if (frame.prevSeq !== this.seq) {
      this.counts.gaps += 1;
      this.#again();
      return;
    }
    this.seq = frame.seq;
    for (const side of ["ask", "bid"]) {
      for (const { price, amount } of frame[side]) {
        if (amount === 0) this.sides[side].delete(this.ticks.units(price));
        else this.sides[side].set(this.ticks.units(price), this.lots.units(amount));
      }
    }
  }

  onChecksum(frame) {
    if (this.seq === null) return;
    const text = ["ask", "bid"].map((side) =>
      this.levels(side)
        .slice(0, CHECKSUM_LEVELS)
        .map(([ticks, lots]) => `${ticks}:${lots}`)
        .join(","),
    );
    if (frame.seq === this.seq && frame.checksum === zlib.crc32(text.join("|"))) {
      this.counts.verified += 1;
    } else {
      this.counts.wrong += 1;
      this.#again();
    }
  }

  // Levels as [ticks, lots], best first.
  levels(side) {
    const sign = side === "ask" ? 1 : -1;
    return [...this.sides[side]].sort(([one], [other]) => sign * (one - other));
  }

  #again() {
    this.close();
    this.resubscribe();
  }

  state() {
    const side = (name) =>
      this.levels(name).map(([ticks, lots]) => ({
        price: this.ticks.number(ticks),
        amount: this.lots.number(lots),
      }));
    return { seq: this.seq, ask: side("ask"), bid: side("bid"), ...this.counts };
  }
}

// "Channels", fills: every fill of a security since its first, in the order of `fillId`.
class Fills {
  constructor(security, api) {
    this.security = security;
    this.api = api;
    this.all = []; // all[n] has fillId n + 1
    this.waiting = []; // beyond a gap
    this.isFilling = false;
  }

  onFills(frame) {
    this.waiting.push(...frame.fills);
    this.#take();
    if (this.waiting.length > 0 && !this.isFilling) this.#fillGap().catch(fail);
  }

  #add(fill) {
    if (fill.fillId === this.all.length + 1) this.all.push(fill); // else it is known
  }

  #take() {
    while (this.waiting.length > 0 && this.waiting[0].fillId <= this.all.length + 1) {
      this.#add(this.waiting.shift());
    }
  }

  // An answer may be a moment old, or none: ask until the gap is closed.
  async #fillGap() {
    this.isFilling = true;
    while (this.waiting.length > 0) {
      const known = this.all.length;
      for (const fill of await this.#page(known)) this.#add(fill);
      this.#take();
      if (this.all.length === known) await sleep(RETRY_MS);
    }
    this.isFilling = false;
  }

  async #page(since) {
    const query = new URLSearchParams({ security: this.security, since, limit: PAGE });
    try {
      const signal = AbortSignal.timeout(SILENCE_MS);
      const answer = await fetch(`${this.api}/fills?${query}`, { signal });
      return answer.ok ? (await answer.json()).fills : [];
    } catch {
      return []; // the server is down, or the line was cut
    }
  }
}

// "Orders", "Fills", "Disconnecting and resuming": open orders, and a position in each security.
class Account {
  constructor(userId) {
    this.userId = userId;
    this.orders = new Map();
    this.page = null; // the list that is coming in
    this.fills = new Map(); // security → its own fills, by fillId and role
    this.since = new Map(); // security → fillId up to which lists have told them all
  }

  // A list of open orders is of one moment: it replaces what was known when its last page is here.
  onOrders(frame) {
    this.page ??= new Map();
    for (const order of frame.orders) this.page.set(order.id, order);
    if (frame.more) return;
    this.orders = this.page;
    this.page = null;
  }

  onOrder({ status, order }) {
    if (!order) return; // refused before it became one
    if (["filled", "cancelled", "rejected"].includes(status)) this.orders.delete(order.id);
    else this.orders.set(order.id, order);
  }

  // Of a `fill` event or an `ownFills` list: the same fill may come both ways, and counts once.
  onFill(security, fill) {
    if (!this.fills.has(security)) this.fills.set(security, new Map());
    this.fills.get(security).set(`${fill.fillId} ${fill.role}`, fill);
  }

  onOwnFills({ security, fills }) {
    for (const fill of fills) this.onFill(security, fill);
    if (fills.length > 0) this.since.set(security, fills.at(-1).fillId);
  }

  // "Numbers": summed in lots, as integers without bound.
  position(security, lots) {
    let sum = 0n;
    for (const { type, amount } of this.fills.get(security)?.values() ?? []) {
      sum += BigInt(lots.units(amount)) * (type === "bid" ? 1n : -1n);
    }
    return lots.number(sum);
  }
}

// "Connecting", "Commands", "Disconnecting and resuming".
class Follower {
  constructor({ ws, http }, securities, serverToken) {
    this.url = ws;
    this.url.searchParams.set("feed", "none"); // we choose our channels ourselves
    if (securities.length > 0) this.url.searchParams.set("security", securities[0]);
    this.wanted = securities;
    this.serverToken = serverToken;
    this.api = `${http}/api`;
    this.markets = new Map(); // security → { instrument, book, fills }
    this.account = null;
    this.token = null;
    this.socket = null; // null: not connected
    this.refs = 0;
    this.unanswered = new Map(); // ref → { command, answer, lose }
    this.toSend = []; // commands given while there is no connection
    this.connections = 0;
    this.retryMs = RETRY_MS;
  }

  async run() {
    for (;;) {
      const code = await this.#connect();
      if (code === RESUMED_ELSEWHERE) throw new Error("this user resumed on another connection");
      await sleep(this.retryMs);
      this.retryMs = Math.min(2 * this.retryMs, RETRY_MS_MAX);
    }
  }

  // Follow one connection to its end; return its close code.
  #connect() {
    const socket = new WebSocket(this.url, this.#subprotocols());
    return new Promise((resolve) => {
      let silence;
      const end = (code) => {
        clearTimeout(silence);
        socket.onmessage = socket.onclose = null; // nothing of a line that we gave up counts
        socket.close();
        this.#onLost();
        resolve(code);
      };
      const listen = () => {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE_MS, 1006);
      };
      socket.onmessage = ({ data }) => {
        listen();
        this.#onFrame(socket, JSON.parse(data));
      };
      socket.onclose = ({ code }) => end(code);
      socket.onerror = () => {}; // a close follows
      listen();
    });
  }

  // Secrets travel in a header: addresses are logged on their way.
  #subprotocols() {
    const offered = ["fastbook"];
    if (this.serverToken) offered.push(`token.${encodeURIComponent(this.serverToken)}`);
    if (this.token !== null) offered.push(`resume.${this.token}`);
    return offered;
  }

  #onLost() {
    this.socket = null;
    if (this.account) this.account.page = null;
    const asked = [...this.unanswered.values()];
    this.unanswered.clear();
    for (const { lose } of asked) lose();
  }

  #onFrame(socket, frame) {
    const market = this.markets.get(frame.security);
    switch (frame.event) {
      case "welcome":
        this.#onWelcome(socket, frame);
        break;
      case "depth":
        market?.book.onDepth(frame);
        break;
      case "checksum":
        market?.book.onChecksum(frame);
        break;
      case "fills":
        market?.fills.onFills(frame);
        break;
      case "fill":
        this.account.onFill(frame.security, frame);
        break;
      case "ownFills":
        this.account.onOwnFills(frame);
        break;
      case "order":
        this.account.onOrder(frame);
        break;
      case "orders":
        this.account.onOrders(frame);
        break;
    }
    if (frame.ref !== undefined && !(frame.event === "orders" && frame.more)) {
      const asked = this.unanswered.get(frame.ref);
      this.unanswered.delete(frame.ref);
      asked?.answer(frame);
    }
  }

  #onWelcome(socket, { userId, resumeToken, instruments }) {
    this.socket = socket;
    this.connections += 1;
    this.retryMs = RETRY_MS;
    this.token = resumeToken;
    // A token that is no longer valid gives a new user, who has neither orders nor fills; what the
    // old one sent may have been executed.
    if (this.account?.userId !== userId) {
      if (this.account !== null) this.#giveUp();
      this.account = new Account(userId);
    }
    for (const instrument of instruments) {
      const { security } = instrument;
      if (this.wanted.length > 0 && !this.wanted.includes(security)) continue;
      if (!this.markets.has(security)) this.markets.set(security, this.#market(instrument));
      this.#subscribe(security, "depth");
      this.#subscribe(security, "fills");
      this.#catchUp(security).catch(fail);
    }
    const toSend = this.toSend;
    this.toSend = [];
    for (const command of toSend) this.send(command);
  }

  #subscribe(security, channel) {
    this.#ask({ op: "subscribe", security, channel }).catch(fail);
  }

  #giveUp() {
    for (const command of this.toSend) console.error(`not sent again: ${JSON.stringify(command)}`);
    this.toSend = [];
  }

  #market(instrument) {
    const { security } = instrument;
    const again = () => this.#subscribe(security, "depth");
    return {
      instrument,
      book: new Book(instrument, again),
      fills: new Fills(security, this.api),
    };
  }

  // "Fills": those that happened while we were away. `since` is where the last list ended, not the
  // last `fill` event: if the connection was lost before its list was complete, that one came
  // after a gap.
  async #catchUp(security) {
    for (let more = true; more; ) {
      const since = this.account.since.get(security) ?? 0;
      const answer = await this.#ask({ op: "fills", security, since, limit: PAGE });
      if (answer === null) return; // the next connection does it again
      more = answer.more;
    }
  }

  // Send a command of our own; returns its reply, or null if the connection was lost. Bounds of the
  // server ask for patience: `retryAfterMs`.
  async #ask(command) {
    for (;;) {
      const { socket } = this;
      if (socket === null) return null;
      const ref = `follower-${(this.refs += 1)}`;
      const reply = await new Promise((answer) => {
        this.unanswered.set(ref, { answer, lose: () => answer(null) });
        socket.send(JSON.stringify({ ...command, ref }));
      });
      if (reply === null || reply.code === undefined) return reply;
      if (reply.retryAfterMs === undefined) throw new Error(JSON.stringify(reply));
      await sleep(reply.retryAfterMs);
    }
  }

  // Send a user's command, now or once there is a connection. "Disconnecting and resuming": an
  // unanswered order is sent again with the same clientOrderId. Nothing else is: what deleteAll
  // would cancel now is not what it was to cancel then.
  send(command) {
    if (this.socket === null) {
      this.toSend.push(command);
      return;
    }
    const ref = (command.ref ??= `user-${(this.refs += 1)}`);
    const lose = () => {
      if (command.op === "add" && command.order.clientOrderId) this.toSend.push(command);
      else console.error(`unanswered: ${JSON.stringify(command)}`);
    };
    this.unanswered.set(ref, { answer: () => {}, lose });
    this.socket.send(JSON.stringify(command));
  }

  state() {
    const markets = [...this.markets].map(([security, { book, fills }]) => {
      const position = this.account.position(security, book.lots);
      return [security, { position, book: book.state(), fills: fills.all }];
    });
    return {
      userId: this.account?.userId ?? null,
      connected: this.socket !== null,
      connections: this.connections,
      unanswered: this.unanswered.size + this.toSend.length,
      orders: [...(this.account?.orders.values() ?? [])],
      markets: Object.fromEntries(markets),
    };
  }
}

// Return {ws, http} of an address: a path is kept, but for a final /ws. Null if it is none.
function endpoint(address = "") {
  const given = /^[a-z]+:\/\//i.test(address) ? address : `http://${address}`;
  if (!URL.canParse(given)) return null;
  const { protocol, host, port, pathname, search, hash } = new URL(given);
  const secure = { "http:": "", "ws:": "", "https:": "s", "wss:": "s" }[protocol];
  if (secure === undefined || search || hash) return null;
  const hasPort = port !== "" || given === address || /:\d+$/.test(address); // 80 is not shown
  const path = pathname.replace(/\/+$/, "").replace(/\/ws$/, "");
  const place = (hasPort ? host : `${host}:8080`) + path;
  return { ws: new URL(`ws${secure}://${place}/ws`), http: `http${secure}://${place}` };
}

// Only an object can be a command; the server says what is wrong with the others.
function onLine(line) {
  let command = null;
  try {
    command = JSON.parse(line);
  } catch {
    // no JSON
  }
  if (command?.constructor === Object) follower.send(command);
  else if (line.trim() !== "") console.error(`expected a command as JSON or "state", got ${line}`);
}

const [address, ...securities] = process.argv.slice(2);
if (globalThis.WebSocket === undefined || zlib.crc32 === undefined) {
  fail("expected Node 22 or newer, or 20.15 with --experimental-websocket");
}
const server = endpoint(address);
if (server === null) fail("usage: node follower.mjs http://127.0.0.1:8080 [SECURITY…]");
const follower = new Follower(server, securities, process.env.FASTBOOK_TOKEN);
const print = (then) => process.stdout.write(`${JSON.stringify(follower.state())}\n`, then);
const end = () => print(() => process.exit(0));
process.once("SIGTERM", end);
createInterface({ input: process.stdin })
  .on("line", (line) => (line === "state" ? print() : onLine(line)))
  .on("close", end);
follower.run().catch(fail);
