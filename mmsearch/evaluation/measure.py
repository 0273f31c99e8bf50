"""Put tasks to an encoder: embed, rank, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import InputError
from mmsearch.evaluation import trec
from mmsearch.evaluation.embed import Embedder
from mmsearch.evaluation.evaluate import evaluate_embeddings, rank_embeddings
from mmsearch.evaluation.measures import DEFAULT_MEASURES, Measure
from mmsearch.evaluation.own import without_own
from mmsearch.evaluation.result import Evaluation, RankedRun
from mmsearch.evaluation.task import Subject, Task, some
from mmsearch.types import Encoder, OnProgress, Progress

if TYPE_CHECKING:
    from mmsearch.types import Vectors

NORM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Measured:
    """An evaluation, and the vectors that it came from: rows as in the task."""

    task: Task
    evaluation: Evaluation
    query_vectors: Vectors
    item_vectors: Vectors
    failed: bool = False  # pictures could not be read

    def run(self, depth: int) -> RankedRun:
        """The rankings behind the figures, `depth` items each."""
        return rank_embeddings(self.task, self.query_vectors, self.item_vectors, depth)


def write_runs(measured: Sequence[Measured], path: Path, depth: int) -> list[Path]:
    """A TREC run and its qrels beside it; of several directions each gets a file name of its own.

    Returns the files. Raises as `trec.write_run`.
    """
    written: list[Path] = []
    for one in measured:
        direction = one.task.direction.replace(" ", "-")
        target = path if len(measured) == 1 else path.with_stem(f"{path.stem}-{direction}")
        trec.write_run(target, one.run(depth), one.evaluation.model)
        trec.write_qrels(target.with_suffix(".qrels"), one.task.qrels)
        written += [target, target.with_suffix(".qrels")]
    return written


def require_exportable(tasks: Sequence[Task]) -> None:
    """Raises as `write_runs` would for the ids of these tasks, before anything is measured."""
    for task in tasks:
        trec.require_words((*task.queries, *task.items))
        for query, graded in task.qrels.items():
            trec.require_words((query, *graded))


def subject_of(encoder: Encoder) -> Subject:
    """What a report says of the encoder."""
    return Subject(encoder.name, encoder.fingerprint, _preprocess_of(encoder))


def _preprocess_of(encoder: Encoder) -> str:
    """In words as exact as the encoder allows: an adapter prepares pictures as its base does."""
    base = getattr(encoder, "base", encoder)
    config = getattr(base, "preprocess_cfg", None)
    if config is None:
        return f"{encoder.image_size} px"
    from mmsearch.encoders.preprocess import Preprocess

    one = Preprocess.from_cfg(config)
    mean, std = (" ".join(f"{value:.4g}" for value in three) for three in (one.mean, one.std))
    return (
        f"{one.size[1]} x {one.size[0]} px, {one.resize_mode}, {one.interpolation}, "
        f"mean {mean}, std {std}"
    )


def measure_tasks(
    tasks: Sequence[Task],
    encoder: Encoder,
    *,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> list[Measured]:
    """Evaluate `encoder` on each task; a picture or text of several tasks is encoded once.

    Pictures that cannot be read are left out of the gallery and stay wrong in the figures; the
    evaluation's warnings name them. `cache` is a folder for embeddings (None: none are kept).
    Raises InputError where nothing can be measured.
    """
    embedder = Embedder(encoder, cache, workers, on_progress)
    for task in tasks:
        embedder.prepare(*_contents(task))
    return [_measure(task, embedder, measures, on_progress) for task in tasks]


def wants_images(task: Task) -> bool:
    """Whether the gallery is one of pictures."""
    return task.direction.endswith("to image")


def without_failed(task: Task, failures: dict[str, str]) -> Task:
    """The task that is left when some pictures cannot be read; nothing gets easier by it."""
    shown = set(_contents(task)[0])
    broken = {name: reason for name, reason in failures.items() if name in shown}
    if not broken:
        return task
    items = task.items
    if wants_images(task):
        items = tuple(item for item in items if task.shown_items[item].image not in broken)
    reasons = some(list(broken.values()))
    return replace(
        task,
        items=items,
        unanswered=frozenset(q for q in task.queries if task.shown_queries[q].image in broken),
        warnings=(
            *task.warnings,
            f"{len(broken)} pictures cannot be read and count as wrong: {reasons}",
        ),
        anchors=(),
    )


def _contents(task: Task) -> tuple[list[str], list[str]]:
    """Names of the pictures and the texts that have to be embedded."""
    asked = [task.shown_queries[query] for query in task.queries]
    shown = [task.shown_items[item] for item in task.items]
    images = [one.image for one in asked if one.image is not None]
    texts = [one.text for one in asked if one.text is not None]
    if wants_images(task):
        images += [one.image for one in shown if one.image is not None]
    else:
        texts += [one.text for one in shown if one.text is not None]
    return images, texts


def _measure(
    task: Task, embedder: Embedder, measures: Sequence[Measure], on_progress: OnProgress | None
) -> Measured:
    task = without_failed(task, embedder.failures)
    if not task.items:
        reasons = some(list(embedder.failures.values()))
        raise InputError(f"{task.dataset}: none of its pictures can be read: {reasons}")
    task = without_own(task, embedder.digest)  # copies of a picture, under other names
    queries = embedder.queries([task.shown_queries[query] for query in task.queries])
    shown = [task.shown_items[item] for item in task.items]
    if wants_images(task):
        items = embedder.images([one.image or "" for one in shown])
    else:
        items = embedder.texts([one.text or "" for one in shown])
    check_unit(queries, task, embedder.encoder)
    check_unit(items, task, embedder.encoder)

    def ranked(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(Progress("ranked queries", done, total))

    evaluation = evaluate_embeddings(
        task, queries, items, subject_of(embedder.encoder), measures=measures, on_queries=ranked
    )
    return Measured(task, evaluation, queries, items, bool(embedder.failures))


def check_unit(vectors: Vectors, task: Task, encoder: Encoder) -> None:
    """Rows are unit, or zero for a query that could not be read. Raises InputError."""
    norms = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~((np.abs(norms - 1) < NORM_TOLERANCE) | (norms == 0)))
    if len(wrong):
        raise InputError(
            f"{encoder.name} gives vectors that are not unit length for {task.dataset} (norm "
            f"{norms[wrong[0]]:.4g} in row {wrong[0]}): it cannot be searched with"
        )
