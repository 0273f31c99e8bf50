"""Saved concepts: a query's terms and feedback under a name, in `concepts.json`.

They are kept as words and keys, not as vectors, so that they outlive a move to another model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.durable import sync_directory
from mmsearch.errors import CorruptionError, ItemNotFoundError, StorageError, UsageError
from mmsearch.types import Query, Term


@dataclass(frozen=True)
class Concept:
    """Weighted texts and items, and liked and disliked items, under a name."""

    name: str
    terms: tuple[Term, ...]
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, query: Query) -> Concept:
        """What a query looks for, as a concept. Raises UsageError."""
        if not name.strip() or len(name) > 100:
            raise UsageError(f"a concept's name has 1 to 100 characters, not {len(name)}")
        for term in query.terms:
            if term.image is not None:
                raise UsageError(
                    "a concept keeps texts and stored items: index the picture first, then name "
                    "it by its key"
                )
            if term.concept is not None:
                raise UsageError(f"a concept cannot hold another one ({term.concept!r})")
        if not query.terms and not query.liked:
            raise UsageError(f"nothing to save as {name!r}: give words, items or liked items")
        return cls(name, query.terms, query.liked, query.disliked)


class Concepts:
    """The concepts of one collection; the caller of a writing method holds the writer's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], dict[str, Concept]] | None = None

    def all(self) -> dict[str, Concept]:
        """Concepts by name, in the order of the names. Raises CorruptionError, StorageError."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if self._read is None or self._read[0] != stamp:
            self._read = stamp, self._load()
        return dict(self._read[1])

    def get(self, name: str) -> Concept:
        """Raises ItemNotFoundError."""
        known = self.all()
        if name not in known:
            named = ", ".join(known) if known else "none is saved yet"
            raise ItemNotFoundError(f"no concept is called {name!r}: there are {named}")
        return known[name]

    def save(self, concept: Concept) -> None:
        """Add or replace. Raises StorageError."""
        self._write({**self.all(), concept.name: concept})

    def remove(self, name: str) -> None:
        """Raises ItemNotFoundError, StorageError."""
        self.get(name)
        self._write({other: it for other, it in self.all().items() if other != name})

    def _load(self) -> dict[str, Concept]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            return {name: _from_json(name, value) for name, value in sorted(stored.items())}
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptionError(
                f"{self._path} is damaged ({error}): restore it, or delete it and save the "
                "concepts again"
            ) from error

    def _write(self, concepts: Mapping[str, Concept]) -> None:
        temporary = self._path.with_suffix(".tmp")
        text = json.dumps({name: _to_json(it) for name, it in concepts.items()}, indent=1)
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            raise StorageError(
                f"cannot write {self._path}: {error.strerror}; the concepts are as they were"
            ) from error


def _to_json(concept: Concept) -> dict[str, Any]:
    terms = [
        {"text": one.text, "weight": one.weight}
        if one.text is not None
        else {"item": one.item, "weight": one.weight}
        for one in concept.terms
    ]
    return {"terms": terms, "liked": list(concept.liked), "disliked": list(concept.disliked)}


def _from_json(name: str, value: Mapping[str, Any]) -> Concept:
    terms = tuple(
        Term(text=one.get("text"), item=one.get("item"), weight=float(one["weight"]))
        for one in value["terms"]
    )
    return Concept(name, terms, tuple(value["liked"]), tuple(value["disliked"]))
