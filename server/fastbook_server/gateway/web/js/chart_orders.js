// The user's own orders and fills on the chart: lines that can be dragged, marks at the candles.

import { colours } from "./canvas.js";
import { byId } from "./dom.js";
import { Drag } from "./drag.js";
import { startOf } from "./folds.js";
import { keepChecked } from "./prefs.js";
import { waitsText } from "./words.js";

const GRIP = 6;
const LINES_MAX = 60;

export class ChartOrders {
  /**
   * `series` are the candles; `amend` is called with an order's id and its new price, `pick` with
   * the price in ticks of a click.
   */
  constructor({ library, chart, series, market, account, loop, amend, pick }) {
    Object.assign(this, { chart, series, market, account, amend });
    this._node = byId("chart");
    this._marks = library.createSeriesMarkers(series, []);
    this._lines = new Map(); // "bid 9950", or "waits 9950 bid stop" -> the library's line
    this._seen = "";
    this._on = true;
    keepChecked(byId("show-own"), "show-own", (on) => {
      this._on = on;
      this._seen = "";
      loop.invalidate();
    });
    this._drag = new Drag(this._node, {
      take: (event) => this._lineAt(event),
      target: ({ y }) => this._ticksAt(y),
      show: () => this._moved(),
      drop: (drop) => this._amendAll(drop),
    });
    this._node.addEventListener("pointermove", (event) =>
      this._node.classList.toggle("grip", this._lineAt(event) !== null),
    );
    chart.subscribeClick(({ point, paneIndex = 0 }) => {
      const t = point && paneIndex === 0 ? this._ticksAt(point.y) : null;
      if (t !== null && !this._drag.swallowsClick) pick(t);
    });
  }

  /** Draw what has changed; `bars` are those of the chart, `shown` changes with their set. */
  frame(bars, shown) {
    const { account, market } = this;
    const seen = [account.version, shown, market.versions.security].join();
    if (seen === this._seen) return;
    this._seen = seen;
    this._drawLines();
    this._marks.setMarkers(this._on ? this._fillMarks(bars) : []);
  }
  restyle() {
    for (const line of this._lines.values()) this.series.removePriceLine(line);
    this._lines.clear();
    this._seen = "";
  }

  _drawLines() {
    const { account, market, series } = this;
    const own = account.own(market.security, market.grid);
    const wanted = new Map();
    for (const side of ["ask", "bid"])
      for (const [t, lots] of own[side]) wanted.set(`${side} ${t}`, { side, t, lots });
    for (const order of account.waiting(market.security)) {
      const { type: side, execType, triggerPrice, remaining } = order;
      const [t, waits] = [market.grid.ticks(triggerPrice), waitsText(execType)];
      const key = `waits ${t} ${side} ${waits}`;
      const lots = (wanted.get(key)?.lots ?? 0) + market.grid.lots(remaining);
      wanted.set(key, { side, t, lots, waits });
    }
    const shown = new Map(this._on ? [...wanted].slice(0, LINES_MAX) : []);
    for (const [key, line] of this._lines) {
      if (shown.has(key)) continue;
      series.removePriceLine(line);
      this._lines.delete(key);
    }
    for (const [key, { side, t, lots, waits = "" }] of shown) {
      const verb = `${waits} ${side === "bid" ? "buy" : "sell"}`.trim();
      const title = `${verb} ${market.grid.amountShort(lots)}`;
      const said = { title, price: market.grid.price(t) };
      const line = this._lines.get(key);
      if (line) line.applyOptions(said);
      else this._lines.set(key, series.createPriceLine({ ...said, ...styleOf(side, waits) }));
    }
  }

  /** Return a mark for each bar and side with fills of the user: their amounts added up. */
  _fillMarks(bars) {
    const { account, market } = this;
    const c = colours();
    const sums = new Map();
    for (const { time, type, amount } of account.fillsOf(market.security)) {
      const start = startOf(market.interval, time);
      const key = `${start} ${type}`;
      if (!sums.has(key)) sums.set(key, { start, type, lots: 0 });
      sums.get(key).lots += market.grid.lots(amount);
    }
    return [...sums.values()]
      .filter(({ start }) => bars.has(start))
      .sort((a, b) => a.start - b.start)
      .map(({ start, type, lots }) => ({
        time: start / 1_000,
        position: type === "bid" ? "belowBar" : "aboveBar",
        shape: type === "bid" ? "arrowUp" : "arrowDown",
        color: c.own,
        text: market.grid.amountShort(lots),
      }));
  }

  // ---- dragging --------------------------------------------------------------------------------

  /** Return the line at a pointer as {side, t}, or null. */
  _lineAt({ clientY }) {
    const y = clientY - this._node.getBoundingClientRect().top;
    let [nearest, distance] = [null, GRIP];
    for (const key of this._lines.keys()) {
      const [side, t] = [key.split(" ")[0], Number(key.split(" ")[1])];
      if (side === "waits") continue; // a trigger cannot be amended
      const away = Math.abs((this.series.priceToCoordinate(this.market.grid.price(t)) ?? -99) - y);
      if (away <= distance) [nearest, distance] = [{ side, t }, away];
    }
    return nearest;
  }
  _ticksAt(y) {
    const price = this.series.coordinateToPrice(y);
    return price === null || price <= 0 ? null : Math.max(1, this.market.grid.ticks(price));
  }
  /** Show the dragged line where the pointer is; meanwhile the chart itself stays in its place. */
  _moved() {
    const { now, holds } = this._drag;
    this.chart.applyOptions({ handleScroll: !holds, handleScale: !holds });
    if (now === null) return this._drawLines();
    const line = this._lines.get(`${now.side} ${now.from}`);
    if (line && now.to !== null) line.applyOptions({ price: this.market.grid.price(now.to) });
  }
  _amendAll({ side, from, to }) {
    const { grid, security } = this.market;
    for (const order of this.account.resting(security))
      if (order.type === side && grid.ticks(order.price) === from)
        this.amend(order.id, { price: grid.price(to) });
  }
}

/** Return how the line of an own order looks: that of one which waits is dashed. */
function styleOf(side, waits) {
  const c = colours();
  const label = { axisLabelColor: c.own, axisLabelTextColor: c.bg };
  return { color: c[side], lineWidth: 1, lineStyle: waits ? 2 : 0, ...label };
}
