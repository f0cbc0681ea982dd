// Toasts: short messages in a corner, and the sound that goes with those about trades.

import { byId, el, say } from "./dom.js";
import { recall, remember } from "./prefs.js";

const SHOWN_MS = 6_000;
const SHOWN_MAX = 4;
/** The notes that tell a purchase from a sale: rising and falling, in Hz. */
const NOTES = { bid: [523, 784], ask: [784, 523], bad: [220, 220] };
const NOTE_S = 0.09;
const PAUSE_MS = 250;

export class Toasts {
  constructor() {
    this._node = byId("notice");
    this._shown = new Map(); // key -> {node, timer}
    this._unkeyed = 0;
    this._soundAt = 0;
    this._audio = null;
    this.sounds = recall("sounds", false);
    const button = byId("sound");
    const show = () => button.setAttribute("aria-pressed", String(this.sounds));
    button.addEventListener("click", () => {
      this.sounds = !this.sounds;
      remember("sounds", this.sounds);
      show();
      this._sound("bid"); // what it will be like; the click also lets the browser play at all
    });
    show();
  }

  /**
   * Show `text` for a few seconds. A `key` replaces the toast that has it. `kind` colours it: bid,
   * ask or bad; with `sound` it is heard as well, if the user has switched sounds on.
   */
  show(text, { key = `#${++this._unkeyed}`, kind = "", sound = false } = {}) {
    const node = this._shown.get(key)?.node ?? el("p", { className: "toast" });
    clearTimeout(this._shown.get(key)?.timer);
    say(node, text);
    node.dataset.kind = kind;
    if (!node.isConnected) this._node.append(node);
    const timer = setTimeout(() => this._drop(key), SHOWN_MS);
    this._shown.delete(key); // so that the last key is that of the newest
    this._shown.set(key, { node, timer });
    while (this._shown.size > SHOWN_MAX) this._drop(this._shown.keys().next().value);
    if (sound) this._sound(kind);
  }
  _drop(key) {
    const { node, timer } = this._shown.get(key);
    clearTimeout(timer);
    node.remove();
    this._shown.delete(key);
  }

  /** Play two notes, at most four times per second. */
  _sound(kind) {
    const now = performance.now();
    if (!this.sounds || !NOTES[kind] || now - this._soundAt < PAUSE_MS) return;
    this._soundAt = now;
    try {
      const audio = (this._audio ??= new AudioContext());
      audio.resume();
      NOTES[kind].forEach((hertz, n) => {
        const note = new OscillatorNode(audio, { frequency: hertz });
        const volume = new GainNode(audio, { gain: 0.08 });
        const from = audio.currentTime + n * NOTE_S;
        volume.gain.setTargetAtTime(0, from + NOTE_S / 2, NOTE_S / 4);
        note.connect(volume).connect(audio.destination);
        note.start(from);
        note.stop(from + 2 * NOTE_S);
      });
    } catch {
      // No audio device: the toast is shown all the same.
    }
  }
}
