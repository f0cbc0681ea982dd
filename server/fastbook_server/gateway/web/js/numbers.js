// Converts the wire's numbers to integers: prices to ticks, amounts to lots; and formats both.

/** Return the number of decimals of a step such as 0.01, 0.25 or 1e-8. */
export function decimalsOf(step) {
  const text = step.toFixed(12).replace(/0+$/, "");
  return text.length - text.indexOf(".") - 1;
}

/** Return a number with `decimals` decimals and commas between thousands. */
export function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  if (value < 1000 && value > -1000) return text;
  const point = text.indexOf(".");
  const whole = point < 0 ? text : text.slice(0, point);
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return point < 0 ? grouped : grouped + text.slice(point);
}

/** Return a large number in few characters: 1,234.5 or 12.3k or 4.56M. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toFixed(2) + "B";
  if (size >= 1e6) return (value / 1e6).toFixed(2) + "M";
  if (size >= 1e4) return (value / 1e3).toFixed(1) + "k";
  return fixed(value, size >= 100 ? 1 : 2);
}

/** The price and amount grids of one instrument. */
export class Grid {
  constructor({ tickSize, lotSize }) {
    this.tick = tickSize;
    this.lot = lotSize;
    this.priceDecimals = decimalsOf(tickSize);
    this.amountDecimals = decimalsOf(lotSize);
    this.totalDecimals = Math.min(this.priceDecimals, 2);
  }
  ticks(price) {
    return Math.round(price / this.tick);
  }
  lots(amount) {
    return Math.round(amount / this.lot);
  }
  /** Return the price of `ticks` ticks as the nearest double, which the wire requires. */
  price(ticks) {
    return Number((ticks * this.tick).toFixed(this.priceDecimals));
  }
  amount(lots) {
    return Number((lots * this.lot).toFixed(this.amountDecimals));
  }
  priceText(ticks) {
    return fixed(ticks * this.tick, this.priceDecimals);
  }
  amountText(lots) {
    return fixed(lots * this.lot, this.amountDecimals);
  }
  /** Return an amount with as many decimals as fit into `width` characters. */
  amountShort(lots, width = 9) {
    const amount = lots * this.lot;
    const text = fixed(amount, this.amountDecimals);
    if (text.length <= width) return text;
    const over = text.length - width;
    if (over < this.amountDecimals) return fixed(amount, this.amountDecimals - over);
    return short(amount);
  }
  totalText(total) {
    return fixed(total, this.totalDecimals);
  }
}

const TYPED = /^(\d+|\d{1,3}([\s,_]\d{3})+)(\.\d*)?$|^\.\d+$/;

/**
 * Return a typed text as a number, or NaN. 1,234.5 and 1 234.5 are numbers; 100,05 is not: a user
 * who writes a decimal comma must not place an order at 10005.
 */
export function typed(text) {
  const plain = text.trim();
  return TYPED.test(plain) ? Number(plain.replace(/[\s,_]/g, "")) : NaN;
}

const two = (n) => (n < 10 ? "0" + n : String(n));

/** Return a Unix time in ms as the local time of day. */
export function clockText(timeMs, withMs = false) {
  const t = new Date(timeMs);
  const text = two(t.getHours()) + ":" + two(t.getMinutes()) + ":" + two(t.getSeconds());
  return withMs ? text + "." + String(t.getMilliseconds()).padStart(3, "0") : text;
}
