"""From scores to ranks, under one tie rule: `result.TIE_RULE`.

Items are laid out in descending order of their ids, so that an equal score with a lower column
wins; then the rank of an item is one more than the number of greater scores and of equal ones to
its left. Equality with the obvious way, sorting (score, id) pairs, is a property test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import InputError
from mmsearch.evaluation.measures import RelevantRanks
from mmsearch.evaluation.result import Qrels

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

    Ints = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float32]

# 64 MB of scores at once, and as much again for their sorted copy.
_SCORES_AT_ONCE = 16_000_000


@dataclass(frozen=True)
class Judgements:
    """The relevant items of q queries, flat: those of query i are starts[i]:starts[i+1].

    `items` (n,) are positions in the gallery, -1 for an item that it lacks; `grades` (n,) >= 1.
    """

    starts: Ints
    items: Ints
    grades: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls,
        qrels: Qrels,
        queries: Sequence[str],
        items: Sequence[str],
        unanswered: Collection[str] = (),
    ) -> Judgements:
        """Grades below 1 are judged wrong and leave no entry. Of the `unanswered` queries no item
        counts as being in the gallery."""
        position = {item: i for i, item in enumerate(items)}
        starts = [0]
        columns: list[int] = []
        grades: list[int] = []
        for query in queries:
            for item, grade in qrels.get(query, {}).items():
                if grade >= 1:
                    columns.append(-1 if query in unanswered else position.get(item, -1))
                    grades.append(grade)
            starts.append(len(columns))
        return cls(
            np.array(starts, np.int64), np.array(columns, np.int64), np.array(grades, np.float64)
        )


@dataclass(frozen=True)
class RankedLists:
    """A run in arrays, flat, for its rankings may differ much in length: those of query i are
    starts[i]:starts[i+1].

    `order` (n,) int32 are positions in `items`, best first; `scores` (n,) float32.
    """

    queries: tuple[str, ...]
    items: tuple[str, ...]
    starts: Ints
    order: npt.NDArray[np.int32]
    scores: Scores


class Ranker:
    """Exact rankings of `gallery` (g, d) for `queries` (q, d), a few queries at a time.

    `own` (q,) names for each query the gallery rows that are the query itself and have to be left
    out of its ranking. Raises InputError for vectors that are not finite.
    """

    def __init__(
        self,
        queries: Vectors,
        gallery: Vectors,
        items: Sequence[str],
        own: Sequence[Ints] | None = None,
    ) -> None:
        for name, vectors in (("query", queries), ("gallery", gallery)):
            bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
            if len(bad):
                raise InputError(
                    f"{len(bad)} {name} vectors hold NaN or infinity (first: row {bad[0]}): "
                    "an encoder that gives such vectors cannot be judged"
                )
        if len(items) != len(gallery):
            raise InputError(f"{len(items)} item ids for {len(gallery)} gallery vectors")
        self._layout = tie_order(items)  # (g,) column -> gallery row
        self._column = np.empty_like(self._layout)  # (g,) gallery row -> column
        self._column[self._layout] = np.arange(len(items))
        self._queries = np.ascontiguousarray(queries, np.float32)
        self._gallery = np.ascontiguousarray(gallery, np.float32)[self._layout]
        self._own = own

    def ranks(
        self, judgements: Judgements, on_rows: Callable[[int], None] | None = None
    ) -> RelevantRanks:
        """The rank of every relevant item. `on_rows` hears how many queries are done."""
        starts = judgements.starts
        there = judgements.items >= 0
        columns = np.where(there, self._column[judgements.items], -1)  # (n,)
        ranks = np.full(len(columns), np.inf)
        for rows in self._chunks():
            scores = self._scores(np.arange(rows.start, rows.stop))
            ascending = np.sort(scores, axis=1)
            for row, line, line_ascending in zip(
                range(rows.start, rows.stop), scores, ascending, strict=True
            ):
                part = slice(starts[row], starts[row + 1])
                known = np.flatnonzero(there[part]) + starts[row]
                ranks[known] = column_ranks(line, line_ascending, columns[known])
            if on_rows is not None:
                on_rows(rows.stop)
        return RelevantRanks.of(starts, ranks, judgements.grades)

    def top(
        self,
        depth: int,
        rows: Ints | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> tuple[npt.NDArray[np.int32], Scores]:
        """The best `depth` gallery rows of each query (or of the queries `rows`), and their scores.

        Both (q, min(depth, g)); -1 and NaN where a ranking ends early.
        """
        depth = min(depth, len(self._gallery))
        wanted = np.arange(len(self._queries)) if rows is None else rows
        order = np.full((len(wanted), depth), -1, np.int32)
        best = np.full((len(wanted), depth), np.nan, np.float32)
        for part in self._chunks(len(wanted)):
            scores = self._scores(wanted[part])
            for row, line in zip(range(part.start, part.stop), scores, strict=True):
                columns = top_columns(line, depth)
                columns = columns[line[columns] != -np.inf]  # the query itself
                order[row, : len(columns)] = self._layout[columns]
                best[row, : len(columns)] = line[columns]
            if on_rows is not None:
                on_rows(part.stop)
        return order, best

    def _chunks(self, count: int | None = None) -> Iterator[slice]:
        total = len(self._queries) if count is None else count
        step = max(1, _SCORES_AT_ONCE // max(1, len(self._gallery)))
        return (slice(start, min(start + step, total)) for start in range(0, total, step))

    def _scores(self, rows: Ints) -> Scores:
        """(r, g) in the layout's order of columns; -inf for the query itself."""
        scores = self._queries[rows] @ self._gallery.T
        if self._own is not None:
            for line, row in zip(scores, rows.tolist(), strict=True):
                line[self._column[self._own[row]]] = -np.inf
        return scores


def tie_order(items: Sequence[str]) -> Ints:
    """(g,) positions of `items` by descending id: code points, which is the order of UTF-8 bytes.

    Raises InputError for an id that is there twice.
    """
    order = sorted(range(len(items)), key=items.__getitem__, reverse=True)
    for one, other in pairwise(order):
        if items[one] == items[other]:
            raise InputError(f"the item id {items[one]!r} is there twice: ids must be unique")
    return np.array(order, np.int64)


def column_ranks(line: Scores, ascending: Scores, columns: Ints) -> npt.NDArray[np.float64]:
    """(c,) ranks from 1 of `columns` in `line` (g,), of which `ascending` is the sorted copy."""
    wanted = line[columns]
    left = np.searchsorted(ascending, wanted, side="left")
    right = np.searchsorted(ascending, wanted, side="right")
    ranks = (len(line) - right + 1).astype(np.float64)
    tied = np.flatnonzero(right - left > 1)
    for score in np.unique(wanted[tied]):
        equal = np.flatnonzero(line == score)  # ascending columns
        mine = tied[wanted[tied] == score]
        ranks[mine] += np.searchsorted(equal, columns[mine])
    return ranks


def top_columns(line: Scores, depth: int) -> Ints:
    """The columns of the `depth` greatest scores of `line` (g,), best first, ties to the left."""
    if depth < len(line):
        threshold = np.partition(line, len(line) - depth)[len(line) - depth]
        columns = np.flatnonzero(line >= threshold)
    else:
        columns = np.arange(len(line))
    return columns[np.argsort(-line[columns], kind="stable")][:depth]


def ranks_in_run(qrels: Qrels, run: RankedLists, queries: Sequence[str]) -> RelevantRanks:
    """The rank of every relevant item of `queries` in a run; inf where it was not returned."""
    judgements = Judgements.of(qrels, queries, run.items)
    row_of = {query: row for row, query in enumerate(run.queries)}
    ranks = np.full(len(judgements.items), np.inf)
    place = np.full(len(run.items), np.inf)
    for number, query in enumerate(queries):
        row = row_of.get(query)
        if row is None:
            continue
        returned = run.order[run.starts[row] : run.starts[row + 1]]
        place[returned] = np.arange(1, len(returned) + 1)
        part = slice(judgements.starts[number], judgements.starts[number + 1])
        columns = judgements.items[part]
        ranks[part] = np.where(columns >= 0, place[columns], np.inf)
        place[returned] = np.inf
    return RelevantRanks.of(judgements.starts, ranks, judgements.grades)
