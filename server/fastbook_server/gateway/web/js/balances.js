// What an account for Binance's bots has: shown, as it changes, to whoever logs in with its key.

import { byId, el, fillRows, say } from "./dom.js";

const AGAIN_MS = 1_000;
const [LOG_ON, SUBSCRIBE, ASK] = [1, 2, 3]; // ids of requests

/** Return parameters with their signature: an HMAC over them, sorted by name. */
async function signed(secret, params) {
  const bytes = (text) => new TextEncoder().encode(text);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(secret), algorithm, false, ["sign"]);
  const names = Object.keys(params).sort();
  const payload = names.map((name) => `${name}=${params[name]}`).join("&");
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes(payload)));
  const hex = (byte) => byte.toString(16).padStart(2, "0");
  return { ...params, signature: [...digest].map(hex).join("") };
}

export class Balances {
  /** `now` returns the server's time in ms. */
  constructor({ now, redraw }) {
    Object.assign(this, { now, redraw });
    this._keys = null; // of whoever has logged in; nowhere kept
    this._assets = new Map();
    byId("account-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._logIn(byId("account-key").value.trim(), byId("account-secret").value.trim());
    });
    byId("account-cancel").addEventListener("click", () => byId("account-dialog").close());
  }
  /** Show the tab; called once the server has said that it has accounts. */
  offer() {
    byId("balances-tab").hidden = false;
  }
  /** Say whether the table is shown: somebody must have logged in by then. */
  watch(shown) {
    if (shown && this._keys === null) this._ask("");
  }
  _ask(wrong) {
    byId("account-secret").value = "";
    say(byId("account-answer"), wrong);
    if (!byId("account-dialog").open) byId("account-dialog").showModal();
    byId("account-key").focus();
  }
  _logIn(key, secret) {
    if (!key || !secret) return this._ask("Expected a key and its secret");
    if (!globalThis.crypto?.subtle)
      return this._ask("A browser signs over https or on localhost only");
    byId("account-dialog").close();
    this._keys = { key, secret };
    this._connect();
  }
  _connect() {
    const url = new URL("binance/ws-api/v3", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = "";
    const socket = new WebSocket(url);
    const ask = (id, method, params = {}) => socket.send(JSON.stringify({ id, method, params }));
    const keys = this._keys;
    socket.addEventListener("open", async () => {
      const { key, secret } = keys;
      const timestamp = Math.round(this.now());
      ask(LOG_ON, "session.logon", await signed(secret, { apiKey: key, timestamp }));
    });
    socket.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.event?.e === "outboundAccountPosition") {
        for (const { a, f, l } of frame.event.B) this._assets.set(a, [f, l]);
        this.redraw();
      }
      if (frame.id === ASK && frame.result) {
        const { balances } = frame.result;
        this._assets = new Map(balances.map(({ asset, free, locked }) => [asset, [free, locked]]));
        this.redraw();
      }
      if (frame.id !== LOG_ON) return;
      if (frame.status !== 200) return this._refused(socket, frame.error.msg);
      ask(SUBSCRIBE, "userDataStream.subscribe");
      ask(ASK, "account.status");
    });
    socket.addEventListener("close", () => {
      const again = () => keys === this._keys && this._connect(); // else somebody else logged in
      if (keys === this._keys) setTimeout(again, AGAIN_MS);
    });
  }
  _refused(socket, why) {
    this._keys = null;
    socket.close();
    this._ask(why);
  }

  /** Show a row per asset; return their number. */
  fill() {
    const body = byId("blotter-body");
    if (!body.firstChild?.dataset?.asset) body.replaceChildren();
    const rows = [...this._assets].map(([asset, amounts]) => [asset, ...amounts]);
    while (body.rows.length < rows.length) body.append(el("tr", { "data-asset": "1" }));
    fillRows(body, rows);
    for (const { cells } of body.rows) cells[1].className = cells[2].className = "n";
    return rows.length;
  }
}
