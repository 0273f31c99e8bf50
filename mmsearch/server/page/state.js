/**
 * What the page shows, as one frozen value. The address holds all of it but dropped pictures, which
 * the history entry refers to by number, so that back and forward find them while the page is open.
 */

export const EMPTY = Object.freeze({
  q: "",
  images: [], // numbers of dropped pictures
  like: [], // keys: items that are part of the query
  liked: [], // keys that move the query towards them,
  disliked: [], // and away from them
  to: null, // "image" or "text"
  is: {}, // attribute -> values, any of them
  range: {}, // attribute -> [low, high], null: open
  within: null, // a group
  where: "", // a filter that was typed
  sort: "", // an attribute; a leading minus: descending
  group: false,
  all: false, // also what is less relevant
  item: null, // key of the one that is open
});

/** The state that an address stands for. What it does not know, it ignores. */
export function fromAddress(search, images = []) {
  const given = new URLSearchParams(search);
  const is = {};
  const range = {};
  for (const [key, value] of given) {
    const name = key.slice(key.indexOf(".") + 1);
    if (key.startsWith("is.")) (is[name] ??= []).push(readValue(value));
    else if (key.startsWith("min.")) setEnd(range, name, 0, value);
    else if (key.startsWith("max.")) setEnd(range, name, 1, value);
  }
  const to = given.get("to");
  return Object.freeze({
    ...EMPTY,
    q: given.get("q") ?? "",
    images,
    like: unique(given.getAll("like")),
    liked: unique(given.getAll("up")),
    disliked: unique(given.getAll("down")).filter((key) => !given.getAll("up").includes(key)),
    to: to === "image" || to === "text" ? to : null,
    is,
    range,
    within: given.get("in"),
    where: given.get("where") ?? "",
    sort: given.get("sort") ?? "",
    group: given.get("group") === "1",
    all: given.get("all") === "1",
    item: given.get("item"),
  });
}

/** The address of a state, from the question mark on; "/" for the empty one. */
export function toAddress(state) {
  const out = new URLSearchParams();
  const set = (key, value) => value && out.append(key, value);
  set("q", state.q.trim());
  for (const key of state.like) out.append("like", key);
  for (const key of state.liked) out.append("up", key);
  for (const key of state.disliked) out.append("down", key);
  set("to", state.to);
  for (const [name, values] of Object.entries(state.is)) {
    for (const value of values) out.append(`is.${name}`, writeValue(value));
  }
  for (const [name, [low, high]] of Object.entries(state.range)) {
    if (low !== null) out.append(`min.${name}`, String(low));
    if (high !== null) out.append(`max.${name}`, String(high));
  }
  if (state.within !== null) out.append("in", state.within);
  set("where", state.where.trim());
  set("sort", state.sort);
  set("group", state.group && "1");
  set("all", state.all && "1");
  if (state.item !== null) out.append("item", state.item);
  const text = out.toString();
  return text ? `/?${text}` : "/";
}

/** Whether something is looked for, and not only listed. */
export function asks(state) {
  return Boolean(state.q.trim() || state.images.length || state.like.length || state.liked.length);
}

export function isNarrowed(state) {
  return Boolean(Object.keys(state.is).length || Object.keys(state.range).length || state.within !== null || state.where.trim());
}

/** `values` of an attribute chosen; none of them: the attribute is free again. */
export function withValues(state, name, values) {
  return { ...state, is: put(state.is, name, values.length ? values : null) };
}

/** `low` to `high` of an attribute chosen; both null: it is free again. */
export function withRange(state, name, low, high) {
  return { ...state, range: put(state.range, name, low === null && high === null ? null : [low, high]) };
}

/** A thumb up or down; the same thumb again takes it back. */
export function withThumb(state, key, up) {
  const [to, from] = up ? ["liked", "disliked"] : ["disliked", "liked"];
  const had = state[to].includes(key);
  const others = state[to].filter((one) => one !== key);
  return { ...state, [to]: had ? others : [...others, key], [from]: state[from].filter((one) => one !== key) };
}

export function unfiltered(state) {
  return { ...state, is: {}, range: {}, within: null, where: "" };
}

function put(object, name, value) {
  const { [name]: _, ...others } = object;
  return value === null ? others : { ...others, [name]: value };
}

// A string stands for itself unless it would be read as another type: then it is quoted as in JSON.
function writeValue(value) {
  return readValue(value) === value && typeof value === "string" ? value : JSON.stringify(value);
}

function readValue(text) {
  try {
    const value = JSON.parse(text);
    return ["string", "number", "boolean"].includes(typeof value) ? value : text;
  } catch {
    return text;
  }
}

function setEnd(range, name, end, text) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return;
  range[name] ??= [null, null];
  range[name][end] = value;
}

const unique = (keys) => [...new Set(keys.filter(Boolean))];
