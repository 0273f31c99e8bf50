"""Train the residual maps of an adapter on features of a frozen base: minutes on a CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.adaptation.measure import Measures, measure
from mmsearch.adaptation.objective import Batches, loss_of, plan_of
from mmsearch.encoders.adapter import ResidualMap
from mmsearch.training.losses import MAX_LOG_SCALE
from mmsearch.training.optimise import Group, Outcome, Step, optimise

if TYPE_CHECKING:
    import torch

    from mmsearch.adaptation.examples import Examples
    from mmsearch.adaptation.features import Floats


@dataclass(frozen=True)
class AdapterRecipe:
    """Settings of the adapter's training; they are kept in the model's card.

    hidden: width of both maps. keep: weight of the pull towards the base's embeddings. early_stop:
    end with the step that did best on the held-out pairs, and stop when it stays so. The figures
    were searched on the Grocery Store training pictures with `mini` (November 2026); a linear map
    was one to two points below the two-layer one. docs/models.md says what they reach.
    """

    steps: int = 600
    batch: int = 512
    rate: float = 1e-3
    weight_decay: float = 0.1
    dropout: float = 0.5
    hidden: int = 384
    keep: float = 0.1
    warmup: int = 20
    ema: float = 0.98
    validate_every: int = 20
    patience: int = 10
    early_stop: bool = True


def train_adapter(
    examples: Examples,
    scale: float,
    recipe: AdapterRecipe,
    *,
    seed: int,
    checkpoint: Path,
    identity: str,
    on_step: Callable[[Step], None],
) -> tuple[ResidualMap, ResidualMap, Outcome]:
    """The image map, the text map and how the run went. `scale`: the base's inverse temperature."""
    model = _Maps(examples, scale, recipe, seed)
    outcome = optimise(
        [
            Group(model.maps, recipe.rate, recipe.weight_decay),
            Group([model.log_scale], recipe.rate),
        ],
        model.loss,
        plan_of(recipe),
        seed=seed,
        validate=lambda: model.validate().score,
        project=model.bound_scale,
        checkpoint=checkpoint,
        identity=identity,
        on_step=on_step,
    )
    return *model.export(), outcome


class _Maps:
    """Both maps as torch parameters, on standardised inputs."""

    def __init__(self, examples: Examples, scale: float, recipe: AdapterRecipe, seed: int) -> None:
        import torch

        self._examples, self._recipe = examples, recipe
        generator = torch.Generator().manual_seed(seed)
        seen = np.unique(examples.train.images)
        self._image_norm = _Norm(examples.inputs[seen])
        self._text_norm = _Norm(examples.texts[np.unique(examples.train.texts)])
        self._image_inputs = torch.from_numpy(self._image_norm(examples.inputs))
        self._text_inputs = torch.from_numpy(self._text_norm(examples.texts))
        self._images = torch.from_numpy(np.ascontiguousarray(examples.images))
        self._texts = torch.from_numpy(np.ascontiguousarray(examples.texts))
        dim = self._images.shape[1]
        self._image = _layers(self._image_inputs.shape[1], recipe.hidden, dim, generator)
        self._text = _layers(dim, recipe.hidden, dim, generator)
        self.log_scale = torch.nn.Parameter(torch.tensor(min(math.log(scale), MAX_LOG_SCALE)))
        self.maps: list[Any] = [*self._image, *self._text]
        self._batches = Batches(examples.train, recipe.batch)

    def loss(self, _step: int, random: np.random.Generator) -> torch.Tensor:
        batch = self._batches.draw(random)
        images, texts = self._images[batch.images], self._texts[batch.texts]
        dropout = self._recipe.dropout
        x = _apply(self._image, images, self._image_inputs[batch.images], dropout)
        # Texts are far fewer than pictures in many sets; they need less noise, not more.
        y = _apply(self._text, texts, self._text_inputs[batch.texts], dropout / 2)
        return loss_of(batch, x, y, self.log_scale.exp(), images, texts, self._recipe.keep)

    def validate(self) -> Measures:
        examples = self._examples
        image, text = self.export()
        return measure(
            examples.held_out,
            image(examples.images, examples.inputs),
            text(examples.texts, examples.texts),
        )

    def bound_scale(self) -> None:
        self.log_scale.clamp_(0.0, MAX_LOG_SCALE)

    def export(self) -> tuple[ResidualMap, ResidualMap]:
        return self._image_norm.fold(*self._image), self._text_norm.fold(*self._text)


class _Norm:
    """Standardises a map's inputs by what training saw, and folds that into its first layer."""

    def __init__(self, seen: Floats) -> None:
        self._mean = seen.mean(axis=0)
        # A dimension that hardly varies in training must not explode elsewhere.
        spread = seen.std(axis=0)
        self._scale = 1 / (spread + 0.1 * spread.mean() + 1e-6)

    def __call__(self, inputs: Floats) -> Floats:
        out: Floats = (inputs - self._mean) * self._scale
        return out

    def fold(self, down: torch.Tensor, bias: torch.Tensor, up: torch.Tensor) -> ResidualMap:
        folded = down.detach().numpy() * self._scale  # (h, p)
        shifted = bias.detach().numpy() - folded @ self._mean  # (h,)
        return ResidualMap(folded, shifted, up.detach().numpy().copy())


def _layers(inputs: int, hidden: int, dim: int, generator: torch.Generator) -> tuple[Any, Any, Any]:
    """down (h, p) as torch.nn.Linear starts, bias and `up` zero: the map starts as the identity."""
    import torch

    bound = inputs**-0.5
    down = torch.empty(hidden, inputs).uniform_(-bound, bound, generator=generator)
    parameter = torch.nn.Parameter
    return parameter(down), parameter(torch.zeros(hidden)), parameter(torch.zeros(dim, hidden))


def _apply(
    layers: tuple[Any, Any, Any], rows: torch.Tensor, inputs: torch.Tensor, dropout: float
) -> torch.Tensor:
    """`ResidualMap` in torch, with dropout before each layer."""
    from torch.nn import functional

    down, bias, up = layers
    hidden = functional.gelu(functional.linear(functional.dropout(inputs, dropout), down, bias))
    return functional.normalize(
        rows + functional.linear(functional.dropout(hidden, dropout), up), dim=-1
    )
