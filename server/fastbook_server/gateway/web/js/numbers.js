// Converts the wire's numbers to integers: prices to ticks, amounts to lots; and formats both.

/**
 * Return a step as a decimal: {digits, exponent}. String writes the shortest decimal that names its
 * double, and that is the step itself: 0.05 is 5 × 10^-2, 1e-8 is 1 × 10^-8.
 */
function decimalOf(step) {
  const [decimal, exponent = "0"] = String(step).split("e");
  const [whole, fraction = ""] = decimal.split(".");
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}

/** Return the number of decimals of a step such as 0.01, 0.25 or 1e-8. */
export const decimalsOf = (step) => Math.max(0, -decimalOf(step).exponent);

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

/** Up to so many units a product or quotient of doubles is off by less than half of one. */
const DOUBLES_MAX = 2 ** 50;

/** The multiples of one step: exact, as the wire's numbers are. */
class Steps {
  constructor(step) {
    const { digits, exponent } = decimalOf(step);
    this.step = step;
    this.decimals = Math.max(0, -exponent);
    this._digits = digits;
    this._exponent = exponent;
    // Of so many steps, the product of doubles still shows every decimal.
    this._plainMax = DOUBLES_MAX / Number(digits * 10n ** BigInt(Math.max(0, exponent)));
  }
  /** Return how many steps a number of the wire is, or the nearest number of them. */
  units(number) {
    const quotient = Math.round(number / this.step);
    return quotient <= DOUBLES_MAX || !Number.isFinite(number) ? quotient : this._nearest(number);
  }
  /** Divide exactly: the double's own value, a fraction of integers, by the decimal step. */
  _nearest(number) {
    let d = 1n;
    for (; !Number.isInteger(number); number *= 2) d *= 2n;
    const power = 10n ** BigInt(Math.abs(this._exponent));
    const n = BigInt(number) * (this._exponent < 0 ? power : 1n);
    d *= this._digits * (this._exponent < 0 ? 1n : power);
    return Number((2n * n + d) / (2n * d));
  }
  /** Return so many steps as the nearest double, which the wire requires. */
  number(units) {
    return Number(`${BigInt(units) * this._digits}e${this._exponent}`);
  }
  /** Return so many steps as text, with commas; also of half a step, between two prices. */
  text(units) {
    if (Math.abs(units) <= this._plainMax || !Number.isInteger(units))
      return fixed(units * this.step, this.decimals);
    const power = 10n ** BigInt(Math.max(0, this._exponent));
    const text = String(BigInt(Math.abs(units)) * this._digits * power);
    const all = text.padStart(this.decimals + 1, "0");
    const point = all.length - this.decimals;
    const whole = (units < 0 ? "-" : "") + all.slice(0, point).replace(/\B(?=(\d{3})+$)/g, ",");
    return this.decimals ? `${whole}.${all.slice(point)}` : whole;
  }
}

/** The price and amount grids of one instrument. */
export class Grid {
  constructor({ tickSize, lotSize }) {
    this._prices = new Steps(tickSize);
    this._amounts = new Steps(lotSize);
    this.tick = tickSize;
    this.lot = lotSize;
    this.priceDecimals = this._prices.decimals;
    this.amountDecimals = this._amounts.decimals;
    this.totalDecimals = Math.min(this.priceDecimals, 2);
  }
  ticks(price) {
    return this._prices.units(price);
  }
  lots(amount) {
    return this._amounts.units(amount);
  }
  price(ticks) {
    return this._prices.number(ticks);
  }
  amount(lots) {
    return this._amounts.number(lots);
  }
  priceText(ticks) {
    return this._prices.text(ticks);
  }
  amountText(lots) {
    return this._amounts.text(lots);
  }
  /** Return an amount with as many decimals as fit into `width` characters. */
  amountShort(lots, width = 9) {
    const text = this._amounts.text(lots);
    if (text.length <= width) return text;
    const amount = lots * this.lot;
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
