/** The server, and what may go wrong with it. */

const KEY = "mmsearch-key"; // of sessionStorage: gone with the tab

// What HTTP's own phrases mean to people ("Bad Request"); a picture is what most often cannot be read.
const TITLES = {
  400: "This search is not possible",
  403: "This is not allowed",
  404: "It is not there any more",
  409: "The collection is being changed",
  413: "This is too large",
  422: "This search is not possible",
  500: "The server made a mistake",
  507: "The server's disk is full",
};
const TITLES_OF_KINDS = { ImageError: "This picture cannot be read" };

/** An answer that is none. `status` 0: the server cannot be reached. `kind`: of the library's errors. */
export class Problem extends Error {
  constructor(status, title, detail, { position = null, kind = null } = {}) {
    super(detail);
    this.status = status;
    this.title = title;
    this.position = position;
    this.kind = kind;
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
  const { status } = response;
  const kind = body?.type?.replace("urn:mmsearch:", "") ?? null;
  const busy = [429, 503, 504].includes(status);
  const said = TITLES_OF_KINDS[kind] ?? TITLES[status] ?? body?.title ?? `Status ${status}`;
  const detail = body?.detail ?? "The server gave no reason.";
  throw new Problem(status, busy ? "The server is busy" : said, detail, { position: body?.position ?? null, kind });
}
