/** The chosen filters as an expression of the filter language (docs/filters.md has its grammar). */

/** Always an attribute, whatever its name is: `"odd ""name"""`. */
export function quoteName(name) {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string, number or truth as the language writes it. Throws a TypeError for anything else. */
export function quoteValue(value) {
  if (typeof value === "string") return `'${value.replaceAll("'", "''")}'`;
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return String(value);
  throw new TypeError(`a filter cannot hold ${String(value)}`);
}

/**
 * Everything that narrows `state`, or "" where nothing does.
 *
 * `types` maps attributes to the types of their values: only a list is asked with `contains`.
 * `without` names an attribute to leave out: its own counts must not be narrowed by itself.
 */
export function whereOf(state, types, without = null) {
  const parts = [];
  for (const [name, values] of Object.entries(state.is)) {
    if (name !== without && values.length) parts.push(oneOf(name, values, types[name] ?? []));
  }
  for (const [name, [low, high]] of Object.entries(state.range)) {
    if (name === without) continue;
    if (low !== null) parts.push(`${quoteName(name)} >= ${quoteValue(low)}`);
    if (high !== null) parts.push(`${quoteName(name)} <= ${quoteValue(high)}`);
  }
  if (state.within !== null) parts.push(`group = ${quoteValue(state.within)}`);
  const typed = state.where.trim();
  if (typed) parts.push(parts.length ? `(${typed})` : typed);
  return parts.join(" and ");
}

/** Conditions of one attribute; `in` takes values of one type only. */
function oneOf(name, values, types) {
  const field = quoteName(name);
  const scalar = types.some((type) => type !== "list" && type !== "null" && type !== "object");
  const either = [];
  for (const type of ["string", "number"]) {
    const same = values.filter((value) => typeof value === type);
    if (same.length && (scalar || !types.length)) {
      either.push(same.length === 1 ? `${field} = ${quoteValue(same[0])}` : `${field} in (${same.map(quoteValue).join(", ")})`);
    }
  }
  for (const value of values) {
    if (typeof value === "boolean" && (scalar || !types.length)) either.push(`${field} = ${value}`);
    if (types.includes("list")) either.push(`${field} contains ${quoteValue(value)}`);
  }
  return either.length === 1 ? either[0] : `(${either.join(" or ")})`;
}
