// Exact arithmetic with the numbers of the wire: docs/protocol.md, "Numbers", gives the rules.

const UNITS_MAX = 2n ** 52n;

export class Grid {
  // `step` is a tickSize or lotSize. String writes the shortest decimal that names this double,
  // and that is the step itself: 0.05 is 5 × 10^-2, 1e-8 is 1 × 10^-8.
  constructor(step) {
    const [decimal, exponent = "0"] = String(step).split("e");
    const [whole, fraction = ""] = decimal.split(".");
    this.step = step;
    this.digits = BigInt(whole + fraction);
    this.exponent = Number(exponent) - fraction.length;
  }

  // The number of so many steps, as the server writes and accepts it: the nearest double. No
  // product of doubles is that, but a decimal text is, once it is parsed.
  number(units) {
    return Number(`${BigInt(units) * this.digits}e${this.exponent}`);
  }

  // How many steps a number from the server is. The double, the step's double and the quotient are
  // each off by at most 2^-53 of their size: up to 2^50 steps that is less than half a step.
  units(number) {
    const quotient = Math.round(number / this.step);
    return quotient <= 2 ** 50 ? quotient : Number(this.#nearest(number));
  }

  // A wanted price or amount as a number that the server accepts: "down", "up" or to the "nearest"
  // multiple. What is within 4 units in the last place of a multiple is that multiple:
  // 100.01 + 0.01 goes "up" to 100.02, not to 100.03.
  round(wanted, rounding = "nearest") {
    if (typeof wanted !== "number") throw new TypeError(`expected a number, got ${wanted}`);
    if (!["down", "up", "nearest"].includes(rounding)) {
      throw new RangeError(`rounding: expected down, up or nearest, got ${rounding}`);
    }
    const units = wanted > 0 && wanted < 1e28 ? this.#rounded(wanted, rounding) : 0n;
    if (units < 1n || units > UNITS_MAX) {
      const most = this.number(UNITS_MAX);
      throw new RangeError(`expected ${this.step} to ${most} once rounded, got ${wanted}`);
    }
    return this.number(units);
  }

  #rounded(wanted, rounding) {
    const nearest = this.#nearest(wanted);
    const isOnGrid = Math.abs(wanted - this.number(nearest)) <= 4 * ulp(wanted);
    if (rounding === "nearest" || isOnGrid) return nearest;
    const [n, d] = this.#ratio(wanted);
    return rounding === "down" ? n / d : (n + d - 1n) / d;
  }

  #nearest(number) {
    const [n, d] = this.#ratio(number);
    return (2n * n + d) / (2n * d);
  }

  // number / step as a fraction of integers, n / d.
  #ratio(number) {
    let d = 1n;
    for (; !Number.isInteger(number); number *= 2) d *= 2n; // exact: the double's own fraction
    const n = BigInt(number);
    const power = 10n ** BigInt(Math.abs(this.exponent));
    return this.exponent < 0 ? [n * power, d * this.digits] : [n, d * this.digits * power];
  }
}

// The distance from a double to the next one above.
function ulp(number) {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, number);
  bits.setBigInt64(0, bits.getBigInt64(0) + 1n);
  return bits.getFloat64(0) - number;
}
