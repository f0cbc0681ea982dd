// One requestAnimationFrame for all views: any module may request a frame; all views draw in it.

const KEPT = 1024;

export class Loop {
  constructor() {
    this.views = [];
    this._asked = false;
    this._times = new Float32Array(KEPT);
    this.frames = 0;
    this._frame = (now) => this._draw(now);
  }
  /** Request a frame; a hidden page gets it once it is visible again. */
  invalidate() {
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(this._frame);
  }
  _draw(now) {
    const started = performance.now();
    this._asked = false;
    for (const view of this.views) {
      try {
        view.frame(now);
      } catch (error) {
        console.error(error); // a broken view must not stop the others
      }
    }
    this._times[this.frames++ % KEPT] = performance.now() - started;
  }
  /** Return the script time of recent frames in ms: the median and the 99th percentile. */
  times() {
    const seen = Array.from(this._times.subarray(0, Math.min(this.frames, KEPT))).sort(
      (a, b) => a - b,
    );
    const at = (share) => seen[Math.min(seen.length - 1, Math.floor(share * seen.length))] ?? 0;
    return { median: at(0.5), p99: at(0.99) };
  }
}

/** Calls `act` at most once per `pauseMs`, and always once after the last `poke`. */
export class Slowly {
  constructor(pauseMs, act) {
    this._pauseMs = pauseMs;
    this._act = act;
    this._at = -Infinity;
    this._timer = 0;
  }
  poke() {
    if (this._timer) return;
    const wait = Math.max(0, this._at + this._pauseMs - performance.now());
    this._timer = setTimeout(() => {
      this._timer = 0;
      this._at = performance.now();
      this._act();
    }, wait);
  }
}
