"""What the frozen part of the image backbone makes of each picture, computed once and kept on
disk."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.training.data import Corpus, decode

if TYPE_CHECKING:
    import torch

# Activations of a small batch stay in the processor's caches: at 64 the same backbone is up to
# twice as slow.
BATCH = 8
CHUNK = 512
FROZEN_STAGES = 6


def load_features(corpus: Corpus, trunk: Any, cache: Path) -> NDArray[np.float16]:
    """Input of the backbone's last stage, shape (n, 160, 7, 7).

    Written in chunks of 512 pictures, so that an interrupted run goes on where it stopped.
    """
    from tqdm import tqdm

    folder = cache / corpus.name
    folder.mkdir(parents=True, exist_ok=True)
    pictures, chunks = corpus.read_images(), []
    with tqdm(total=len(corpus.examples), desc=corpus.name, unit="img", mininterval=5.0) as bar:
        for start in range(0, len(corpus.examples), CHUNK):
            size = min(CHUNK, len(corpus.examples) - start)
            path = folder / f"{start:06d}_{size}.npy"
            if path.exists():
                chunks.append(np.load(path))
                for _ in islice(pictures, size):
                    pass
            else:
                chunks.append(encode(islice(pictures, size), trunk))
                partial = path.with_suffix(".partial")
                with partial.open("wb") as file:
                    np.save(file, chunks[-1])
                partial.replace(path)
            bar.update(size)
    return np.concatenate(chunks)


def encode(pictures: Iterator[bytes], trunk: Any) -> NDArray[np.float16]:
    """Feature maps of encoded pictures, shape (n, 160, 7, 7)."""
    import torch

    rows = []
    with ThreadPoolExecutor(2) as pool, torch.inference_mode():
        decoded = pool.map(decode, pictures)
        while batch := list(islice(decoded, BATCH)):
            maps = frozen_stages(trunk, to_tensor(np.stack(batch)))
            rows.append(maps.half().contiguous().numpy())
    return np.concatenate(rows)


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """(n, h, w, 3) bytes to a normalised (n, 3, h, w) float tensor in channels-last memory."""
    import torch

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return pixels.div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)


def frozen_stages(trunk: Any, images: torch.Tensor) -> Any:
    """(n, 3, 224, 224) images to the (n, 160, 7, 7) input of the last stage."""
    return trunk.blocks[:FROZEN_STAGES](trunk.bn1(trunk.conv_stem(images)))


def last_stage(trunk: Any, maps: Any) -> Any:
    """(n, 160, 7, 7) maps to the backbone's (n, 1280) pooled features: `frozen_stages`, then
    this, is the trunk."""
    maps = trunk.blocks[FROZEN_STAGES:](maps)  # (n, 320, 7, 7)
    return trunk.forward_head(trunk.bn2(trunk.conv_head(maps)), pre_logits=True)  # (n, 1280)


def folded(trunk: Any) -> Any:
    """A faster copy of `trunk` for inference: batch norms are folded into the convolutions before
    them."""
    import torch

    trunk = copy.deepcopy(trunk).eval()
    with torch.no_grad():
        _fold(trunk)
    return trunk.to(memory_format=torch.channels_last)


def _fold(module: Any) -> None:
    from torch import nn

    previous: Any = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            norm: Any = child  # its statistics are typed as if they might be absent
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            bias = 0.0 if previous.bias is None else previous.bias
            previous.bias = nn.Parameter(norm.bias + (bias - norm.running_mean) * scale)
            previous.weight.mul_(scale[:, None, None, None])
            # timm's batch norm carries the activation that follows it.
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fold(child)
        previous = child
