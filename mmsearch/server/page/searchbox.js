/** The box: words with suggestions, after the pattern of a combobox with a list (WAI-ARIA APG). */

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { valueText } from "./words.js";

const PAUSE_MS = 120;
const SUGGESTIONS = 8;
const LONGEST = 120; // characters: whole texts are no completions

/** `onSearch` takes the words that were entered, `onClear` nothing. */
export function searchBox(onSearch, onClear) {
  const [form, input, list, clear] = ["search", "q", "suggestions", "clear"].map(byId);
  let at = -1; // of the chosen suggestion
  let typed = "";
  let timer = 0;
  let asking = new AbortController();

  const options = () => [...list.children];
  const close = () => {
    clearTimeout(timer);
    asking.abort();
    list.hidden = true;
    list.replaceChildren();
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const enter = (words) => {
    close();
    input.value = words;
    onSearch(words.trim());
  };
  const choose = (n) => {
    at = n;
    options().forEach((option, number) => option.setAttribute("aria-selected", String(number === n)));
    if (n < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", options()[n].id);
    input.value = n < 0 ? typed : options()[n].dataset.text;
  };
  const offer = (found) => {
    list.replaceChildren(...found.map(({ text, items }, n) => {
      const pointerdown = (event) => (event.preventDefault(), enter(text));
      const props = { id: `suggestion-${n}`, role: "option", ariaSelected: "false", data: { text }, on: { pointerdown } };
      const often = el("span", { className: "value-count", ariaHidden: "true" }, valueText(items));
      return el("li", props, el("span", { dir: "auto" }, text), often);
    }));
    list.hidden = found.length === 0;
    at = -1;
    input.setAttribute("aria-expanded", String(found.length > 0));
  };
  const ask = async () => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const { suggestions } = await api.suggest(input.value, SUGGESTIONS, signal);
      const short = suggestions.filter(({ text }) => text.length <= LONGEST && !text.includes("\n"));
      if (!signal.aborted && document.activeElement === input) offer(short);
    } catch {
      close(); // without suggestions one can search as well; the search itself says what is wrong
    }
  };

  input.addEventListener("input", () => {
    typed = input.value;
    clearTimeout(timer);
    if (typed.trim()) timer = setTimeout(ask, PAUSE_MS);
    else close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const n = options().length;
    if (event.key === "ArrowDown" && n) choose(at + 1 >= n ? -1 : at + 1);
    else if (event.key === "ArrowUp" && n) choose(at < 0 ? n - 1 : at - 1);
    else if (event.key === "Escape" && n) {
      input.value = typed;
      close();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  input.addEventListener("blur", close);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter(input.value);
  });
  clear.addEventListener("click", () => {
    close();
    onClear();
    input.focus();
  });

  return {
    focus() {
      input.focus();
      input.select();
    },
    /** `words` of the state; what they add to decides what the empty box says. */
    show(words, hasTerms, clearable) {
      if (input.value !== words) input.value = words;
      typed = words;
      input.placeholder = hasTerms ? "…but red, or on the beach" : "Describe it, or drop a picture";
      clear.hidden = !clearable;
    },
  };
}
