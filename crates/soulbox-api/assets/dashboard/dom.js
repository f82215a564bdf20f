// Builds and updates elements. Owns the rule that whatever a program or the server says becomes text, never markup.

/** The element with that id. */
export const $ = (id) => document.getElementById(id);

/** A new element with attributes, listeners (functions), and children; strings become text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets a text; an equal one is left alone, so that a selection in it stays. */
export function setText(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

/** Shows or hides. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/**
 * Makes the children of a node those of a list, each known by a key. What stays keeps its element, and with it the
 * focus and whatever was opened in it.
 */
export function keep(parent, items, keyOf, create, update) {
  const known = new Map();
  for (const child of parent.children) known.set(child.dataset.key, child);
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    if (child) {
      known.delete(key);
    } else {
      child = create(item);
      child.dataset.key = key;
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
    update(child, item);
  }
  for (const child of known.values()) child.remove();
}

/** A quantity of a whole as a bar; its length is a progress element's, so that it has no style of its own. */
export function meter(label, value, most, tone = "") {
  const bar = h("progress", { class: `meter ${tone}`, max: "1", "aria-label": label });
  setMeter(bar, value, most);
  return bar;
}

/** Moves such a bar. */
export function setMeter(bar, value, most, tone) {
  const share = most > 0 ? Math.min(1, Math.max(0, value / most)) : 0;
  if (bar.value !== share) bar.value = share;
  if (tone !== undefined) bar.className = `meter ${tone}`;
}

/** Tells those who hear the page. */
export function announce(text) {
  setText($("announcer"), text);
}
