/** Keys, and the list of them. */

import { byId, el, iconButton } from "./dom.js";

const LIST = [
  ["/", "Search"],
  ["← ↑ ↓ →", "Go through the results"],
  ["Enter", "Open"],
  ["m", "More like this"],
  ["x", "Less like this"],
  ["Esc", "Close, or leave the box"],
  ["?", "These keys"],
];
const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

/** `on`: `{search(), thumb(key, up)}`. Enter opens by itself: a result is a link. */
export function listenToKeys(results, on) {
  const help = byId("keys");
  help.append(
    el("div", { className: "dialog-head" },
      el("h2", { id: "keys-title" }, "Keys"), iconButton("close", "Close (Esc)", () => help.close())),
    el("dl", { className: "keys" }, LIST.map(([names, words]) =>
      el("div", {}, el("dt", {}, names.split(" ").map((name) => el("kbd", {}, name))), el("dd", {}, words)))),
  );
  help.addEventListener("pointerdown", (event) => event.target === help && help.close());
  byId("help").addEventListener("click", () => help.showModal());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const writing = event.target.matches("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape" && writing) return event.target.blur();
    // Down leaves the box for the results, as one expects of a list below it.
    if (writing && !(event.target.id === "q" && event.key === "ArrowDown")) return;
    const hit = results.focused;
    if (event.key === "/") on.search();
    else if (event.key === "?") help.showModal();
    else if (ARROWS.includes(event.key) || (hit && ["Home", "End"].includes(event.key))) {
      if (!hit && event.target !== document.body && event.target.id !== "q" && event.target.id !== "results") return;
      if (!results.move(event.key)) return;
    } else if (event.key === "m" && hit) on.thumb(hit.key, true);
    else if (event.key === "x" && hit) on.thumb(hit.key, false);
    else return;
    event.preventDefault();
  });
}
