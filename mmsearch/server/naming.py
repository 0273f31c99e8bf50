"""Keys of items, as clients write them and as items have them.

What comes in over HTTP, or as a row, is stored stripped and in Unicode normal form C; files are
named as they lie on disk. So a key is meant as it is if an item has it so, and else as stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mmsearch.tables.values import clean_text
from mmsearch.types import Query


def has_controls(text: str) -> bool:
    """Whether control characters are in it: names of files may hold them, other names do not."""
    return any(ord(char) < 0x20 or ord(char) == 0x7F for char in text)


def new_key(key: str) -> str:
    """The key of an item to come, as it will be stored.

    Raises ValueError for one that nobody could see or type.
    """
    clean = clean_text(key)
    if not clean:
        raise ValueError("a key needs at least one visible character")
    if has_controls(clean):
        raise ValueError("a key holds no control characters, such as tabs and line ends")
    return clean


def odd_keys(keys: Iterable[str]) -> dict[str, str]:
    """Those of `keys` that no row has so, and how it would have them."""
    return {key: clean for key in keys if (clean := clean_text(key)) != key}


def keys_of(query: Query) -> list[str]:
    """All that a query names."""
    keys = [term.item for term in query.terms if term.item is not None]
    modifiers = [key for part in _named(query.modifiers).values() for key in part]
    return [*keys, *query.liked, *query.disliked, *query.exclude, *modifiers]


def renamed(query: Query, names: Mapping[str, str]) -> Query:
    """`query` with the keys of items in the place of those in `names`."""

    def all_of(keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(names.get(key, key) for key in keys)

    terms = (
        term if term.item is None else replace(term, item=names.get(term.item, term.item))
        for term in query.terms
    )
    modifiers = dict(query.modifiers or {})
    for name, part in _named(query.modifiers).items():
        modifiers[name] = (
            {names.get(key, key): place for key, place in part.items()}
            if isinstance(part, dict)
            else list(all_of(part))
        )
    return replace(
        query,
        terms=tuple(terms),
        liked=all_of(query.liked),
        disliked=all_of(query.disliked),
        exclude=all_of(query.exclude),
        modifiers=query.modifiers and modifiers,
    )


def _named(modifiers: Mapping[str, Any] | None) -> dict[str, Any]:
    """What modifiers pin and bury, unless the library will say that it is of another form."""
    found = {name: (modifiers or {}).get(name) for name in ("pinned", "buried")}
    return {
        name: part
        for name, part in found.items()
        if isinstance(part, dict | list) and all(isinstance(key, str) for key in part)
    }
