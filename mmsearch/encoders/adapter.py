"""A trained change of an encoder's vectors: one small residual map per tower, in NumPy.

A folder with mmsearch_adapter.json and adapter.safetensors is a model by itself: it names the base
model and what is added to its embeddings. The maps are CLIP-Adapter's bottleneck (Gao et al. 2021,
arXiv 2110.04544), but added to the embedding instead of blended with it, and with an `up` that
starts at zero as in LoRA (Hu et al. 2021, arXiv 2106.09685): before the first training step the
adapted model is its base.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mmsearch.encoders.numpy_tower import gelu, linear, unit
from mmsearch.encoders.tensor_file import TensorFile
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from mmsearch.encoders.tensor_file import Floats

ADAPTER_CONFIG = "mmsearch_adapter.json"
ADAPTER_WEIGHTS = "adapter.safetensors"
FORMAT = 1

# What the image map reads: the embedding itself, or the features that the tower's last projection
# turns into it, which know more but are not what a collection stores.
ImageInput = Literal["embedding", "pooled"]


@dataclass(frozen=True)
class ResidualMap:
    """unit(x + up gelu(down z + bias)): x (n, d) unit rows, z (n, p).

    down (h, p), bias (h,), up (d, h), all float32.
    """

    down: Floats
    bias: Floats
    up: Floats

    def __call__(self, rows: Floats, inputs: Floats) -> Floats:
        """(n, d) unit rows from unit rows (n, d) and the map's inputs (n, p)."""
        return unit(rows + linear(gelu(linear(inputs, self.down, self.bias)), self.up))


@dataclass(frozen=True)
class Adapter:
    """Both maps, the base model that they belong to, and the fingerprint of the whole."""

    base: str
    base_fingerprint: str
    dim: int
    image_input: ImageInput
    image: ResidualMap
    text: ResidualMap
    fingerprint: str

    @property
    def reuses_images(self) -> bool:
        """Whether stored image vectors of the base become the adapted ones without the pictures."""
        return self.image_input == "embedding"


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG).is_file()


def read_adapter(folder: Path) -> Adapter:
    """The adapter in `folder`. Raises ModelError for one that is damaged or newer than we are."""
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ModelError(
                f"model folder {str(folder)!r}: format {config['format']} of {ADAPTER_CONFIG}, "
                f"where this mmsearch reads {FORMAT}; install the mmsearch that wrote it"
            )
        if config["image_input"] not in ("embedding", "pooled"):
            raise ValueError(f"image_input {config['image_input']!r}")
        weights = TensorFile(folder / ADAPTER_WEIGHTS)
        adapter = Adapter(
            base=str(config["base"]["model"]),
            base_fingerprint=str(config["base"]["fingerprint"]),
            dim=int(config["dim"]),
            image_input=cast("ImageInput", config["image_input"]),
            image=_map(weights, "image"),
            text=_map(weights, "text"),
            fingerprint=_fingerprint(config, (folder / ADAPTER_WEIGHTS).read_bytes()),
        )
        _check_shapes(adapter)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(
            f"model folder {str(folder)!r}: its adapter cannot be read ({exc}); copy the folder "
            "again, or train it again with `mmsearch train`"
        ) from exc
    return adapter


def adapter_config(
    base: str, base_fingerprint: str, dim: int, image_input: ImageInput, recipe: dict[str, Any]
) -> dict[str, Any]:
    """What ADAPTER_CONFIG holds. `recipe` is for readers: it does not change the fingerprint."""
    return {
        "format": FORMAT,
        "base": {"model": base, "fingerprint": base_fingerprint},
        "dim": dim,
        "image_input": image_input,
        "recipe": recipe,
    }


def tensors_of(image: ResidualMap, text: ResidualMap) -> dict[str, Floats]:
    """What ADAPTER_WEIGHTS holds."""
    return {
        f"{tower}.{name}": np.ascontiguousarray(getattr(part, name), dtype=np.float32)
        for tower, part in (("image", image), ("text", text))
        for name in ("down", "bias", "up")
    }


def _map(weights: TensorFile, tower: str) -> ResidualMap:
    return ResidualMap(*(weights.whole(f"{tower}.{name}") for name in ("down", "bias", "up")))


def _check_shapes(adapter: Adapter) -> None:
    for tower, part in (("image", adapter.image), ("text", adapter.text)):
        hidden, inputs = part.down.shape
        embedded = tower == "text" or adapter.reuses_images
        if part.bias.shape != (hidden,) or part.up.shape != (adapter.dim, hidden):
            raise ValueError(f"its {tower} tensors do not fit together")
        if embedded and inputs != adapter.dim:
            raise ValueError(f"its {tower} map reads {inputs} of {adapter.dim} dimensions")


def _fingerprint(config: dict[str, Any], weights: bytes) -> str:
    named = [config["format"], config["base"]["fingerprint"], config["dim"], config["image_input"]]
    digest = hashlib.sha256(json.dumps(named).encode())
    digest.update(weights)
    return digest.hexdigest()[:16]
