"""A gate for continuous integration: figures must not fall below a saved baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.errors import InputError
from mmsearch.evaluation.files import read_text
from mmsearch.evaluation.result import MEDIAN_RANK, Evaluation

# What has to be equal for two figures to be comparable. The fingerprint need not be: another model
# or preprocess is what a gate is there to judge.
SAME = ("dataset", "split", "direction", "query_count", "gallery_size", "tie_rule")


@dataclass(frozen=True)
class Change:
    """One figure, before and now; `allowed` is the fall that the gate lets through."""

    dataset: str
    direction: str
    model: str
    measure: str
    before: float
    now: float
    allowed: float

    @property
    def fell(self) -> bool:
        return self.now < self.before - self.allowed - 1e-9

    def __str__(self) -> str:
        return (
            f"{self.dataset}, {self.direction}, {self.model}: {self.measure} "
            f"{self.before:.4f} -> {self.now:.4f} ({self.now - self.before:+.4f})"
        )


def read_evaluations(path: Path) -> list[Mapping[str, Any]]:
    """What `--json` printed (one object a line) or `--save` wrote. Raises InputError."""
    text = read_text(path)
    try:
        content: Any = json.loads(text)
    except ValueError:
        try:
            content = [json.loads(line) for line in text.split("\n") if line.strip()]
        except ValueError as error:
            raise InputError(f"{path}: not evaluations: {error}") from error
    found = content if isinstance(content, list) else [content]
    known = [one for one in found if _has_figures(one)]
    if not known or len(known) < len(found):
        raise InputError(
            f"{path}: not evaluations; make it with `mmsearch evaluate ... --save {path.name}`"
        )
    return known


def _has_figures(one: Any) -> bool:
    if not isinstance(one, Mapping) or "mmsearch_evaluation" not in one:
        return False
    figures = one.get("figures")
    return isinstance(figures, Mapping) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        for value in figures.values()
    )


def against_baseline(
    evaluations: Sequence[Evaluation], baseline: Sequence[Mapping[str, Any]], allowed: float
) -> list[Change]:
    """Every figure beside its baseline. Median rank is left out: less is better there.

    The baseline of an evaluation is the one of the same dataset, split and direction; of several,
    that of the same model. Raises InputError where there is none, where it was measured on other
    queries or another gallery, or where a figure of the baseline is no longer measured.
    """
    changes = []
    for evaluation in evaluations:
        plain = evaluation.to_json(per_query=False)
        before = _baseline_of(plain, baseline)
        for measure, value in before["figures"].items():
            if measure == MEDIAN_RANK or value is None:
                continue
            now = plain["figures"].get(measure)
            if now is None:
                raise InputError(
                    f"{_name(plain)}: the baseline has {measure}, which was not measured now: "
                    "measure it, or make the baseline again"
                )
            names = (evaluation.dataset, evaluation.direction, evaluation.model)
            changes.append(Change(*names, measure, float(value), float(now), allowed))
    return changes


def _baseline_of(
    plain: Mapping[str, Any], baseline: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    key = ("dataset", "split", "direction")
    same = [one for one in baseline if all(one.get(part) == plain[part] for part in key)]
    if len(same) > 1:
        same = [one for one in same if one.get("model") == plain["model"]]
    if len(same) != 1:
        known = ", ".join(_name(one) for one in baseline)
        count = "no" if not same else "more than one"
        raise InputError(f"{_name(plain)}: {count} baseline for it; the file has: {known}")
    for part in SAME:
        if same[0].get(part) != plain[part]:
            raise InputError(
                f"{_name(plain)}: its baseline has {part} {same[0].get(part)!r}, now it is "
                f"{plain[part]!r}: the two cannot be compared; make the baseline again"
            )
    return same[0]


def _name(plain: Mapping[str, Any]) -> str:
    split = f" {plain['split']}" if plain.get("split") else ""
    return f"{plain.get('dataset')}{split}, {plain.get('direction')}, {plain.get('model')}"
