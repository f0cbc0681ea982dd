// What the user does to orders outside of the ticket: amends and cancels, asked about and answered.

import { oddity } from "./checks.js";
import { ask } from "./confirm.js";
import { byId } from "./dom.js";
import { counted, orderText } from "./words.js";

export class Desk {
  constructor({ market, account, toasts }) {
    Object.assign(this, { market, account, toasts });
  }

  /** Change the `price` or `amount` of an open order; say why if it is refused. */
  async amend(id, changes) {
    const order = this.account.open.get(id);
    if (order && !(await this._agreed(order, changes))) return;
    const reply = await this.account.amend(id, changes);
    if (reply === null) this._bad("The connection was lost: see the order's price and amount");
    else if (reply.status === "rejected") this._bad(`Not changed: ${reply.message}`);
  }
  _agreed(order, changes) {
    const grid = this.market.gridOf(order.security);
    const next = { ...order, ...changes };
    const slip = {
      side: order.type,
      lots: changes.amount === undefined ? null : grid.lots(next.amount),
      limit: order.status === "untriggered" || next.price === null ? null : grid.ticks(next.price),
    };
    const odd = order.security === this.market.security ? oddity(slip, this.market.sides) : "";
    if (!odd && !byId("confirm-orders").checked) return true;
    const change = `Change ${orderText(order, grid)} to ${orderText(next, grid)}?`;
    return ask(`${change} ${odd}`.trim(), "Change the order");
  }

  /**
   * Cancel the orders of this security, or with `everywhere` of every one; perhaps only those of a
   * `side`. With `asks`, ask first if more than one goes.
   */
  async cancelAll({ side = null, everywhere = false, asks = false } = {}) {
    const { security } = this.market;
    const where = everywhere ? "in every security" : `in ${security}`;
    const which = { bid: "bids only, ", ask: "asks only, " }[side] ?? "";
    const going = [...this.account.open.values()].filter(
      (o) => (everywhere || o.security === security) && (side === null || o.type === side),
    ).length;
    if (going > 1 && (asks || byId("confirm-orders").checked)) {
      const question = `Cancel ${counted(going, "open order")}, ${which}${where}?`;
      if (!(await ask(question, `Cancel ${going} orders`))) return;
    }
    const reply = await this.account.cancelAll(everywhere ? null : security, side);
    if (reply?.event === "deletedAll")
      this.toasts.show(`${counted(reply.count, "order")} cancelled ${where}`);
    else
      this._bad(reply ? `Not cancelled: ${reply.message}` : "Not connected: nothing was cancelled");
  }
  _bad(text) {
    this.toasts.show(text, { kind: "bad" });
  }
}
