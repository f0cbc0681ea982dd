// The header: the security, its price and its last 24 hours; and the page's theme.

import { forgetColours } from "./canvas.js";
import { byId, el, say } from "./dom.js";
import { fixed, short } from "./numbers.js";
import { recall, remember } from "./prefs.js";

export class Header {
  /** Calls `choose` with the security that the user selects. */
  constructor({ market, choose }) {
    this.market = market;
    this._seen = "";
    this._listed = "";
    byId("security").addEventListener("change", (event) => choose(event.target.value));
  }

  frame() {
    const { market } = this;
    const { versions } = market;
    this._list();
    const seen = [versions.ticker, versions.tape, versions.security].join();
    if (seen === this._seen) return;
    this._seen = seen;
    const { ticker, grid, tape, last } = market;
    const p = (price) =>
      price === null || price === undefined ? "–" : fixed(price, grid.priceDecimals);
    const side = tape.at(-1)?.side ?? "";
    say(byId("last"), p(last));
    byId("last").dataset.side = side;
    const change = ticker?.change ?? null;
    const percent =
      change !== null && ticker.open ? ` ${signed((100 * change) / ticker.open, 2)} %` : "";
    say(byId("change"), change === null ? "–" : signed(change, grid.priceDecimals) + percent);
    byId("change").dataset.side = change > 0 ? "bid" : change < 0 ? "ask" : "";
    say(byId("high"), p(ticker?.high));
    say(byId("low"), p(ticker?.low));
    say(byId("volume"), ticker ? short(ticker.volume) : "–");
    const price = last === null ? "" : `${p(last)} ${market.security} · `;
    document.title = `${price}fastbook`;
  }

  _list() {
    const { instruments, security } = this.market;
    const listed = instruments.map((i) => i.security + i.status).join() + security;
    if (listed === this._listed) return;
    this._listed = listed;
    byId("security").replaceChildren(
      ...instruments.map((i) => {
        const text = i.status === "halted" ? `${i.security} (halted)` : i.security;
        return el("option", { value: i.security, selected: i.security === security }, text);
      }),
    );
  }
}

const signed = (value, decimals) => (value > 0 ? "+" : "") + fixed(value, decimals);

/** The page's theme (dark or light) and palette; kept between visits. */
export class Looks {
  constructor(restyle) {
    this._restyle = restyle;
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: light)");
    this.theme = recall("theme", "") || null;
    this.palette = recall("palette", "") === "blue-orange" ? "blue-orange" : "green-red";
    const apply = () => {
      root.dataset.theme = this.theme ?? (system.matches ? "light" : "dark");
      root.dataset.palette = this.palette;
      byId("theme").setAttribute("aria-pressed", String(root.dataset.theme === "light"));
      byId("palette").setAttribute("aria-pressed", String(this.palette === "blue-orange"));
      forgetColours();
      this._restyle();
    };
    system.addEventListener("change", apply);
    byId("theme").addEventListener("click", () => {
      this.theme = root.dataset.theme === "dark" ? "light" : "dark";
      this._keep(apply);
    });
    byId("palette").addEventListener("click", () => {
      this.palette = this.palette === "green-red" ? "blue-orange" : "green-red";
      this._keep(apply);
    });
    apply();
  }
  _keep(apply) {
    remember("theme", this.theme ?? "");
    remember("palette", this.palette);
    apply();
  }
}
