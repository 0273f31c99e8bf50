/** The page: one state, shown; every wish is a new state, and every state an address. */

import { explore } from "./catalogue.js";
import { showChips, showTerms } from "./chips.js";
import { detailDialog } from "./detail.js";
import { button, byId, el } from "./dom.js";
import { takePictures } from "./drop.js";
import { showFilters } from "./facets.js";
import { Finder } from "./finder.js";
import { askForKey } from "./keyprompt.js";
import { listenToKeys } from "./keys.js";
import { droppedPicture, keep } from "./pictures.js";
import { Results } from "./results.js";
import { searchBox } from "./searchbox.js";
import { asks, EMPTY, fromAddress, isNarrowed, toAddress, unfiltered, withThumb } from "./state.js";
import { themeButton } from "./themes.js";
import { count, nameText } from "./words.js";

let known = null; // of the collection, see catalogue.js
let state = fromAddress(location.search, history.state?.images ?? []);
let searched = null; // the state that the results are of
let finder = null;
let running = new AbortController();
let paging = false;
let hasGroups = false;
let message = ""; // said once above the results

const panel = byId("filters");
const results = new Results(byId("results"), more);
const box = searchBox((q) => go({ ...state, q }), () => go({ ...state, q: "", images: [], like: [], to: null }));
const detail = detailDialog(
  {
    close: closeItem,
    open: openItem,
    address: addressOf,
    problem: fail,
    thumb: (key, up) => go(withThumb(state, key, up)),
    like: (key, q) => go({ ...EMPTY, like: [key], q }),
  },
  () => results.keys,
);

themeButton();
listenToKeys(results, { search: () => box.focus(), thumb });
takePictures(
  async (files) => {
    const images = await Promise.all(files.map(keep));
    go({ ...state, images, q: "", like: [], liked: [], disliked: [], all: false, item: null });
  },
  (name) => {
    message = `“${name}” is no picture.`;
    showNote();
  },
);
byId("home").addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(EMPTY);
});
byId("sort").addEventListener("change", (event) => go({ ...state, sort: event.target.value }));
byId("group").addEventListener("change", (event) => go({ ...state, group: event.target.checked }));
byId("show-filters").addEventListener("click", () => {
  const open = panel.classList.toggle("open");
  byId("show-filters").setAttribute("aria-expanded", String(open));
});
addEventListener("popstate", (event) => {
  state = fromAddress(location.search, event.state?.images ?? []);
  render();
});
addEventListener("online", () => searched === null && render());

history.replaceState({ images: state.images }, "");
render();

// ---- from one state to the next

function go(next) {
  message = "";
  const address = toAddress(next);
  const images = next.images.filter(droppedPicture);
  const same = address === location.pathname + location.search && String(images) === String(state.images);
  const anew = { ...next, images };
  if (queryOf(anew) !== queryOf(state)) scrollTo({ top: 0 });
  const wasOpen = state.item !== null;
  state = Object.freeze(anew);
  // What is done in the dialog does not pile up behind it.
  if (wasOpen && state.item !== null) history.replaceState({ ...history.state, images }, "", address);
  else if (!same) history.pushState({ images }, "", address);
  render();
}

function thumb(key, up) {
  if (!up && !asks(state)) return; // away from it, but from where?
  go(withThumb(state, key, up));
}

function openItem(key) {
  const next = Object.freeze({ ...state, item: key });
  // From one item to the next is one step back, not many.
  if (state.item === null) history.pushState({ images: state.images, opened: queryOf(state) }, "", toAddress(next));
  else history.replaceState(history.state, "", toAddress(next));
  state = next;
  render();
}

function closeItem() {
  const key = state.item;
  if (history.state?.opened === queryOf(state)) {
    addEventListener("popstate", () => results.focusKey(key), { once: true });
    history.back();
    return;
  }
  state = Object.freeze({ ...state, item: null });
  history.replaceState({ images: state.images }, "", toAddress(state));
  render();
  results.focusKey(key);
}

function addressOf(key) {
  return toAddress({ ...state, item: key });
}

// ---- showing it

async function render() {
  const pictures = state.images.map((number) => ({ number, ...droppedPicture(number) })).filter((one) => one.url);
  if (pictures.length < state.images.length) {
    message = "The picture is gone: it was never part of the link. Drop it again to go on.";
    state = Object.freeze({ ...state, images: pictures.map((one) => one.number) });
  }
  const hasTerms = pictures.length + state.like.length > 0;
  box.show(state.q, hasTerms, Boolean(state.q || hasTerms));
  showTerms(byId("terms"), state, pictures, go);
  showChips(byId("chips"), state, go);
  showNote();
  document.title = state.q ? `${state.q} · mmsearch` : "mmsearch";
  const shown = detail.show(state);
  if (searched === null || queryOf(searched) !== queryOf(state)) await run();
  await shown;
}

async function run() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const asked = state;
  results.wait();
  document.body.classList.add("busy");
  try {
    known ??= await explore(signal);
    if (known.collection.items === 0) return empty();
    showTools();
    finder = new Finder(known, asked, signal);
    const [answer, freed] = await Promise.all([finder.first(), finder.freed()]);
    if (signal.aborted) return;
    hasGroups ||= answer.hits.some((hit) => hit.group !== null);
    searched = asked;
    showTools();
    const facets = [...answer.facets.filter((one) => !freed.some((two) => two.attribute === one.attribute)), ...freed];
    showFilters(panel, known, asked, facets, go);
    await showAnswer(answer, signal);
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    fail(error);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

async function showAnswer(answer, signal) {
  const asked = asks(searched);
  if (!answer.hits.length) {
    status(asked ? "No results" : "No items");
    const why = isNarrowed(searched) ? "No item passes these filters." : "There is nothing of this kind here.";
    const all = asked && !searched.all && button("Also what is less relevant", showAll);
    results.say("search", "Nothing fits", why, isNarrowed(searched) && clearFilters(), all);
    return;
  }
  status(summary(answer));
  const said = el("strong", {}, "Nothing here is really about that.");
  const before = answer.nearest ? el("p", { className: "no-match" }, said, " Nearest:") : null;
  await results.show(answer.hits, viewOf(answer.hits, signal), { before, dimmed: answer.nearest, final: !finder.hasMore });
  if (!finder.hasMore) theEnd(answer);
  detail.place();
}

/** What was found, in a few words. */
function summary({ nearest, total }) {
  if (nearest) return "No match";
  const items = count(total, "item");
  if (!asks(searched)) return isNarrowed(searched) ? `${items} of ${count(known.collection.items, "item")}` : items;
  if (searched.all || !known.judges) return `${items}, best first`;
  // Groups are shown once, but items are counted.
  return searched.group ? count(total, "matching item") : count(total, "match", "matches");
}

function showAll() {
  go({ ...state, all: true });
}

function clearFilters() {
  return button("Clear the filters", () => go(unfiltered(state)), { className: "button primary" });
}

async function more() {
  if (paging || !finder?.hasMore) return;
  paging = true;
  const { signal } = running;
  try {
    const hits = await finder.next();
    if (signal.aborted) return;
    await results.append(hits, viewOf(hits, signal), !finder.hasMore);
    if (!finder.hasMore) theEnd({ nearest: false });
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    if (error.status === 401) return fail(error);
    const again = button("Try again", () => (results.end(), more()));
    results.end(el("p", {}, `${error.title}. ${error.message}`), again);
  } finally {
    paging = false;
  }
}

function theEnd({ nearest }) {
  if (nearest) return;
  if (!asks(searched) || searched.all || !known.judges) return results.end(el("p", {}, "That is all."));
  results.end(el("p", {}, "That is all that fits."), button("Show the less relevant too", showAll));
}

function viewOf(hits, signal) {
  const asText = searched.to === "text" || hits.every((hit) => !hit.thumbnail_url);
  return {
    signal,
    asText,
    sortedBy: searched.sort.replace(/^-/, ""),
    asked: asks(searched),
    address: addressOf,
    liked: searched.liked,
    onOpen: openItem,
    onThumb: thumb,
    onGroup: (group) => go({ ...state, within: group, group: false }),
  };
}

function showTools() {
  const { collection, facets, sortable, types } = known;
  byId("show-filters").hidden = panel.hidden = !Object.keys(types).length;
  document.body.classList.toggle("without-filters", !Object.keys(types).length);
  byId("show-filters").classList.toggle("active", isNarrowed(state));
  if (!panel.hasChildNodes()) showFilters(panel, known, state, facets, go);

  const orders = sortable.flatMap(({ name, numbers }) => [
    [name, numbers ? `${nameText(name)}, low to high` : `${nameText(name)}, A to Z`],
    ...(numbers ? [[`-${name}`, `${nameText(name)}, high to low`]] : []),
  ]);
  const chosen = state.sort && !orders.some(([value]) => value === state.sort) ? [[state.sort, state.sort]] : [];
  const sort = byId("sort");
  const first = ["", asks(state) ? "Most relevant" : "As added"];
  sort.replaceChildren(...[first, ...orders, ...chosen].map(([value, words]) => el("option", { value }, words)));
  sort.value = state.sort;
  sort.parentElement.hidden = orders.length === 0;

  byId("group-label").hidden = !hasGroups && !state.group;
  byId("group").checked = state.group;

  const tabs = byId("tabs");
  const wanted = state.images.length || state.to;
  tabs.hidden = !(wanted && collection.images && collection.texts);
  const current = state.to ?? (state.images.length ? "image" : null);
  tabs.replaceChildren(...[["image", "Pictures"], ["text", "Texts"]].map(([to, words]) =>
    button(words, () => go({ ...state, to }), { className: "", ariaPressed: String(current === to) })));
}

function showNote() {
  const note = byId("note");
  const quiet = state.images.length ? "A dropped picture is not part of the link to this page." : "";
  note.textContent = message || quiet;
  note.hidden = !note.textContent;
}

function empty() {
  status("Nothing here yet");
  results.say("picture", "This collection is empty", "Add a folder of pictures, or a table of products: mmsearch index FOLDER");
}

function fail(error) {
  searched = null;
  if (error.status === 400) known = null; // an attribute that it names may have gone
  document.body.classList.remove("busy");
  if (!(error.status >= 0)) throw error; // a fault of ours: the console has it
  if (error.status === 401) {
    askForKey().then(render);
    return;
  }
  const inFilter = error.position !== null;
  const title = inFilter ? "This filter cannot be read" : error.title;
  status(title);
  const inPicture = state.images.length > 0 && (error.kind === "ImageError" || error.status === 413);
  const again = !inFilter && !inPicture && button("Try again", render, { className: "button primary" });
  const without = inPicture && button(state.images.length > 1 ? "Leave the pictures out" : "Leave it out",
    () => go({ ...state, images: [] }), { className: "button primary" });
  const free = error.status === 400 && !inPicture && isNarrowed(state) && clearFilters();
  results.say(error.status === 0 ? "plug" : inFilter ? "filters" : "broken", title, error.message, again, without, free);
}

function status(text) {
  byId("status").textContent = text;
}

/** What of a state decides the results. */
function queryOf(one) {
  return JSON.stringify({ ...one, item: null });
}
