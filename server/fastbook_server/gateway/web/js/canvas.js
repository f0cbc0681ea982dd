// A canvas that follows the size of its box and the screen's scale, and the theme's colours.

export const MONO =
  'ui-monospace, "SF Mono", Menlo, "Cascadia Mono", Consolas, "DejaVu Sans Mono", monospace';

const NAMES = [
  "bg",
  "panel",
  "line",
  "text",
  "muted",
  "faint",
  "bid",
  "ask",
  "bid-soft",
  "ask-soft",
  "own",
  "accent",
  "hover",
];
let palette = null;

/** Return the current theme's colours, by the names of the custom properties. */
export function colours() {
  if (palette === null) {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(NAMES.map((n) => [n, style.getPropertyValue("--" + n).trim()]));
  }
  return palette;
}
/** Drop the cached colours, because the theme has changed. */
export const forgetColours = () => (palette = null);

export class Canvas {
  constructor(node, loop) {
    this.node = node;
    this.context = node.getContext("2d");
    this.width = this.height = 0;
    this.dirty = true;
    this._scale = 0;
    new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      this.width = Math.floor(width);
      this.height = Math.floor(height);
      this._scale = 0;
      this.dirty = true;
      loop.invalidate();
    }).observe(node.parentElement);
  }
  /** Return the context, cleared and scaled to CSS pixels; null if the canvas has no area. */
  begin() {
    this.dirty = false;
    if (this.width < 1 || this.height < 1) return null;
    const scale = devicePixelRatio || 1;
    const { context, node } = this;
    if (scale !== this._scale) {
      this._scale = scale;
      node.width = Math.round(this.width * scale);
      node.height = Math.round(this.height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.textBaseline = "middle";
    return context;
  }
}
