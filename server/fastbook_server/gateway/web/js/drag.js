// Dragging a mark of own orders up and down ladder or chart, by mouse, pen or finger.

const SLACK = 4;

export class Drag {
  /**
   * Calls `take` with the event that may begin a drag: {side, t} of the marker there, or null;
   * `target` with {side, y}: the price in ticks at that height, or null; `show` when something has
   * changed; and `drop` with {side, from, to}, if the marker is let go at another price.
   */
  constructor(node, { take, target, show, drop }) {
    Object.assign(this, { take, target, show, drop });
    this.now = null; // {side, from, to, y} of the marker that is moving
    this._top = 0;
    this._held = null;
    this._dragged = false;
    node.addEventListener("pointerdown", (event) => this._begin(event, node));
    node.addEventListener("pointermove", (event) => this._move(event));
    node.addEventListener("pointerup", () => this._end());
    node.addEventListener("pointercancel", () => this.stop());
    node.addEventListener("lostpointercapture", () => this.stop());
  }
  /** Whether a marker is held, even if it has not moved yet. */
  get holds() {
    return this._held !== null;
  }
  /** Whether the click that follows belongs to a drag. */
  get swallowsClick() {
    return this._dragged;
  }
  /** Put the marker back. */
  stop() {
    this._held = this.now = null;
    this.show();
  }

  _begin(event, node) {
    this._dragged = false;
    const marker = event.button === 0 ? this.take(event) : null;
    if (marker === null) return;
    this._top = node.getBoundingClientRect().top; // offsetY would be that of what is inside
    this._held = { ...marker, y: event.clientY - this._top };
    node.setPointerCapture(event.pointerId);
    this.show();
  }
  _move({ clientY }) {
    if (this._held === null) return;
    const y = clientY - this._top;
    const { side, t: from } = this._held;
    if (this.now === null && Math.abs(y - this._held.y) < SLACK) return;
    this._dragged = true;
    this.now = { side, from, to: this.target({ side, y }), y };
    this.show();
  }
  _end() {
    const { now } = this;
    this.stop();
    if (now !== null && now.to !== null && now.to !== now.from) this.drop(now);
  }
}
