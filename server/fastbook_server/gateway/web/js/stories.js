// Tells in toasts what happens to the user's orders: fills, added up by order, and unasked ends.

import { averageText, counted } from "./words.js";

const TOLD_MAX = 50;

export class Stories {
  constructor({ market, toasts }) {
    this._market = market;
    this._toasts = toasts;
    this._filled = new Map(); // order id -> {lots, cost} of its fills so far
  }
  /** Tell what `Account` tells. */
  tell({ fill, ended, missed, security }) {
    if (fill) this._fill(fill);
    else if (ended) this._end(ended);
    else this._toasts.show(`${counted(missed, "fill")} in ${security} while not connected`);
  }

  _fill({ orderId, security, type, price, amount }) {
    const grid = this._market.gridOf(security);
    const sum = this._filled.get(orderId) ?? { lots: 0, cost: 0 };
    sum.lots += grid.lots(amount);
    sum.cost += grid.lots(amount) * price;
    this._filled.set(orderId, sum);
    if (this._filled.size > TOLD_MAX) this._filled.delete(this._filled.keys().next().value);
    const did = type === "bid" ? "Bought" : "Sold";
    const at = averageText(sum.cost / sum.lots, grid);
    this._toasts.show(`${did} ${grid.amountText(sum.lots)} ${security} at ${at}`, {
      key: orderId,
      kind: type,
      sound: true,
    });
  }
  _end({ status, reason, security }) {
    if (status !== "cancelled" || reason === "user") return;
    const why = reason ? `: ${reason.replaceAll("_", " ")}` : "";
    const text = `An order in ${security} was cancelled${why}`;
    this._toasts.show(text, { key: `cancelled ${security} ${reason}`, kind: "bad", sound: true });
  }
}
