// The document's elements. Text goes in as text: nothing here, or anywhere, reads HTML.

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Return a new element; `props` are properties, `data-*` and `aria-*` attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Set an element's text, if it has another one. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Let a table body show `rows` of texts; cells stay, so that only what changed is touched. */
export function fillRows(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, r) => {
    const row = body.rows[r] ?? body.insertRow();
    texts.forEach((text, c) => say(row.cells[c] ?? row.insertCell(), text));
  });
}

/** Call `react` with each new choice of a group of buttons; return a function that sets it. */
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
