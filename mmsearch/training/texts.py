"""Caption ids, and what the frozen text transformer makes of each caption."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from open_clip.hf_model import HFTextEncoder

CONTEXT_LENGTH = 64
BATCH = 128


class Vocabulary:
    """Every distinct caption once, with its row number."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def add(self, caption: str) -> int:
        return self.rows.setdefault(caption, len(self.rows))


def tokenise(captions: list[str], model_dir: Path) -> torch.Tensor:
    """Token ids of shape (n, longest), padded with 0."""
    import torch
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(CONTEXT_LENGTH)
    return torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(captions)])


def pooled(tower: HFTextEncoder, tokens: torch.Tensor) -> torch.Tensor:
    """(n, t) token ids to the (n, 384) mean of the last hidden states: the tower without its
    projection."""
    mask = (tokens != tower.config.pad_token_id).long()
    states: torch.Tensor = tower.pooler(
        tower.transformer(input_ids=tokens, attention_mask=mask), mask
    )
    return states


def load_pooled(
    captions: list[str], tower: HFTextEncoder, model_dir: Path, cache: Path
) -> NDArray[np.float32]:
    """Pooled states of `captions`, shape (n, 384), in their order; only captions not yet in
    `cache` are computed."""
    import torch
    from tqdm import tqdm

    cache.mkdir(parents=True, exist_ok=True)
    known: dict[bytes, NDArray[np.float16]] = {}
    for path in sorted(cache.glob("*.npz")):
        with np.load(path) as stored:
            keys, values = stored["keys"], stored["values"]
        known.update((key.tobytes(), value) for key, value in zip(keys, values, strict=True))
    digests = [hashlib.sha256(caption.encode()).digest()[:16] for caption in captions]
    missing = {
        digest: caption
        for digest, caption in zip(digests, captions, strict=True)
        if digest not in known
    }
    # Captions of one length share a batch, so that little is spent on padding.
    todo = sorted(missing.items(), key=lambda pair: len(pair[1]))
    with torch.inference_mode(), tqdm(total=len(todo), desc="captions", mininterval=5.0) as bar:
        for start in range(0, len(todo), 16 * BATCH):
            part = todo[start : start + 16 * BATCH]
            values = []
            for first in range(0, len(part), BATCH):
                batch = [caption for _, caption in part[first : first + BATCH]]
                values.append(pooled(tower, tokenise(batch, model_dir)).half().numpy())
                bar.update(len(batch))
            rows = np.concatenate(values)
            keys = np.stack([np.frombuffer(digest, dtype=np.uint8) for digest, _ in part])
            np.savez(cache / f"{part[0][0].hex()}.npz", keys=keys, values=rows)
            known.update((digest, row) for (digest, _), row in zip(part, rows, strict=True))
    return np.stack([known[digest] for digest in digests]).astype(np.float32)
