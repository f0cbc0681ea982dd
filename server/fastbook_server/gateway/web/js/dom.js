// Helpers for DOM elements. All text is set as text: no module of this page parses HTML.

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Return a new element; `props` sets its properties and its `data-*` and `aria-*` attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Set an element's text, unless it already has it. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show texts side by side, none of which is broken over lines; touches only changed ones. */
export function sayParts(node, texts) {
  if (node.children.length !== texts.length)
    node.replaceChildren(...texts.flatMap((_, i) => (i ? ["  ", el("span")] : [el("span")])));
  texts.forEach((text, i) => say(node.children[i], text));
}

/** Show `rows` of texts in a table body; reuses the cells, so only changed ones are touched. */
export function fillRows(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, r) => {
    const row = body.rows[r] ?? body.insertRow();
    texts.forEach((text, c) => say(row.cells[c] ?? row.insertCell(), text));
  });
}

/** Call `react` with each choice in a group of buttons; return a function that marks a choice. */
export function choice(group, react) {
  const buttons = [...group.querySelectorAll("button")];
  const show = (value) => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b.value === value));
  };
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    show(button.value);
    react(button.value);
  });
  return show;
}
