"""Train a model's own weights end to end: its last projections, or all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmsearch.adaptation.measure import measure
from mmsearch.adaptation.objective import Batches, loss_of, plan_of
from mmsearch.encoders.model_folder import require_writable
from mmsearch.encoders.text_padding import encode_tokens, token_lengths
from mmsearch.errors import ModelError
from mmsearch.images import decode
from mmsearch.training.losses import MAX_LOG_SCALE
from mmsearch.training.optimise import Group, Outcome, Step, optimise

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from mmsearch.adaptation.examples import Examples, Side
    from mmsearch.adaptation.features import Floats
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder

WORKERS = 2
CHUNK = 256
# Validation encodes pictures again each time: enough for a choice of step, few enough for a CPU.
VALIDATED_PICTURES = 500
# The parameters above the trunks, in open_clip's CLIP and CustomTextCLIP.
HEADS = (
    *("visual.head.", "visual.proj", "visual.trunk.head.", "visual.trunk.attn_pool."),
    *("text.proj.", "text.text_projection", "text_projection", "logit_scale"),
)


@dataclass(frozen=True)
class TuneRecipe:
    """Settings of an end-to-end run; they are kept in the model's card.

    rate: of the trunks; the projections above them learn `head_factor` times as fast. Batches are
    cropped (at least `crop` of the area) and flipped. keep: weight of the pull towards the base's
    embeddings.
    """

    steps: int
    rate: float
    batch: int = 64
    head_factor: float = 1.0
    weight_decay: float = 0.1
    crop: float = 0.7
    keep: float = 0.1
    warmup: int = 20
    ema: float = 0.99
    validate_every: int = 50
    patience: int = 6
    early_stop: bool = True

    @classmethod
    def of(cls, tune: str) -> TuneRecipe:
        """The defaults. Full: CLIP's fine-tuning rate for small batches is 1e-5 (Goyal et al. 2022,
        arXiv 2212.00638); `mini` bears ten times that."""
        if tune == "head":
            return cls(steps=400, rate=3e-4)
        return cls(steps=800, rate=3e-5, head_factor=5.0)


def fine_tune(
    encoder: OpenClipEncoder,
    examples: Examples,
    tune: str,
    recipe: TuneRecipe,
    *,
    seed: int,
    checkpoint: Path,
    identity: str,
    on_step: Callable[[Step], None],
) -> Outcome:
    """Train `encoder`'s model in place; it ends as the best moving average, in evaluation mode.

    Norm statistics stay as they are. Raises ModelError for a model that cannot be written.
    """
    require_writable(encoder)
    model = encoder.model.eval()
    groups = _groups(encoder, tune, recipe)
    batches = Batches(examples.train, recipe.batch)
    first = _first_pictures(examples.held_out)

    def validate() -> float:
        return measure(first, *encode_side(encoder, examples, first)).score

    def bound_scale() -> None:
        model.logit_scale.clamp_(0.0, MAX_LOG_SCALE)

    with ThreadPoolExecutor(WORKERS) as pool:

        def loss(_step: int, random: np.random.Generator) -> torch.Tensor:
            batch = batches.draw(random)
            views = _views(
                encoder, examples.paths, batch.images.tolist(), recipe.crop, random, pool
            )
            x = _unit(model.encode_image(encoder.normalised(views)))
            words = [examples.words[row] for row in batch.texts.tolist()]
            tokens = encoder.tokenizer(words)
            tokens = tokens[:, : int(token_lengths(model, tokens).max())]
            y = _unit(encode_tokens(model, tokens.to(encoder.device)))
            return loss_of(
                batch,
                x,
                y,
                model.logit_scale.exp(),
                _rows(examples.images, batch.images, encoder),
                _rows(examples.texts, batch.texts, encoder),
                recipe.keep,
            )

        outcome = optimise(
            groups,
            loss,
            plan_of(recipe, checkpoint_every=recipe.validate_every),
            seed=seed,
            validate=validate,
            project=bound_scale,
            checkpoint=checkpoint,
            identity=identity,
            on_step=on_step,
        )
    model.requires_grad_(False)
    return outcome


def encode_side(encoder: OpenClipEncoder, examples: Examples, side: Side) -> tuple[Floats, Floats]:
    """(n, d) and (m, d) rows of all pictures and texts; those outside `side` are left zero."""
    pictures = np.zeros((len(examples.paths), encoder.dim), np.float32)
    texts = np.zeros((len(examples.words), encoder.dim), np.float32)
    encoder.weights_changed()
    text_rows = np.unique(side.texts)
    texts[text_rows] = encoder.encode_texts([examples.words[row] for row in text_rows])
    picture_rows = np.unique(side.images)
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(picture_rows), CHUNK):
            part = picture_rows[start : start + CHUNK]
            load = partial(_pixels, encoder)
            pictures[part] = encoder.encode_images(
                np.stack(list(pool.map(load, [examples.paths[row] for row in part])))
            )
    return pictures, texts


def _groups(encoder: OpenClipEncoder, tune: str, recipe: TuneRecipe) -> list[Group]:
    """What learns and how fast; everything else is frozen."""
    model: Any = encoder.model
    model.requires_grad_(False)
    heads = [p for name, p in model.named_parameters() if name.startswith(HEADS)]
    rest = [p for name, p in model.named_parameters() if not name.startswith(HEADS)]
    if tune == "head":
        if len(heads) < 2:  # the scale alone
            raise ModelError(
                f"model {encoder.name!r} has no projections of its own to tune; use --tune adapter "
                "or full"
            )
        groups = [Group(heads, recipe.rate, recipe.weight_decay)]
    else:
        groups = [
            Group(rest, recipe.rate, recipe.weight_decay),
            Group(heads, recipe.rate * recipe.head_factor, recipe.weight_decay),
        ]
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad_(True)
    return groups


def _first_pictures(side: Side) -> Side:
    """The pairs of the first VALIDATED_PICTURES pictures."""
    chosen = np.isin(side.images, np.unique(side.images)[:VALIDATED_PICTURES])
    return replace(
        side,
        images=side.images[chosen],
        texts=side.texts[chosen],
        weights=side.weights[chosen],
    )


def _views(
    encoder: OpenClipEncoder,
    paths: Sequence[Path],
    rows: Sequence[int],
    crop: float,
    random: np.random.Generator,
    pool: ThreadPoolExecutor,
) -> npt.NDArray[np.uint8]:
    """A random crop of each picture, half of them flipped: (n, h, w, 3)."""
    dice = random.random((len(rows), 4))

    def view(item: tuple[int, npt.NDArray[np.float64]]) -> npt.NDArray[np.uint8]:
        row, numbers = item
        image = decode(paths[row], encoder.image_size).image
        return encoder.preprocess(_cropped(image, crop, numbers))

    return np.stack(list(pool.map(view, zip(rows, dice, strict=True))))


def _cropped(image: Image.Image, least: float, dice: npt.NDArray[np.float64]) -> Image.Image:
    """A part of `image` of its own shape and at least `least` of its area, mirrored or not."""
    from PIL import Image

    side = (least + (1 - least) * dice[0]) ** 0.5
    width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
    left, top = round((image.width - width) * dice[1]), round((image.height - height) * dice[2])
    part = image.crop((left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if dice[3] < 0.5 else part


def _pixels(encoder: OpenClipEncoder, path: Path) -> npt.NDArray[np.uint8]:
    return encoder.preprocess(decode(path, encoder.image_size).image)


def _rows(values: Floats, rows: torch.Tensor, encoder: OpenClipEncoder) -> torch.Tensor:
    import torch

    return torch.from_numpy(values[rows.numpy()]).to(encoder.device)


def _unit(features: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    return functional.normalize(features.float(), dim=-1)
