"""Names for vector spaces: equal fingerprints mean that vectors can be compared.

A model that lives in one folder of ours is fingerprinted by its files, which needs no torch; any
other by its tensors, so that the same weights in another file format keep their name.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Part of every fingerprint: raise it when the same files begin to give other vectors.
_SCHEME = "1"
_DIGITS = 16
FOLDER_FILES = (
    "open_clip_config.json",
    "config.json",
    "tokenizer.json",
    "open_clip_model.safetensors",
)


def folder_fingerprint(folder: Path) -> str:
    """16 hex digits from the bytes of the files that define the model in `folder`.

    20 ms for 29 MB (SHA-256 with hardware support, November 2026). Raises OSError.
    """
    digest = hashlib.sha256(_SCHEME.encode())
    for name in FOLDER_FILES:
        with (
            (folder / name).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:_DIGITS]


def model_fingerprint(
    model_cfg: Mapping[str, Any],
    state: Mapping[str, torch.Tensor],
    preprocess_cfg: Mapping[str, Any],
    tokenizer: str,
) -> str:
    """16 hex digits from architecture, weights (on the CPU), preprocess and tokenizer."""
    names = sorted(state)
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter lock
        parts = list(pool.map(lambda name: _tensor_digest(state[name]), names))
    described = json.dumps(
        [_SCHEME, model_cfg, preprocess_cfg, tokenizer], sort_keys=True, default=str
    )
    digest = hashlib.sha256(described.encode())
    for name, part in zip(names, parts, strict=True):
        digest.update(f"{name} {part}\n".encode())
    return digest.hexdigest()[:_DIGITS]


def _tensor_digest(tensor: torch.Tensor) -> str:
    import torch

    # Through bytes, because NumPy has no bfloat16.
    content: Any = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    shape = f"{tensor.dtype} {tuple(tensor.shape)}"
    return f"{shape} {hashlib.sha256(content).hexdigest()}"
