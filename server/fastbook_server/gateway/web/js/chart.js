// Candles with volume: live ones from the channel, older ones loaded when scrolled to.

import { MONO, colours } from "./canvas.js";
import { byId, say } from "./dom.js";
import { clockText, fixed, short } from "./numbers.js";

const OLDER = 500;
const NEAR = 20;
const TRIES_MAX = 3;
const CANDLES_MAX = 15_000;
/** The size of a chart that is not visible yet: at width 0 the library loses its bar spacing. */
const UNSEEN = { width: 320, height: 240 };

export class Chart {
  constructor({ market, loop }) {
    this.market = market;
    this.loop = loop;
    this._chart = null;
    this._shown = "";
    this._newest = 0;
    this._older = { busy: false, more: true, failed: 0 };
    this._load();
  }

  async _load() {
    let library;
    try {
      library = await import("../vendor/lightweight-charts.mjs");
    } catch {
      return this._note("The chart library could not be loaded.");
    }
    const chart = library.createChart(byId("chart"), {
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
      rightPriceScale: { borderVisible: false },
      localization: { timeFormatter: timeText },
      crosshair: { mode: library.CrosshairMode.Normal },
    });
    this._candles = chart.addSeries(library.CandlestickSeries, { borderVisible: false });
    this._volume = chart.addSeries(library.HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "custom", formatter: short, minMove: 1e-12 },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this._candles.priceScale().applyOptions({ scaleMargins: { top: 0.06, bottom: 0.24 } });
    this._volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < NEAR) this._loadOlder();
    });
    chart.subscribeCrosshairMove((at) => this._legend(at.time ? at.time * 1_000 : null));
    new ResizeObserver(([{ contentRect: box }]) => {
      if (box.width && box.height) chart.resize(box.width, box.height);
    }).observe(byId("chart"));
    this._chart = chart;
    this.restyle();
    this.loop.invalidate();
  }

  /** Apply the current theme's colours. */
  restyle() {
    if (!this._chart) return;
    const c = colours();
    const line = { color: c.line };
    this._chart.applyOptions({
      layout: { textColor: c.muted, background: { color: c.panel } },
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
    this._shown = "";
    this.loop.invalidate();
  }

  frame() {
    const { market } = this;
    if (!this._chart || !market.security) return;
    const refusal = market.refused.get("candles:" + market.interval);
    this._note(
      refusal
        ? `No candles from this server: ${refusal}`
        : market.candles.size
          ? ""
          : "No trades yet",
    );
    const shown = `${market.security} ${market.interval} ${market.versions.security}`;
    if (shown !== this._shown) this._begin(shown);
    if (!market.changed.size) return;
    const changed = [...market.changed.values()].sort((a, b) => a.time - b.time);
    market.changed.clear();
    if (changed.length > 10 || changed[0].time < this._newest) this._setAll();
    else for (const candle of changed) this._update(candle);
    this._legend(null);
  }

  _begin(shown) {
    const fresh = this._shown.split(" ").slice(0, 2).join() !== shown.split(" ").slice(0, 2).join();
    this._shown = shown;
    this._older = { busy: false, more: true, failed: 0 };
    const { priceDecimals } = this.market.grid;
    const formatter = (price) => fixed(price, priceDecimals);
    const minMove = 10 ** -priceDecimals; // from a tick of 0.05 it would make a scale of eighths
    this._candles.applyOptions({ priceFormat: { type: "custom", formatter, minMove } });
    this._chart.timeScale().applyOptions({ secondsVisible: this.market.interval === "1s" });
    this._setAll();
    if (fresh) this._chart.timeScale().resetTimeScale();
  }
  _setAll() {
    const all = [...this.market.candles.values()].sort((a, b) => a.time - b.time);
    this._newest = all.at(-1)?.time ?? 0;
    this._candles.setData(all.map(bar));
    this._volume.setData(all.map(volume));
  }
  _update(candle) {
    this._newest = candle.time;
    this._candles.update(bar(candle));
    this._volume.update(volume(candle));
  }

  /** Load the candles before the first loaded one. */
  async _loadOlder() {
    const { market, _older: older } = this;
    if (older.busy || !older.more || older.failed >= TRIES_MAX || !market.candles.size) return;
    if (market.candles.size > CANDLES_MAX) return;
    older.busy = true;
    const first = Math.min(...market.candles.keys());
    const url = new URL("/api/candles", location.href);
    const { security, interval } = market;
    for (const [name, value] of Object.entries({ security, interval, end: first, limit: OLDER }))
      url.searchParams.set(name, value);
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      const { candles, more } = await answer.json();
      older.more = more && candles.length > 0;
      if (security === market.security && interval === market.interval && candles.length) {
        for (const candle of candles)
          if (!market.candles.has(candle.time)) market.candles.set(candle.time, candle);
        this._setAll();
      }
    } catch {
      older.failed += 1;
    } finally {
      older.busy = false;
    }
  }

  _legend(timeMs) {
    const { market } = this;
    const candle = market.candles.get(timeMs ?? this._newest);
    if (!candle) return say(byId("legend"), "");
    const p = (price) => fixed(price, market.grid.priceDecimals);
    const { open, high, low, close } = candle;
    say(
      byId("legend"),
      `O ${p(open)}  H ${p(high)}  L ${p(low)}  C ${p(close)}  V ${short(candle.volume)}`,
    );
    byId("legend").dataset.side = close >= open ? "bid" : "ask";
  }
  _note(text) {
    say(byId("chart-note"), text);
  }
}

const bar = ({ time, open, high, low, close }) => ({ time: time / 1_000, open, high, low, close });
const volume = ({ time, open, close, volume: value }) => {
  const c = colours();
  return { time: time / 1_000, value, color: close >= open ? c["bid-soft"] : c["ask-soft"] };
};

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
