"""Zero-shot classification: each picture's nearest label, and how often that is its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.evaluation.dataset import Dataset
from mmsearch.evaluation.embed import Embedder
from mmsearch.evaluation.evaluate import evaluate_embeddings, rank_embeddings
from mmsearch.evaluation.measure import Measured, check_unit, subject_of, without_failed
from mmsearch.evaluation.measures import Measure
from mmsearch.evaluation.result import MEDIAN_RANK, ClassFigures
from mmsearch.evaluation.task import Shown, Task
from mmsearch.evaluation.tasks import make_task, pictures_in
from mmsearch.types import Encoder, OnProgress

if TYPE_CHECKING:
    from mmsearch.types import Vectors

DIRECTION = "labels"
ACCURACY = "accuracy"
DEFAULT_TEMPLATES = ("a photo of {}",)
_MEASURES = (Measure("hit", 1), Measure("hit", 5), Measure("RR"), Measure(MEDIAN_RANK))


def label_task(dataset: Dataset, column: str) -> Task:
    """Pictures as queries, the distinct values of `column` as gallery. Raises UsageError."""
    labelled = {
        entry.id: (entry, entry.value(column))
        for entry in pictures_in(dataset)
        if column in entry.attributes
    }
    if not labelled:
        known = sorted({name for entry in dataset.entries for name in entry.attributes})
        raise UsageError(
            f"{dataset.name}: no picture has a {column!r}; columns: {', '.join(known) or 'none'}"
        )
    labels = sorted({label for _, label in labelled.values()})
    if len(labels) < 2:
        raise UsageError(f"{dataset.name}: {column!r} has one value only: nothing to tell apart")
    missing = len(pictures_in(dataset)) - len(labelled)
    return make_task(
        dataset,
        DIRECTION,
        {name: Shown(image=entry.image) for name, (entry, _) in labelled.items()},
        {label: Shown(text=label) for label in labels},
        {name: {label: 1} for name, (_, label) in labelled.items()},
        warnings=(f"{missing} pictures have no {column}: left out",) if missing else (),
    )


def measure_labels(
    task: Task,
    encoder: Encoder,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> Measured:
    """Accuracy, and precision, recall and F1 per class; `figures` has their unweighted means.

    A label is the mean of the unit embeddings of its templates, renormalised (Radford et al., arXiv
    2103.00020, section 3.1.4). Raises UsageError for a template without its place {}.
    """
    wrong = next((one for one in templates if one.count("{}") != 1), None)
    if wrong is not None or not templates:
        raise UsageError(f'the template {wrong!r} needs one place for the label: "a photo of {{}}"')
    embedder = Embedder(encoder, cache, workers, on_progress)
    worded = [template.replace("{}", label) for label in task.items for template in templates]
    pictures = [task.shown_queries[query].image or "" for query in task.queries]
    embedder.prepare(pictures, worded)
    task = without_failed(task, embedder.failures)
    queries = embedder.queries([task.shown_queries[query] for query in task.queries])
    labels = label_vectors(embedder.texts(worded), len(templates))
    check_unit(queries, task, encoder)
    subject = subject_of(encoder)
    evaluation = evaluate_embeddings(task, queries, labels, subject, measures=_MEASURES)
    nearest = rank_embeddings(task, queries, labels, 1).order[:, 0]
    predicted = {
        query: None if query in task.unanswered else task.items[label]
        for query, label in zip(task.queries, nearest.tolist(), strict=True)
    }
    true = {query: next(iter(task.qrels[query])) for query in task.queries}
    values = {ACCURACY if k == "hit@1" else k: v for k, v in evaluation.measures.items()}
    stated = f"labels worded as {', '.join(repr(one) for one in templates)}"
    evaluation = replace(
        evaluation,
        measures=values,
        classes=class_figures([true[q] for q in true], [predicted[q] for q in true]),
        warnings=(*evaluation.warnings, stated),
    )
    return Measured(task, evaluation, queries, labels, bool(embedder.failures))


def label_vectors(worded: Vectors, templates: int) -> Vectors:
    """(labels * templates, d) unit rows -> (labels, d): means over the templates, renormalised."""
    means = worded.reshape(-1, templates, worded.shape[1]).mean(axis=1)  # (labels, d)
    unit: Vectors = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


def class_figures(true: Sequence[str], predicted: Sequence[str | None]) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of each true class; 0 where a ratio has nothing to divide by.

        precision = right / predicted,  recall = right / support
        F1 = 2 right / (predicted + support)

    The conventions are scikit-learn's precision_recall_fscore_support with zero_division=0.
    """
    right = Counter(t for t, p in zip(true, predicted, strict=True) if t == p)
    support, said = Counter(true), Counter(p for p in predicted if p is not None)
    return tuple(
        ClassFigures(
            label=label,
            support=support[label],
            predicted=said[label],
            precision=right[label] / said[label] if said[label] else 0.0,
            recall=right[label] / support[label],
            f1=2 * right[label] / (said[label] + support[label]),
        )
        for label in sorted(support)
    )
