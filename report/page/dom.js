/**
 * Elements. Texts of a run come from data sets and models and may hold anything: they only ever become
 * text nodes, never markup.
 */

/** An element with attributes (functions are listeners) and children (texts or elements). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return made;
}

/** A section with a heading, which the navigation lists. */
export function section(id, title, ...children) {
  return element("section", { id }, element("h2", {}, title), ...children);
}

/** Names and values as a table of two columns. */
export function factTable(facts) {
  const rows = Object.entries(facts).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, factText(value)))
  );
  return element("table", { class: "facts" }, element("tbody", {}, rows));
}

/** A value of the run's facts as text. */
function factText(value) {
  if (value === null || typeof value !== "object") return String(value);
  const entries = Object.entries(value);
  return entries.length === 0 ? "none" : entries.map(([key, one]) => `${one} ${key}`).join(", ");
}

/** The value of a colour variable of the style sheet, in the theme in force. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
