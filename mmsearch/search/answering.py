"""The whole way of one query: candidates, ranking, arrangement, page, facets, hits."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import StoredItem
from mmsearch.errors import ItemNotFoundError, UsageError
from mmsearch.ranking.calibrate import FEWEST
from mmsearch.ranking.cursor import Cursor, cursor_at, decode, page, query_digest
from mmsearch.ranking.ranked import Ranked
from mmsearch.search import arrange
from mmsearch.search.arrange import Shown, Stream
from mmsearch.search.candidates import Candidates
from mmsearch.search.defaults import Defaults
from mmsearch.search.hits import hit_of
from mmsearch.search.indexes import Indexes
from mmsearch.search.plan import Planner
from mmsearch.search.rank import Block, Rankings, Search
from mmsearch.types import (
    MODALITIES,
    Answer,
    Facet,
    Hit,
    Membership,
    Modality,
    Part,
    Query,
    Ranking,
    Term,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.modifiers import Modifiers
    from mmsearch.types import Ids, Vectors

FACET_VALUES = 20


@dataclass(frozen=True)
class Rules:
    """A shop's modifiers with ids in the place of keys: `pinned` id -> place, `buried` ids."""

    modifiers: Modifiers
    pinned: dict[int, int]
    buried: tuple[int, ...]


class Answering:
    """Answers one query at a time, with everything that it may ask for."""

    def __init__(
        self,
        catalog: Catalog,
        indexes: Indexes,
        candidates: Candidates,
        planner: Planner,
        rankings: Rankings,
        dim: int,
    ) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self._candidates = candidates
        self._planner = planner
        self._rankings = rankings
        self._dim = dim
        self._defaults: tuple[int, Defaults, int] | None = None

    def defaults(self) -> Defaults:
        """What the collection answers with where a query leaves it open."""
        return self._known()[0]

    def suggest(self, prefix: str, k: int) -> list[tuple[str, int]]:
        """See `Columns.suggest`."""
        self._candidates.refresh(self._indexes.seq)
        return self._candidates.columns.suggest(prefix, k)

    def answer(self, query: Query, *, judged: bool = True) -> Answer:
        """Without `judged`, relevance is measured only where something asked for rests on it.

        Raises UsageError, FilterError, ItemNotFoundError, ImageError, ModelError.
        """
        started = time.perf_counter()
        explain: list[str] = []
        seq = self._indexes.seq
        self._candidates.refresh(seq)
        after = _cursor(query)
        rules = self._rules(query)
        allowed = self._candidates.allowed(query, self._members, explain)
        excluded = self._candidates.excluded(query)
        search: Search | None = None
        if query.terms or query.liked:
            search = self._planner.plan(query, self.defaults(), allowed, explain)
            search = replace(search, judged=judged or _rests_on_relevance(query))
            if query.explain:
                self._explain(search, explain)
        ranking = self._rankings.blocks(search) if search else _listing(allowed)
        stream = Stream(arrange.without(ranking, excluded))
        least, no_match = _judge(stream.head(), query)
        if no_match:
            explain.append(no_match)
        kept = stream
        if least is not None and (query.sort or query.min_relevance is not None):
            explain.append(f"among the relevant: {least:.3f} or more")
            kept = Stream(arrange.relevant(stream, least))
        found = self._found(query, search, kept, kept is not stream, allowed, excluded)
        count = query.k + 1 + (after.shown if after else 0)
        shown = self._arranged(query, rules, kept, count, allowed, excluded, explain)
        hits, cursor = self._page(query, search, shown, after, seq, kept, explain)
        facets = tuple(self._facet(name, found) for name in query.facets)
        explain.append(f"answered in {1000 * (time.perf_counter() - started):.1f} ms")
        return Answer(
            hits,
            total=self._size(search) if found is None else len(found),
            facets=facets,
            cursor=cursor,
            no_match=no_match,
            explain=tuple(explain) if query.explain else (),
        )

    # ---- before the ranking

    def _known(self) -> tuple[Defaults, int]:
        """The defaults, and how many live items there are; counted once per change."""
        seq = self._indexes.seq
        if self._defaults is None or self._defaults[0] != seq:
            counts = self._catalog.counts()
            self._defaults = seq, Defaults.of(counts), counts["items"]
        return self._defaults[1:]

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
                taken = ", ".join(word.terms) or "nothing: no item has it or a word like it"
                explain.append(
                    f"word {word.word!r}: "
                    + (f"taken for {taken}, " if word.terms != (word.word,) else "")
                    + f"in {word.items:,} items"
                )
        if search.words and search.vectors:
            explain.append(f"fused by {search.fusion}, weights {dict(search.weights)}")

    # ---- after the ranking

    def _found(
        self,
        query: Query,
        search: Search | None,
        kept: Stream,
        cut: bool,
        allowed: Ids | None,
        excluded: frozenset[int],
    ) -> Ids | None:
        """The ids that facets and the total count; None: all that can be searched."""
        if cut or (search is not None and not search.vectors and query.facets):
            return np.sort(kept.all().ids)
        if not excluded:
            return allowed
        every = self._candidates.columns.ids if allowed is None else allowed
        return np.setdiff1d(every, np.array(sorted(excluded), np.int64), assume_unique=True)

    def _arranged(
        self,
        query: Query,
        rules: Rules | None,
        kept: Stream,
        count: int,
        allowed: Ids | None,
        excluded: frozenset[int],
        explain: list[str],
    ) -> Shown:
        """The first `count` of the order that is shown."""
        stream = kept
        pinned: dict[int, int] = {}
        if rules is not None:
            pinned = {
                item: place
                for item, place in rules.pinned.items()
                if item not in excluded and (allowed is None or item in allowed)
            }
            stream = Stream(arrange.without(stream, {*pinned, *rules.buried}))
            if rules.modifiers.attributes:
                stream = Stream(arrange.boosted(stream, rules.modifiers, self._values))
            explain.append(
                f"modifiers: {len(rules.modifiers.attributes)} attributes, {len(pinned)} pinned, "
                f"{len(rules.buried)} buried"
            )
        if query.sort:
            stream = Stream([arrange.sorted_by(stream.all(), query.sort, self._values)])
            explain.append("sorted by " + ", ".join(key.attribute for key in query.sort))
        if query.diversity:
            picks = 3 * count if query.group else count
            stream = Stream(arrange.diverse(stream, picks, query.diversity, self._vectors))
            explain.append(f"diversity {query.diversity}: maximal marginal relevance")
        if query.group:
            shown = arrange.grouped(stream, self._groups, count)
        else:
            block = stream.upto(count)
            shown = Shown(Ranked(block.ids, block.scores))
        if rules is None:
            return shown
        buried = [item for item in rules.buried if item in kept.all().ids] if rules.buried else []
        whole = len(shown.ranking) < count
        return arrange.placed(shown, pinned, buried, whole=whole)

    def _page(
        self,
        query: Query,
        search: Search | None,
        shown: Shown,
        after: Cursor | None,
        seq: int,
        kept: Stream,
        explain: list[str],
    ) -> tuple[tuple[Hit, ...], str | None]:
        """The hits of one page, and the cursor behind it."""
        digest = _digest(query)
        rows = page(shown.ranking, query.k, seq, after)
        if rows.changed:
            explain.append("the collection has changed since the page before")
        following = cursor_at(shown.ranking, rows.stop, digest, seq)
        chosen = range(rows.start, rows.stop)
        block = kept.taken()
        judged = block.relevance
        relevance = (
            {} if judged is None else dict(zip(block.ids.tolist(), judged.tolist(), strict=True))
        )
        stored = self._catalog.items(shown.ranking.ids[rows.start : rows.stop].tolist())
        hits = []
        for row in chosen:
            item = stored.get(int(shown.ranking.ids[row]))
            if item is None:  # removed since the index caught up: left out, not invented
                continue
            share = relevance.get(item.id)
            hits.append(
                replace(
                    hit_of(row + 1, float(shown.ranking.scores[row]), item, _kind(item, search)),
                    relevance=None if share is None else round(share, 4),
                    variants=None if shown.variants is None else shown.variants[row],
                    parts=_parts(item.id, block) if query.explain else None,
                )
            )
        return tuple(hits), following.encode() if following else None

    def _facet(self, name: str, found: Ids | None) -> Facet:
        facet = self._candidates.columns.facet(name, found, FACET_VALUES)
        numbers = facet.numbers
        return Facet(
            name,
            facet.values,
            facet.distinct,
            facet.missing,
            None if numbers is None else numbers.min,
            None if numbers is None else numbers.max,
        )

    def _size(self, search: Search | None) -> int:
        """How many items can be found at all."""
        if search is None or search.words or len(search.vectors) != 1:
            return self._known()[1]
        (modality,) = search.vectors
        return len(self._indexes.get(modality))

    def _values(self, name: str, ids: Ids) -> Sequence[object]:
        values: Sequence[object] = self._candidates.columns.values(name, ids)
        return values

    def _groups(self, ids: Ids) -> npt.NDArray[np.int64]:
        return self._candidates.columns.groups(ids)

    def _vectors(self, ids: Ids) -> Vectors:
        """(n, d) float32: each item's picture, or its text where it has none; 0 without both."""
        rows = np.zeros((len(ids), self._dim), np.float32)
        left = np.ones(len(ids), np.bool_)
        for modality in MODALITIES:
            here = left & self._indexes.has(modality, ids)
            if here.any():
                rows[here] = self._indexes.get(modality).vectors(ids[here])
            left &= ~here
        return rows


def _listing(allowed: Ids | None) -> Iterator[Block]:
    """All candidates by age, for a query that only filters."""
    assert allowed is not None, "a query without terms has a filter"
    if len(allowed):
        yield Block(allowed, np.zeros(len(allowed)))


def _rests_on_relevance(query: Query) -> bool:
    return bool(
        query.min_relevance is not None
        or query.sort
        or query.modifiers
        or query.diversity
        or query.fusion == "relevance"
    )


def _judge(best: Block, query: Query) -> tuple[float | None, str | None]:
    """The least relevance that counts (None: unknown), and what to say if nothing reaches it.

    Raises UsageError if a least relevance is asked for and none can be measured.
    """
    asked = query.min_relevance
    if best.relevance is None or best.least is None:
        if asked is not None and len(best.ids):
            raise UsageError(
                "relevance cannot be measured here: it takes a query, and a collection of "
                f"{FEWEST} items or more that are not all alike. Leave the least relevance out"
            )
        return None, None
    least = best.least if asked is None or asked == "auto" else asked
    top = float(best.relevance.max()) if len(best.ids) else 0.0
    if top >= least:
        return least, None
    return least, (
        f"no match: the most relevant item has a relevance of {top:.2f}, a match here has "
        f"{least:.2f} or more"
    )


def _cursor(query: Query) -> Cursor | None:
    return None if query.cursor is None else decode(query.cursor, _digest(query))


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


def _kind(item: StoredItem, search: Search | None) -> Modality:
    """What of the item was compared; its picture, where both were."""
    if search is not None and len(search.vectors) == 1:
        (modality,) = search.vectors
        if modality in [one for one, _ in item.digests]:
            return modality
    return "image" if item.image_digest is not None else "text"


def _parts(item: int, block: Block) -> dict[Ranking, Part]:
    """Where the item stands in each list behind the ranking."""
    parts: dict[Ranking, Part] = {}
    for name, ranking in block.lists.items():
        (rows,) = np.nonzero(ranking.ids == item)
        if len(rows):
            parts[name] = Part(int(rows[0]) + 1, round(float(ranking.scores[rows[0]]), 6))
    return parts
