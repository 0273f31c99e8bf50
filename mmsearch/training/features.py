"""What the frozen part of the image backbone makes of each picture, computed once and kept on
disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.training.data import Corpus
from mmsearch.training.views import view

if TYPE_CHECKING:
    import torch

# Activations of a small batch stay in the processor's caches: at 64 the same backbone is up to
# twice as slow.
BATCH = 8
CHUNK = 512
FROZEN_STAGES = 5
MAP_SHAPE = (96, 14, 14)
WIDTH = 1280


class Features:
    """One view of one corpus: maps (n, 96, 14, 14) float16, memory-mapped, and what the whole
    pretrained backbone pools from them, (n, 1280) float16."""

    def __init__(self, chunks: Sequence[Path]) -> None:
        self.maps = [np.load(_maps(path), mmap_mode="r") for path in chunks]
        self.pooled: NDArray[np.float16] = (
            np.concatenate([np.load(path) for path in chunks])
            if chunks
            else np.empty((0, WIDTH), np.float16)
        )

    def __len__(self) -> int:
        return len(self.pooled)

    def map(self, row: int) -> NDArray[np.float16]:
        """The (96, 14, 14) map of one picture."""
        found: NDArray[np.float16] = self.maps[row // CHUNK][row % CHUNK]
        return found


def load_features(corpus: Corpus, trunk: Any, number: int, cache: Path) -> Features:
    """View `number` of every picture of `corpus`, through `trunk` with its batch norms folded.

    Written in chunks of 512 pictures, so that an interrupted run goes on where it stopped. The
    folder's name holds a digest of the pictures' names and of their file's size: other pictures
    never meet this cache.
    """
    from tqdm import tqdm

    folder = cache / f"{corpus.name}-{_digest(corpus)}" / f"view{number}"
    folder.mkdir(parents=True, exist_ok=True)
    pictures, chunks = corpus.read_images(), []
    label = f"{corpus.name}, view {number}"
    with tqdm(total=len(corpus.examples), desc=label, unit="img", mininterval=5.0) as bar:
        for start in range(0, len(corpus.examples), CHUNK):
            size = min(CHUNK, len(corpus.examples) - start)
            path = folder / f"{start:06d}_{size}.npy"
            if path.exists():
                for _ in islice(pictures, size):
                    pass
            else:
                maps, pooled = encode(islice(pictures, size), trunk, number, start)
                _save(_maps(path), maps)
                _save(path, pooled)  # last: its presence says that both are whole
            chunks.append(path)
            bar.update(size)
    return Features(chunks)


def _maps(path: Path) -> Path:
    return path.with_name(f"{path.stem}_maps.npy")


def _save(path: Path, array: NDArray[np.float16]) -> None:
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        np.save(file, array)
    unfinished.replace(path)


def _digest(corpus: Corpus) -> str:
    digest = hashlib.sha256()
    size = 0 if corpus.source.is_dir() else corpus.source.stat().st_size
    digest.update(f"{FROZEN_STAGES} {size}".encode())
    for example in corpus.examples:
        digest.update(f"\0{example.image}".encode())
    return digest.hexdigest()[:12]


def encode(
    pictures: Iterator[bytes], trunk: Any, number: int, first: int
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Maps and pooled features of view `number`; `first` is the first picture's row, which seeds
    its view.

    As many batches are under way at once as torch was given threads, each on one of them: small
    convolutions gain more from that than from sharing every operation.
    """
    import torch

    def encode_batch(batch: list[tuple[int, bytes]]) -> tuple[NDArray[np.float16], ...]:
        with torch.inference_mode():
            images = np.stack([view(picture, number, seed) for seed, picture in batch])
            frozen = frozen_stages(trunk, to_tensor(images))
            return (
                frozen.half().contiguous().numpy(),
                last_stages(trunk, frozen).half().numpy(),
            )

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            encoded = list(pool.map(encode_batch, batched(enumerate(pictures, first), BATCH)))
    finally:
        torch.set_num_threads(threads)
    maps, pooled = zip(*encoded, strict=True)
    return np.concatenate(maps), np.concatenate(pooled)


def batched(pictures: Iterator[tuple[int, bytes]], size: int) -> Iterator[list[tuple[int, bytes]]]:
    """`pictures` in lists of `size`."""
    while batch := list(islice(pictures, size)):
        yield batch


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    """(n, h, w, 3) bytes to a normalised (n, 3, h, w) float tensor in channels-last memory."""
    import torch

    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return pixels.div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)


def frozen_stages(trunk: Any, images: torch.Tensor) -> Any:
    """(n, 3, 224, 224) images to the (n, 96, 14, 14) input of the stages that are trained."""
    return trunk.blocks[:FROZEN_STAGES](trunk.bn1(trunk.conv_stem(images)))


def last_stages(trunk: Any, maps: Any) -> Any:
    """(n, 96, 14, 14) maps to the backbone's (n, 1280) pooled features: `frozen_stages`, then
    this, is the trunk."""
    maps = trunk.blocks[FROZEN_STAGES:](maps)  # (n, 320, 7, 7)
    return trunk.forward_head(trunk.bn2(trunk.conv_head(maps)), pre_logits=True)  # (n, 1280)


def unfold(folded_trunk: Any, trunk: Any) -> None:
    """Put the weights of a copy made by `folded` back into `trunk`, whose batch norms keep their
    statistics and scales: the two compute the same again."""
    import torch

    with torch.no_grad():
        _unfold(folded_trunk, trunk)


def _unfold(folded_module: Any, module: Any) -> None:
    from torch import nn

    previous: Any = None
    previous_name = ""
    for name, child in module.named_children():
        source = getattr(folded_module, name)
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            norm: Any = child
            conv = getattr(folded_module, previous_name)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            previous.weight.copy_(conv.weight / scale[:, None, None, None])
            bias = 0.0 if previous.bias is None else previous.bias
            norm.bias.copy_(conv.bias - (bias - norm.running_mean) * scale)
        else:
            _unfold(source, child)
        previous, previous_name = child, name
