"""The whole way of one query, or of several at once: prepare, rank, judge, show."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import MmsearchError, UsageError
from mmsearch.ranking.calibrate import FEWEST, no_match
from mmsearch.search import arrange
from mmsearch.search.arrange import Stream
from mmsearch.search.candidates import Candidates
from mmsearch.search.indexes import Indexes
from mmsearch.search.prepare import Preparation, Prepared
from mmsearch.search.rank import Block, Rankings
from mmsearch.search.show import Showing
from mmsearch.types import Answer, Query

if TYPE_CHECKING:
    from mmsearch.types import Ids


class Answering:
    """Answers queries with everything that they may ask for."""

    def __init__(
        self,
        indexes: Indexes,
        candidates: Candidates,
        preparation: Preparation,
        rankings: Rankings,
        showing: Showing,
    ) -> None:
        self._indexes = indexes
        self._candidates = candidates
        self._preparation = preparation
        self._rankings = rankings
        self._showing = showing

    def suggest(self, prefix: str, k: int) -> list[tuple[str, int]]:
        """See `Columns.suggest`."""
        self._candidates.refresh(self._indexes.seq)
        return self._candidates.columns.suggest(prefix, k)

    def answer(self, query: Query, *, judged: bool = True) -> Answer:
        """Without `judged`, relevance is measured only where something asked for rests on it.

        Raises UsageError, FilterError, ItemNotFoundError, ImageError, ModelError.
        """
        return self._finish(self._preparation.prepare(query, judged=judged))

    def answer_many(self, queries: Sequence[Query]) -> list[Answer | MmsearchError]:
        """Each query's answer, or what `answer` would raise for it; one pass over each index for
        all that have no candidates of their own."""
        results: list[Answer | MmsearchError | None] = [None] * len(queries)
        prepared: dict[int, Prepared] = {}
        for number, query in enumerate(queries):
            try:
                prepared[number] = self._preparation.prepare(query, judged=True)
            except MmsearchError as error:
                results[number] = error
        searches = {n: one.search for n, one in prepared.items() if one.search is not None}
        begun = dict(zip(searches, self._rankings.begin(list(searches.values())), strict=True))
        for number, one in prepared.items():
            try:
                results[number] = self._finish(replace(one, search=begun.get(number)))
            except MmsearchError as error:
                results[number] = error
        return [result for result in results if result is not None]

    def _finish(self, prepared: Prepared) -> Answer:
        query, search, explain = prepared.query, prepared.search, prepared.explain
        ranking = self._rankings.blocks(search) if search else _listing(prepared.allowed)
        stream = Stream(arrange.without(ranking, prepared.excluded))
        least, nothing = _judge(stream.head(), query)
        if nothing:
            explain.append(nothing)
        kept = stream
        if least is not None and (query.sort or query.min_relevance is not None):
            explain.append(f"among the relevant: {least:.3f} or more")
            kept = Stream(arrange.relevant(stream, least))
        found = self._showing.found(prepared, kept, cut=kept is not stream)
        hits, cursor = self._showing.page(prepared, kept, self._indexes.seq)
        facets = tuple(self._showing.facet(name, found) for name in query.facets)
        explain.append(f"answered in {1000 * (time.perf_counter() - prepared.started):.1f} ms")
        return Answer(
            hits,
            total=self._findable(prepared) if found is None else len(found),
            facets=facets,
            cursor=cursor,
            no_match=nothing,
            explain=tuple(explain) if query.explain else (),
        )

    def _findable(self, prepared: Prepared) -> int:
        """How many items can be found at all."""
        search = prepared.search
        if search is None or search.words or len(search.vectors) != 1:
            return self._preparation.items()
        (modality,) = search.vectors
        return len(self._indexes.get(modality))


def _listing(allowed: Ids | None) -> Iterator[Block]:
    """All candidates by age, for a query that only filters."""
    assert allowed is not None, "a query without terms has a filter"
    if len(allowed):
        yield Block(allowed, np.zeros(len(allowed)))


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
    return least, no_match(top, least)
