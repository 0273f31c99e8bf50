"""Train the projections, then the last image stage, of the bundled model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, log, pi
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.training.features import FROZEN_STAGES, last_stage
from mmsearch.training.losses import positives, symmetric_contrastive
from mmsearch.training.table import Table

if TYPE_CHECKING:
    import torch
    from open_clip.model import CustomTextCLIP
    from torch import nn

# How often a batch comes from each set. A batch never mixes sets: telling a dog from a shoe
# teaches little.
MIXTURE = {"flickr": 0.62, "fashion": 0.14, "grocery": 0.05, "clothing": 0.03, "renders": 0.16}
MAX_SCALE = 100.0


@dataclass(frozen=True)
class Phase:
    """One run of the optimiser. `stage_lr` is the learning rate of the last image stage; 0 leaves
    it frozen."""

    name: str
    steps: int
    batch: int
    head_lr: float
    stage_lr: float = 0.0
    weight_decay: float = 0.1
    dropout: float = 0.2
    warmup: int = 30
    ema: float = 0.99


HEADS = Phase("heads", steps=1500, batch=512, head_lr=1e-3)
LAST_STAGE = Phase("last stage", steps=250, batch=256, head_lr=3e-4, stage_lr=2e-4)


def trainable(model: CustomTextCLIP, phase: Phase) -> list[tuple[float, dict[str, nn.Parameter]]]:
    """Parameters that `phase` moves, by learning rate."""
    heads = {
        f"visual.head.{name}": parameter for name, parameter in model.visual.head.named_parameters()
    }
    heads.update(
        (f"text.proj.{name}", parameter) for name, parameter in model.text.proj.named_parameters()
    )
    heads["logit_scale"] = model.logit_scale
    groups = [(phase.head_lr, heads)]
    if phase.stage_lr:
        trunk = model.visual.trunk
        stage = {
            f"{part}.{name}": parameter
            for part, module in (
                ("blocks", trunk.blocks[FROZEN_STAGES:]),
                ("conv", trunk.conv_head),
                ("bn", trunk.bn2),
            )
            for name, parameter in module.named_parameters()
        }
        groups.append((phase.stage_lr, stage))
    return groups


def pool_all(model: CustomTextCLIP, maps: torch.Tensor) -> torch.Tensor:
    """(n, 160, 7, 7) maps to (n, 1280) features, in small batches."""
    import torch

    with torch.inference_mode():
        return torch.cat(
            [last_stage(model.visual.trunk, part.float()) for part in maps.split(64)]
        ).clone()


def train(
    model: CustomTextCLIP,
    table: Table,
    phase: Phase,
    seed: int,
    after: Callable[[int, float], None] | None = None,
) -> None:
    """Run `phase` on `model` in place and leave the moving average of its weights there.

    The model stays in evaluation mode: batch norms keep their ImageNet statistics. `after(step,
    loss)` is called
    after every step.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    groups = trainable(model.eval(), phase)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parameters = [parameter for _, group in groups for parameter in group.values()]
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for p in group.values() if (p.dim() > 1) == decays],
                "base": rate,
                "weight_decay": phase.weight_decay * decays,
            }
            for rate, group in groups
            for decays in (True, False)
        ],
        betas=(0.9, 0.98),
    )
    for parameter in parameters:
        parameter.requires_grad_(True)
    average = [parameter.detach().clone() for parameter in parameters]
    features = None if phase.stage_lr else pool_all(model, table.maps)
    present = [name for name in MIXTURE if len(table.rows(name, held_out=False))]
    weights = np.array([MIXTURE[name] for name in present])
    for step in range(phase.steps):
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * schedule(step, phase)
        corpus = present[random.choice(len(present), p=weights / weights.sum())]
        rows, captions = table.draw(corpus, phase.batch, random)
        pooled = (
            last_stage(model.visual.trunk, table.maps[rows].float())
            if features is None
            else features[rows]
        )
        images = functional.normalize(
            model.visual.head(functional.dropout(pooled, phase.dropout)), dim=-1
        )
        states = functional.dropout(table.captions[captions], phase.dropout / 2)
        texts = functional.normalize(model.text.proj(states), dim=-1)
        scale = model.logit_scale.exp()
        loss = symmetric_contrastive(images, texts, positives(table.owned[rows], captions), scale)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, log(MAX_SCALE))
            decay = min(phase.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(
                average, [parameter.detach() for parameter in parameters], 1 - decay
            )
        if after is not None:
            after(step, loss.item())
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean).requires_grad_(False)


def schedule(step: int, phase: Phase) -> float:
    """Linear warm-up to 1, then a cosine down to 0."""
    if step < phase.warmup:
        return (step + 1) / phase.warmup
    return (1 + cos(pi * (step - phase.warmup) / max(1, phase.steps - phase.warmup))) / 2


def hits(
    model: CustomTextCLIP, table: Table, corpus: str, at: tuple[int, ...] = (1, 5, 10)
) -> dict[int, float]:
    """Share of the held-out captions of `corpus` with a right picture among the first k of its
    held-out pictures."""
    import torch
    from torch.nn import functional

    rows = torch.from_numpy(table.rows(corpus, held_out=True))
    owned = table.owned[rows]
    captions = owned[owned >= 0].unique()
    with torch.inference_mode():
        images = functional.normalize(
            model.visual.head(pool_all(model, table.maps[rows])), dim=-1
        )  # (n, d)
        texts = functional.normalize(model.text.proj(table.captions[captions]), dim=-1)  # (m, d)
        ranked = (texts @ images.T).topk(min(max(at), len(rows)), dim=1).indices  # (m, k)
        found = positives(owned, captions).T.gather(1, ranked)  # (m, k)
    return {k: found[:, :k].any(dim=1).double().mean().item() for k in at}
