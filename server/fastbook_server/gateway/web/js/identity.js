// This tab's user: its resume token survives a reload, and a closed tab if no other tab took it.

const PATH = globalThis.location?.pathname ?? "/"; // behind a proxy, one origin may have several
const HERE = PATH === "/" ? "" : PATH;
const SERVERS = "fastbook.token" + HERE;
const MINE = "fastbook.session" + HERE;
const SHARED = "fastbook.lastSession" + HERE;
const LEASE_MS = 15_000;

const read = (store, key) => {
  try {
    return JSON.parse(store.getItem(key));
  } catch {
    return null;
  }
};
const write = (store, key, value) => {
  try {
    store.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the page works but remembers nothing.
  }
};

export class Identity {
  constructor(now = Date.now) {
    this._now = now;
    const own = read(sessionStorage, MINE);
    const shared = read(localStorage, SHARED);
    const free = shared && now() - shared.seen > LEASE_MS ? shared : null;
    this.token = (own ?? free)?.token ?? null;
    this.userId = (own ?? free)?.userId ?? null;
    this.serverToken = read(sessionStorage, SERVERS); // what the server wants for commands
    addEventListener("pagehide", () => this.release());
  }
  keep(userId, token) {
    this.userId = userId;
    this.token = token;
    write(sessionStorage, MINE, { userId, token });
    this.renew();
  }
  /** Keep the server's token until this tab is closed; null: forget it. */
  keepServerToken(token) {
    this.serverToken = token;
    if (token === null) sessionStorage.removeItem(SERVERS);
    else write(sessionStorage, SERVERS, token);
  }
  /** Tell other tabs that this tab still uses its user. */
  renew() {
    const shared = read(localStorage, SHARED);
    const taken = shared && shared.userId !== this.userId && this._now() - shared.seen < LEASE_MS;
    if (this.token !== null && !taken)
      write(localStorage, SHARED, { userId: this.userId, token: this.token, seen: this._now() });
  }
  release() {
    const shared = read(localStorage, SHARED);
    if (shared?.userId === this.userId) write(localStorage, SHARED, { ...shared, seen: 0 });
  }
  forget() {
    this.token = this.userId = null;
    sessionStorage.removeItem(MINE);
  }
}
