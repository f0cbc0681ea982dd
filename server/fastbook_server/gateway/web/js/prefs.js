// What this browser remembers of the user's choices, over reloads and visits.

const KEY = "fastbook.prefs";

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    return found !== null && typeof found === "object" ? found : {};
  } catch {
    return {}; // storage is forbidden, or what it holds is corrupt
  }
}

const prefs = stored();

/** Return a choice, or `otherwise` if none of that type has been made. */
export function recall(name, otherwise) {
  const value = prefs[name];
  return typeof value === typeof otherwise && value !== null ? value : otherwise;
}

/** Remember a choice. Other tabs may have made other ones meanwhile: those are kept. */
export function remember(name, value) {
  prefs[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...stored(), [name]: value }));
  } catch {
    // Storage is full or forbidden: the choice lasts until the page closes.
  }
}

/** Let a check box keep its state; calls `react` with it, now and after each change. */
export function keepChecked(box, name, react = () => {}) {
  box.checked = recall(name, box.checked);
  box.addEventListener("change", () => {
    remember(name, box.checked);
    react(box.checked);
  });
  react(box.checked);
}

/** Let a select keep its choice; calls `react` with it, now and after each change. */
export function keepChosen(select, name, react = () => {}) {
  const kept = recall(name, select.value);
  if ([...select.options].some((option) => option.value === kept)) select.value = kept;
  select.addEventListener("change", () => {
    remember(name, select.value);
    react(select.value);
  });
  react(select.value);
}
