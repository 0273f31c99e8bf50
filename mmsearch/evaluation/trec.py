"""Judgements and rankings in TREC's text forms, read strictly.

qrels: `query iteration item grade`; run: `query Q0 item rank score tag`, both separated by blanks
(usnistgov/trec_eval, README). A line that is wrong is an error: skipping it would change figures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.files import SURROGATES, write_lines
from mmsearch.evaluation.ranks import RankedLists, tie_order
from mmsearch.evaluation.result import Qrels, RankedRun, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLANK = re.compile(r"\s")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """query -> item -> grade; negative grades (spam, in some tracks) count as 0, as in trec_eval.

    Raises InputError for a malformed or repeated line and for an empty file.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, fields in _lines(path, 4, "query iteration item grade"):
        query, _, item, text = fields
        try:
            grade = int(text)
        except ValueError as error:
            raise InputError(f"{path}:{number}: the grade {text!r} is no whole number") from error
        if item in qrels.setdefault(query, {}):
            raise InputError(f"{path}:{number}: {item!r} was already judged for query {query!r}")
        qrels[query][item] = max(grade, 0)
    if not qrels:
        raise InputError(f"{path}: no judgements in it")
    return qrels


def is_qrels(path: Path) -> bool:
    """Whether the first line of a text file is a judgement: four columns, the last a number."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line.split() for line in file if line.strip()), [])
    except (OSError, UnicodeDecodeError):
        return False
    return len(first) == 4 and re.fullmatch(r"[+-]?[0-9]+", first[3]) is not None


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """query -> item -> score. The rank column is ignored, as trec_eval does: scores decide.

    Raises InputError for a malformed or repeated line, a score that is no number, an empty file.
    """
    run: dict[str, dict[str, float]] = {}
    for number, fields in _lines(path, 6, "query Q0 item rank score tag"):
        query, _, item, _, text, _ = fields
        try:
            score = float(text)
        except ValueError as error:
            raise InputError(f"{path}:{number}: the score {text!r} is no number") from error
        if math.isnan(score):
            raise InputError(f"{path}:{number}: the score is NaN: it has no place in a ranking")
        if item in run.setdefault(query, {}):
            raise InputError(f"{path}:{number}: {item!r} was already returned for query {query!r}")
        run[query][item] = score
    if not run:
        raise InputError(f"{path}: the run is empty")
    return run


def write_run(path: Path, run: RankedRun, tag: str) -> None:
    """Write `run`; nine digits keep every 32-bit score apart, so that other tools agree.

    Raises UsageError for ids with blanks, InputError for ids that are not UTF-8, StorageError where
    the file cannot be written.
    """
    require_words((*run.queries, *run.items))
    tag = _BLANK.sub("_", tag) or "mmsearch"
    write_lines(
        path,
        (
            f"{query} Q0 {run.items[item]} {rank} {score:.9g} {tag}\n"
            for query, order, scores in zip(run.queries, run.order, run.scores, strict=True)
            for rank, (item, score) in enumerate(
                zip(order[order >= 0].tolist(), scores[order >= 0].tolist(), strict=True), 1
            )
        ),
    )


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements. Raises as `write_run`."""
    for query, graded in qrels.items():
        require_words([query, *graded])
    write_lines(
        path,
        (
            f"{query} 0 {item} {grade}\n"
            for query, graded in qrels.items()
            for item, grade in graded.items()
        ),
    )


def require_words(names: Iterable[str]) -> None:
    """Raises UsageError for ids with blanks, InputError for ids that are not UTF-8."""
    for name in names:
        if _BLANK.search(name) or not name:
            raise UsageError(
                f"the id {name!r} holds a blank, which TREC's files cannot carry: export needs "
                "ids or file names without blanks"
            )
        if SURROGATES.search(name):
            raise InputError(
                f"the id {name!r} holds bytes that are not UTF-8, which other tools cannot read: "
                "rename the file or export without it"
            )


def ranked(run: Run) -> RankedLists:
    """`run` in arrays, ranked by score under the tie rule. Raises InputError for NaN scores."""
    queries = tuple(run)
    items = tuple(sorted({item for scores in run.values() for item in scores}, reverse=True))
    position = {item: i for i, item in enumerate(items)}
    lengths = np.array([len(scored) for scored in run.values()], np.int64)
    starts = np.concatenate([[0], lengths.cumsum()])
    names = chain.from_iterable(run.values())
    columns = np.fromiter((position[item] for item in names), np.int32, starts[-1])
    values = chain.from_iterable(scored.values() for scored in run.values())
    scores = np.fromiter(values, np.float64, starts[-1]).astype(np.float32)
    query = np.repeat(np.arange(len(queries)), lengths)
    if np.isnan(scores).any():
        name = queries[query[np.isnan(scores)][0]]
        raise InputError(f"the run holds a NaN score for query {name!r}: it has no rank")
    by_rank = np.lexsort((columns, -scores, query))  # `items` are in descending order already
    return RankedLists(queries, items, starts, columns[by_rank], scores[by_rank])


def as_run(run: RankedRun) -> dict[str, dict[str, float]]:
    """`run` as query -> item -> score. Item ids must be unique."""
    tie_order(run.items)
    return {
        query: {
            run.items[item]: score
            for item, score in zip(order.tolist(), scores.tolist(), strict=True)
            if item >= 0
        }
        for query, order, scores in zip(run.queries, run.order, run.scores, strict=True)
    }


def _lines(path: Path, count: int, form: str) -> Iterator[tuple[int, Sequence[str]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != count:
                    raise InputError(
                        f"{path}:{number}: {len(fields)} columns where {count} are needed: {form}"
                    )
                yield number, fields
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check the name"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text, so neither qrels nor a run") from error
