/** The results: rows of pictures or cards of texts, more of them on scrolling, moved in by arrows. */

import { card } from "./card.js";
import { el, icon } from "./dom.js";
import { remember } from "./items.js";
import { justify } from "./justify.js";

const GAP = 14;
const SKELETONS = 18;
const AHEAD = "1200px"; // how far below the window the next page is fetched

export class Results {
  #root;
  #list = null;
  #cards = []; // {node, link, hit, aspect}
  #keys = new Set();
  #current = 0;
  #final = false;
  #asText = false;
  #tail = el("div", { className: "tail" });
  #watch;
  #width = 0;

  /** `onMore` is called whenever the end comes near. */
  constructor(root, onMore) {
    this.#root = root;
    this.#watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && onMore(), { rootMargin: AHEAD });
    new ResizeObserver(() => this.#innerWidth() !== this.#width && this.#place()).observe(root);
  }

  /** Grey cards, while nothing is there yet; results that are there only fade. */
  wait() {
    this.#root.setAttribute("aria-busy", "true");
    if (this.#cards.length) return;
    const bones = Array.from({ length: SKELETONS }, () => el("li", { className: "card" }, el("span", { className: "frame" })));
    this.#replace(el("ul", { className: "pictures skeletons", ariaHidden: "true" }, bones));
  }

  /** The hits of a new answer; `view` is what cards need. `before` goes above them. */
  async show(hits, view, { before = null, dimmed = false, final }) {
    const fresh = this.#make(hits, view, new Set());
    const aspects = await Promise.all(fresh.map((one) => one.ready));
    if (view.signal.aborted) return;
    const focused = this.#cards.findIndex((one) => one.node.contains(document.activeElement));
    const key = this.#cards[focused]?.hit.key;
    this.#asText = view.asText;
    this.#cards = fresh.map((one, n) => ({ ...one, aspect: aspects[n] }));
    this.#keys = new Set(hits.map((hit) => hit.key));
    this.#current = 0;
    this.#final = final;
    const className = (view.asText ? "texts" : "pictures") + (dimmed ? " dimmed" : "");
    this.#list = el("ul", { className, ariaLabel: "Results" }, this.#cards.map((one) => one.node));
    this.#tail.replaceChildren();
    this.#replace(...[before, this.#list, this.#tail].filter(Boolean));
    this.#place();
    this.#focusable();
    if (!final) this.#watch.observe(this.#tail);
    // Who went through the results by keys goes on there: at the same item, or in its place.
    if (focused >= 0 && !this.focusKey(key)) this.#focus(this.#cards[focused] ?? this.#cards.at(-1));
  }

  /** More hits of the same answer; those that are there already are left out. */
  async append(hits, view, final) {
    const fresh = this.#make(hits, view, this.#keys);
    for (const one of fresh) this.#keys.add(one.hit.key);
    const aspects = await Promise.all(fresh.map((one) => one.ready));
    if (view.signal.aborted) return;
    fresh.forEach((one, n) => this.#cards.push({ ...one, aspect: aspects[n] }));
    this.#list.append(...fresh.map((one) => one.node));
    this.#final = final;
    this.#place();
    this.#watch.unobserve(this.#tail);
    if (!final) this.#watch.observe(this.#tail); // anew: it says at once whether the end is near
  }

  /** What stands behind the last card. */
  end(...children) {
    this.#watch.unobserve(this.#tail);
    this.#tail.replaceChildren(...children);
  }

  /** Words in the place of results: an icon, a heading, a text and what can be done.
   *
   * Further lines of the text are a filter with a mark below its fault, which must not wrap.
   */
  say(name, heading, text, ...actions) {
    this.#cards = [];
    this.#list = null;
    const [words, ...lines] = text.split("\n");
    const quoted = lines.length > 0 && el("pre", {}, lines.join("\n"));
    const below = el("div", { className: "actions" }, actions);
    this.#replace(el("div", { className: "message" }, icon(name), el("h2", {}, heading), el("p", {}, words), quoted, below));
  }

  get keys() {
    return this.#cards.map((one) => one.hit.key);
  }

  /** The hit that has the focus, if any has. */
  get focused() {
    return this.#cards.find((one) => one.node.contains(document.activeElement))?.hit ?? null;
  }

  /** Moves the focus by an arrow key; from outside, to the card that had it last. */
  move(key) {
    const shown = this.#cards.filter((one) => !one.node.hidden);
    if (!shown.length) return false;
    const here = shown.findIndex((one) => one.node.contains(document.activeElement));
    if (here < 0) return this.#focus(shown[Math.min(this.#current, shown.length - 1)]);
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: shown.length - 1 }[key];
    if (next !== undefined) return this.#focus(shown[next]);
    return this.#focus(nearest(shown, here, key === "ArrowDown" ? 1 : -1));
  }

  focusKey(key) {
    return this.#focus(this.#cards.find((one) => one.hit.key === key));
  }

  // ---- inside

  #make(hits, view, known) {
    return hits.filter((hit) => !known.has(hit.key)).map((hit) => {
      remember(hit);
      const { node, link, aspect } = card(hit, view);
      node.addEventListener("focusin", () => this.#makeCurrent(node));
      return { node, link, hit, ready: aspect };
    });
  }

  #replace(...children) {
    this.#root.removeAttribute("aria-busy");
    this.#root.replaceChildren(...children);
  }

  // Whole pixels that are really there: clientWidth rounds up, and a row would break.
  #innerWidth() {
    return Math.floor(this.#root.getBoundingClientRect().width);
  }

  #place() {
    this.#width = this.#innerWidth();
    if (!this.#list || this.#asText || !this.#width) return;
    const height = this.#width < 560 ? 175 : this.#width < 1000 ? 200 : 224;
    const { sizes, closed } = justify(this.#cards.map((one) => one.aspect), this.#width, height, GAP);
    this.#cards.forEach(({ node }, n) => {
      node.style.width = `${sizes[n].width}px`;
      node.style.setProperty("--height", `${sizes[n].height}px`);
      // An open row waits for the next page, so that it need not move.
      node.hidden = !this.#final && n >= closed && closed > 0;
    });
  }

  // One card at a time can be reached by Tab, with its buttons; arrows go to the others.
  #focusable() {
    this.#cards.forEach((one, n) => setTabIndex(one.node, n === this.#current ? 0 : -1));
  }

  #makeCurrent(node) {
    const before = this.#cards[this.#current];
    if (before) setTabIndex(before.node, -1);
    this.#current = this.#cards.findIndex((one) => one.node === node);
    setTabIndex(node, 0);
  }

  #focus(one) {
    if (!one) return false;
    one.link.focus({ preventScroll: true });
    one.node.scrollIntoView({ block: "nearest" });
    return true;
  }
}

function setTabIndex(node, index) {
  for (const one of node.querySelectorAll("a, button")) one.tabIndex = index;
}

/** The card of the next row whose middle is nearest. */
function nearest(cards, here, direction) {
  const from = cards[here].node;
  const middle = (node) => node.offsetLeft + node.offsetWidth / 2;
  const away = ({ node }) => Math.abs(middle(node) - middle(from));
  const rows = cards.filter(({ node }) => direction * (node.offsetTop - from.offsetTop) > 0);
  if (!rows.length) return null;
  const tops = rows.map(({ node }) => node.offsetTop);
  const top = direction > 0 ? Math.min(...tops) : Math.max(...tops);
  const row = rows.filter(({ node }) => node.offsetTop === top);
  return row.reduce((best, one) => (away(one) < away(best) ? one : best));
}
