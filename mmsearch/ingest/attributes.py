"""New attributes for known items: no file is opened and nothing is encoded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from mmsearch.catalog.catalog import Catalog
from mmsearch.types import Failure, UpdateReport

# One transaction each: a crash leaves whole items, and readers see progress.
ITEMS_PER_COMMIT = 10_000


def update_attributes(catalog: Catalog, wanted: Mapping[str, Mapping[str, Any]]) -> UpdateReport:
    """Per key, set the named attributes and remove those that are None.

    An item changes as a whole or, with a Failure of its key, not at all. The caller holds the
    writer's lock.
    """
    updated = unchanged = 0
    failures: list[Failure] = []
    rest = iter(wanted)
    while keys := list(islice(rest, ITEMS_PER_COMMIT)):
        stored = catalog.by_key(key for key in keys if isinstance(key, str))
        changed: dict[int, dict[str, Any]] = {}
        for key in keys:
            item = stored.get(key)
            if item is None:
                failures.append(Failure(str(key), "no item has this key"))
                continue
            if reason := _why_not(wanted[key]):
                failures.append(Failure(key, reason))
                continue
            merged = {**item.attributes, **wanted[key]}
            new = {name: value for name, value in merged.items() if value is not None}
            if _json(new) == _json(item.attributes):
                unchanged += 1
            else:
                changed[item.id] = new
        if changed:
            catalog.set_attributes(changed)
        updated += len(changed)
    return UpdateReport(updated, unchanged, tuple(failures))


def _why_not(attributes: Any) -> str | None:
    """What keeps these attributes from being stored as JSON; None if nothing does."""
    if not isinstance(attributes, Mapping):
        return f"its attributes must be a mapping, not {type(attributes).__name__}"
    for name, value in attributes.items():
        if not isinstance(name, str) or not name:
            return f"an attribute's name must be a text of at least one letter, not {name!r}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"attribute {name!r}: {value} is no number that can be stored"
        try:
            if _has_nul({name: value}):
                return f"attribute {name!r} holds U+0000, which no filter could see; remove it"
            _json({name: value}).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return f"attribute {name!r} cannot be stored ({error}); give what JSON can hold"
    return None


def _has_nul(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_nul(one) for pair in value.items() for one in pair)
    if isinstance(value, list | tuple):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _json(value: Any) -> str:
    # Text, not ==: 1, 1.0 and True are equal in Python and different in JSON.
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
