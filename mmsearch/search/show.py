"""From a ranking to what is shown: the arranged order, one page of it, facets and the total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import StoredItem
from mmsearch.ranking.cursor import Page, cursor_at, page
from mmsearch.ranking.ranked import Ranked
from mmsearch.search import arrange
from mmsearch.search.arrange import Shown, Stream
from mmsearch.search.candidates import Candidates
from mmsearch.search.hits import hit_of
from mmsearch.search.indexes import Indexes
from mmsearch.search.prepare import Prepared
from mmsearch.search.rank import GROWTH, Block, Search
from mmsearch.stages import stage
from mmsearch.types import MODALITIES, Facet, Hit, Modality, Part, Ranking

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

FACET_VALUES = 20
# How many times as deep the end of the page before is looked for, where the collection changed.
DEEPER = 64


class Showing:
    """Shows rankings over one collection, whose vectors have `dim` numbers."""

    def __init__(
        self, catalog: Catalog, indexes: Indexes, candidates: Candidates, dim: int
    ) -> None:
        self._catalog = catalog
        self._indexes = indexes
        self._candidates = candidates
        self._dim = dim

    def found(self, prepared: Prepared, kept: Stream, *, cut: bool) -> Ids | None:
        """The ids that facets and the total count; None: all that can be searched.

        `kept` is the ranking, `cut` whether something was left out of it as not relevant.
        """
        search, allowed = prepared.search, prepared.allowed
        if cut or (search is not None and not search.vectors and prepared.query.facets):
            return np.sort(kept.all().ids)
        if not prepared.excluded:
            return allowed
        every = self._candidates.every if allowed is None else allowed
        excluded = np.array(sorted(prepared.excluded), np.int64)
        return np.setdiff1d(every, excluded, assume_unique=True)

    def page(
        self, prepared: Prepared, kept: Stream, seq: int
    ) -> tuple[tuple[Hit, ...], str | None]:
        """The hits of one page of the ranking `kept`, and the cursor behind it.

        `seq` is the sequence number at which it was made.
        """
        query = prepared.query
        shown, rows = self._page(prepared, kept, seq)
        if rows.changed:
            prepared.explain.append("the collection has changed since the page before")
        following = cursor_at(shown.ranking, rows.stop, prepared.digest, seq)
        block = kept.taken()
        judged = block.relevance
        relevance = (
            {} if judged is None else dict(zip(block.ids.tolist(), judged.tolist(), strict=True))
        )
        with stage("hydrate"):
            stored = self._catalog.items(shown.ranking.ids[rows.start : rows.stop].tolist())
        hits = []
        for row in range(rows.start, rows.stop):
            item = stored.get(int(shown.ranking.ids[row]))
            if item is None:  # removed since the index caught up: left out, not invented
                continue
            share = relevance.get(item.id)
            hits.append(
                hit_of(
                    row + 1,
                    float(shown.ranking.scores[row]),
                    item,
                    _kind(item, prepared.search),
                    relevance=None if share is None else round(share, 4),
                    variants=None if shown.variants is None else shown.variants[row],
                    parts=_parts(item.id, block) if query.explain else None,
                )
            )
        return tuple(hits), following.encode() if following else None

    def facet(self, name: str, found: Ids | None) -> Facet:
        """How often an attribute has which value among these items, or all. Raises FilterError."""
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

    # ---- inside

    def _page(self, prepared: Prepared, kept: Stream, seq: int) -> tuple[Shown, Page]:
        """The order as far as this page needs it, and the page's place in it."""
        query, after = prepared.query, prepared.after
        arranged = self._arranged(prepared, kept)
        by_score = not (query.sort or query.diversity or prepared.rules)
        count = query.k + 1 + (after.shown if after else 0)
        deepest = DEEPER * count
        while True:
            shown, whole = arranged(count)
            rows = page(shown.ranking, query.k, seq, after, by_score=by_score)
            there = rows.found and rows.stop < len(shown.ranking)
            if there or whole or not rows.changed or count >= deepest:
                return shown, rows
            count *= GROWTH  # the end of the page before may stand further down by now

    def _arranged(self, prepared: Prepared, kept: Stream) -> Callable[[int], tuple[Shown, bool]]:
        """What gives the first so many of the order that is shown, and whether those are all."""
        query, rules, explain = prepared.query, prepared.rules, prepared.explain
        stream = kept
        pinned: dict[int, int] = {}
        if rules is not None:
            pinned = {
                item: place
                for item, place in rules.pinned.items()
                if item not in prepared.excluded
                and (prepared.allowed is None or item in prepared.allowed)
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
            stream = Stream(arrange.diverse(stream, query.diversity, self._vectors))
            explain.append(f"diversity {query.diversity}: maximal marginal relevance")
        if rules is not None and rules.buried:
            stream = Stream(arrange.at_the_end(stream, rules.buried, kept.all))
        group_of: dict[int, int] = {}  # of pinned items, which stand for their groups
        beside: Counter[int | None] = Counter()  # how many others there are of these
        if query.group and pinned:
            groups = self._groups(np.array(list(pinned), np.int64))
            group_of = dict(zip(pinned, groups.tolist(), strict=True))
            stream = Stream(arrange.of_other_groups(stream, groups, self._groups, beside))

        def first(count: int) -> tuple[Shown, bool]:
            if query.group:
                shown = arrange.grouped(stream, self._groups, count)
            else:
                block = stream.upto(count)
                shown = Shown(Ranked(block.ids, block.scores))
            variants = {item: 1 + beside[group_of.get(item)] for item in pinned}
            return arrange.placed(shown, pinned, variants), len(shown.ranking) < count

        return first

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
