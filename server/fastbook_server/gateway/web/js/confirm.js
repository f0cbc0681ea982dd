// The question before something that cannot be undone.

import { byId, say } from "./dom.js";

let answer = null; // of the question that is asked

/** Ask; return a promise of whether the user says yes. Enter says yes, Escape no. */
export function ask(question, yes) {
  const dialog = byId("confirm");
  if (dialog.open) return Promise.resolve(false); // one question at a time
  answer?.(false); // of a question that has been left, but whose close event is still to come
  say(byId("confirm-text"), question);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.open) return; // the event is that of the question before
    answer?.(dialog.returnValue === "yes"); // null: this event is one too many
    answer = null;
  };
  dialog.onkeydown = (event) => {
    if (event.repeat) event.preventDefault(); // Enter that is still held down from before
  };
  dialog.showModal();
  byId("confirm-yes").focus();
  return new Promise((resolve) => (answer = resolve));
}
