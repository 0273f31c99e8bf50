"""`evaluate_embeddings` and `evaluate_run`: from vectors or a run to an `Evaluation`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import InputError
from mmsearch.evaluation.measures import (
    DEFAULT_MEASURES,
    Measure,
    RelevantRanks,
    per_query,
    precision_at_recall,
)
from mmsearch.evaluation.ranks import Judgements, RankedLists, Ranker, ranks_in_run
from mmsearch.evaluation.reference import trec_measures
from mmsearch.evaluation.result import Evaluation, QueryDetail, RankedItem, RankedRun, Run
from mmsearch.evaluation.task import Shown, Subject, Task, check_judgements, some
from mmsearch.evaluation.trec import ranked

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.evaluation.result import PerQuery
    from mmsearch.types import Vectors

    Order = npt.NDArray[np.int32]
    Scores = npt.NDArray[np.float32]

DETAIL_MEASURE = Measure("AP")
DETAIL_QUERIES = 12  # of the best, and as many of the worst
DETAIL_ITEMS = 10  # results and relevant items that are kept of each

OnQueries = Callable[[int, int], None]  # done, total


def evaluate_embeddings(
    task: Task,
    query_vectors: Vectors,
    item_vectors: Vectors,
    subject: Subject,
    *,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
    on_queries: OnQueries | None = None,
) -> Evaluation:
    """Rank the whole gallery for every query by dot product and measure the rankings.

    `query_vectors` (q, d) and `item_vectors` (g, d) float32, rows in the order of `task.queries`
    and `task.items`. Memory: the two matrices, a copy of the gallery, and 128 MB.
    Raises InputError for vectors that are not finite or judgements that fit nothing.
    """
    warnings = check_judgements(task.qrels, task.queries, task.items)
    started = time.perf_counter()
    ranker = _ranker(task, query_vectors, item_vectors)
    judgements = Judgements.of(task.qrels, task.queries, task.items, task.unanswered)
    total = len(task.queries)
    found = ranker.ranks(judgements, on_queries and (lambda done: on_queries(done, total)))
    values = per_query(found, measures)

    def top(rows: list[int]) -> tuple[Order, Scores]:
        return ranker.top(DETAIL_ITEMS, np.array(rows, np.int64))

    seconds = time.perf_counter() - started
    return _evaluation(task, subject, task.items, found, values, warnings, top, seconds)


def rank_embeddings(
    task: Task, query_vectors: Vectors, item_vectors: Vectors, depth: int
) -> RankedRun:
    """The best `depth` items of each query, for export; none of the unanswered ones."""
    order, scores = _ranker(task, query_vectors, item_vectors).top(depth)
    lost = [row for row, query in enumerate(task.queries) if query in task.unanswered]
    order[lost], scores[lost] = -1, np.nan
    return RankedRun(task.queries, task.items, order, scores)


def evaluate_run(
    task: Task,
    run: Run,
    subject: Subject,
    *,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
) -> Evaluation:
    """Measure a run that something else has made, by trec_eval's own code (ir-measures).

    `task.items` may be empty: the gallery is then unknown, and taken to be what is judged or
    returned. Raises InputError for an empty run, NaN scores, or judgements that fit nothing.
    """
    in_arrays = ranked(run)
    if not in_arrays.items:
        raise InputError("the run is empty: no query has a result")
    warnings = []
    items = task.items
    if not items:
        judged = {item for grades in task.qrels.values() for item in grades}
        items = tuple(sorted(judged.union(in_arrays.items)))
        warnings.append("the gallery is not known: its size counts what is judged or returned")
    warnings += check_judgements(task.qrels, task.queries, items)
    warnings += _check_run(task, run, in_arrays, items)
    started = time.perf_counter()
    found = ranks_in_run(task.qrels, in_arrays, task.queries)
    values = per_query(found, measures) | trec_measures(task.qrels, run, task.queries, measures)

    def top(rows: list[int]) -> tuple[Order, Scores]:
        return _rows_of_run(in_arrays, [task.queries[row] for row in rows])

    seconds = time.perf_counter() - started
    pinned = (task, subject, items, found, values, tuple(warnings))
    return _evaluation(*pinned, top, seconds, shown=in_arrays.items)


def _check_run(task: Task, run: Run, in_arrays: RankedLists, items: Sequence[str]) -> list[str]:
    """Warnings about a run that does not fit its queries and gallery. Raises InputError."""
    asked, gallery = set(task.queries), set(items)
    warnings = []
    unanswered = [query for query in task.queries if not run.get(query)]
    if len(unanswered) == len(task.queries):
        raise InputError(
            "the run answers none of the queries: their ids differ (run: "
            f"{some(list(run))}; queries: {some(task.queries)})"
        )
    if unanswered:
        warnings.append(
            f"the run does not answer {len(unanswered)} of {len(asked)} queries "
            f"({some(unanswered)}): they score 0"
        )
    unasked = [query for query in run if query not in asked]
    if unasked:
        warnings.append(
            f"{len(unasked)} queries of the run have no judgements ({some(unasked)}): left out"
        )
    strange = [item for item in in_arrays.items if item not in gallery]
    if strange:
        warnings.append(
            f"the run returns {len(strange)} items that are not in the gallery ({some(strange)}): "
            "they count as wrong"
        )
    return warnings


def _rows_of_run(run: RankedLists, queries: Sequence[str]) -> tuple[Order, Scores]:
    row_of = {query: row for row, query in enumerate(run.queries)}
    order = np.full((len(queries), DETAIL_ITEMS), -1, np.int32)
    scores = np.full((len(queries), DETAIL_ITEMS), np.nan, np.float32)
    for number, query in enumerate(queries):
        if query in row_of:
            row = row_of[query]
            part = slice(run.starts[row], min(run.starts[row + 1], run.starts[row] + DETAIL_ITEMS))
            found = len(run.order[part])
            order[number, :found] = run.order[part]
            scores[number, :found] = run.scores[part]
    return order, scores


def _ranker(task: Task, query_vectors: Vectors, item_vectors: Vectors) -> Ranker:
    if len(query_vectors) != len(task.queries):
        raise InputError(f"{len(query_vectors)} vectors for {len(task.queries)} queries")
    own = None
    if task.own:
        position = {item: row for row, item in enumerate(task.items)}
        own = [
            np.array([position[i] for i in task.own.get(query, ()) if i in position], np.int64)
            for query in task.queries
        ]
    return Ranker(query_vectors, item_vectors, task.items, own)


def _evaluation(
    task: Task,
    subject: Subject,
    items: Sequence[str],
    found: RelevantRanks,
    values: dict[str, PerQuery],
    warnings: Sequence[str],
    top: Callable[[list[int]], tuple[Order, Scores]],
    seconds: float,
    shown: Sequence[str] | None = None,
) -> Evaluation:
    """`top` gives positions in `shown` (None: in `items`) and scores for rows of queries."""
    by_value = per_query(found, [DETAIL_MEASURE])[str(DETAIL_MEASURE)]
    # Worst first: least AP, then the query whose first right answer came last.
    ascending = np.lexsort((np.arange(len(by_value)), -found.first, by_value)).tolist()
    count = min(DETAIL_QUERIES, (len(ascending) + 1) // 2)
    chosen = {"worst": ascending[:count], "best": ascending[::-1][:count]}
    details: dict[str, tuple[QueryDetail, ...]] = {}
    for kind, rows in chosen.items():
        order, scores = top(rows)
        details[kind] = tuple(
            _detail(task, shown or items, found, row, order[i], scores[i], float(by_value[row]))
            for i, row in enumerate(rows)
        )
    return Evaluation(
        dataset=task.dataset,
        split=task.split,
        direction=task.direction,
        model=subject.model,
        fingerprint=subject.fingerprint,
        preprocess=subject.preprocess,
        index_kind=subject.index_kind,
        gallery_size=len(items),
        queries=task.queries,
        query_texts=tuple(task.shown_queries.get(q, Shown()).text for q in task.queries),
        clusters=task.clusters or task.queries,
        measures=values,
        first_relevant=found.first,
        precision_at_recall=precision_at_recall(found),
        warnings=tuple(dict.fromkeys((*task.warnings, *warnings))),
        best=details["best"],
        worst=details["worst"],
        anchors=task.anchors,
        seconds={"rank and measure": round(seconds, 3)},
    )


def _detail(
    task: Task,
    items: Sequence[str],
    found: RelevantRanks,
    row: int,
    order: Order,
    scores: Scores,
    value: float,
) -> QueryDetail:
    query = task.queries[row]
    grades = task.qrels.get(query, {})
    results = [
        _item(task, rank, items[position], score, grades.get(items[position], 0))
        for rank, (position, score) in enumerate(
            zip(order.tolist(), scores.tolist(), strict=True), 1
        )
        if position >= 0 and query not in task.unanswered
    ]
    score_of = {result.id: result.score for result in results}
    # The entries of a query stand in the order of its positive judgements.
    positive = [item for item, grade in grades.items() if grade >= 1]
    part = slice(found.starts[row], found.starts[row + 1])
    relevant = []
    for entry, rank in zip(found.entries[part].tolist(), found.ranks[part].tolist(), strict=True):
        item = positive[entry - int(found.starts[row])]
        place = int(rank) if math.isfinite(rank) else 0
        score = score_of.get(item)
        relevant.append(_item(task, place, item, score, grades[item]))
    relevant.sort(key=lambda one: -one.grade)  # stable: by rank within a grade
    asked = task.shown_queries.get(query, Shown())
    return QueryDetail(
        id=query,
        text=asked.text,
        image=asked.image,
        measure=str(DETAIL_MEASURE),
        value=value,
        relevant=tuple(relevant[:DETAIL_ITEMS]),
        relevant_total=len(relevant),
        results=tuple(results[:DETAIL_ITEMS]),
    )


def _item(task: Task, rank: int, item: str, score: float | None, grade: int) -> RankedItem:
    shown = task.shown_items.get(item, Shown())
    return RankedItem(rank, item, score, grade, shown.image, shown.text)
