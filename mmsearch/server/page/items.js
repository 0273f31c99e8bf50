/** What is known of items, by key: answers bring most of it, the rest is asked for once. */

import * as api from "./api.js";
import { titleOf } from "./words.js";

const known = new Map();

export function remember(hit) {
  known.set(hit.key, { key: hit.key, title: titleOf(hit), thumbnail: hit.thumbnail_url, relevance: hit.relevance });
}

/** `{key, title, thumbnail, relevance}` of an item; its key alone where there is no such item. */
export async function recall(key) {
  if (!known.has(key)) {
    try {
      const found = await api.item(key);
      known.set(key, { key, title: titleOf(found), thumbnail: found.thumbnail_url, relevance: null });
    } catch {
      return { key, title: key, thumbnail: null, relevance: null };
    }
  }
  return known.get(key);
}
