"""New attributes for known items: no file is opened and nothing is encoded.

An item's attributes come from two sides: its row or file tells of some, and people and programs
give it others (`update`, `tag`). The catalog keeps what the row told of beside what the item has,
so that neither overwrites the other: a three-way merge by attribute.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from contextlib import suppress
from itertools import islice
from typing import Any

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import StoredItem
from mmsearch.tables.values import python_value
from mmsearch.types import Failure, UpdateReport

# One transaction each: a crash leaves whole items, and readers see progress.
ITEMS_PER_COMMIT = 50_000

_SCALARS = frozenset((str, int, float, bool))  # most values; json.dumps takes 3 us for each


@collector.paused()
def update_attributes(catalog: Catalog, wanted: Mapping[str, Mapping[str, Any]]) -> UpdateReport:
    """Per key, set the named attributes and remove those that are None.

    An item changes as a whole, its further pictures with it, or, with a Failure of its key, not
    at all. The caller holds the writer's lock. The notes name attributes that had values of one
    type before and have several now.
    """
    mixed_before = notes_of_mixed(catalog.attribute_types())
    updated = unchanged = 0
    failures: list[Failure] = []
    rest = iter(wanted)
    while keys := list(islice(rest, ITEMS_PER_COMMIT)):
        stored = catalog.by_key(key for key in keys if isinstance(key, str))
        further = catalog.further_pictures(stored)
        changed: dict[int, dict[str, Any]] = {}
        were: dict[int, Mapping[str, Any]] = {}
        for key in keys:
            item = stored.get(key)
            if item is None:
                failures.append(Failure(str(key), "no item has this key"))
                continue
            new: Any = wanted[key]
            with suppress(RecursionError):  # nested so deeply that it is refused below
                new = _plain(new)
            if reason := _why_not(new):
                failures.append(Failure(key, reason))
                continue
            if item.picture_of is not None:
                reason = f"it is a further picture of {item.picture_of!r}: update that one"
                failures.append(Failure(key, reason))
                continue
            same = True
            for one in (item, *further.get(key, ())):
                attributes = _given(one, new)
                if _differs(attributes, one.attributes):
                    changed[one.id], were[one.id] = attributes, one.attributes
                    same = False
            updated += not same
            unchanged += same
        if changed:
            catalog.set_attributes(changed, were)
    mixed = notes_of_mixed(catalog.attribute_types())
    if mixed.keys() - mixed_before.keys():
        catalog.forget_types()  # all values of the old type may be gone
        mixed = notes_of_mixed(catalog.attribute_types())
    notes = tuple(note for name, note in mixed.items() if name not in mixed_before)
    return UpdateReport(updated, unchanged, tuple(failures), notes)


def notes_of_mixed(types: Mapping[str, Set[str]]) -> dict[str, str]:
    """What to say of each attribute that is of several types, by its name, in order."""
    notes = {}
    for name, of_name in sorted(types.items()):
        mixed = sorted(of_name & {"boolean", "number", "string"})
        if len(mixed) > 1:
            notes[name] = (
                f"{name!r} is a {' in some items, a '.join(mixed)} in others: a filter finds those "
                "of the type that it compares with; give all cells of the column one type"
            )
    return notes


def _plain(value: Any) -> Any:
    """With Python's values in the place of NumPy's, also in lists and mappings."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return python_value(value)


def _given(item: StoredItem, wanted: Mapping[str, Any]) -> dict[str, Any]:
    together = {**item.attributes, **wanted}
    return {name: value for name, value in together.items() if value is not None}


def _differs(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether these are different as JSON, whatever the order of names."""
    if new.keys() != old.keys():
        return True
    return any(
        value is not old[name] and not _same_json(value, old[name]) for name, value in new.items()
    )


def _same_json(one: Any, other: Any) -> bool:
    if type(one) in _SCALARS and type(other) in _SCALARS:
        return type(one) is type(other) and _text(one) == _text(other)
    return _json(one) == _json(other)


def merged(
    row: Mapping[str, Any], item: StoredItem, *, insist: bool = False
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The attributes that `item` has after its row was read again, and what is `told` of them.

    A column wins where it says something else than it did when it was read last. Attributes that
    were given and have no column stay; those of a column that is gone go with it. `insist`: each
    column wins, for a row that was not read again but handed over.
    """
    new = dict(row)
    if item.told is None:  # nothing was given
        return new, None
    for name, value in item.told.items():
        if name in row and not insist and _equal(row[name], value):
            if name in item.attributes:
                new[name] = item.attributes[name]
            else:
                del new[name]
    new |= {
        name: value
        for name, value in item.attributes.items()
        if name not in row and not (name in item.told and _equal(item.told[name], value))
    }
    return new, None if _equal(new, row) else dict(row)


def _equal(one: Any, other: Any) -> bool:
    # By repr, not ==: 1, 1.0 and True are equal in Python and different in JSON.
    return repr(one) == repr(other)


def _why_not(attributes: Any) -> str | None:
    """What keeps these attributes from being stored as JSON; None if nothing does."""
    if not isinstance(attributes, Mapping):
        return f"its attributes must be a mapping, not {type(attributes).__name__}"
    for name, value in attributes.items():
        if not isinstance(name, str) or not name:
            return f"an attribute's name must be a text of at least one letter, not {name!r}"
        if reason := _why_not_stored(name, value):
            return f"attribute {name!r}{reason}"
    return None


def _why_not_stored(name: str, value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f": {value} is no number that can be stored"
    try:
        if _has_nul(name) or _has_nul(value):
            return " holds U+0000, which no filter could see; remove it"
        name.encode()
        short = value.bit_length() < 64 if isinstance(value, int) else isinstance(value, float)
        if not short:
            _text(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f" cannot be stored ({error}); give what JSON can hold"
    return None


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if value is None or type(value) in _SCALARS:
        return False
    if isinstance(value, Mapping):
        return any(_has_nul(one) for pair in value.items() for one in pair)
    return isinstance(value, list | tuple) and any(map(_has_nul, value))


def _text(value: Any) -> str:
    """What differs where the JSON of two scalars of one type does; of all else the JSON itself."""
    kind = type(value)
    if kind is str:
        return str(value)
    return repr(value) if kind in _SCALARS else _json(value)


def _json(value: Any) -> str:
    # Text, not ==: 1, 1.0 and True are equal in Python and different in JSON.
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
