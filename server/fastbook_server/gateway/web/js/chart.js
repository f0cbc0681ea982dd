// Candles with volume: live ones from the channel, older ones loaded when scrolled to.

import { Bars } from "./bars.js";
import { MONO, colours } from "./canvas.js";
import { ChartIndicators } from "./chart_indicators.js";
import { ChartOrders } from "./chart_orders.js";
import { byId, say, sayParts } from "./dom.js";
import { startOf } from "./folds.js";
import { clockText, fixed, short } from "./numbers.js";

const OLDER = 1_000;
const NEAR = 20;
const TRIES_MAX = 3;
const BARS_MAX = 15_000;
const AT_ONCE_MAX = 100;
const CLOCK_MS = 250;
/** The size of a chart that is not visible yet: at width 0 the library loses its bar spacing. */
const UNSEEN = { width: 320, height: 240 };

export class Chart {
  /** Calls `amend` and `pick` as `ChartOrders` does; `now` returns the server's time in ms. */
  constructor({ market, account, loop, amend, pick, now }) {
    Object.assign(this, { market, loop, now });
    this._chart = null;
    this._shown = "";
    this._bars = new Bars("1m");
    this._number = 0; // of sets of bars drawn
    this._older = { busy: false, more: true, failed: 0 };
    this._pointedAt = null;
    this._load({ account, amend, pick });
  }

  async _load({ account, amend, pick }) {
    const { market, loop } = this;
    let library;
    try {
      library = await import("../vendor/lightweight-charts.mjs");
    } catch {
      return this._note("The chart library could not be loaded.");
    }
    const chart = library.createChart(byId("chart"), options(library));
    this._candles = chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    this._volume = chart.addSeries(library.HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "custom", formatter: short, minMove: 1e-12 },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this._candles.priceScale().applyOptions({ scaleMargins: { top: 0.1, bottom: 0.24 } });
    this._volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < NEAR) this._loadOlder();
    });
    chart.subscribeCrosshairMove((at) => this._point(at.time ? at.time * 1_000 : null));
    new ResizeObserver(([{ contentRect: box }]) => {
      if (box.width && box.height) chart.resize(box.width, box.height);
    }).observe(byId("chart"));
    const series = this._candles;
    this._indicators = new ChartIndicators(library, chart, () => this._redraw());
    const own = { library, chart, series, market, account, loop, amend, pick };
    this._orders = new ChartOrders(own);
    this._chart = chart;
    this.restyle();
    setInterval(() => this._tick(), CLOCK_MS);
  }

  /** Apply the current theme's colours. */
  restyle() {
    if (!this._chart) return;
    const c = colours();
    const line = { color: c.line };
    this._chart.applyOptions({
      layout: {
        textColor: c.muted,
        background: { color: c.panel },
        panes: { separatorColor: c.line },
      },
      grid: { vertLines: line, horzLines: line },
      crosshair: {
        vertLine: { color: c.muted, labelBackgroundColor: c.faint },
        horzLine: { color: c.muted, labelBackgroundColor: c.faint },
      },
    });
    this._candles.applyOptions({
      upColor: c.bid,
      downColor: c.ask,
      wickUpColor: c.bid,
      wickDownColor: c.ask,
    });
    this._orders.restyle();
    this._redraw();
  }
  /** Let the next frame draw everything again. */
  _redraw() {
    this._shown = this._shown && "again " + this._shown;
    this.loop.invalidate();
  }

  frame() {
    const { market } = this;
    if (!this._chart || !market.security) return;
    const refusal = market.refused.get(market.candlesChannel);
    this._note(
      refusal
        ? `No candles from this server: ${refusal}`
        : market.candles.size
          ? ""
          : "No trades yet",
    );
    const shown = `${market.security} ${market.interval} ${market.versions.security}`;
    if (shown !== this._shown) this._begin(shown);
    else this._drawChanged();
    this._orders.frame(this._bars, this._number);
  }
  _drawChanged() {
    const { market, _bars: bars } = this;
    const known = bars.all.length;
    const now = startOf(market.interval, this.now());
    let first = known;
    const changed = [...market.changed.values()].sort((a, b) => a.time - b.time);
    market.changed.clear();
    for (const candle of changed) {
      const at = bars.put(candle);
      if (at === null) return this._setAll();
      first = Math.min(first, at);
    }
    if (known && bars.last.time < now) bars.extend(now);
    const count = bars.all.length - first;
    if (!known || count > AT_ONCE_MAX || bars.all.length > BARS_MAX + OLDER) {
      if (count) this._setAll();
    } else if (count) this._update(first, known);
  }

  _begin(shown) {
    const [before, after] = [this._shown, shown].map((text) => text.replace(/^(again )+/, ""));
    const fresh = before.split(" ").slice(0, 2).join() !== after.split(" ").slice(0, 2).join();
    this._shown = shown;
    this._older = { busy: false, more: true, failed: 0 };
    const { priceDecimals } = this.market.grid;
    const formatter = (price) => fixed(price, priceDecimals);
    const minMove = 10 ** -priceDecimals; // from a tick of 0.05 it would make a scale of eighths
    this._candles.applyOptions({ priceFormat: { type: "custom", formatter, minMove } });
    this._indicators.restyle(priceDecimals);
    const secondsVisible = this.market.interval.endsWith("s");
    this._chart.timeScale().applyOptions({ secondsVisible });
    this._setAll();
    if (fresh) this._chart.timeScale().resetTimeScale();
  }
  _setAll() {
    const { market } = this;
    market.changed.clear();
    this._bars = new Bars(market.interval, market.candles.all());
    if (this._bars.last) this._bars.extend(startOf(market.interval, this.now()));
    const { all } = this._bars;
    if (all.length > BARS_MAX) this._bars = new Bars(market.interval, all.slice(-BARS_MAX));
    const c = colours();
    this._candles.setData(this._bars.all.map(bar));
    this._volume.setData(this._bars.all.map((candle) => volume(candle, c)));
    this._indicators.setAll(this._bars.all);
    this._number += 1;
    this._legend();
  }
  /** Draw the bars from `first` on; `known` of all were there before. */
  _update(first, known) {
    const c = colours();
    const { all } = this._bars;
    for (let i = first; i < all.length; i++) {
      const isPast = i < known - 1;
      this._candles.update(bar(all[i]), isPast);
      this._volume.update(volume(all[i], c), isPast);
    }
    this._indicators.update(all, first, known);
    if (all.length !== known) this._number += 1;
    this._legend();
  }
  /** Begin a bucket in which nothing has traded yet. */
  _tick() {
    const { last } = this._bars;
    if (last && last.time < startOf(this.market.interval, this.now())) this.loop.invalidate();
  }

  /** Load the candles before the first loaded one. */
  async _loadOlder() {
    const { market, _older: older } = this;
    const { candles } = market;
    if (older.busy || !older.more || older.failed >= TRIES_MAX || !candles.size) return;
    if (candles.served > BARS_MAX) return;
    older.busy = true;
    const url = new URL("api/candles", location.href);
    const { security } = market;
    const query = { security, interval: candles.base, end: candles.first, limit: OLDER };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      const { candles: found, more } = await answer.json();
      older.more = more && found.length > 0;
      if (candles === market.candles && found.length) {
        for (const candle of found) candles.put(candle);
        this._setAll();
      }
    } catch {
      older.failed += 1;
    } finally {
      older.busy = false;
    }
  }

  _point(timeMs) {
    this._pointedAt = timeMs;
    this._legend();
  }
  /** Show the values of the bar that is pointed at, or of the last one. */
  _legend() {
    const { market, _bars: bars } = this;
    const shown = bars.get(this._pointedAt) ?? bars.last;
    if (!shown) return sayParts(byId("legend"), []);
    const p = (price) => fixed(price, market.grid.priceDecimals);
    const { open, high, low, close } = shown;
    const prices = [`O ${p(open)}`, `H ${p(high)}`, `L ${p(low)}`, `C ${p(close)}`];
    const lines = this._indicators.legend(bars.indexOf(shown));
    sayParts(byId("legend"), [...prices, `V ${short(shown.volume)}`, ...lines]);
    byId("legend").dataset.side = close >= open ? "bid" : "ask";
  }
  _note(text) {
    say(byId("chart-note"), text);
  }
}

const options = (library) => ({
  ...UNSEEN,
  layout: {
    attributionLogo: true,
    fontFamily: MONO,
    fontSize: 11,
    background: { color: "transparent" },
  },
  timeScale: {
    timeVisible: true,
    rightOffset: 4,
    barSpacing: 8,
    tickMarkFormatter: tickText,
    borderVisible: false,
  },
  rightPriceScale: { borderVisible: false, entireTextOnly: true },
  localization: { timeFormatter: timeText },
  crosshair: { mode: library.CrosshairMode.Normal },
});

const bar = ({ time, open, high, low, close }) => ({ time: time / 1_000, open, high, low, close });
const volume = ({ time, open, close, volume: value }, c) => ({
  time: time / 1_000,
  value,
  color: close >= open ? c["bid-soft"] : c["ask-soft"],
});

// The library works in UTC; people expect their local time.
const YEAR = 0;
const MONTH = 1;
const DAY = 2;
function tickText(time, kind) {
  const t = new Date(time * 1_000);
  if (kind === YEAR) return String(t.getFullYear());
  if (kind === MONTH) return t.toLocaleDateString(undefined, { month: "short" });
  if (kind === DAY) return t.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  const text = clockText(time * 1_000);
  return kind === 4 ? text : text.slice(0, 5);
}
function timeText(time) {
  const t = new Date(time * 1_000);
  return `${t.toLocaleDateString()} ${clockText(time * 1_000)}`;
}
