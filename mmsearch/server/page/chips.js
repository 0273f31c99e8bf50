/** What is active, each as a chip that takes it away again. */

import { smallPicture } from "./card.js";
import { button, el, icon } from "./dom.js";
import { recall } from "./items.js";
import { unfiltered, withRange, withThumb, withValues } from "./state.js";
import { nameText, valueText, wording } from "./words.js";

/** Fills the row above the results; the words and pictures of the query stand in its box. */
export function showChips(row, state, go) {
  const chips = [];
  for (const key of state.liked) chips.push(item(key, "plus", "More like", () => go(withThumb(state, key, true))));
  for (const key of state.disliked) chips.push(item(key, "minus", "Less like", () => go(withThumb(state, key, false))));
  for (const [name, values] of Object.entries(state.is)) {
    const worded = wording(values);
    for (const value of values) {
      const others = values.filter((one) => one !== value);
      chips.push(chip(`${nameText(name)}: ${worded(value)}`, () => go(withValues(state, name, others))));
    }
  }
  for (const [name, [low, high]] of Object.entries(state.range)) {
    chips.push(chip(`${nameText(name)}: ${rangeText(low, high)}`, () => go(withRange(state, name, null, null))));
  }
  if (state.within !== null) chips.push(chip(`Group: ${state.within}`, () => go({ ...state, within: null })));
  if (state.where) chips.push(chip(state.where, () => go({ ...state, where: "" }), "chip code"));
  if (state.all) chips.push(chip("Also less relevant", () => go({ ...state, all: false })));
  if (chips.length > 1) {
    const none = { ...unfiltered(state), liked: [], disliked: [], all: false };
    chips.push(button("Clear all", () => go(none), { className: "link" }));
  }
  row.hidden = chips.length === 0;
  row.replaceChildren(...chips.map((one) => el("li", {}, one)));
}

/** The items and dropped pictures of the query, in its box. */
export function showTerms(list, state, pictures, go) {
  const terms = pictures.map(({ number, url, name }) => {
    const image = el("img", { alt: "", src: url, className: "small-picture" });
    image.addEventListener("error", () => image.replaceWith(icon("picture")));
    return term(image, name, () => go(without(state, number)));
  });
  for (const key of state.like) {
    const picture = el("span", { className: "small-picture" });
    const made = term(picture, key, () => go({ ...state, like: state.like.filter((one) => one !== key) }));
    recall(key).then(({ title, thumbnail }) => {
      picture.replaceChildren(thumbnail ? smallPicture(thumbnail) : icon("text"));
      name(made, `Like ${title}`);
    });
    terms.push(made);
  }
  list.hidden = terms.length === 0;
  list.replaceChildren(...terms.map((one) => el("li", {}, one)));
}

/** Without a picture; without any, what is found is no longer a matter of pictures or texts. */
function without(state, number) {
  const images = state.images.filter((one) => one !== number);
  return { ...state, images, to: images.length ? state.to : null };
}

function term(picture, label, remove) {
  const made = button([picture, icon("close")], remove, { className: "term" });
  name(made, label);
  return made;
}

function name(made, label) {
  made.title = `${label} (click removes it)`;
  made.ariaLabel = `Remove ${label}`;
}

function rangeText(low, high) {
  if (low === null) return `up to ${valueText(high)}`;
  return high === null ? `from ${valueText(low)}` : `${valueText(low)} – ${valueText(high)}`;
}

function chip(label, remove, className = "chip") {
  const words = el("span", { dir: "auto" }, label);
  return button([words, icon("close")], remove, { className, title: "Remove", ariaLabel: `Remove ${label}` });
}

function item(key, sign, words, remove) {
  const label = el("span", { dir: "auto" }, key);
  const picture = el("span", { className: "chip-picture" }, icon(sign));
  const props = { className: `chip ${sign}`, title: "Remove", ariaLabel: `Remove ${words} ${key}` };
  const made = button([picture, label, icon("close")], remove, props);
  recall(key).then(({ title, thumbnail }) => {
    label.textContent = title;
    made.ariaLabel = `Remove ${words} ${title}`;
    if (thumbnail) picture.append(smallPicture(thumbnail));
  });
  return made;
}
