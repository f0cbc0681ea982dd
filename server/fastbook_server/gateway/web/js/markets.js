// The list of all markets with their last 24 hours: searched, sorted, chosen from.

import { byId, el, say } from "./dom.js";
import { fixed, short } from "./numbers.js";
import { recall, remember } from "./prefs.js";
import { profitSide, profitText } from "./words.js";

const COLUMNS = ["Security", "Last", "24h change", "24h high", "24h low", "24h volume"];
const ASCENDING = new Set(["Security"]); // by default; all others begin with the largest

export class Markets {
  /** Calls `choose` with the security that the user selects. */
  constructor({ market, tickers, loop, choose }) {
    Object.assign(this, { market, tickers, loop, choose });
    this._dialog = byId("markets");
    this._search = byId("markets-search");
    this._sort = { column: "Security", ascends: true, ...recall("marketsSort", {}) };
    this._rows = new Map();
    this._seen = "";
    this._head();
    byId("open-markets").addEventListener("click", () => this.open());
    this._search.addEventListener("input", () => this._redraw());
    this._search.addEventListener("keydown", (event) => this._key(event));
    byId("markets-body").addEventListener("click", (event) => this._choose(event.target));
    this._dialog.addEventListener("close", () => tickers.want("markets", []));
  }
  open() {
    const { instruments } = this.market;
    this.tickers.want("markets", instruments.map((i) => i.security));
    this._search.value = "";
    this._dialog.showModal();
    this._search.focus();
    this._redraw();
  }
  _redraw() {
    this._seen = "";
    this.loop.invalidate();
  }
  /** Choose the first market with Enter; go into the list with the down arrow. */
  _key(event) {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    this.frame(); // what was typed just now may not be drawn yet
    const first = byId("markets-body").querySelector("button");
    event.preventDefault();
    if (event.key === "Enter") this._choose(first);
    else first?.focus();
  }
  _choose(target) {
    const security = target?.closest("tr")?.dataset.security;
    if (security === undefined) return;
    this._dialog.close();
    this.choose(security);
  }

  _head() {
    const cells = COLUMNS.map((name) => {
      const button = el("button", { type: "button" }, name);
      button.addEventListener("click", () => this._sortBy(name));
      return el("th", { scope: "col", className: name === "Security" ? "" : "n" }, button);
    });
    byId("markets-head").replaceChildren(...cells);
    this._markSort();
  }
  _sortBy(column) {
    const again = this._sort.column === column;
    const ascends = again ? !this._sort.ascends : ASCENDING.has(column);
    remember("marketsSort", (this._sort = { column, ascends }));
    this._markSort();
    this._redraw();
  }
  _markSort() {
    const { column, ascends } = this._sort;
    [...byId("markets-head").cells].forEach((cell, i) => {
      const order = ascends ? "ascending" : "descending";
      cell.setAttribute("aria-sort", COLUMNS[i] === column ? order : "none");
    });
  }

  frame() {
    if (!this._dialog.open) return;
    const { market, tickers } = this;
    const seen = [tickers.version, market.versions.ticker, market.versions.tape].join();
    if (seen === this._seen) return;
    this._seen = seen;
    const wanted = this._search.value.trim().toLowerCase();
    const found = market.instruments
      .filter(({ security }) => security.toLowerCase().includes(wanted))
      .map((instrument) => this._valuesOf(instrument));
    const { column, ascends } = this._sort;
    const sign = ascends ? 1 : -1;
    found.sort((a, b) => sign * compare(a.keys[column], b.keys[column]) || compare(a.name, b.name));
    const body = byId("markets-body");
    const nodes = found.map((values) => this._row(values));
    const moved = nodes.length !== body.children.length || nodes.some((n, i) => n !== body.rows[i]);
    if (moved) replaceKeepingFocus(body, nodes);
    byId("markets-empty").hidden = nodes.length > 0;
  }
  _valuesOf({ security: name, status }) {
    const ticker = this.tickers.of(name);
    const grid = this.market.gridOf(name);
    const p = (price) => (price === null ? "–" : fixed(price, grid.priceDecimals));
    const { last = null, high = null, low = null, change = null, open } = ticker ?? {};
    const percent = change !== null && open ? (100 * change) / open : null;
    const volume = ticker?.volume ?? null;
    const keys = { Security: name, Last: last, "24h change": percent };
    Object.assign(keys, { "24h high": high, "24h low": low, "24h volume": volume });
    const texts = [p(last), percent === null ? "–" : `${profitText(percent)} %`, p(high), p(low)];
    texts.push(volume === null ? "–" : short(volume));
    const title = status === "halted" ? `${name} (halted)` : name;
    return { name, title, keys, texts, side: profitSide(percent ?? 0) };
  }
  _row({ name, title, texts, side }) {
    let row = this._rows.get(name);
    if (!row) {
      const button = el("button", { type: "button", className: "edit" });
      const cells = texts.map(() => el("td", { className: "n" }));
      row = el("tr", { "data-security": name }, el("td", {}, button), ...cells);
      this._rows.set(name, row);
    }
    say(row.cells[0].firstChild, title);
    texts.forEach((text, i) => say(row.cells[i + 1], text));
    row.cells[2].className = `n ${side}`;
    row.className = name === this.market.security ? "mine" : "";
    return row;
  }
}

/** Compare two texts or numbers; null comes after everything. */
function compare(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  return a < b ? -1 : a > b ? 1 : 0;
}

function replaceKeepingFocus(body, nodes) {
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  body.replaceChildren(...nodes);
  if (focused?.isConnected) focused.focus();
}
