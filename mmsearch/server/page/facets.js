/** The panel of filters: values with their counts, ranges of numbers, and a filter to type. */

import { button, byId, el, refill } from "./dom.js";
import { isNarrowed, unfiltered, withRange, withValues } from "./state.js";
import { count, nameText, valueText, wording } from "./words.js";

const SHORT = 7; // values that are shown before "more",
const FEWEST = 3; // and how many of them even if there is none of them
const COLOUR = /colou?r/i;
const opened = new Set(); // attributes whose values are all shown

/**
 * Fills `panel`. `known`: see catalogue.js; `facets` are those of the answer, and of the filtered
 * attributes as if they were free; `go` takes a new state.
 */
export function showFilters(panel, known, state, facets, go) {
  const counted = new Map(facets.map((facet) => [facet.attribute, facet]));
  const again = () => showFilters(panel, known, state, facets, go);
  const sections = known.facets.map((facet) =>
    facet.kind === "range" ? range(facet, state, go) : values(facet, counted.get(facet.attribute), state, go, again),
  );
  const clear = button("Clear all", () => go(unfiltered(state)), { className: "link", id: "clear-filters" });
  const done = button("Done", close, { className: "link", id: "close-filters" });
  const head = el("div", { className: "filters-head" }, el("h2", {}, "Filters"), isNarrowed(state) && clear, done);
  refill(panel, head, ...sections, typed(state, known, go));
}

/** In a narrow window the panel pushes its button out of sight: closed from within, it comes back. */
function close() {
  const opener = byId("show-filters");
  opener.click();
  opener.focus();
}

function values(base, facet, state, go, again) {
  const name = base.attribute;
  const chosen = state.is[name] ?? [];
  const counts = new Map((facet?.counts ?? []).map(({ value, count: n }) => [value, n]));
  // In the order of the whole collection, so that little jumps about while one narrows; what there
  // is none of goes last.
  const known = new Set([...base.counts.map(({ value }) => value), ...counts.keys(), ...chosen]);
  const there = (value) => counts.has(value) || chosen.includes(value);
  const listed = [...[...known].filter(there), ...[...known].filter((value) => !there(value))];
  const all = opened.has(name) || listed.length <= FEWEST;
  const shown = all ? listed : listed.filter((value, n) => (n < SHORT && (there(value) || n < FEWEST)) || chosen.includes(value));
  const swatches = COLOUR.test(name);
  const worded = wording(listed);
  const rows = shown.map((value) => {
    const n = counts.get(value) ?? 0;
    const checked = chosen.includes(value);
    const none = n === 0 && !checked;
    const change = () => go(withValues(state, name, checked ? chosen.filter((one) => one !== value) : [...chosen, value]));
    return el("li", {}, el("label", { className: none ? "value none" : "value" },
      el("input", { type: "checkbox", checked, id: idOf(name, value), disabled: none, on: { change } }),
      swatch(swatches, value),
      el("span", { className: "value-name", dir: "auto" }, worded(value)),
      el("span", { className: "value-count" }, el("span", { className: "sr" }, ", "), valueText(n))));
  });
  const toggle = () => (opened.has(name) ? opened.delete(name) : opened.add(name), again());
  const rest = listed.length - shown.length;
  const props = { className: "link", id: idOf(name, "more"), ariaExpanded: String(all) };
  const more = (rest > 0 || opened.has(name)) && button(all ? "Fewer" : `${rest} more`, toggle, props);
  const unlisted = base.distinct - listed.length;
  const hint = all && unlisted > 0 && el("p", { className: "hint" }, `and ${count(unlisted, "rarer value")}`);
  return section(name, el("ul", { className: "values" }, rows), more, hint);
}

function swatch(wanted, value) {
  if (!wanted || typeof value !== "string" || !CSS.supports("color", value)) return null;
  const dot = el("span", { className: "swatch" });
  dot.style.backgroundColor = value;
  return dot;
}

function range(base, state, go) {
  const name = base.attribute;
  const [low, high] = state.range[name] ?? [null, null];
  const field = (end, value, bound) =>
    el("input", {
      type: "number", step: "any", inputMode: "decimal", id: idOf(name, end), value: value === null ? "" : String(value),
      placeholder: valueText(bound), ariaLabel: `${nameText(name)}, ${end === "low" ? "at least" : "at most"}`,
    });
  const fields = [field("low", low, base.low), field("high", high, base.high)];
  const read = (input) => (input.value.trim() === "" || !Number.isFinite(input.valueAsNumber) ? null : input.valueAsNumber);
  const apply = () => {
    let [from, to] = fields.map(read);
    if (from !== null && to !== null && from > to) [from, to] = [to, from];
    if (from !== low || to !== high) go(withRange(state, name, from, to));
  };
  for (const input of fields) input.addEventListener("change", apply);
  return section(name, el("div", { className: "range" }, fields[0], el("span", { ariaHidden: "true" }, "–"), fields[1]));
}

function typed(state, known, go) {
  if (!Object.keys(known.types).length) return null;
  const input = el("textarea", {
    id: "where", rows: 2, spellcheck: false, placeholder: example(known), value: state.where, ariaLabel: "Filter expression",
  });
  input.addEventListener("change", () => go({ ...state, where: input.value.trim() }));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    input.blur(); // which is a change, if there was one
  });
  return el("details", { className: "facet typed", open: Boolean(state.where) },
    el("summary", {}, "Write a filter"), input, el("p", { className: "hint" }, "Enter applies it."));
}

function example(known) {
  const ranged = known.facets.find((facet) => facet.kind === "range");
  if (ranged) return `${plain(ranged.attribute)} < ${valueText(Math.round((ranged.low + ranged.high) / 2))}`;
  return `${plain(Object.keys(known.types)[0])} is not null`;
}

const plain = (name) => (/^[a-z_]\w*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

function section(name, ...children) {
  return el("section", { className: "facet", ariaLabel: nameText(name) }, el("h3", { title: name }, nameText(name)), ...children);
}

const idOf = (name, value) => `facet-${typeof value}-${name}-${value}`;
