// The simulated market's controls, shown where the server allows this page to use them.

import { byId, el, say } from "./dom.js";

const STEPS = 1_000;
const SEND_AFTER_MS = 120;
const TURNS = [
  { name: "rate", title: "Rate", unit: "/s" },
  { name: "volatility", title: "Volatility", unit: "% per day" },
];

/** Show the panel of a market that this server's machine makes; small screens get a tab for it. */
export function showLocalPanel(name) {
  say(byId("local-tab"), name);
  byId("local-tab").hidden = byId("local-panel").hidden = false;
}

/** Show the panel of the simulation at this path of the server. */
export async function openPanel(path) {
  await new Panel(path).open();
}

/** Return a value's slider position. Sliders are logarithmic: 1 to 10 is as far as 10 to 100. */
export const position = (value, { min, max }) =>
  Math.round((STEPS * Math.log(value / min)) / Math.log(max / min));

/** Return the value at a slider's position, to two digits. */
export const valueAt = (step, { min, max }) =>
  Math.min(max, Math.max(min, Number((min * (max / min) ** (step / STEPS)).toPrecision(2))));

class Panel {
  constructor(path) {
    this._path = path;
    this._wanted = {};
    this._timer = 0;
    this._asked = 0;
    this._turns = new Map();
    this._answer = el("p", { role: "status" });
    this._pause = el("button", { type: "button", className: "quiet" });
    this._pause.addEventListener("click", () => this._want("running", !this._running));
  }

  async open() {
    const state = await this._ask();
    const bar = el("div", { className: "bar" }, el("h2", {}, "Simulation"), this._pause);
    const root = byId("local-panel");
    root.replaceChildren(bar, ...TURNS.map((turn) => this._turn(turn, state)), this._answer);
    this._show(state);
    showLocalPanel("Sim");
    const refresh = () => this._ask().then((now) => this._show(now), () => {});
    document.addEventListener("visibilitychange", () => document.hidden || refresh());
    root.addEventListener("pointerenter", refresh);
  }

  _turn({ name, title, unit }, { bounds }) {
    const id = `sim-${name}`;
    const range = el("input", { id, type: "range", min: "0", max: String(STEPS), step: "1" });
    const output = el("output", { className: "num", for: id });
    range.addEventListener("input", () => {
      this._name(name, valueAt(Number(range.value), bounds[name]));
      this._want(name, valueAt(Number(range.value), bounds[name]));
    });
    this._turns.set(name, { range, output, unit, bounds: bounds[name] });
    return el("div", { className: "turn" }, el("label", { for: id }, title), output, range);
  }

  /** Collect changes while a slider moves, then send the last value of each. */
  _want(name, value) {
    this._wanted[name] = value;
    clearTimeout(this._timer);
    this._timer = setTimeout(async () => {
      const body = JSON.stringify(this._wanted);
      this._wanted = {};
      try {
        this._show(await this._ask({ method: "PUT", body }));
        say(this._answer, "");
      } catch (error) {
        say(this._answer, error.message);
      }
    }, SEND_AFTER_MS);
  }

  /** Return the server's state and whether it is the newest that was asked for. */
  async _ask(options = {}) {
    const asked = ++this._asked;
    const answer = await fetch(this._path, { cache: "no-store", ...options });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.message);
    return { ...said, newest: asked === this._asked };
  }

  _show(state) {
    if (!state.newest || Object.keys(this._wanted).length) return; // the user has moved a slider
    this._running = state.running;
    say(this._pause, state.running ? "Pause" : "Resume");
    for (const [name, { range, bounds }] of this._turns) {
      range.value = String(position(state[name], bounds));
      this._name(name, state[name]);
    }
  }

  _name(name, value) {
    const { range, output, unit } = this._turns.get(name);
    say(output, `${value} ${unit}`);
    range.setAttribute("aria-valuetext", `${value} ${unit}`);
  }
}
