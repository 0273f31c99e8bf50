"""Which evaluations stand side by side: those that answered the same queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmsearch.evaluation.statistics import evaluation_intervals, evaluation_significance
from mmsearch.types import Progress

if TYPE_CHECKING:
    from mmsearch.evaluation.result import Evaluation
    from mmsearch.evaluation.statistics import Interval, Significance
    from mmsearch.types import OnProgress


@dataclass(frozen=True)
class Run:
    """One evaluation in the report, what it is called there, and its intervals by measure."""

    label: str
    evaluation: Evaluation
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Group:
    """Runs on the same queries of one dataset, split and direction; `key` is its id in the page.

    `significance` is None for a single run.
    """

    key: str
    runs: tuple[Run, ...]
    significance: Significance | None

    @property
    def first(self) -> Evaluation:
        return self.runs[0].evaluation

    @property
    def title(self) -> str:
        return self.first.direction[:1].upper() + self.first.direction[1:]

    @property
    def place(self) -> str:
        split = "" if self.first.split is None else f", {self.first.split}"
        return self.first.dataset + split

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(run.label for run in self.runs)

    @property
    def measures(self) -> list[str]:
        """The measures of any run, in their order."""
        return list(dict.fromkeys(name for run in self.runs for name in run.evaluation.measures))


def grouped(
    evaluations: Sequence[Evaluation], seed: int, on_progress: OnProgress | None
) -> list[Group]:
    """The groups in the order of their first evaluations. Raises UsageError as `statistics`."""
    gathered: dict[object, list[Evaluation]] = {}
    for one in evaluations:
        key = (one.dataset, one.split, one.direction, frozenset(one.queries))
        gathered.setdefault(key, []).append(one)
    groups: list[Group] = []
    done = 0
    for number, members in enumerate(gathered.values(), 1):
        runs: list[Run] = []
        for label, one in zip(labels_of(members), members, strict=True):
            runs.append(Run(label, one, evaluation_intervals(one, seed=seed)))
            done += 1
            if on_progress:
                on_progress(Progress("intervals", done, len(evaluations)))
        tests = None
        if len(runs) > 1:
            labelled = {run.label: run.evaluation for run in runs}
            tests = evaluation_significance(labelled, seed=seed)
        groups.append(Group(f"part-{number}", tuple(runs), tests))
    return groups


def labels_of(members: Sequence[Evaluation]) -> tuple[str, ...]:
    """A name of its own for each run: its model, and what tells it from others of that name."""
    labels: list[str] = []
    for one in members:
        label = one.model
        twins = [other for other in members if other.model == one.model]
        if len({other.index_kind for other in twins}) > 1:
            label += f", {one.index_kind}"
        elif len({other.fingerprint for other in twins}) > 1:
            label += f", {one.fingerprint[:8]}"
        wanted, number = label, 1
        while label in labels:
            number += 1
            label = f"{wanted} #{number}"
        labels.append(label)
    return tuple(labels)
