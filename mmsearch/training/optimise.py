"""The training loop: AdamW, warm-up and cosine, a moving average, early stopping, resuming."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import cos, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.durable import replacing
from mmsearch.errors import StorageError, TrainingError

if TYPE_CHECKING:
    import torch
    from torch import nn

    # The loss of one step's batch. All its randomness must come from the generator or from
    # torch's global one: both are set from (seed, step), so that a resumed run draws the same.
    Loss = Callable[[int, np.random.Generator], torch.Tensor]

BETAS = (0.9, 0.98)  # CLIP's (Radford et al. 2021, table 19)
_FORMAT = 1


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate. Weight decay spares vectors and scalars."""

    parameters: Sequence[nn.Parameter]
    rate: float
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Plan:
    """How long and how. Counts are optimiser steps.

    ema: decay of the moving average of the weights, which is what is validated and kept; early on
    it is min(ema, (1 + step) / (10 + step)). clip: largest gradient norm. validate_every 0: only
    at the end. patience: validations without a better score before the run stops; 0: never.
    keep_best: end with the best validated average, not with the last one.
    checkpoint_every: how much work a killed run may lose.
    """

    steps: int
    warmup: int = 0
    ema: float = 0.99
    clip: float = 1.0
    validate_every: int = 0
    patience: int = 0
    keep_best: bool = True
    checkpoint_every: int = 100


@dataclass(frozen=True)
class Step:
    """What one step showed. `score` is there after a validation."""

    step: int
    loss: float
    rate: float
    score: float | None = None


@dataclass(frozen=True)
class Outcome:
    """`steps` were made, the weights are those after `best_step` (0: the weights at the start)."""

    steps: int
    best_step: int
    best_score: float | None
    stopped_early: bool
    history: tuple[Step, ...]


@dataclass
class _State:
    """All that a checkpoint holds besides weights and optimiser."""

    step: int = 0  # steps made
    best_step: int = 0
    best_score: float | None = None
    misses: int = 0
    history: list[Step] = field(default_factory=list)


def schedule(step: int, plan: Plan) -> float:
    """Factor of the learning rate: linear warm-up to 1, then half a cosine down to 0."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    return (1 + cos(pi * (step - plan.warmup) / max(1, plan.steps - plan.warmup))) / 2


def optimise(
    groups: Sequence[Group],
    loss: Loss,
    plan: Plan,
    *,
    seed: int = 0,
    validate: Callable[[], float] | None = None,
    project: Callable[[], None] | None = None,
    checkpoint: Path | None = None,
    identity: str = "",
    on_step: Callable[[Step], None] | None = None,
) -> Outcome:
    """Minimise `loss` in place; the parameters end as the best moving average.

    `validate` scores the averaged weights, larger is better; it is first asked before any step,
    so that a run that never improves ends where it began, if the plan keeps the best. Without it
    the last average is kept.
    `project` puts parameters back into their domain after each step. `checkpoint` names a file
    from which a killed run of the same `identity` goes on; it draws the same batches as an
    uninterrupted one. `on_step` also gets the steps that a resumed run made before.

    Raises TrainingError when a loss or gradient is not finite, StorageError when the checkpoint
    cannot be written.
    """
    with _own_randomness():
        run = _Run(groups, plan, validate, checkpoint, identity)
        run.resume()
        for step in run.state.history:
            if on_step:
                on_step(step)
        while run.state.step < plan.steps and not run.exhausted:
            step = run.advance(loss, seed, project)
            if on_step:
                on_step(step)
        return run.finish()


class _Run:
    def __init__(
        self,
        groups: Sequence[Group],
        plan: Plan,
        validate: Callable[[], float] | None,
        checkpoint: Path | None,
        identity: str,
    ) -> None:
        import torch

        self.plan, self.validate = plan, validate
        self.checkpoint, self.identity = checkpoint, identity
        self.parameters = [p for group in groups for p in group.parameters]
        self.optimiser = torch.optim.AdamW(
            [
                {
                    "params": chosen,
                    "base": group.rate,
                    "weight_decay": group.weight_decay * decays,
                }
                for group in groups
                for decays in (True, False)
                if (chosen := [p for p in group.parameters if (p.dim() > 1) == decays])
            ],
            betas=BETAS,
        )
        self.average = self._copy()
        self.best = self._copy()
        self.state = _State()

    @property
    def exhausted(self) -> bool:
        return 0 < self.plan.patience <= self.state.misses

    def advance(self, loss: Loss, seed: int, project: Callable[[], None] | None) -> Step:
        """One optimiser step, and what is due after it."""
        import torch

        number = self.state.step
        factor = schedule(number, self.plan)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * factor
        torch.manual_seed(seed * 1_000_003 + number)
        value = loss(number, np.random.default_rng([seed, number]))
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        _require_finite(number, float(value.detach()), float(norm))
        self.optimiser.step()
        if project is not None:
            with torch.no_grad():
                project()
        self._follow(number)
        self.state.step += 1
        step = Step(number + 1, float(value.detach()), self._rate(), self._score_if_due())
        self.state.history.append(step)
        if self.state.step % self.plan.checkpoint_every == 0:
            self.save()
        return step

    def finish(self) -> Outcome:
        """Leave the best weights in place."""
        last = self.validate is None or not self.plan.keep_best
        self._put(self.average if last else self.best)
        state = self.state
        return Outcome(
            state.step,
            state.step if last else state.best_step,
            state.best_score,
            self.exhausted and state.step < self.plan.steps,
            tuple(state.history),
        )

    def resume(self) -> None:
        """Take up the checkpoint of this very run, or validate the start of a new one."""
        if (found := self._read()) is None:
            if self.validate is not None:
                self.state.best_score = self.validate()
            return
        self._put(found["parameters"])
        self.average, self.best = found["average"], found["best"]
        self.optimiser.load_state_dict(found["optimiser"])
        history = [Step(*step) for step in found["history"]]
        self.state = _State(**found["state"], history=history)

    def save(self) -> None:
        """Write the checkpoint; the previous one stays until the new one is whole."""
        import torch

        if self.checkpoint is None:
            return
        state = self.state
        content = {
            "format": _FORMAT,
            "identity": self.identity,
            "parameters": [p.detach() for p in self.parameters],
            "average": self.average,
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "state": {
                "step": state.step,
                "best_step": state.best_step,
                "best_score": state.best_score,
                "misses": state.misses,
            },
            "history": [(s.step, s.loss, s.rate, s.score) for s in state.history],
        }
        try:
            with replacing(self.checkpoint) as new:
                torch.save(content, new)
        except (OSError, RuntimeError) as exc:  # torch reports a short write as RuntimeError
            reason = exc.strerror if isinstance(exc, OSError) else "the write was cut short"
            raise StorageError(
                f"cannot write the checkpoint {self.checkpoint} ({reason}): make room or choose "
                "another place, then run the same command again; it goes on from the last one"
            ) from exc

    def _read(self) -> dict[str, Any] | None:
        import torch

        if self.checkpoint is None or not self.checkpoint.is_file():
            return None
        device = self.parameters[0].device
        try:
            found: dict[str, Any] = torch.load(
                self.checkpoint, map_location=device, weights_only=True
            )
        except Exception:  # noqa: BLE001  replaced whole or not at all: damaged by others, start anew
            return None
        same = found.get("format") == _FORMAT and found.get("identity") == self.identity
        return found if same else None

    def _score_if_due(self) -> float | None:
        """The averaged weights' score where one is due; remembers the best."""
        every, state = self.plan.validate_every, self.state
        due = state.step == self.plan.steps or (every > 0 and state.step % every == 0)
        if self.validate is None or not due:
            return None
        trained = self._copy()
        self._put(self.average)
        score = self.validate()
        if state.best_score is None or score > state.best_score:
            state.best_score, state.best_step, state.misses = score, state.step, 0
            self.best = self._copy()
        else:
            state.misses += 1
        self._put(trained)
        return score

    def _follow(self, number: int) -> None:
        import torch

        decay = min(self.plan.ema, (1 + number) / (10 + number))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def _rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def _copy(self) -> list[torch.Tensor]:
        return [p.detach().clone() for p in self.parameters]

    def _put(self, values: Sequence[torch.Tensor]) -> None:
        import torch

        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)


def _require_finite(number: int, loss: float, norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    what = f"the loss became {loss}" if not math.isfinite(loss) else f"the gradient became {norm}"
    raise TrainingError(
        f"{what} at step {number + 1}: nothing was kept of this run. Lower the learning rate "
        "(a tenth is a good next try), or look for pairs with extreme weights"
    )


@contextlib.contextmanager
def _own_randomness() -> Iterator[None]:
    """Within it torch's generators are ours; afterwards they are as they were."""
    import torch

    with torch.random.fork_rng():
        yield
