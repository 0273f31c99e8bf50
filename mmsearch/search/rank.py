"""Rankings by pictures, by texts and by words, made into one.

The ranking comes in blocks: the best DEPTH of each list are fused first, then what is left of the
best 4 DEPTH, and so on until nothing is left. Each block is ordered by the fused score, a deeper
one stands behind the shallower ones, and the depths depend on the query alone: so a page can be
asked for at any depth, pages fit together, and k answers come whenever k exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.pool import Threads
from mmsearch.ranking.ranked import Ranked, distinct, ranked

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Floats
    from mmsearch.search.protocols import VectorSources, WordSource
    from mmsearch.search.relevance import Relevance
    from mmsearch.types import Fusion, Ids, Modality, Ranking, Vectors

DEPTH = 200
GROWTH = 4
# Of the words of a query by their rarity: half of them say nothing, all of them say all.
LEAST_LEXICAL = 0.5
# Words alone never make sure, and certainty could be boosted no more.
MOST_LEXICAL = 0.95


@dataclass(frozen=True, eq=False)
class Search:
    """What is ranked: a query vector (d,) for each modality that it is compared with, and words.

    `of` is the modality of the query itself. `allowed` (ids, ascending) restricts the answer.
    """

    vectors: Mapping[Modality, Vectors]
    of: Modality
    words: str
    weights: Mapping[Ranking, float]
    fusion: Fusion
    depth: int
    allowed: Ids | None = None
    judged: bool = True  # whether relevances are wanted
    # What is known already of its first block: the best `depth` by these vectors.
    begun: Mapping[Ranking, Ranked] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the ranking: `ids` (n,) and `scores` (n,), best first; `relevance` (n,) in [0, 1].

    `least` is the relevance of a match. Both are None where it was not wanted or the collection
    is too small to tell. `lists` are the rankings behind it, for explanations.
    """

    ids: Ids
    scores: Floats
    relevance: Floats | None = None
    least: float | None = None
    lists: Mapping[Ranking, Ranked] = field(default_factory=dict)

    def take(self, rows: npt.NDArray[np.generic] | slice) -> Block:
        """The rows (a mask, numbers or a slice) of this block."""
        relevance = None if self.relevance is None else self.relevance[rows]
        return Block(self.ids[rows], self.scores[rows], relevance, self.least, self.lists)


class Rankings:
    """Ranks items over the indexes and the words of one collection."""

    def __init__(self, words: WordSource, indexes: VectorSources, relevance: Relevance) -> None:
        self._words = words
        self._indexes = indexes
        self._relevance = relevance
        self._threads = Threads(2)  # for pictures and texts, beside words

    def blocks(self, search: Search) -> Iterator[Block]:
        """The whole ranking, a block at a time; no item comes twice."""
        seen = np.empty(0, np.int64)
        depth = search.depth
        while True:
            lists = self._lists(search, depth)
            block = self._fuse(search, lists)
            fresh = block.take(~np.isin(block.ids, seen))
            if len(fresh.ids):
                yield fresh
            if all(len(ranking) < depth for ranking in lists.values()):
                return
            seen = np.union1d(seen, block.ids)
            depth *= GROWTH

    def begin(self, searches: Sequence[Search]) -> list[Search]:
        """The same searches; those among all items have gone through the indexes together."""
        together: dict[tuple[Modality, int], list[int]] = {}
        for number, search in enumerate(searches):
            for modality in search.vectors if search.allowed is None else ():
                together.setdefault((modality, search.depth), []).append(number)
        found = self._threads.each(
            self._nearest(
                modality,
                np.stack([searches[number].vectors[modality] for number in numbers]),
                depth,
            )
            for (modality, depth), numbers in together.items()
        )
        begun: dict[int, dict[Ranking, Ranked]] = {}
        for ((modality, _), numbers), rankings in zip(together.items(), found, strict=True):
            for number, ranking in zip(numbers, rankings, strict=True):
                begun.setdefault(number, {})[modality] = ranking
        return [
            replace(search, begun=begun.get(number, {})) for number, search in enumerate(searches)
        ]

    def _nearest(
        self, modality: Modality, vectors: Vectors, depth: int, allowed: Ids | None = None
    ) -> Callable[[], list[Ranked]]:
        """What finds the best `depth` by cosine with each of the vectors (n, d), in any thread."""
        index = self._indexes.get(modality)  # reads the catalog, which is this thread's alone

        def nearest() -> list[Ranked]:
            scores, ids = index.search(vectors, depth, allowed)
            return [
                Ranked(row_ids, row_scores.astype(np.float64))
                for row_ids, row_scores in zip(ids, scores, strict=True)
            ]

        return nearest

    def _lists(self, search: Search, depth: int) -> dict[Ranking, Ranked]:
        lists: dict[Ranking, Ranked] = {}
        if depth == search.depth:
            lists.update(search.begun)
        left: dict[Ranking, Callable[[], list[Ranked]]] = {
            modality: self._nearest(modality, vector[None], depth, search.allowed)
            for modality, vector in search.vectors.items()
            if modality not in lists
        }
        if search.words:
            # The last one is this thread's: words are the catalog's.
            left["lexical"] = lambda: [self._by_lexical(search, depth)]
        for name, (ranking,) in zip(left, self._threads.each(left.values()), strict=True):
            lists[name] = ranking
        return lists

    def _by_lexical(self, search: Search, depth: int) -> Ranked:
        found = self._words.lexical_search(search.words, depth, search.allowed)
        return Ranked(
            np.array([item for item, _ in found], np.int64),
            np.array([score for _, score in found], np.float64),
        )

    def _fuse(self, search: Search, lists: Mapping[Ranking, Ranked]) -> Block:
        ids = distinct(np.concatenate([ranking.ids for ranking in lists.values()]))
        if not len(ids):
            return Block(ids, np.empty(0), np.empty(0), None, lists)
        scores, judged, leasts = self._by_vectors(search, lists, ids)
        lexical = lists.get("lexical")
        if lexical is not None:
            words = np.zeros(len(ids))
            if search.judged or search.fusion == "relevance":
                # Of all: who is here by a vector alone may have the words too, further down.
                words = self._by_words(search.words, ids)
            if not search.vectors:
                scores = np.full(len(ids), -np.inf)
                scores[np.searchsorted(ids, lexical.ids)] = lexical.scores
                judged, leasts = words, [LEAST_LEXICAL]
            else:
                scores = _with_words(search, ids, scores, judged, words, lexical)
                judged = None if judged is None else np.maximum(judged, words)
        assert scores is not None
        order = np.lexsort((ids, -scores))
        known = search.judged and judged is not None
        return Block(
            ids[order],
            scores[order],
            judged[order] if known and judged is not None else None,
            float(np.mean(leasts)) if known else None,
            lists,
        )

    def _by_vectors(
        self, search: Search, lists: Mapping[Ranking, Ranked], ids: Ids
    ) -> tuple[Floats, Floats | None, list[float]]:
        """(n,) scores and relevances of `ids` by their vectors, -inf and 0 for one without any."""
        cosines = {m: self._cosines(m, search, lists[m], ids) for m in search.vectors}
        judged: dict[Modality, Floats] = {}
        leasts = []
        if search.judged or search.fusion == "relevance":
            for modality, scores in cosines.items():
                (there,) = np.nonzero(~np.isnan(scores))
                ranking = ranked(scores[there], ids[there])
                found = self._relevance.of_ranked(
                    search.vectors[modality], ranking, search.of, modality
                )
                if found is not None:
                    judged[modality] = np.full(len(ids), np.nan)
                    judged[modality][np.searchsorted(ids, ranking.ids)] = found[0]
                    leasts.append(found[1])
        relevance = _mean_in_odds(judged, search.weights) if len(judged) == len(cosines) else None
        if len(cosines) == 1:
            ((_, scores),) = cosines.items()
            return np.nan_to_num(scores, nan=-np.inf), relevance, leasts
        if not cosines:
            return np.full(len(ids), -np.inf), None, []
        from mmsearch.ranking.late import Weights, combine

        standard = {
            m: self._relevance.scale(search.vectors[m], m).standard(scores)
            for m, scores in cosines.items()
        }
        weights = Weights(image=search.weights["image"], text=search.weights["text"])
        both = combine(standard["image"], standard["text"], weights)
        return np.nan_to_num(both, nan=-np.inf), relevance, leasts

    def _cosines(self, modality: Modality, search: Search, ranking: Ranked, ids: Ids) -> Floats:
        """(n,) cosines of the query with `ids`, NaN for one without a vector of this modality."""
        cosines = np.full(len(ids), np.nan)
        cosines[np.searchsorted(ids, ranking.ids)] = ranking.scores
        others = ids[np.isnan(cosines)]
        others = others[self._indexes.has(modality, others)]
        if len(others):
            found = self._indexes.get(modality).scores(search.vectors[modality], others)
            cosines[np.searchsorted(ids, others)] = found
        return cosines

    def _by_words(self, text: str, ids: Ids) -> Floats:
        """(n,) relevances of items by how much of the query's words each has."""
        share = self._words.word_coverage(text, ids)
        return MOST_LEXICAL * np.maximum(0.0, (share - LEAST_LEXICAL) / (1 - LEAST_LEXICAL))


def _with_words(
    search: Search,
    ids: Ids,
    scores: Floats,
    judged: Floats | None,
    words: Floats,
    lexical: Ranked,
) -> Floats:
    """(n,) scores of the ranking by vectors fused with the one by words."""
    from mmsearch.ranking.fuse import Source, reciprocal_rank

    by_vector = search.weights["image"] + search.weights["text"]
    if search.fusion == "relevance" and judged is not None:
        total = by_vector + search.weights["lexical"]
        mean: Floats = (by_vector * judged + search.weights["lexical"] * words) / total
        # Below what words and pictures can tell apart, the nearer picture still comes first.
        near: Floats = mean + 1e-9 * np.nan_to_num(scores, neginf=0.0)
        return near
    there = np.isfinite(scores)
    sources = [
        Source("vector", ranked(scores[there], ids[there]), by_vector),
        Source("lexical", lexical, search.weights["lexical"]),
    ]
    fused = reciprocal_rank([source for source in sources if len(source.ranking)])
    placed = np.empty(len(ids))
    placed[np.searchsorted(ids, fused.ids)] = fused.scores
    return placed


def _mean_in_odds(
    judged: Mapping[Modality, Floats], weights: Mapping[Ranking, float]
) -> Floats | None:
    """(n,) the weighted mean of an item's relevances as log-odds: what two judges of one question
    agree on. Of one judge where the item has one modality, 0 where it has none."""
    if not judged:
        return None
    total = np.zeros(len(next(iter(judged.values()))))
    weight = np.zeros_like(total)
    for modality, relevance in judged.items():
        safe = np.clip(relevance, 1e-9, 1 - 1e-9)
        there = ~np.isnan(relevance)
        total[there] += weights[modality] * np.log(safe / (1 - safe))[there]
        weight[there] += weights[modality]
    odds: Floats = np.divide(total, weight, out=np.full_like(total, -np.inf), where=weight > 0)
    mean: Floats = 1 / (1 + np.exp(-odds))
    return mean
