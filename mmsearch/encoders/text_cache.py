"""The texts that were encoded last, so that a query asked again costs no pass through the tower."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.stages import stage
from mmsearch.types import TextEncoder

if TYPE_CHECKING:
    from mmsearch.types import Vectors


class TextCache:
    """A TextEncoder that remembers the `size` texts used last of another one."""

    def __init__(self, encoder: TextEncoder, size: int) -> None:
        self.dim = encoder.dim
        self.fingerprint = encoder.fingerprint
        self.size = size
        self.hits = 0
        self.misses = 0
        self._encoder = encoder
        self._known: OrderedDict[str, Vectors] = OrderedDict()  # text -> (d,), the last used last

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order of `texts`; unknown ones in one batch."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        self.hits += len(texts) - len(unknown)
        self.misses += len(unknown)
        fresh: dict[str, Vectors] = {}
        if unknown:
            with stage("encode"):
                encoded = self._encoder.encode_texts(unknown)
            fresh = dict(zip(unknown, encoded, strict=True))
        rows = [fresh[text] if text in fresh else self._known[text] for text in texts]
        for text, row in zip(texts, rows, strict=True):
            self._known[text] = row
            self._known.move_to_end(text)
        while len(self._known) > self.size:
            self._known.popitem(last=False)
        return np.stack(rows) if rows else np.empty((0, self.dim), np.float32)
