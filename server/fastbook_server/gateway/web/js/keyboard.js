// Keyboard shortcuts: they act only where no field, slider or button has the focus.

import { byId } from "./dom.js";

const OWN_KEYS =
  "input, select, textarea, button, summary, a, [contenteditable], [role=separator]";
const OWN_ARROWS = "canvas, .scroll, #chart";

/** Calls `cancelAll` with whether it goes for every security, `show` with a panel. */
export function listenToKeys({ ticket, cancelAll, markets, show }) {
  const help = byId("help");
  const side = (name) => {
    show("ticket");
    ticket.setSide(name);
  };
  const letters = {
    b: () => side("bid"),
    s: () => side("ask"),
    l: () => ticket.setType("limit"),
    m: () => ticket.setType("market"),
    t: () => ticket.nextWhen(),
    x: (event) => cancelAll(event.shiftKey),
    "/": () => markets(),
    "?": () => showHelp(help),
  };
  byId("keys").addEventListener("click", () => showHelp(help));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const { key, target } = event;
    // A dialog that has just been closed may still hold the focus for a moment.
    if (target.closest(OWN_KEYS) && !target.closest("dialog")) {
      if (key === "Escape") target.blur(); // now keys act again
      return;
    }
    const act = letters[key.toLowerCase()];
    if (act) {
      event.preventDefault();
      if (!event.repeat) act(event);
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      if (target.closest(OWN_ARROWS)) return;
      event.preventDefault();
      ticket.nudge((key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1));
    } else if (key === "Enter" && !event.repeat) {
      event.preventDefault();
      ticket.send();
    } else if (key === "Escape") {
      ticket.clear();
    }
  });
}

function showHelp(help) {
  help.showModal();
  help.querySelector("form button").focus(); // otherwise its first link gets the focus
}
