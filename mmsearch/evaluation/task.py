"""One question to a model: these queries, this gallery, these judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmsearch.errors import InputError
from mmsearch.evaluation.result import Anchor, Qrels


@dataclass(frozen=True)
class Shown:
    """How a query or an item looks to a reader: words, a picture (see `RankedItem.image`), both."""

    text: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Task:
    """Queries and gallery in the order of their vectors, and who is relevant to whom.

    `own` maps a query to the gallery items that are the query itself (image to image), which are
    left out of its ranking; see own.py. `unanswered` are queries whose picture cannot be read: they
    score 0. `clusters` names what makes queries dependent: the captions of one photo share its id;
    by default every query is its own.
    """

    dataset: str
    split: str | None
    direction: str
    queries: tuple[str, ...]
    items: tuple[str, ...]
    qrels: Qrels
    clusters: tuple[str, ...] = ()
    shown_queries: Mapping[str, Shown] = field(default_factory=dict)
    shown_items: Mapping[str, Shown] = field(default_factory=dict)
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unanswered: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What is measured: the model, its fingerprint and preprocess, and the kind of index."""

    model: str
    fingerprint: str
    preprocess: str = ""
    index_kind: str = "exact"


def check_judgements(qrels: Qrels, queries: Sequence[str], items: Sequence[str]) -> tuple[str, ...]:
    """Warnings about judgements that do not fit queries and gallery; none of them helps a figure.

    Raises InputError where nothing can be measured at all.
    """
    if not queries:
        raise InputError("there is no query to evaluate: the dataset or its split is empty")
    if not items:
        raise InputError("the gallery is empty: there is nothing to find")
    gallery = set(items)
    asked = set(queries)
    if len(asked) < len(queries):
        raise InputError("two queries have the same id: ids must be unique")
    warnings = []
    missing = without = incomplete = total = 0
    examples: list[str] = []
    for query in queries:
        relevant = [item for item, grade in qrels.get(query, {}).items() if grade >= 1]
        absent = [item for item in relevant if item not in gallery]
        total += len(relevant)
        missing += len(absent)
        incomplete += bool(absent)
        without += not relevant
        examples += absent[: 3 - len(examples)]
    if total == 0:
        raise InputError(
            "no query has a relevant item: the judgements name other queries than these "
            f"(queries start with {some(queries)}, judgements with {some(list(qrels))})"
        )
    if missing == total:
        raise InputError(
            f"none of the relevant items is in the gallery of {len(items)}: the ids do not match "
            f"(judged: {some(examples)}; gallery: {some(items)})"
        )
    if missing:
        warnings.append(
            f"the gallery lacks {missing} of {total} relevant items ({some(examples)}), of "
            f"{incomplete} queries: each counts as not found"
        )
    if without:
        warnings.append(f"{without} of {len(queries)} queries have no relevant item: they score 0")
    unknown = [query for query in qrels if query not in asked]
    if unknown:
        warnings.append(
            f"{len(unknown)} judged queries are not asked ({some(unknown)}): they are not in the "
            "figures"
        )
    return tuple(warnings)


def asking(task: Task, rows: Sequence[int]) -> Task:
    """The same task with only these of its queries; the gallery stays whole."""
    queries = tuple(task.queries[row] for row in rows)
    return replace(
        task,
        queries=queries,
        qrels={query: task.qrels.get(query, {}) for query in queries},
        clusters=tuple(task.clusters[row] for row in rows) if task.clusters else (),
    )


def some(names: Sequence[str]) -> str:
    """The first few names, quoted, for a message."""
    return ", ".join(repr(name) for name in names[:3]) or "none"
