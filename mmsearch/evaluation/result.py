"""What an evaluation takes and gives: judgements, rankings, and figures with all that pins them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    PerQuery = npt.NDArray[np.float64]  # (q,), in the order of `Evaluation.queries`

# query id -> item id -> grade: 0 judged and wrong, 1 or more relevant.
Qrels = Mapping[str, Mapping[str, int]]
# query id -> item id -> score, larger is better.
Run = Mapping[str, Mapping[str, float]]

# trec_eval's own rule, so that an exported run has the same figures in other tools: it keeps scores
# as C floats and breaks ties by descending document number (usnistgov/trec_eval, form_res_rels.c).
TIE_RULE = "scores compared as 32-bit floats, ties by descending item id (as trec_eval)"

# The only measure whose figure over all queries is the median and not the mean.
MEDIAN_RANK = "median rank"

FORMAT = 1  # of the JSON form


@dataclass(frozen=True)
class RankedRun:
    """A run in arrays, for thousands of queries: the best `depth` items of each.

    `order` (q, depth) int32 are positions in `items`, best first, -1 where a ranking ends early;
    `scores` (q, depth) float32, NaN there.
    """

    queries: tuple[str, ...]
    items: tuple[str, ...]
    order: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True)
class RankedItem:
    """One item in a ranking; `grade` 0: wrong or unjudged.

    `image` names its picture: a file, or `SHARD.tar::MEMBER`; `pictures.read` gives the bytes.
    """

    rank: int  # from 1; 0: not in the ranking at all
    id: str
    score: float | None  # None for a relevant item that is not among the results
    grade: int
    image: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class QueryDetail:
    """A query worth looking at: what it asked, what was right, what came."""

    id: str
    text: str | None  # a text query, or the text part of a mixed one
    image: str | None  # a picture query, named as in `RankedItem`
    measure: str  # the one by which it was chosen, for example "AP"
    value: float
    relevant: tuple[RankedItem, ...]  # the first few, by grade and then by rank
    relevant_total: int
    results: tuple[RankedItem, ...]  # the first ten of the ranking


@dataclass(frozen=True)
class ClassFigures:
    """Zero-shot figures of one class; `support` is how many items truly belong to it."""

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Anchor:
    """A figure that was published for some model on this very set, split and direction."""

    model: str
    figures: Mapping[str, float]  # measure -> value in [0, 1]
    source: str
    year: int


@dataclass(frozen=True)
class Evaluation:
    """One model on one dataset in one direction; `measures` holds the value of every query.

    Figures over all queries come from `figure`: the mean, or for `MEDIAN_RANK` the median.
    """

    dataset: str
    split: str | None
    direction: str  # "text to image", "image to text", "image to image", "mixed to image", "labels"
    model: str
    fingerprint: str
    preprocess: str
    index_kind: str  # "exact" for brute force, the collection's kind, or "run file"
    gallery_size: int
    queries: tuple[str, ...]
    query_texts: tuple[str | None, ...]  # (q,) None for picture queries
    clusters: tuple[str, ...]  # (q,) captions of one photo: queries that are not independent
    measures: Mapping[str, PerQuery]
    first_relevant: PerQuery  # (q,) rank of the first relevant item, inf if none: hit@k for every k
    precision_at_recall: PerQuery  # (11,) mean interpolated precision at recall 0, 0.1 ... 1
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassFigures, ...] = ()  # zero-shot labels only
    best: tuple[QueryDetail, ...] = ()
    worst: tuple[QueryDetail, ...] = ()
    anchors: tuple[Anchor, ...] = ()
    tie_rule: str = TIE_RULE
    seconds: Mapping[str, float] = field(default_factory=dict)  # step -> wall time

    def figure(self, measure: str) -> float:
        """The value over all queries: the mean, for `MEDIAN_RANK` the median."""
        values = self.measures[measure]
        return float(np.median(values) if measure == MEDIAN_RANK else values.mean())

    @property
    def figures(self) -> dict[str, float]:
        """measure -> value over all queries, with macro figures where there are classes."""
        figures = {name: self.figure(name) for name in self.measures}
        for name in ("precision", "recall", "f1") if self.classes else ():
            values = [getattr(one, name) for one in self.classes]
            figures[f"macro {name}"] = math.fsum(values) / len(values)
        return figures

    def to_json(self, *, per_query: bool = True) -> dict[str, Any]:
        """Plain JSON values; without `per_query` only what does not grow with the queries."""
        plain = {
            "mmsearch_evaluation": FORMAT,
            "dataset": self.dataset,
            "split": self.split,
            "direction": self.direction,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "preprocess": self.preprocess,
            "index_kind": self.index_kind,
            "gallery_size": self.gallery_size,
            "query_count": len(self.queries),
            "tie_rule": self.tie_rule,
            "figures": {name: _number(value) for name, value in self.figures.items()},
            "warnings": list(self.warnings),
            "classes": [vars(one) for one in self.classes],
            "anchors": [vars(one) | {"figures": dict(one.figures)} for one in self.anchors],
            "seconds": dict(self.seconds),
        }
        if per_query:
            plain |= {
                "queries": list(self.queries),
                "query_texts": list(self.query_texts),
                "clusters": list(self.clusters),
                "measures": {name: _numbers(v) for name, v in self.measures.items()},
                "first_relevant": _numbers(self.first_relevant),
                "precision_at_recall": _numbers(self.precision_at_recall),
                "best": [_detail_json(one) for one in self.best],
                "worst": [_detail_json(one) for one in self.worst],
            }
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json(per_query=True)`. Raises InputError."""
        if plain.get("mmsearch_evaluation") != FORMAT:
            raise InputError(
                "not an evaluation that this version can read "
                f"(format {plain.get('mmsearch_evaluation')!r}, expected {FORMAT}): make it again "
                "with `mmsearch evaluate ... --save FILE`"
            )
        try:
            return cls(
                dataset=plain["dataset"],
                split=plain["split"],
                direction=plain["direction"],
                model=plain["model"],
                fingerprint=plain["fingerprint"],
                preprocess=plain["preprocess"],
                index_kind=plain["index_kind"],
                gallery_size=plain["gallery_size"],
                queries=tuple(plain["queries"]),
                query_texts=tuple(plain["query_texts"]),
                clusters=tuple(plain["clusters"]),
                measures={
                    name: _array(v, missing=math.inf if name == MEDIAN_RANK else math.nan)
                    for name, v in plain["measures"].items()
                },
                first_relevant=_array(plain["first_relevant"], missing=math.inf),
                precision_at_recall=_array(plain["precision_at_recall"], missing=math.nan),
                warnings=tuple(plain["warnings"]),
                classes=tuple(ClassFigures(**one) for one in plain["classes"]),
                best=tuple(_detail(one) for one in plain["best"]),
                worst=tuple(_detail(one) for one in plain["worst"]),
                anchors=tuple(Anchor(**one) for one in plain["anchors"]),
                tie_rule=plain["tie_rule"],
                seconds=plain["seconds"],
            )
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the evaluation lacks or distorts {error}: it may have been saved without its "
                "queries; make it again with `mmsearch evaluate ... --save FILE`"
            ) from error


def _number(value: float) -> float | None:
    """JSON knows neither inf nor NaN: both are null there."""
    return value if math.isfinite(value) else None


def _numbers(values: PerQuery) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _array(values: list[float | None], *, missing: float) -> PerQuery:
    return np.array([missing if value is None else value for value in values], np.float64)


def _detail_json(detail: QueryDetail) -> dict[str, Any]:
    plain = dict(vars(detail))
    for part in ("relevant", "results"):
        plain[part] = [dict(vars(item)) for item in plain[part]]
    return plain


def _detail(plain: Mapping[str, Any]) -> QueryDetail:
    parts = {
        part: tuple(RankedItem(**item) for item in plain[part]) for part in ("relevant", "results")
    }
    return QueryDetail(**{**plain, **parts})
