"""All training and evaluation data as arrays: feature maps, caption states, and who owns which
caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmsearch.training.data import Corpus
from mmsearch.training.texts import Vocabulary

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Table:
    """Pictures and captions by row number.

    maps: (n, 160, 7, 7) float16, what the frozen stages make of each picture. captions: (v, 384)
    float32 pooled
    states of each distinct caption. owned: (n, c) caption rows of each picture, padded with -1.
    corpus: (n,) the
    set's name. held_out: (n,) true for pictures kept for evaluation.
    """

    maps: torch.Tensor
    captions: torch.Tensor
    owned: torch.Tensor
    corpus: NDArray[np.str_]
    held_out: NDArray[np.bool_]

    def rows(self, corpus: str, held_out: bool) -> NDArray[np.int64]:
        return np.flatnonzero((self.corpus == corpus) & (self.held_out == held_out))

    def draw(
        self, corpus: str, count: int, random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of up to `count` training pictures of one set, and one caption of each: two (n,)
        tensors."""
        import torch

        rows = self.rows(corpus, held_out=False)
        chosen = random.choice(rows, min(count, len(rows)), replace=False)
        owned = self.owned[torch.from_numpy(chosen)]  # (n, c)
        known = (owned >= 0).sum(dim=1).numpy()
        column = torch.from_numpy((random.random(len(chosen)) * known).astype(np.int64))
        return torch.from_numpy(chosen), owned.gather(1, column[:, None]).squeeze(1)


def own_captions(corpora: list[Corpus]) -> tuple[Vocabulary, torch.Tensor]:
    """Number the captions of all pictures; the (n, c) tensor is `Table.owned`."""
    import torch

    vocabulary = Vocabulary()
    owned = [
        [vocabulary.add(caption) for caption in dict.fromkeys(example.captions)]
        for corpus in corpora
        for example in corpus.examples
    ]
    width = max(map(len, owned))
    return vocabulary, torch.tensor([ids + [-1] * (width - len(ids)) for ids in owned])
