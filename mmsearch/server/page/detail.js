/** One item in a dialog: its picture, words and attributes, and what is like it. */

import * as api from "./api.js";
import { relevanceBar, smallPicture } from "./card.js";
import { button, byId, el, icon, iconButton } from "./dom.js";
import { recall, remember } from "./items.js";
import { show, thumbnail } from "./pictures.js";
import { attributeText, nameText, percent, titleOf } from "./words.js";

const ALIKE = 12;

/**
 * `on`: `{close(), open(key), thumb(key, up), like(key, words), address(key), problem(error)}`;
 * `order()` gives the keys of the results, for the way to the next one.
 */
export function detailDialog(on, order) {
  const dialog = byId("detail");
  let loading = new AbortController();
  let shown = null;

  const step = (by) => {
    const keys = order();
    const next = keys[keys.indexOf(shown) + by];
    if (shown !== null && keys.includes(shown) && next !== undefined) on.open(next);
  };
  // Where it stands among the results, which may come later than the item.
  const place = async () => {
    const [before, next, judged] = ["detail-before", "detail-next", "detail-judged"].map(byId);
    if (!judged || shown === null) return;
    const keys = order();
    const at = keys.indexOf(shown);
    before.disabled = at <= 0;
    next.disabled = at < 0 || at === keys.length - 1;
    const { relevance } = await recall(shown);
    judged.hidden = typeof relevance !== "number";
    if (!judged.hidden) judged.replaceChildren(relevanceBar(relevance), `${percent(relevance)} relevant`);
  };
  const press = (state) => {
    byId("detail-up")?.setAttribute("aria-pressed", String(state.liked.includes(shown)));
    byId("detail-down")?.setAttribute("aria-pressed", String(state.disliked.includes(shown)));
  };
  dialog.addEventListener("cancel", (event) => (event.preventDefault(), on.close()));
  // A press on the backdrop is one on the dialog itself, whose content fills it.
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && on.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "m") on.thumb(shown, true);
    else if (event.key === "x") on.thumb(shown, false);
    else return;
    event.preventDefault();
  });

  const fill = async (key, state) => {
    loading.abort();
    loading = new AbortController();
    const { signal } = loading;
    try {
      const item = await api.item(key, signal);
      if (signal.aborted) return;
      const alike = el("ul", { className: "alike" });
      dialog.setAttribute("aria-label", titleOf(item));
      dialog.replaceChildren(
        el("div", { className: item.has_image ? "detail-body" : "detail-body without-picture" },
          item.has_image ? stage(item) : null,
          el("div", { className: "detail-side" }, ...about(item, on))),
        el("section", { className: "detail-alike", ariaLabel: "Similar" }, el("h3", {}, "Similar"), alike),
        el("div", { className: "detail-tools" },
          iconButton("left", "The one before (left arrow)", () => step(-1), { id: "detail-before" }),
          iconButton("right", "The next one (right arrow)", () => step(1), { id: "detail-next" }),
          iconButton("close", "Close (Esc)", () => on.close(), { id: "detail-close" })),
      );
      dialog.scrollTop = 0;
      place();
      press(state);
      await fillAlike(alike, key, signal);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === 401 || error.status === 403) return on.problem(error);
      const heading = error.status === 404 ? "There is no such item any more" : error.title;
      dialog.replaceChildren(
        el("div", { className: "message" }, icon("broken"), el("h2", {}, heading), el("p", {}, error.message)),
        el("div", { className: "detail-tools" }, iconButton("close", "Close (Esc)", () => on.close(), { id: "detail-close" })),
      );
    }
  };
  const fillAlike = async (list, key, signal) => {
    const answer = await api.similar(key, ALIKE, signal);
    answer.hits.forEach(remember);
    if (!answer.hits.length) return list.parentElement.remove();
    list.replaceChildren(...answer.hits.map((hit) => {
      const title = titleOf(hit);
      const open = (event) => (event.preventDefault(), on.open(hit.key));
      const link = el("a", { href: on.address(hit.key), title, on: { click: open } });
      if (hit.thumbnail_url) link.append(smallPicture(hit.thumbnail_url), el("span", { className: "sr" }, title));
      else link.append(el("span", { className: "first-words", dir: "auto" }, title));
      return el("li", {}, link);
    }));
  };

  return {
    place,
    /** Shows the item that `state` has open; closes where it has none. */
    async show(state) {
      if (state.item === null) {
        loading.abort();
        shown = null;
        if (dialog.open) dialog.close();
        return;
      }
      const other = state.item !== shown || !byId("detail-up");
      shown = state.item;
      if (!dialog.open) {
        const [picture, side] = ["stage skeleton", "detail-side"].map((className) => el("div", { className }));
        dialog.replaceChildren(el("div", { className: "detail-body" }, picture, side));
        dialog.showModal();
      }
      if (!other) return press(state);
      await fill(state.item, state);
      if (dialog.open) byId("detail-close")?.focus({ preventScroll: true });
    },
  };
}

function stage(item) {
  const image = el("img", { alt: titleOf(item) });
  const frame = el("div", { className: "stage" }, image);
  show(image, thumbnail(item.thumbnail_url, 1024)).then(
    () => frame.classList.add("ready"),
    () => frame.replaceChildren(icon("broken"), el("p", {}, "The picture cannot be shown.")),
  );
  return frame;
}

function about(item, on) {
  const title = titleOf(item);
  const words = (item.text ?? "").trim();
  const rest = words.startsWith(`${title}\n`) ? words.slice(title.length).trim() : words;
  const but = el("input", { type: "text", id: "but", placeholder: "red, on the beach …", maxLength: 500 });
  const find = (event) => (event.preventDefault(), on.like(item.key, but.value.trim()));
  const form = el("form", { className: "but", on: { submit: find } },
    el("label", { htmlFor: "but" }, "Like this, but"), but,
    el("button", { type: "submit", className: "button primary" }, icon("alike"), "Find"));
  const group = item.group ? [["group", item.group]] : [];
  const attributes = [...Object.entries(item.attributes), ...group].filter(([, value]) => value !== null && value !== title);
  return [
    el("h2", { dir: "auto" }, title),
    el("p", { className: "judged", id: "detail-judged", hidden: true }),
    words && words !== title && el("p", { className: "detail-text", dir: "auto" }, rest),
    form,
    el("div", { className: "detail-thumbs" },
      button("More like this", () => on.thumb(item.key, true), { image: "plus", id: "detail-up" }),
      button("Less", () => on.thumb(item.key, false), { image: "minus", id: "detail-down" })),
    attributes.length > 0 && el("dl", {}, attributes.map(([name, value]) =>
      el("div", {}, el("dt", {}, nameText(name)), el("dd", { dir: "auto" }, attributeText(name, value))))),
    keyLine(item),
  ].filter(Boolean);
}

function keyLine(item) {
  const copied = iconButton("copy", "Copy the key", async () => {
    await navigator.clipboard.writeText(item.key);
    copied.replaceChildren(icon("check"));
  });
  // The clipboard is there on https and on this machine only.
  return el("p", { className: "detail-key" },
    el("span", { className: "sr" }, "Key "), el("code", { title: item.key }, item.key), navigator.clipboard && copied);
}
