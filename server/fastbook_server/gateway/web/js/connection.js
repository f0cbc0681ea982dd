// The socket: opens it, keeps it alive, reopens it; passes each frame to its handler, in order.

const PING_MS = 1_000;
const DEAD_MS = 8_000;
const RETRY_MS = 250;
const RETRY_MAX_MS = 5_000;
const RESUMED_ELSEWHERE = 4001;
const SUBPROTOCOL = "fastbook";

const BOOK = '{"event":"aggOrderBook"';
const TRADES = '{"event":"trades"'; // of the channel book; the tape shows the fills instead

export class Connection {
  /** `handlers`: onFrame(frame), onBook(text), onState(state, detail), onRefused(). */
  constructor(identity, handlers) {
    this._identity = identity;
    this._handlers = handlers;
    this._socket = null;
    this._tries = 0;
    this._retry = 0;
    this._ref = 0;
    this._greeted = false;
    this.needsToken = false; // the server takes commands from those only who present its token
    this._waiting = new Map();
    this.state = "connecting";
    this.roundTripMs = null;
    this.heardAt = performance.now();
    this.messages = 0;
    this.offsetMs = 0;
    setInterval(() => this._beat(), PING_MS);
    addEventListener("online", () => this._now());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this._awake();
    });
  }

  open() {
    clearTimeout(this._retry);
    const url = new URL("ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("feed", "none");
    const socket = (this._socket = new WebSocket(url, this._subprotocols()));
    this._greeted = false;
    this._become("connecting");
    this.heardAt = performance.now();
    socket.onmessage = (event) => this._take(event.data);
    socket.onclose = (event) => {
      if (socket === this._socket) this._lost(event.code, event.reason);
    };
  }

  // Secrets go into a header, as subprotocols: logs of proxies show the address.
  _subprotocols() {
    const { token, serverToken } = this._identity;
    const offered = [SUBPROTOCOL];
    if (this.needsToken && serverToken !== null)
      offered.push("token." + encodeURIComponent(serverToken));
    if (token && !this.onlyWatches) offered.push("resume." + token);
    return offered;
  }

  /** Whether the server would refuse every command of this page: it has not the token. */
  get onlyWatches() {
    return this.needsToken && this._identity.serverToken === null;
  }

  /** Send a command; return a promise of its reply, or null if the connection is lost first. */
  ask(command) {
    if (this._socket?.readyState !== WebSocket.OPEN) return Promise.resolve(null);
    const ref = String(++this._ref);
    this._socket.send(JSON.stringify({ ...command, ref }));
    return new Promise((answer) => this._waiting.set(ref, answer));
  }

  /** Reconnect: as a new user, or to take the user back from another tab. */
  restart({ asNew = false } = {}) {
    if (asNew) this._identity.forget();
    this._drop();
    this.open();
  }

  _become(state, detail = "") {
    this.state = state;
    this._handlers.onState(state, detail);
  }

  _take(text) {
    this.heardAt = performance.now();
    this.messages += 1;
    if (text.startsWith(BOOK)) return this._handlers.onBook(text);
    if (text.startsWith(TRADES)) return;
    const frame = JSON.parse(text);
    if (frame.event === "welcome") this._welcomed(frame);
    this._handlers.onFrame(frame);
    const answer = frame.ref === undefined ? undefined : this._waiting.get(frame.ref);
    if (answer) {
      this._waiting.delete(frame.ref);
      answer(frame);
    }
  }

  _welcomed(frame) {
    this._tries = 0;
    this._greeted = true;
    this.offsetMs = frame.time - Date.now();
    if (!this.onlyWatches) this._identity.keep(frame.userId, frame.resumeToken);
    this._become("live");
  }

  async _beat() {
    if (this.state !== "live") return;
    if (performance.now() - this.heardAt > DEAD_MS) return this.restart();
    this._identity.renew();
    const sent = performance.now();
    const pong = await this.ask({ op: "ping" });
    if (pong?.event === "pong") {
      this.roundTripMs = performance.now() - sent;
      this.offsetMs = pong.time - (Date.now() - this.roundTripMs / 2);
    }
  }

  _drop() {
    const socket = this._socket;
    this._socket = null;
    if (socket) {
      socket.onmessage = null;
      socket.close();
    }
    this._giveUp();
  }

  _giveUp() {
    const waiting = [...this._waiting.values()];
    this._waiting.clear();
    this.roundTripMs = null;
    for (const answer of waiting) answer(null);
  }

  _lost(code, reason) {
    this._socket = null;
    this._giveUp();
    if (code === RESUMED_ELSEWHERE) return this._become("elsewhere");
    const wait = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this._tries++) * (0.75 + Math.random() / 2);
    this._become("retrying", reason);
    if (!this._greeted) this._handlers.onRefused();
    this._retry = setTimeout(() => this.open(), wait);
  }

  _now() {
    if (this.state === "retrying") {
      this._tries = 0;
      this.open();
    }
  }

  /** The tab is visible again: retry now, or replace a connection that died while it slept. */
  _awake() {
    this._now();
    if (this.state !== "live") return;
    const asked = performance.now();
    this.ask({ op: "ping" });
    setTimeout(() => {
      if (this.state === "live" && this.heardAt < asked) this.restart();
    }, 2_000);
  }
}
