// Keyboard shortcuts. Keys pressed in a text area, a select or the help dialog are left alone.

import { byId } from "./dom.js";

const TYPES = new Set(["SELECT", "TEXTAREA"]);
const OWN_ARROWS = "[role=tablist], canvas, .scroll, #chart, #expire, #total";

export function listenToKeys({ ticket, blotter, show }) {
  const help = byId("help");
  const letters = {
    b: () => ticket.setSide("bid"),
    s: () => ticket.setSide("ask"),
    l: () => ticket.setType("limit"),
    m: () => ticket.setType("market"),
    x: () => blotter.cancelAll(),
    "?": () => showHelp(help),
  };
  byId("keys").addEventListener("click", () => showHelp(help));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    const target = event.target;
    if (TYPES.has(target.tagName)) return;
    const act = letters[event.key.toLowerCase()];
    if (act) {
      event.preventDefault();
      if (event.repeat) return;
      if ("bs".includes(event.key.toLowerCase())) show("ticket");
      act();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      move(event, ticket);
    } else if (event.key === "Enter" && !event.repeat && !target.closest("button, a, summary")) {
      event.preventDefault();
      ticket.send();
    } else if (event.key === "Escape") {
      target.blur();
      ticket.clear();
    }
  });
}

function showHelp(help) {
  help.showModal();
  help.querySelector("form button").focus(); // otherwise its first link gets the focus
}

/** Move the price by a tick, with Shift by ten; in another field, that one by ticks or lots. */
function move(event, ticket) {
  const by = (event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1);
  if (event.target.closest(OWN_ARROWS)) return;
  event.preventDefault();
  const { id } = event.target;
  if (id === "amount" || id === "display") ticket.nudgeAmount(by, id);
  else ticket.nudge(by, id === "trigger" ? id : "price");
}
