// The gaps between panels: dragged, or moved with the arrow keys; their sizes are kept.

import { byId, el } from "./dom.js";
import { recall, remember } from "./prefs.js";

const STEP = 16;
/** Each gap stands before a panel or column, whose size it sets, within bounds in CSS pixels. */
const SPLITS = [
  { before: ".column.book", name: "book-width", across: true, min: 240, max: 560 },
  { before: ".column.side", name: "side-width", across: true, min: 240, max: 480 },
  { before: ".panel.depth", name: "depth-height", across: false, min: 80, max: 480 },
  { before: ".panel.orders", name: "orders-height", across: false, min: 110, max: 640 },
];

export function splitPanels() {
  for (const split of SPLITS) new Split(split);
}

class Split {
  constructor({ before, name, across, min, max }) {
    Object.assign(this, { name, across, min, max });
    this._panel = byId("terminal").querySelector(before);
    const label = `Size of ${name.replace("-", ", ")}`;
    this._node = el("div", {
      className: `split ${across ? "across" : "down"}`,
      role: "separator",
      tabIndex: 0,
      "aria-label": label,
      "aria-orientation": across ? "vertical" : "horizontal",
      "aria-valuemin": String(min),
      "aria-valuemax": String(max),
    });
    this._panel.prepend(this._node);
    this._held = null;
    this._node.addEventListener("pointerdown", (event) => this._begin(event));
    this._node.addEventListener("pointermove", (event) => this._move(event));
    for (const end of ["pointerup", "pointercancel"])
      this._node.addEventListener(end, () => (this._held = null));
    this._node.addEventListener("dblclick", () => this._set(null));
    this._node.addEventListener("keydown", (event) => this._key(event));
    const kept = recall(name, 0);
    if (kept) this._set(kept);
    else this._tell();
  }
  get _size() {
    const { width, height } = this._panel.getBoundingClientRect();
    return Math.round(this.across ? width : height);
  }
  _begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this._held = { at: this.across ? event.clientX : event.clientY, size: this._size };
    this._node.setPointerCapture(event.pointerId);
  }
  _move(event) {
    if (this._held === null) return;
    const at = this.across ? event.clientX : event.clientY;
    this._set(this._held.size + this._held.at - at);
  }
  _key(event) {
    const back = this.across ? "ArrowLeft" : "ArrowUp";
    const forth = this.across ? "ArrowRight" : "ArrowDown";
    if (event.key === "Home") this._set(null);
    else if (event.key === back) this._set(this._size + STEP);
    else if (event.key === forth) this._set(this._size - STEP);
    else return;
    event.preventDefault();
  }
  /** Set the size; null takes the one of the style sheet. */
  _set(size) {
    const style = byId("terminal").style;
    const bounded = size === null ? 0 : Math.min(this.max, Math.max(this.min, Math.round(size)));
    if (bounded) style.setProperty(`--${this.name}`, `${bounded}px`);
    else style.removeProperty(`--${this.name}`);
    remember(this.name, bounded);
    this._tell();
  }
  _tell() {
    const size = Math.min(this.max, Math.max(this.min, this._size));
    this._node.setAttribute("aria-valuenow", String(size));
  }
}
