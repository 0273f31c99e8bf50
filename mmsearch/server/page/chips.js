/** What is active, each as a chip that takes it away again. */

import { smallPicture } from "./card.js";
import { el, icon } from "./dom.js";
import { recall } from "./items.js";
import { unfiltered, withRange, withThumb, withValues } from "./state.js";
import { nameText, valueText } from "./words.js";

/** Fills the row above the results; the words and pictures of the query stand in its box. */
export function showChips(row, state, go) {
  const chips = [];
  for (const key of state.liked) chips.push(item(key, "plus", "More like", () => go(withThumb(state, key, true))));
  for (const key of state.disliked) chips.push(item(key, "minus", "Less like", () => go(withThumb(state, key, false))));
  for (const [name, values] of Object.entries(state.is)) {
    for (const value of values) {
      chips.push(chip(`${nameText(name)}: ${valueText(value)}`, () => go(withValues(state, name, values.filter((one) => one !== value)))));
    }
  }
  for (const [name, [low, high]] of Object.entries(state.range)) {
    const ends = low === null ? `up to ${valueText(high)}` : high === null ? `from ${valueText(low)}` : `${valueText(low)} – ${valueText(high)}`;
    chips.push(chip(`${nameText(name)}: ${ends}`, () => go(withRange(state, name, null, null))));
  }
  if (state.within !== null) chips.push(chip(`Group: ${state.within}`, () => go({ ...state, within: null })));
  if (state.where) chips.push(chip(state.where, () => go({ ...state, where: "" }), "chip code"));
  if (state.all) chips.push(chip("Also less relevant", () => go({ ...state, all: false })));
  if (chips.length > 1) {
    const none = { ...unfiltered(state), liked: [], disliked: [], all: false };
    chips.push(el("button", { type: "button", className: "link", on: { click: () => go(none) } }, "Clear all"));
  }
  row.hidden = chips.length === 0;
  row.replaceChildren(...chips.map((one) => el("li", {}, one)));
}

/** The items and dropped pictures of the query, in its box. */
export function showTerms(list, state, pictures, go) {
  const terms = pictures.map(({ number, url, name }) => {
    const image = el("img", { alt: "", src: url, className: "small-picture", on: { error: () => image.replaceWith(icon("picture")) } });
    return term(image, name, () => go(without(state, number)));
  });
  for (const key of state.like) {
    const picture = el("span", { className: "small-picture" });
    const button = term(picture, key, () => go({ ...state, like: state.like.filter((one) => one !== key) }));
    recall(key).then(({ title, thumbnail }) => {
      picture.replaceChildren(thumbnail ? smallPicture(thumbnail) : icon("text"));
      name(button, `Like ${title}`);
    });
    terms.push(button);
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
  const button = el("button", { type: "button", className: "term", on: { click: remove } }, picture, icon("close"));
  name(button, label);
  return button;
}

function name(button, label) {
  button.title = `${label} (click removes it)`;
  button.ariaLabel = `Remove ${label}`;
}

function chip(label, remove, className = "chip") {
  return el("button", { type: "button", className, title: "Remove", ariaLabel: `Remove ${label}`, on: { click: remove } }, el("span", { dir: "auto" }, label), icon("close"));
}

function item(key, sign, words, remove) {
  const label = el("span", { dir: "auto" }, key);
  const picture = el("span", { className: "chip-picture" }, icon(sign));
  const button = el("button", { type: "button", className: `chip ${sign}`, title: "Remove", ariaLabel: `Remove ${words} ${key}`, on: { click: remove } }, picture, label, icon("close"));
  recall(key).then(({ title, thumbnail }) => {
    label.textContent = title;
    button.ariaLabel = `Remove ${words} ${title}`;
    if (thumbnail) picture.append(smallPicture(thumbnail));
  });
  return button;
}
