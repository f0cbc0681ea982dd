// This tab's user: its resume token survives a reload, and a closed tab if no other tab took it.

const MINE = "fastbook.session";
const SHARED = "fastbook.lastSession";
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
    addEventListener("pagehide", () => this.release());
  }
  keep(userId, token) {
    this.userId = userId;
    this.token = token;
    write(sessionStorage, MINE, { userId, token });
    this.renew();
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

/** Return the stored fills and history of a user, or null. */
export const recall = (userId) => read(localStorage, "fastbook.past." + userId);

/** Store a user's fills and history; only those of the last few users are kept. */
export function remember(userId, past) {
  const names = (read(localStorage, "fastbook.users") ?? []).filter((n) => n !== userId);
  names.push(userId);
  for (const gone of names.splice(0, Math.max(0, names.length - 4)))
    localStorage.removeItem("fastbook.past." + gone);
  write(localStorage, "fastbook.users", names);
  write(localStorage, "fastbook.past." + userId, past);
}
