// This user's positions: the line about the selected security, and the table of all of them.

import { byId, el, say } from "./dom.js";
import { fixed } from "./numbers.js";
import { profitSide, profitText } from "./words.js";

const TEXTS = ["position", "average", "last", "unrealised", "realised"];

export class Positions {
  /** Calls `close` with the security whose position the user wants to close. */
  constructor({ market, account, tickers, close }) {
    Object.assign(this, { market, account, tickers });
    this._rows = new Map();
    this._followed = "";
    byId("blotter-body").addEventListener("click", (event) => {
      const security = event.target.closest("button[data-close]")?.dataset.close;
      if (security !== undefined) close(security);
    });
  }

  /** Show the line about the selected security. */
  showLine() {
    this._follow();
    const { texts, side } = this._of(this.market.security);
    say(byId("position"), texts.position);
    byId("position").dataset.side = side.position;
    say(byId("position-average"), texts.average);
    for (const name of ["unrealised", "realised"]) {
      say(byId(name), texts[name]);
      byId(name).dataset.side = side[name];
    }
  }
  /** Ask for the last prices of what is held. */
  _follow() {
    const held = this.account.traded.filter((s) => this.account.position(s)?.lots);
    if (held.join() === this._followed) return;
    this._followed = held.join();
    this.tickers.want("positions", held);
  }

  /** Show a row for each security that has been traded; return their number. */
  fill() {
    const traded = this.account.traded.sort();
    const rows = traded.map((security) => {
      let row = this._rows.get(security);
      if (!row) this._rows.set(security, (row = new Row(security)));
      row.show(this._of(security));
      return row.node;
    });
    const body = byId("blotter-body");
    if (rows.length !== body.children.length || rows.some((row, i) => row !== body.children[i]))
      body.replaceChildren(...rows);
    return rows.length;
  }

  /** Return {texts, side}: what to say of a security's position, and in which side's colour. */
  _of(security) {
    const position = this.account.position(security);
    if (position === null) {
      const unknown = Object.fromEntries(TEXTS.map((name) => [name, "–"]));
      return { texts: unknown, side: {}, lots: 0 };
    }
    const grid = this.market.gridOf(security);
    const money = (value) => (value === null ? null : value * grid.tick * grid.lot);
    const last = this.tickers.last(security);
    const { lots, average } = position;
    const unrealised = money(position.unrealised(last));
    const realised = money(position.realised);
    const texts = {
      position: grid.amountText(lots),
      average: average === null ? "–" : fixed(average * grid.tick, grid.priceDecimals + 1),
      last: last === null ? "–" : grid.priceText(last),
      unrealised: unrealised === null ? "–" : profitText(unrealised),
      realised: profitText(realised),
    };
    const side = {
      position: profitSide(lots),
      unrealised: profitSide(unrealised ?? 0),
      realised: profitSide(realised),
    };
    return { texts, side, lots };
  }
}

/** One security: its cells. */
class Row {
  constructor(security) {
    this._cells = Object.fromEntries(TEXTS.map((name) => [name, el("td", { className: "n" })]));
    const label = `Close the position in ${security}`;
    this._close = el(
      "button",
      { type: "button", className: "quiet", "data-close": security, "aria-label": label },
      "Close",
    );
    this.node = el(
      "tr",
      {},
      el("td", {}, security),
      ...Object.values(this._cells),
      el("td", { className: "n" }, this._close),
    );
  }
  show({ texts, side, lots }) {
    for (const name of TEXTS) {
      say(this._cells[name], texts[name]);
      this._cells[name].className = `n ${side[name] ?? ""}`;
    }
    this._close.disabled = lots === 0;
  }
}
