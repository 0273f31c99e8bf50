"""Train the projections, then the last image stages with them, of the bundled model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.encoders.folding import folded
from mmsearch.training.features import FROZEN_STAGES, last_stages, unfold
from mmsearch.training.losses import MAX_LOG_SCALE, positives, symmetric_contrastive
from mmsearch.training.optimise import Group, Plan, Step, optimise
from mmsearch.training.table import Rows, Table

if TYPE_CHECKING:
    import torch
    from open_clip.model import CustomTextCLIP

# How often a batch comes from each set. A batch never mixes sets: telling a dog from a shoe
# teaches little.
MIXTURE = {"flickr": 0.56, "fashion": 0.2, "grocery": 0.06, "clothing": 0.03, "renders": 0.15}
# Views of each picture: the picture, its mirror image, then random crops. What repeats little
# and means much gets more of them.
VIEWS = {"flickr": 4, "fashion": 2, "grocery": 2, "clothing": 1, "renders": 3}
STARTING_SCALE = 20.0  # where a contrastive temperature settles within a few dozen steps


@dataclass(frozen=True)
class Phase:
    """One run of the optimiser. `stage_rate` is the learning rate of the last image stages; 0
    leaves them frozen. Beside `pictures` and one caption of each, a batch holds `negatives` more
    captions of the same set."""

    name: str
    plan: Plan
    pictures: int
    negatives: int
    head_rate: float
    stage_rate: float = 0.0
    head_decay: float = 0.1
    stage_decay: float = 0.02
    dropout: float = 0.4
    text_dropout: float = 0.15
    mixture: dict[str, float] = field(default_factory=lambda: dict(MIXTURE))


HEADS = Phase(
    "heads",
    Plan(steps=400, warmup=50, ema=0.97, checkpoint_every=100),
    pictures=512,
    negatives=512,
    head_rate=1e-3,
)
STAGES = Phase(
    "last stages",
    Plan(steps=900, warmup=50, ema=0.98, checkpoint_every=100),
    pictures=128,
    negatives=1024,
    head_rate=3e-4,
    stage_rate=3e-4,
)


def trained_stages(trunk: Any) -> list[torch.nn.Parameter]:
    """Parameters of the backbone behind the cached maps."""
    parts = (trunk.blocks[FROZEN_STAGES:], trunk.conv_head, trunk.bn2)
    return [parameter for part in parts for parameter in part.parameters()]


def project_images(model: CustomTextCLIP, pooled: torch.Tensor, dropout: float) -> torch.Tensor:
    """(n, 1280) pooled features to (n, 384) unit rows."""
    from torch.nn import functional

    mlp = model.visual.head.mlp
    hidden = mlp.act(mlp.fc1(functional.dropout(pooled, dropout)))
    return functional.normalize(mlp.fc2(functional.dropout(hidden, dropout)), dim=-1)


def project_texts(model: CustomTextCLIP, states: torch.Tensor, dropout: float) -> torch.Tensor:
    """(n, 384) pooled states to (n, 384) unit rows."""
    from torch.nn import functional

    return functional.normalize(model.text.proj(functional.dropout(states, dropout)), dim=-1)


def train(
    model: CustomTextCLIP,
    table: Table,
    phase: Phase,
    seed: int,
    checkpoint: Path | None = None,
    identity: str = "",
    on_step: Callable[[Step], None] | None = None,
) -> None:
    """Run `phase` on `model` in place and leave the moving average of its weights there.

    Batch norms keep their ImageNet statistics: the stages learn with them folded away. A run that
    was killed goes on from `checkpoint` where its `identity` is the same.
    """
    import torch

    trunk = folded(model.eval().visual.trunk)
    for parameter in (*model.parameters(), *trunk.parameters()):
        parameter.requires_grad_(False)
    heads = [*model.visual.head.parameters(), *model.text.proj.parameters(), model.logit_scale]
    stages = trained_stages(trunk) if phase.stage_rate else []
    groups = [Group(heads, phase.head_rate, phase.head_decay)]
    if stages:
        groups.append(Group(stages, phase.stage_rate, phase.stage_decay))
    for parameter in (*heads, *stages):
        parameter.requires_grad_(True)
    present = [name for name in phase.mixture if len(table.rows(name, held_out=False))]
    weights = np.array([phase.mixture[name] for name in present])

    def loss(_step: int, random: np.random.Generator) -> torch.Tensor:
        corpus = present[random.choice(len(present), p=weights / weights.sum())]
        rows, captions = table.draw(corpus, phase.pictures, phase.negatives, random)
        pooled = (
            last_stages(trunk, table.maps(rows, random)) if stages else table.pooled(rows, random)
        )
        return symmetric_contrastive(
            project_images(model, pooled, phase.dropout),
            project_texts(model, table.captions[captions], phase.text_dropout),
            positives(table.owned[torch.from_numpy(rows)], captions),
            model.logit_scale.exp(),
        )

    def limit_scale() -> None:
        model.logit_scale.clamp_(0.0, MAX_LOG_SCALE)

    optimise(
        groups,
        loss,
        phase.plan,
        seed=seed,
        project=limit_scale,
        checkpoint=checkpoint,
        identity=identity,
        on_step=on_step,
    )
    for parameter in (*heads, *stages):
        parameter.requires_grad_(False)
    unfold(trunk, model.visual.trunk)


def embed_images(model: CustomTextCLIP, table: Table, rows: Rows) -> torch.Tensor:
    """(n, 384) unit rows of unchanged pictures, through the model's own last stages."""
    import torch

    trunk = folded(model.visual.trunk)
    with torch.inference_mode():
        return torch.cat(
            [
                project_images(model, last_stages(trunk, table.maps(part, None)), 0.0)
                for part in np.array_split(rows, -(-len(rows) // 32))
            ]
        )


def hits(
    model: CustomTextCLIP, table: Table, corpus: str, at: tuple[int, ...] = (1, 5, 10)
) -> dict[str, dict[int, float]]:
    """Both directions' hit@k on the held-out pictures of `corpus`: the share of captions with a
    right picture among the first k, and of pictures with a right caption."""
    import torch

    rows = table.rows(corpus, held_out=True)
    owned = table.owned[torch.from_numpy(rows)]
    captions = owned[owned >= 0].unique()
    with torch.inference_mode():
        images = embed_images(model, table, rows)  # (n, d)
        texts = project_texts(model, table.captions[captions], 0.0)  # (m, d)
        scores, right = texts @ images.T, positives(owned, captions).T  # (m, n)
        found = {}
        for name, ranking, truth in (
            ("text to image", scores, right),
            ("image to text", scores.T, right.T),
        ):
            ranked = ranking.topk(min(max(at), ranking.shape[1]), dim=1).indices
            correct = truth.gather(1, ranked)
            found[name] = {k: correct[:, :k].any(dim=1).double().mean().item() for k in at}
    return found
