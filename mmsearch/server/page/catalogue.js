/** What the collection is like: its attributes, and which of them are worth a filter. */

import * as api from "./api.js";

const SHOWN = 8; // filters; more would be a form
const ASKED = 60; // attributes that are looked at
const FEW = 12; // numbers that are rather a choice than a range
// Bare names of the filter language: an attribute so called is hidden behind them (docs/filters.md).
const FIELDS = new Set(["key", "text", "group", "path"]);

/**
 * `{collection, types, facets, sortable, judges}`: `types` maps each attribute to the types of its
 * values, `facets` are the best for filters, each with a `kind` of "values" or "range", `sortable`
 * names attributes; `judges` whether relevance can be told here, as far as is known.
 */
export async function explore(signal) {
  const collection = await api.collection(signal);
  const types = Object.fromEntries(collection.attributes.map(({ name, types: all }) => [name, all]));
  const names = Object.keys(types).filter((name) => !FIELDS.has(name)).slice(0, ASKED);
  const counted = names.length && collection.items ? await count(names, signal) : [];
  const found = counted.filter((facet) => facet.distinct > 0);
  const sortable = found.filter((facet) => types[facet.attribute].some((type) => type === "number" || type === "string"));
  return {
    collection,
    types,
    facets: best(found, types, collection.items),
    sortable: sortable.map((facet) => ({ name: facet.attribute, numbers: facet.low !== null })),
    judges: true,
  };
}

/** The facets of `names`, without those that the server cannot count: an attribute may just have gone. */
async function count(names, signal) {
  try {
    return (await api.search({ where: "key is not null", k: 1, facets: names }, [], signal)).facets;
  } catch (error) {
    if (error.status !== 400) throw error;
  }
  if (names.length === 1) return [];
  const middle = Math.ceil(names.length / 2);
  const halves = [names.slice(0, middle), names.slice(middle)];
  return (await Promise.all(halves.map((some) => count(some, signal)))).flat();
}

/** Filters are attributes that most items have, with few enough values to choose among. */
function best(facets, types, items) {
  const rated = [];
  for (const facet of facets) {
    const having = items - facet.missing;
    const kind = kindOf(facet, types[facet.attribute], having);
    if (kind === null) continue;
    const ease = kind === "range" ? 0.7 : facet.distinct <= FEW ? 1 : facet.distinct <= 30 ? 0.8 : 0.6;
    rated.push({ ...facet, kind, rating: (having / items) * ease });
  }
  return rated.sort((a, b) => b.rating - a.rating).slice(0, SHOWN);
}

function kindOf(facet, types, having) {
  if (types.includes("number") && facet.low < facet.high && facet.distinct > FEW) return "range";
  const choice = facet.distinct >= 2 && facet.distinct <= Math.max(FEW, having / 3) && facet.counts.length > 0;
  return choice ? "values" : null;
}
