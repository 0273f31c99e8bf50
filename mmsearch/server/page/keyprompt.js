/** Asks for an access key, where the server wants one. */

import { accessKey, setAccessKey } from "./api.js";
import { byId, el } from "./dom.js";

let asking = null;

/** Resolves when a key was given. One prompt for all who wait. */
export function askForKey() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("key-prompt");
    const input = el("input", { type: "password", id: "access-key", required: true, autocomplete: "off", spellcheck: false });
    const form = el("form", { method: "dialog", on: { submit: (event) => {
      event.preventDefault();
      if (!input.value.trim()) return;
      setAccessKey(input.value.trim());
      asking = null;
      dialog.close();
      resolve();
    } } },
      el("h2", { id: "key-prompt-title" }, accessKey() ? "This key is not accepted" : "This collection asks for a key"),
      el("p", { className: "hint" }, "Enter the key that you were given."),
      el("label", { htmlFor: "access-key" }, "Access key"), input,
      el("p", { className: "hint" }, "It is kept until this tab is closed, and sent to this server only."),
      el("div", { className: "actions" }, el("button", { type: "submit", className: "button primary" }, "Go on")));
    dialog.replaceChildren(form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
  return asking;
}
