"""The training loop: what it minimises, keeps, resumes and refuses."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsearch.errors import StorageError, TrainingError
from mmsearch.training.losses import drift, symmetric_contrastive
from mmsearch.training.optimise import Group, Outcome, Plan, Step, optimise, schedule

TARGET = torch.tensor([1.0, -2.0, 3.0])


class Killed(Exception):
    """Stands for a process that ends between two steps."""


def run(
    plan: Plan,
    checkpoint: Path | None = None,
    on_step: Callable[[Step], None] | None = None,
    seed: int = 0,
    validate: bool = True,
    drawn: list[int] | None = None,
) -> tuple[torch.Tensor, Outcome]:
    """Fit three numbers to TARGET through noise that every step draws anew."""
    weights = torch.nn.Parameter(torch.zeros(3))

    def loss(step: int, random: np.random.Generator) -> torch.Tensor:
        if drawn is not None:
            drawn.append(step)
        noise = torch.from_numpy(random.normal(size=3).astype(np.float32)) + torch.randn(3)
        return ((weights - TARGET - 0.1 * noise) ** 2).sum()

    outcome = optimise(
        [Group([weights], 0.1)],
        loss,
        plan,
        seed=seed,
        validate=(lambda: -float(((weights - TARGET) ** 2).detach().sum())) if validate else None,
        checkpoint=checkpoint,
        identity="test",
        on_step=on_step,
    )
    return weights.detach().clone(), outcome


def test_the_loss_is_minimised_and_the_best_average_kept() -> None:
    weights, outcome = run(Plan(steps=200, warmup=5, ema=0.9, clip=10, validate_every=10))
    assert torch.allclose(weights, TARGET, atol=0.2)
    assert outcome.best_score == pytest.approx(-float(((weights - TARGET) ** 2).detach().sum()))
    assert outcome.best_score == max(s.score for s in outcome.history if s.score is not None)


def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    plan = Plan(steps=60, warmup=5, validate_every=7, checkpoint_every=10)
    whole, expected = run(plan)
    checkpoint = tmp_path / "c.pt"

    def kill(step: Step) -> None:
        if step.step == 34:
            raise Killed

    with pytest.raises(Killed):
        run(plan, checkpoint, kill)
    seen: list[int] = []
    drawn: list[int] = []
    resumed, outcome = run(plan, checkpoint, lambda step: seen.append(step.step), drawn=drawn)
    assert torch.equal(resumed, whole)
    assert outcome == expected
    assert seen == list(range(1, 61))
    assert drawn == list(range(30, 60))


def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    torch.save({"format": 1, "identity": "another"}, checkpoint)
    plan = Plan(steps=5)
    assert torch.equal(run(plan, checkpoint)[0], run(plan)[0])
    checkpoint.write_bytes(b"damaged")
    assert torch.equal(run(plan, checkpoint)[0], run(plan)[0])


def test_a_run_that_stops_improving_ends_early() -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    outcome = optimise(
        [Group([weights], 0.1)],
        lambda _step, _random: ((weights - TARGET) ** 2).sum(),
        Plan(steps=100, validate_every=1, patience=3),
        validate=lambda: -float((weights.detach() ** 2).sum()),  # best before any step
    )
    assert (outcome.steps, outcome.best_step, outcome.stopped_early) == (3, 0, True)
    assert torch.equal(weights.detach(), torch.zeros(3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_the_step_and_the_way_out(bad: float) -> None:
    weights = torch.nn.Parameter(torch.zeros(3))

    def loss(step: int, _random: np.random.Generator) -> torch.Tensor:
        return weights.sum() * (bad if step == 4 else 1.0) + (bad if step == 4 else 0.0)

    with pytest.raises(TrainingError, match=r"step 5.*learning rate"):
        optimise([Group([weights], 0.1)], loss, Plan(steps=10))


def test_a_full_disk_is_a_storage_error_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    run(Plan(steps=10, checkpoint_every=10), checkpoint)
    before = checkpoint.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # every longer write fails
    try:
        with pytest.raises(StorageError, match="make room"):
            run(Plan(steps=20, checkpoint_every=10), checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_the_caller_s_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    run(Plan(steps=3))
    assert torch.equal(torch.rand(1), expected)


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    plan = Plan(steps=100, warmup=10)
    factors = [schedule(step, plan) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1
    assert factors[100] == pytest.approx(0)


def unit(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def test_with_one_positive_each_the_loss_is_clip_s() -> None:
    images, texts, scale = unit(4, 8), unit(4, 8).flip(0), torch.tensor(10.0)
    logits = scale * images @ texts.T
    labels = torch.arange(4)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
    found = symmetric_contrastive(images, texts, torch.eye(4, dtype=torch.bool), scale)
    assert torch.allclose(found, expected)


def test_a_weight_of_two_counts_as_a_row_that_is_there_twice() -> None:
    images, texts, scale = unit(3, 8), unit(3, 8).flip(0), torch.tensor(10.0)
    ones, eye = torch.ones(3), torch.eye(3, dtype=torch.bool)
    weights = torch.tensor([2.0, 1.0, 1.0])

    def by_image(image_weights: torch.Tensor) -> torch.Tensor:
        return symmetric_contrastive(
            images, texts, eye, scale, image_weights=image_weights, text_weights=ones
        )

    rows = torch.stack([by_image(torch.eye(3)[at]) for at in (0, 0, 1, 2)])
    assert torch.allclose(by_image(weights), rows.mean())


def test_drift_is_zero_at_the_start_and_two_at_the_opposite() -> None:
    rows = unit(5, 8)
    assert drift(rows, rows).item() == pytest.approx(0, abs=1e-6)
    assert drift(rows, -rows).item() == pytest.approx(2)


@pytest.mark.parametrize(("keep_best", "kept_step"), [(True, 0), (False, 20)])
def test_a_plan_keeps_the_best_average_or_the_last(keep_best: bool, kept_step: int) -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    outcome = optimise(
        [Group([weights], 0.1)],
        lambda _step, _random: ((weights - TARGET) ** 2).sum(),
        Plan(steps=20, validate_every=5, keep_best=keep_best),
        validate=lambda: -float(weights.detach().abs().sum()),
    )
    assert outcome.best_step == kept_step
    assert torch.equal(weights.detach(), torch.zeros(3)) == keep_best
