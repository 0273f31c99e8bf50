/** The server, and what may go wrong with it. */

const KEY = "mmsearch-key"; // of sessionStorage: gone with the tab

/** An answer that is none. `status` 0: the server cannot be reached. */
export class Problem extends Error {
  constructor(status, title, detail, position = null) {
    super(detail);
    this.status = status;
    this.title = title;
    this.position = position;
  }
}

export const accessKey = () => sessionStorage.getItem(KEY);
export const setAccessKey = (key) => sessionStorage.setItem(KEY, key);

/** The headers that every request carries. */
export function credentials() {
  const key = accessKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The JSON at `path`. Throws Problem; an AbortError where `signal` was fired. */
export async function getJson(path, signal) {
  return read(await send(path, { signal, headers: credentials() }));
}

/** An Answer to `query` (a SearchRequest) and, if there are any, to the pictures `files`. */
export async function search(query, files = [], signal = undefined) {
  if (!files.length) {
    const headers = { ...credentials(), "Content-Type": "application/json" };
    return read(await send("/v1/search", { method: "POST", body: JSON.stringify(query), headers, signal }));
  }
  const body = new FormData();
  for (const file of files) body.append("image", file, "picture");
  body.append("query", JSON.stringify(query));
  return read(await send("/v1/search/image", { method: "POST", body, headers: credentials(), signal }));
}

export const collection = (signal) => getJson("/v1/collection", signal);
export const item = (key, signal) => getJson(`/v1/items/${encodeURIComponent(key)}`, signal);
export const similar = (key, k, signal) => getJson(`/v1/similar/${encodeURIComponent(key)}?k=${k}`, signal);
export const suggest = (text, k, signal) => getJson(`/v1/suggest?${new URLSearchParams({ q: text, k })}`, signal);

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (navigator.onLine === false) throw new Problem(0, "You are offline", "The search goes on with the connection.");
    const detail = "It may have been stopped, or is starting. Nothing is lost: try again.";
    throw new Problem(0, "The server does not answer", detail);
  }
}

async function read(response) {
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (response.ok) throw new Problem(response.status, "The answer cannot be read", "What came back is no JSON.");
  }
  if (response.ok) return body;
  const busy = [429, 503, 504].includes(response.status);
  const title = busy ? "The server is busy" : (body?.title ?? `Status ${response.status}`);
  const detail = body?.detail ?? "The server gave no reason.";
  throw new Problem(response.status, title, detail, body?.position ?? null);
}
