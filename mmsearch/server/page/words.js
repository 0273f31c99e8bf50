/** How values are worded for people. */

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const TITLES = ["title", "name"];
const PRICES = /^(price|cost|preis|prix|precio|prezzo)$/i;

export function count(n, one, many = `${one}s`) {
  return `${number.format(n)} ${n === 1 ? one : many}`;
}

export function percent(share) {
  return `${Math.round(100 * share)}%`;
}

/** Any attribute's value. */
export function valueText(value) {
  if (typeof value === "number") return number.format(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.map(valueText).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** How each of these values is worded: where their types differ, strings are quoted, or 'yes' were true. */
export function wording(values) {
  const mixed = new Set(values.map((value) => typeof value)).size > 1;
  return (value) => (mixed && typeof value === "string" ? `“${value}”` : valueText(value));
}

/** The value of this attribute: a price keeps its two digits; its currency is not ours to guess. */
export function attributeText(name, value) {
  if (!PRICES.test(name) || typeof value !== "number") return valueText(value);
  return value.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** An attribute's name as a heading: `old_price` is "Old price". */
export function nameText(name) {
  const spaced = name.replaceAll("_", " ").trim() || name;
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** What an item is called: by its title, else the first line of its text, else its key. */
export function titleOf({ key, text, attributes = {} }) {
  for (const name of TITLES) {
    if (typeof attributes[name] === "string" && attributes[name].trim()) return attributes[name];
  }
  const line = (text ?? "").split("\n").find((one) => one.trim());
  return line?.trim() || key.split("/").at(-1);
}

/** Whether an item has no words of its own, so that its title is the end of its key. */
export function isFileName(hit) {
  return titleOf(hit) === titleOf({ key: hit.key, text: null });
}

/** What is worth a place below a picture: what is sorted by, and a price. */
export function captionOf(attributes, sortedBy) {
  const names = [sortedBy, ...Object.keys(attributes).filter((name) => PRICES.test(name))];
  const shown = [...new Set(names)].filter((name) => name && attributes[name] !== undefined && !TITLES.includes(name));
  const worded = (name) => (PRICES.test(name) ? "" : `${nameText(name)} `) + attributeText(name, attributes[name]);
  return shown.slice(0, 2).map(worded).join(" · ");
}
