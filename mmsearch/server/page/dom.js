/** Elements from names, properties and children. Data only ever becomes text, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `props` are set as properties where the element has them, else as attributes;
 * `on` holds event listeners, `data` a dataset. Children are nodes, or strings, which become text;
 * what is false, null or empty is left out.
 */
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (key === "on") listen(node, value);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter(Boolean));
  return node;
}

function listen(node, listeners) {
  for (const [type, listener] of Object.entries(listeners)) node.addEventListener(type, listener);
}

/** A picture of icons.svg that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button with words; `image` is an icon before them. */
export function button(words, onClick, { image = null, ...props } = {}) {
  const given = { type: "button", className: "button", on: { click: onClick } };
  return el("button", { ...given, ...props }, image && icon(image), words);
}

/** A button that shows an icon; `label` is its name and its tooltip. */
export function iconButton(name, label, onClick, props = {}) {
  const given = { type: "button", className: "icon-button", title: label, ariaLabel: label };
  return el("button", { ...given, on: { click: onClick }, ...props }, icon(name));
}

export const byId = (id) => document.getElementById(id);

/** Puts new children in the place of the old ones; the focus stays on the element of the same id. */
export function refill(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement.id : "";
  node.replaceChildren(...children.flat().filter(Boolean));
  if (focused) byId(focused)?.focus({ preventScroll: true });
}
