"""What a query asks for in this collection: candidates, vectors and rules, before any ranking."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.errors import ItemNotFoundError, UsageError
from mmsearch.ranking.calibrate import FEWEST
from mmsearch.ranking.cursor import Cursor, decode, query_digest
from mmsearch.search.candidates import Candidates
from mmsearch.search.defaults import Defaults
from mmsearch.search.indexes import Indexes
from mmsearch.search.plan import Planner
from mmsearch.search.rank import Rankings, Search
from mmsearch.types import Membership, Query, Term

if TYPE_CHECKING:
    from mmsearch.ranking.modifiers import Modifiers
    from mmsearch.types import Ids


@dataclass(frozen=True)
class Rules:
    """A shop's modifiers with ids in the place of keys: `pinned` id -> place, `buried` ids."""

    modifiers: Modifiers
    pinned: dict[int, int]
    buried: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query that only has to be ranked and shown.

    `search` is None for one that only filters, `allowed` (ids, ascending) None where all may be
    found. `after` is the cursor of the page before, `digest` what makes two queries the same one.
    `explain` grows on the way; `started` is time.perf_counter().
    """

    query: Query
    search: Search | None
    allowed: Ids | None
    excluded: frozenset[int]
    rules: Rules | None
    digest: str
    after: Cursor | None
    explain: list[str]
    started: float


class Preparation:
    """Prepares queries over one collection."""

    def __init__(
        self,
        catalog: Catalog,
        indexes: Indexes,
        candidates: Candidates,
        planner: Planner,
        rankings: Rankings,
        counted: Callable[[], tuple[Defaults, int]],
    ) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self._candidates = candidates
        self._planner = planner
        self._rankings = rankings
        self._counted = counted

    def defaults(self) -> Defaults:
        """What the collection answers with where a query leaves it open."""
        return self._counted()[0]

    def items(self) -> int:
        """How many live items there are."""
        return self._counted()[1]

    def prepare(self, query: Query, *, judged: bool) -> Prepared:
        """Without `judged`, relevance is measured only where something asked for rests on it.

        Raises UsageError, FilterError, ItemNotFoundError, ImageError, ModelError.
        """
        started = time.perf_counter()
        explain: list[str] = []
        self._candidates.refresh(self._indexes.seq)
        digest = _digest(query)
        after = None if query.cursor is None else decode(query.cursor, digest)
        rules = self._rules(query)
        allowed = self._candidates.allowed(query, self._members, explain)
        excluded = self._candidates.excluded(query)
        search: Search | None = None
        if query.terms or query.liked:
            search = self._planner.plan(query, self.defaults(), allowed, explain)
            search = replace(search, judged=judged or _rests_on_relevance(query))
            if query.explain:
                self._explain(search, explain)
        return Prepared(query, search, allowed, excluded, rules, digest, after, explain, started)

    def _rules(self, query: Query) -> Rules | None:
        """Raises UsageError for modifiers that cannot be read, ItemNotFoundError for their keys."""
        if query.modifiers is None:
            return None
        from mmsearch.ranking.modifiers_json import modifiers_from_json

        modifiers = modifiers_from_json(query.modifiers)
        keys = [*modifiers.pinned, *modifiers.buried]
        known = self._catalog.by_key(keys)
        for key in keys:
            if key not in known:
                raise ItemNotFoundError(f"no item has the key {key!r}, to be pinned or buried")
        live = {key: item.id for key, item in known.items() if item.live}
        return Rules(
            modifiers,
            {live[key]: place for key, place in modifiers.pinned.items() if key in live},
            tuple(sorted(live[key] for key in modifiers.buried if key in live)),
        )

    def _members(self, membership: Membership) -> Ids:
        """(n,) int64 ascending ids of the items that belong to a concept."""
        query = Query((Term(concept=membership.concept),), mode="vector")
        search = self._planner.plan(query, self.defaults(), None, [])
        ids = []
        for block in self._rankings.blocks(search):
            if block.relevance is None:
                raise UsageError(
                    f"the collection is too small to say what belongs to {membership.concept!r}: "
                    f"relevance is measured on {FEWEST} items or more"
                )
            inside = block.ids[block.relevance >= membership.min_relevance]
            if not len(inside):
                break
            ids.append(inside)
        return np.sort(np.concatenate(ids)) if ids else np.empty(0, np.int64)

    def _explain(self, search: Search, explain: list[str]) -> None:
        for modality in search.vectors:
            plan = self._indexes.get(modality).plan(search.allowed)
            explain.append(
                f"{modality} vectors: {plan.way}, {plan.candidates:,} of {plan.size:,} candidates"
            )
        if search.words:
            for word in self._catalog.explain_words(search.words):
                found = f"in {word.items:,} items"
                if not word.terms:
                    found = "no item has it or a word like it"
                elif word.terms != (word.word,):
                    found = f"taken for {', '.join(word.terms)}, {found}"
                explain.append(f"word {word.word!r}: {found}")
        if search.words and search.vectors:
            explain.append(f"fused by {search.fusion}, weights {dict(search.weights)}")


def _rests_on_relevance(query: Query) -> bool:
    return bool(
        query.min_relevance is not None
        or query.sort
        or query.modifiers
        or query.diversity
        or query.fusion == "relevance"
    )


def _digest(query: Query) -> str:
    """What makes two queries the same one, pages aside."""
    request: dict[str, Any] = dict(vars(query))
    del request["cursor"], request["explain"]
    request["terms"] = [
        [term.text, _image_digest(term), term.item, term.weight, term.concept]
        for term in query.terms
    ]
    for name in ("within", "sort"):
        request[name] = [vars(part) for part in request[name]]
    return query_digest(request)


def _image_digest(term: Term) -> str | None:
    if term.image is None or isinstance(term.image, str | Path):
        return None if term.image is None else str(term.image)
    return hashlib.blake2b(term.image.tobytes(), digest_size=8).hexdigest()
