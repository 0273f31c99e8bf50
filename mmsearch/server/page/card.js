/** One result: a picture with a caption, or a text to read. */

import { button, el, icon, iconButton } from "./dom.js";
import { show, thumbnail } from "./pictures.js";
import { captionOf, count, isFileName, percent, titleOf } from "./words.js";

const PATIENCE_MS = 1500; // a picture that takes longer is shown as a square when it comes
const [NARROWEST, WIDEST] = [0.62, 2.4];
const SIZE = window.devicePixelRatio > 1 ? 512 : 256;

/** A bar for a relevance in [0, 1]; nothing where it is not known. */
export function relevanceBar(relevance) {
  if (relevance === null || relevance === undefined) return null;
  const words = `Relevance ${percent(relevance)}`;
  const title = `${words}: how sure it is that this is meant, measured on this collection`;
  const bar = el("span", { className: "relevance", role: "img", ariaLabel: words, title }, el("i"));
  bar.firstChild.style.width = percent(relevance);
  return bar;
}

/**
 * The list item of `hit`. `view`: `{sortedBy, asText, asked, address, liked, onOpen, onThumb, onGroup}`.
 *
 * Returns `{node, link, aspect}`; `aspect` resolves to width / height of the picture, once.
 */
export function card(hit, view) {
  const title = titleOf(hit);
  const asText = view.asText || !hit.thumbnail_url;
  const link = el("a", {
    className: "open", href: view.address(hit.key), tabIndex: -1, draggable: false,
    on: { click: (event) => plainClick(event) && (event.preventDefault(), view.onOpen(hit.key)) },
  });
  const caption = captionOf(hit.attributes, view.sortedBy);
  const facts = el("div", { className: "facts" },
    caption && el("span", { className: "caption" }, caption), variants(hit, view), relevanceBar(hit.relevance));
  const node = el("li", { className: asText ? "card card-text" : "card", data: { key: hit.key } },
    link, facts.hasChildNodes() && facts, thumbs(hit, title, view));
  if (asText) {
    const text = hit.text ?? title;
    link.append(el("span", { className: "said" }, el("span", { className: "words", dir: "auto" }, text)));
    if (hit.thumbnail_url) link.prepend(smallPicture(hit.thumbnail_url));
    return { node, link, aspect: Promise.resolve(1) };
  }
  const frame = el("span", { className: "frame" });
  const className = isFileName(hit) ? "title file-name" : "title";
  link.append(frame, el("span", { className, title, dir: "auto" }, title));
  return { node, link, aspect: fill(frame, hit.thumbnail_url) };
}

/** A picture in a small square. */
export function smallPicture(url) {
  const image = el("img", { alt: "", className: "small-picture" });
  show(image, thumbnail(url, 128)).catch(() => image.replaceWith(icon("broken")));
  return image;
}

async function fill(frame, url) {
  const image = el("img", { alt: "", draggable: false });
  frame.append(image);
  const shown = show(image, thumbnail(url, SIZE)).then(
    () => { frame.classList.add("ready"); return image.naturalWidth / image.naturalHeight || 1; },
    () => { frame.replaceChildren(icon("broken")); frame.classList.add("ready"); return 1; },
  );
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, 1));
  return Math.min(WIDEST, Math.max(NARROWEST, await Promise.race([shown, late])));
}

function variants(hit, view) {
  if (!hit.group || !hit.variants || hit.variants < 2) return null;
  const more = `+${hit.variants - 1}`;
  const label = `${count(hit.variants, "item")} of the group ${hit.group}: show all`;
  const props = { className: "variants", tabIndex: -1, title: label, ariaLabel: label };
  return button(more, () => view.onGroup(hit.group), props);
}

function thumbs(hit, title, view) {
  const thumb = (name, up, words, key) =>
    iconButton(name, `${words}: ${title}`, () => view.onThumb(hit.key, up), { tabIndex: -1, title: `${words} (${key})` });
  const up = thumb("plus", true, "More like this", "m");
  up.ariaPressed = String(view.liked.includes(hit.key));
  return el("div", { className: "thumbs" }, up, view.asked && thumb("minus", false, "Less like this", "x"));
}

function plainClick(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}
