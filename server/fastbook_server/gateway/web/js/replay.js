// The recorded market's controls, and the venue's trades beside ours, where the server offers them.

import { byId, el, fillRows, say } from "./dom.js";
import { showLocalPanel } from "./panel.js";

const STEPS = 1_000;
const REFRESH_MS = 500;
const SEND_AFTER_MS = 120;
const SPEEDS = [0.1, 1, 2, 5, 10, 60, 600];

/** Show the panel of the replay at this path of the server. */
export async function openReplay(path) {
  await new ReplayPanel(path).open();
}

/** Return a time of a recording as text; one of the first day has no date. */
export const clock = (ms) => {
  const text = new Date(ms).toISOString();
  return ms < 86_400_000 ? text.slice(11, 19) : text.slice(0, 19).replace("T", " ");
};

/** Return an amount of money with its sign. */
export const money = (value) => `${value > 0 ? "+" : ""}${value.toFixed(2)}`;

class ReplayPanel {
  constructor(path) {
    this._path = path;
    this._timer = 0; // of a jump that has not been sent
    this._asked = 0;
    this._unanswered = 0;
    this._state = null;
    this._pause = el("button", { type: "button", className: "quiet" });
    this._pause.addEventListener("click", () => this._change({ running: !this._state.running }));
    this._speed = el("select", { id: "replay-speed" });
    this._speed.addEventListener("change", () => {
      this._change({ speed: Number(this._speed.value) });
    });
    const range = { type: "range", min: "0", max: String(STEPS), step: "1" };
    this._time = el("input", { id: "replay-time", ...range });
    this._time.addEventListener("input", () => this._jump());
    this._clock = el("output", { className: "num", for: "replay-time" });
    this._agreement = el("span");
    this._impact = el("span", { className: "num" });
    this._answer = el("p", { role: "status", className: "wrong" });
    this._rows = el("tbody");
  }

  async open() {
    const root = byId("local-panel");
    root.setAttribute("aria-label", "Replay");
    root.classList.add("replay");
    const turn = (name, text, ...parts) =>
      el("div", { className: "turn" }, el("label", { for: `replay-${name}` }, text), ...parts);
    root.replaceChildren(
      el("div", { className: "bar" }, el("h2", {}, "Replay"), this._pause),
      turn("time", "Time", this._clock, this._time),
      turn("speed", "Speed", this._speed),
      el("div", { className: "agreement" }, this._agreement, this._impact),
      this._table(),
      this._answer,
    );
    this._show(await this._ask());
    showLocalPanel("Replay");
    setInterval(() => this._refresh(), REFRESH_MS);
  }

  _table() {
    const heads = ["Time", "Venue", "Amount", "Here", "Amount"];
    const row = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
    const what = "The venue's trades, and what became of them here";
    const caption = el("caption", { className: "sr" }, what);
    return el("table", { className: "num" }, caption, el("thead", {}, row), this._rows);
  }

  _refresh() {
    if (document.hidden || this._unanswered || this._timer) return;
    this._ask().then((state) => this._show(state), () => {});
  }

  /** Collect the positions while the slider moves, then jump to the last one. */
  _jump() {
    const { first, last } = this._state;
    const time = Math.round(first + ((last - first) * Number(this._time.value)) / STEPS);
    this._say(time);
    clearTimeout(this._timer);
    this._timer = setTimeout(() => {
      this._timer = 0;
      this._change({ time });
    }, SEND_AFTER_MS);
  }

  async _change(change) {
    try {
      this._show(await this._ask({ method: "PUT", body: JSON.stringify(change) }));
      say(this._answer, "");
    } catch (error) {
      say(this._answer, error.message);
    }
  }

  /** Return the server's state and whether it is the newest that was asked for. */
  async _ask(options = {}) {
    const asked = ++this._asked;
    this._unanswered += 1;
    try {
      const answer = await fetch(this._path, { cache: "no-store", ...options });
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.message);
      return { ...said, newest: asked === this._asked };
    } finally {
      this._unanswered -= 1;
    }
  }

  _show(state) {
    if (!state.newest || this._timer) return; // the user has changed something since
    this._state = state;
    say(this._pause, state.running ? "Pause" : "Resume");
    this._showSpeed(state.speed);
    const span = state.last - state.first;
    this._time.value = String(span ? Math.round((STEPS * (state.time - state.first)) / span) : 0);
    this._say(state.time);
    const { operations, agreed } = state;
    const share = `${agreed} of ${operations} as at the venue`;
    say(this._agreement, operations ? share : "nothing to compare yet");
    say(this._impact, `Impact ${money(state.impact)}`);
    fillRows(this._rows, state.trades.toReversed().map(texts));
  }

  _showSpeed(speed) {
    const speeds = SPEEDS.includes(speed) ? SPEEDS : [...SPEEDS, speed].toSorted((a, b) => a - b);
    if (this._speed.options.length !== speeds.length) {
      const option = (speed) => el("option", { value: String(speed) }, `${speed}×`);
      this._speed.replaceChildren(...speeds.map(option));
    }
    this._speed.value = String(speed);
  }

  _say(time) {
    say(this._clock, clock(time));
    this._time.setAttribute("aria-valuetext", clock(time));
  }
}

const texts = ({ time, venuePrice, venueAmount, price, amount }) => [
  clock(time).slice(-8),
  round(venuePrice),
  round(venueAmount),
  price === null ? "–" : round(price),
  amount ? round(amount) : "–",
];

const round = (value) => String(Number(value.toPrecision(9)));
