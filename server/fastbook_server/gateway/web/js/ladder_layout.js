// Where the rows of the ladder stand: asks above bids, or both side by side on a low, wide canvas.

const ROW = 20;
const MIDDLE = 34;
/** On a low canvas, as of a phone on its side, rows stand closer together. */
const LOW = { height: 300, row: 16, middle: 24 };
const ABREAST_WIDTH = 560;

/** Return how the rows of a canvas of this size are laid out. */
export function layOut(width, height) {
  if (height >= LOW.height) return new Stacked(width, height, ROW, MIDDLE);
  const Layout = width >= ABREAST_WIDTH ? Abreast : Stacked;
  return new Layout(width, height, LOW.row, LOW.middle);
}

class Layout {
  /** `row` is the height of a row, `middle` that of the strip with the last price. */
  constructor(width, height, row, middle) {
    Object.assign(this, { width, height, row, middle });
  }
  /** Return the {side, nth} of the row at a point; `nth` is negative in the middle. */
  at({ x, y }) {
    return this.along({ side: this.sideAt({ x, y }), y });
  }
}

class Stacked extends Layout {
  abreast = false;
  get perSide() {
    return Math.max(1, Math.floor((this.height - this.middle) / 2 / this.row));
  }
  /** The height at which the middle is centred. */
  get centre() {
    return Math.round(this.height / 2);
  }
  /** Return the box of the nth row of a side, counted from the best price. */
  box(side, nth) {
    const away = this.middle / 2 + (side === "ask" ? nth + 1 : nth) * this.row;
    return { x: 0, y: this.centre + (side === "ask" ? -away : away), width: this.width };
  }
  sideAt({ y }) {
    return y < this.centre ? "ask" : "bid";
  }
  /** Return the {side, nth} that a mark of `side` meets at height `y`. */
  along({ y }) {
    const nth = Math.floor((Math.abs(y - this.centre) - this.middle / 2) / this.row);
    return { side: this.sideAt({ y }), nth };
  }
}

/** Bids on the left, asks on the right, the best of both at the top: twice as many rows. */
class Abreast extends Layout {
  abreast = true;
  get perSide() {
    return Math.max(1, Math.floor((this.height - this.middle) / this.row));
  }
  get centre() {
    return this.middle / 2;
  }
  box(side, nth) {
    const half = Math.floor(this.width / 2);
    return {
      x: side === "ask" ? half : 0,
      y: this.middle + nth * this.row,
      width: side === "ask" ? this.width - half : half,
    };
  }
  sideAt({ x }) {
    return x < Math.floor(this.width / 2) ? "bid" : "ask";
  }
  along({ side, y }) {
    return { side, nth: Math.floor((y - this.middle) / this.row) };
  }
}
