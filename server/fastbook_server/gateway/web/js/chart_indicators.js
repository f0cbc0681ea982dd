// The indicators on the chart: which are shown, of which length; their lines and their values.

import { colours } from "./canvas.js";
import { byId } from "./dom.js";
import { Indicator } from "./indicators.js";
import { fixed } from "./numbers.js";
import { keepChecked, recall, remember } from "./prefs.js";

const KINDS = {
  sma: { name: "SMA", colour: "accent" },
  ema: { name: "EMA", colour: "own" },
  vwap: { name: "VWAP", colour: "text" },
  rsi: { name: "RSI", colour: "accent", pane: 1, levels: [30, 70] },
};
const LENGTH_MAX = 500;
const RSI_SHARE = 0.4; // of the height of the candles
const RSI_RANGE = { minValue: 0, maxValue: 100 };

export class ChartIndicators {
  /** Calls `changed` when another set of lines is to be drawn. */
  constructor(library, chart, changed) {
    this._library = library;
    this._chart = chart;
    this._shown = new Map(); // kind -> {series, indicator, length}
    this._changed = changed;
    this._decimals = 2;
    for (const kind of Object.keys(KINDS)) {
      const length = byId(`length-${kind}`);
      if (length) {
        length.value = recall(`length-${kind}`, length.value);
        length.addEventListener("change", () => this._relength(kind, length));
      }
      keepChecked(byId(`show-${kind}`), `show-${kind}`, (on) => this._switch(kind, on));
    }
  }
  _lengthOf(kind) {
    const value = Math.round(Number(byId(`length-${kind}`)?.value));
    return Math.min(LENGTH_MAX, Math.max(1, value || 1));
  }
  _relength(kind, field) {
    field.value = String(this._lengthOf(kind));
    remember(`length-${kind}`, field.value);
    if (!this._shown.has(kind)) return;
    this._switch(kind, false);
    this._switch(kind, true);
  }
  _switch(kind, on) {
    const { pane = 0, levels = [] } = KINDS[kind];
    if (on) {
      const series = this._chart.addSeries(
        this._library.LineSeries,
        {
          lineWidth: 1,
          lastValueVisible: false,
          priceLineVisible: false,
          ...(pane ? { autoscaleInfoProvider: () => ({ priceRange: RSI_RANGE }) } : {}),
        },
        pane,
      );
      const style = { lineWidth: 1, lineStyle: 2, axisLabelVisible: false };
      const lines = levels.map((price) => series.createPriceLine({ price, ...style }));
      const length = this._lengthOf(kind);
      this._shown.set(kind, { series, lines, length, indicator: new Indicator(kind, length) });
      if (pane) this._chart.panes()[pane].setStretchFactor(RSI_SHARE);
    } else if (this._shown.has(kind)) {
      this._chart.removeSeries(this._shown.get(kind).series);
      this._shown.delete(kind);
    } else return;
    this.restyle(this._decimals);
    this._changed();
  }

  /** Apply the theme's colours, and the decimals of the security's prices. */
  restyle(decimals) {
    this._decimals = decimals;
    const c = colours();
    for (const [kind, { series, lines }] of this._shown) {
      for (const line of lines) line.applyOptions({ color: c.muted });
      const digits = KINDS[kind].pane ? 1 : decimals;
      series.applyOptions({
        color: c[KINDS[kind].colour],
        crosshairMarkerVisible: false,
        priceFormat: {
          type: "custom",
          formatter: (value) => fixed(value, digits),
          minMove: 10 ** -digits,
        },
      });
    }
  }
  /** Draw all bars. */
  setAll(bars) {
    for (const { series, indicator } of this._shown.values()) {
      indicator.update(bars);
      series.setData(bars.map((bar, i) => point(bar, indicator.at(i))));
    }
  }
  /** Draw the bars from index `first` on; `known` were drawn before. */
  update(bars, first, known) {
    for (const { series, indicator } of this._shown.values()) {
      indicator.update(bars, first);
      for (let i = first; i < bars.length; i++)
        series.update(point(bars[i], indicator.at(i)), i < known - 1);
    }
  }
  /** Return the values at bar `i` as text: SMA 20 100.25. */
  legend(i) {
    const shown = Object.keys(KINDS).filter((kind) => this._shown.has(kind));
    return shown.map((kind) => {
      const { name, pane } = KINDS[kind];
      const { indicator, length } = this._shown.get(kind);
      const value = indicator.at(i);
      const text = value === null ? "–" : fixed(value, pane ? 1 : this._decimals);
      return `${name}${kind === "vwap" ? "" : ` ${length}`} ${text}`;
    });
  }
}

/** A point of a line; without a value, only its place in time. */
const point = ({ time }, value) => ({ time: time / 1_000, ...(value === null ? {} : { value }) });
