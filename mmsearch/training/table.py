"""All training and evaluation data by row number: features, caption states, and who owns which
caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmsearch.training.data import Corpus
from mmsearch.training.features import MAP_SHAPE, WIDTH, Features
from mmsearch.training.texts import Vocabulary

if TYPE_CHECKING:
    import torch

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Pictures and captions by row number.

    parts: the views of each corpus, whose pictures have the rows from `starts` on. captions:
    (v, 384) float32 pooled states of each distinct caption. owned: (n, c) caption rows of each
    picture, padded with -1. corpus: (n,) the set's name. held_out: (n,) true for pictures kept
    for evaluation.
    """

    parts: tuple[tuple[Features, ...], ...]
    captions: torch.Tensor
    owned: torch.Tensor
    corpus: NDArray[np.str_]
    held_out: NDArray[np.bool_]

    @property
    def starts(self) -> Rows:
        """First row of each part, and the end of the last."""
        return np.cumsum([0, *(len(views[0]) for views in self.parts)])

    def rows(self, corpus: str, held_out: bool) -> Rows:
        return np.flatnonzero((self.corpus == corpus) & (self.held_out == held_out))

    def maps(self, rows: Rows, random: np.random.Generator | None) -> torch.Tensor:
        """(n, 96, 14, 14) float32 maps in channels-last memory: of a view drawn for each picture,
        or of the unchanged picture without `random`."""
        import torch

        chosen = np.empty((len(rows), *MAP_SHAPE), np.float16)
        for place, (features, row) in enumerate(self._views(rows, random)):
            chosen[place] = features.map(row)
        return torch.from_numpy(chosen).float().contiguous(memory_format=torch.channels_last)

    def pooled(self, rows: Rows, random: np.random.Generator | None) -> torch.Tensor:
        """(n, 1280) float32: what the pretrained backbone pools from those maps."""
        import torch

        chosen = np.empty((len(rows), WIDTH), np.float32)
        for place, (features, row) in enumerate(self._views(rows, random)):
            chosen[place] = features.pooled[row]
        return torch.from_numpy(chosen)

    def _views(self, rows: Rows, random: np.random.Generator | None) -> list[tuple[Features, int]]:
        starts = self.starts
        parts = np.searchsorted(starts, rows, side="right") - 1
        draws = np.zeros(len(rows)) if random is None else random.random(len(rows))
        return [
            (self.parts[part][int(draw * len(self.parts[part]))], int(row - starts[part]))
            for part, row, draw in zip(parts, rows, draws, strict=True)
        ]

    def draw(
        self, corpus: str, pictures: int, negatives: int, random: np.random.Generator
    ) -> tuple[Rows, torch.Tensor]:
        """Rows (n,) of up to `pictures` training pictures of one set, and caption rows (m,): one
        caption of each, then `negatives` of any pictures of the set."""
        import torch

        rows = self.rows(corpus, held_out=False)
        chosen = random.choice(rows, min(pictures, len(rows)), replace=False)
        others = random.choice(rows, negatives)
        owned = self.owned[torch.from_numpy(np.concatenate([chosen, others]))]  # (m, c)
        known = (owned >= 0).sum(dim=1).numpy()
        column = torch.from_numpy((random.random(len(owned)) * known).astype(np.int64))
        return chosen, owned.gather(1, column[:, None]).squeeze(1)


def own_captions(corpora: Sequence[Corpus]) -> tuple[Vocabulary, torch.Tensor]:
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
