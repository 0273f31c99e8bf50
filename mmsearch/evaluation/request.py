"""What is to be evaluated, as a person asks for it, and the tasks that this means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation import trec
from mmsearch.evaluation.attributes import attribute_tasks
from mmsearch.evaluation.dataset import read_dataset
from mmsearch.evaluation.evaluate import evaluate_run
from mmsearch.evaluation.labels import DEFAULT_TEMPLATES, label_task, measure_labels
from mmsearch.evaluation.measure import Measured, measure_tasks
from mmsearch.evaluation.measures import DEFAULT_MEASURES, Measure
from mmsearch.evaluation.query_file import query_file_task
from mmsearch.evaluation.result import Evaluation
from mmsearch.evaluation.task import Subject, Task
from mmsearch.evaluation.tasks import Direction, caption_tasks, sampled
from mmsearch.models.templates import worded_for
from mmsearch.types import Encoder, Modality, OnProgress

CAPTION_DIRECTIONS: tuple[Direction, ...] = ("text-to-image", "image-to-text")
ATTRIBUTE_DIRECTIONS: tuple[Direction, ...] = ("text-to-image",)

# What qrels cannot be asked: field of a request -> option.
_OF_DATASET = {
    "images": "--images",
    "split": "--split",
    "directions": "--direction",
    "relevance": "--relevance",
    "queries": "--queries",
    "labels": "--labels",
    "templates": "--template",
}


@dataclass(frozen=True)
class Request:
    """A dataset and what to ask of it; one of `relevance`, `queries` and `labels`, or none of
    them for the captions. `templates` word labels, or the queries of `relevance`."""

    dataset: Path
    images: Path | None = None
    split: str | None = None
    directions: tuple[Direction, ...] = ()
    relevance: tuple[str, ...] = ()
    queries: Path | None = None
    labels: str | None = None
    templates: tuple[str, ...] = ()
    sample: int | None = None
    measures: tuple[Measure, ...] = DEFAULT_MEASURES

    def tasks(self) -> list[Task]:
        """One task per direction. Raises InputError, UsageError."""
        asked = [name for name in ("relevance", "queries", "labels") if getattr(self, name)]
        if len(asked) > 1:
            raise UsageError(f"--{asked[0]} and --{asked[1]} are two evaluations: run one by one")
        if (self.templates and "queries" in asked) or (self.templates and not asked):
            raise UsageError("templates word labels or attributes: give --labels or --relevance")
        if self.labels and self.directions:
            raise UsageError("--labels has its own direction, from picture to label")
        dataset = read_dataset(self.dataset, images=self.images, split=self.split)
        if self.labels:
            tasks = [label_task(dataset, self.labels)]
        elif self.queries is not None:
            tasks = [query_file_task(dataset, self.queries, self._target())]
        elif self.relevance:
            if len(self.templates) > 1:
                raise UsageError("--relevance words a query in one way: give one template")
            template = next(iter(self.templates), None)
            directions = self.directions or ATTRIBUTE_DIRECTIONS
            tasks = attribute_tasks(dataset, self.relevance, directions, template)
        else:
            tasks = caption_tasks(dataset, self.directions or CAPTION_DIRECTIONS)
        return tasks if self.sample is None else [sampled(task, self.sample) for task in tasks]

    def _target(self) -> Modality:
        """What the queries of a file look for. Each query says itself what it asks with."""
        targets = {direction.rpartition("-")[2] for direction in self.directions} or {"image"}
        if len(targets) > 1:
            raise UsageError("--queries looks for images or for texts: give one direction")
        return "text" if targets == {"text"} else "image"


def measure(
    request: Request,
    tasks: Sequence[Task],
    encoder: Encoder,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> list[Measured]:
    """Put the tasks of `request` to `encoder`. Raises as `measure_tasks` and `measure_labels`."""
    if request.labels:
        templates = worded_for(request.templates or DEFAULT_TEMPLATES, encoder.name)
        return [
            measure_labels(
                task, encoder, templates, cache=cache, workers=workers, on_progress=on_progress
            )
            for task in tasks
        ]
    return measure_tasks(
        tasks,
        encoder,
        measures=request.measures,
        cache=cache,
        workers=workers,
        on_progress=on_progress,
    )


def measure_run_file(request: Request, path: Path) -> Evaluation:
    """A TREC run against TREC qrels, or against the judgements of a dataset.

    Raises InputError for files that cannot be read, UsageError where it is not clear which queries
    the run answers.
    """
    if trec.is_qrels(request.dataset):
        for name, option in _OF_DATASET.items():
            if getattr(request, name):
                raise UsageError(
                    f"{option} goes with a dataset, and {request.dataset} holds qrels, which are "
                    "judgements and nothing else: leave it out"
                )
        qrels = trec.read_qrels(request.dataset)
        task = Task(request.dataset.name, None, "run", tuple(qrels), (), qrels)
        if request.sample is not None:
            task = sampled(task, request.sample)
        run = trec.read_run(path)
    else:
        tasks = request.tasks()
        run = trec.read_run(path)
        fitting = [task for task in tasks if not run.keys().isdisjoint(task.queries)]
        if len(fitting) != 1:
            known = ", ".join(f"{task.direction} ({task.queries[0]!r} ...)" for task in tasks)
            raise InputError(
                f"{path}: its queries are those of {len(fitting)} of these directions: {known}; "
                "name one with --direction"
            )
        task = fitting[0]
    subject = Subject(path.stem, "", "", "run file")
    return evaluate_run(task, run, subject, measures=request.measures)
