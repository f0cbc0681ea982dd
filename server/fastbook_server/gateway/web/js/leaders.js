// The leaderboard: users by profit in the currency of the shown security, where there is one.

import { byId, el, fillRows } from "./dom.js";
import { profitSide, profitText } from "./words.js";

/** Return the currency of a security's prices, as the server tells it from the name. */
const currencyOf = (security) => /[-/_]([^-/_]*)$/.exec(security)?.[1] ?? "";

const REFRESH_MS = 2_000;
const SHOWN_MAX = 100;

export class Leaders {
  constructor({ account, market, redraw }) {
    Object.assign(this, { account, market, redraw });
    this._users = [];
    this._of = ""; // the security whose currency it is in
    this._shown = false;
    setInterval(() => this._refresh(), REFRESH_MS);
  }
  /** Show the tab; called once the server has said that it keeps a leaderboard. */
  offer() {
    byId("leaders-tab").hidden = false;
  }
  /** Say whether the table is shown: only then it is asked for. */
  watch(shown) {
    if (shown && !this._shown) this._refresh(true);
    this._shown = shown;
  }
  async _refresh(now = false) {
    if (!(this._shown || now) || document.hidden) return;
    try {
      const { security } = this.market;
      const asked = new URLSearchParams({ currency: currencyOf(security), limit: SHOWN_MAX });
      const answer = await fetch(`api/leaderboard?${asked}`, { cache: "no-store" });
      if (!answer.ok) return;
      this._users = (await answer.json()).users;
      this._of = security;
      this.redraw();
    } catch {
      // No connection: the next turn asks again.
    }
  }

  /** Show a row per user, the best first; return their number. */
  fill() {
    const { security } = this.market;
    if (currencyOf(security) !== currencyOf(this._of)) {
      this._users = [];
      this._refresh(true);
    }
    const body = byId("blotter-body");
    if (!body.firstChild?.dataset?.rank) body.replaceChildren();
    while (body.rows.length < this._users.length) body.append(el("tr", { "data-rank": "1" }));
    const mine = (id) => (id === this.account.userId ? `${id} (you)` : id);
    const texts = ({ rank, userId, profit, fills }) => [
      String(rank),
      mine(userId),
      `${profitText(profit)} ${currencyOf(this._of)}`.trim(),
      String(fills),
    ];
    fillRows(body, this._users.map(texts));
    this._users.forEach(({ userId, profit }, i) => {
      const { cells } = body.rows[i];
      body.rows[i].className = userId === this.account.userId ? "mine" : "";
      cells[2].className = `n ${profitSide(profit)}`;
      cells[3].className = "n";
    });
    return this._users.length;
  }
}
