// The footer: the connection's state, and the age of the data.

import { byId, say } from "./dom.js";

const STALE_MS = 2_500;
const LOOK_MS = 250;
const WORDS = {
  connecting: "connecting",
  live: "live",
  retrying: "reconnecting",
  elsewhere: "open in another tab",
};

export class Footer {
  constructor({ connection, market, account, loop }) {
    Object.assign(this, { connection, market, account, loop });
    this._messages = 0;
    this._rate = 0;
    this._ratedAt = performance.now();
    setInterval(() => this._look(), LOOK_MS);
  }

  /** Refresh by timer: data ages even when the server sends nothing. */
  _look() {
    const { connection, market, account, loop } = this;
    const now = performance.now();
    if (now - this._ratedAt >= 1_000) {
      this._rate = ((connection.messages - this._messages) * 1_000) / (now - this._ratedAt);
      this._messages = connection.messages;
      this._ratedAt = now;
    }
    const age = now - connection.heardAt;
    const stale = connection.state !== "live" || age > STALE_MS;
    const root = document.documentElement;
    if (root.classList.contains("stale") !== stale) root.classList.toggle("stale", stale);
    const state = connection.state === "live" && stale ? "stale" : connection.state;
    byId("state").dataset.state = state;
    say(byId("state"), WORDS[state] ?? state);
    say(
      byId("rtt"),
      connection.roundTripMs === null ? "–" : `${connection.roundTripMs.toFixed(1)} ms`,
    );
    say(
      byId("age"),
      age < 10_000 ? `${(age / 1_000).toFixed(1)} s` : `${Math.round(age / 1_000)} s`,
    );
    say(byId("rate"), this._rate.toFixed(0));
    say(byId("gaps"), String(market.gaps));
    const { median, p99 } = loop.times();
    say(byId("draw"), `${median.toFixed(1)} / ${p99.toFixed(1)} ms`);
    say(byId("user"), account.userId ?? "–");
  }
}
