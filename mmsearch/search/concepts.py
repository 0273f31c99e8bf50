"""Saved concepts: a query's terms and feedback under a name, in `concepts.json`.

They are kept as words and keys, not as vectors, so that they outlive a move to another model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mmsearch.durable import replacing
from mmsearch.errors import CorruptionError, ItemNotFoundError, StorageError, UsageError
from mmsearch.ranking.rocchio import Concept
from mmsearch.search.request import require_characters
from mmsearch.types import Query

MAX_NAME = 100


def concept_of(name: str, query: Query) -> Concept:
    """What a query looks for, under a name. Raises UsageError for what cannot be kept."""
    require_characters(name, query.terms, query.liked, query.disliked)
    if len(name) > MAX_NAME:
        raise UsageError(f"a concept's name of {len(name)} characters: {MAX_NAME} at most")
    for term in query.terms:
        if term.concept is not None:
            raise UsageError(f"a concept cannot hold another one ({term.concept!r})")
    return Concept(name, query.terms, query.liked, query.disliked)


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
            there = f"there are {', '.join(known)}" if known else "none is saved yet"
            raise ItemNotFoundError(f"no concept is called {name!r}: {there}")
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
            concepts = [Concept.from_json(one) for one in stored["concepts"]]
            return {one.name: one for one in sorted(concepts, key=lambda one: one.name)}
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, UsageError) as error:
            raise CorruptionError(
                f"{self._path} is damaged ({error}): restore it, or delete it and save the "
                "concepts again"
            ) from error

    def _write(self, concepts: Mapping[str, Concept]) -> None:
        text = json.dumps({"concepts": [it.to_json() for it in concepts.values()]}, indent=1)
        try:
            with replacing(self._path) as new:
                new.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"cannot write {self._path}: {error.strerror}; the concepts are as they were"
            ) from error
