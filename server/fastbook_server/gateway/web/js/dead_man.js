// The dead man's switch: the server cancels all orders of this user once the page has been gone for
// some time. While the page lives, it starts that time over.

import { byId } from "./dom.js";
import { keepChosen } from "./prefs.js";

const RENEWALS = 3; // per time: one that is lost does no harm

export class DeadMan {
  constructor({ connection, toasts }) {
    this._connection = connection;
    this._toasts = toasts;
    this._ms = 0;
    this._dueAt = Infinity;
    keepChosen(byId("cancel-after"), "cancelAfterMs", (value) => this._set(Number(value)));
    setInterval(() => this.tick(), 1_000);
  }
  /** Handle a new connection. */
  welcome() {
    if (this._ms) this._dueAt = 0;
    this.tick();
  }
  /** Renew if it is time to. Frames call this too: a hidden page has slow timers. */
  tick() {
    if (performance.now() < this._dueAt || this._connection.state !== "live") return;
    this._dueAt = this._ms ? performance.now() + this._ms / RENEWALS : Infinity;
    this._send();
  }
  _set(ms) {
    if (ms === 0 && this._ms === 0) return;
    this._ms = ms;
    this._dueAt = 0; // a switch that is turned off is sent too
    this.tick();
  }
  async _send() {
    const reply = await this._connection.ask({ op: "cancelAfter", ms: this._ms });
    if (reply?.event === "error")
      this._toasts.show(`Not set: ${reply.message}`, { kind: "bad", key: "dead-man" });
  }
}
