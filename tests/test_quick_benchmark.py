"""benchmarks/quick.py: what it calls slower, and that it stores what it measures. Times nothing."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)  # benchmarks are scripts beside each other
    return importlib.import_module("quick")


@pytest.fixture
def then(quick: Any) -> Any:
    return quick.Figure(
        ratio=2.0, noise=0.1, ours_ms=20, peer_ms=10, pairs=21, recall=0.995, memory_mb=100
    )


@pytest.mark.parametrize(
    ("ratio", "noise", "word"),
    [
        (2.0, 0.1, "same"),
        (2.4, 0.0, "same"),  # clear, but within the margin
        (2.6, 0.1, "slower"),
        (2.6, 0.6, "same"),  # beyond the margin, but not clear
        (1.7, 0.0, "same"),
        (1.5, 0.1, "better"),
        (1.5, 0.5, "same"),
    ],
)
def test_a_ratio_differs_beyond_the_margin_and_both_noises(
    quick: Any, then: Any, ratio: float, noise: float, word: str
) -> None:
    assert quick.judge(replace(then, ratio=ratio, noise=noise), then) == [word]


@pytest.mark.parametrize(
    ("change", "judgement"),
    [
        ({"recall": 0.98}, ["same", "finds less"]),
        ({"recall": 0.992}, ["same"]),
        ({"memory_mb": 150}, ["same", "more memory"]),
        ({"memory_mb": 130}, ["same"]),
        ({"memory_mb": None}, ["same"]),
        ({"ratio": 1.0, "recall": 0.9}, ["better", "finds less"]),
        ({"ratio": 4.0, "memory_mb": 50}, ["slower"]),
    ],
)
def test_recall_and_memory_are_judged_besides(
    quick: Any, then: Any, change: dict[str, Any], judgement: list[str]
) -> None:
    assert quick.judge(replace(then, **change), then) == judgement
    assert quick.is_worse(judgement) == (judgement not in (["same"], ["better"]))


def test_what_was_never_stored_is_new_and_no_worse(quick: Any, then: Any) -> None:
    assert quick.judge(then, None) == ["new"]
    assert not quick.is_worse(["new"])


def test_what_is_stored_is_what_is_measured(quick: Any) -> None:
    about, stored = quick.read_stored(quick.STORED)
    assert list(stored) == list(quick.TABLE)
    assert about.keys() == quick.about().keys()
