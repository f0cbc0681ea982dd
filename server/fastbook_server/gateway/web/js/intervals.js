// The choice of the candles' interval: the usual ones as buttons, the others in a list.

import { byId, choice, el } from "./dom.js";
import { INTERVALS } from "./folds.js";
import { recall, remember } from "./prefs.js";

/** Return the interval that was chosen last. */
export function keptInterval() {
  const kept = recall("interval", "1m");
  return INTERVALS.has(kept) ? kept : "1m";
}

/** Call `react` with each interval that the user chooses. */
export function chooseIntervals(react) {
  const group = byId("intervals");
  const more = byId("more-intervals");
  const usual = new Set([...group.children].map((button) => button.value));
  const others = [...INTERVALS.keys()].filter((interval) => !usual.has(interval));
  more.append(el("option", { value: "" }, "more"), ...others.map((name) => el("option", {}, name)));
  const take = (interval) => {
    if (!interval) return;
    remember("interval", interval);
    show(interval);
    react(interval);
  };
  const mark = choice(group, take);
  const show = (interval) => {
    mark(interval);
    more.value = usual.has(interval) ? "" : interval;
  };
  more.addEventListener("change", () => take(more.value));
  show(keptInterval());
}
