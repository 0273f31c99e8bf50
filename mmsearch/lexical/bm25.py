"""BM25 over postings in memory: the scores that FTS5 gives, where many queries are asked.

    score(d) = sum over the query's words w of
        idf(w) * f * (k1 + 1) / (f + k1 * (1 - b + b * |d| / mean |d|))
    idf(w) = ln((N - n + 0.5) / (n + 0.5)), at least 1e-6

f: occurrences of w in d, each with its column's weight; |d|: words of d; n of N items have w
(Robertson et al. 1994; constants and the floor of idf as in SQLite's fts5_aux.c).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import CorruptionError
from mmsearch.last import Last
from mmsearch.lexical.words import Word

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids

    Floats = npt.NDArray[np.float64]

K1, B = 1.2, 0.75
LEAST_IDF = 1e-6
# Postings kept, 20 bytes each; those of the longest unused words go first.
MAX_POSTINGS = 2_000_000


@dataclass(frozen=True, eq=False)
class Posting:
    """Where a word occurs: `ids` (m,) ascending int32, `frequencies` (m,) float32 of each, at
    `state` of the postings."""

    state: int
    ids: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.float32]


class Postings:
    """Which items have which words; follows changes of the items.

    `ids` (n,) ascending, `lengths` (n,) in words. The caller looks words up, where `unknown` says.
    """

    def __init__(self, ids: Ids, lengths: Floats) -> None:
        self._known: OrderedDict[Word, Posting] = OrderedDict()
        self._size = 0
        self._changes: list[Ids] = []
        self._set(ids, lengths)

    def __len__(self) -> int:
        return len(self._ids)

    def change(self, changed: Ids, ids: Ids, lengths: Floats) -> None:
        """The items `changed` hold other words now: `ids` of them, with `lengths`; or are gone."""
        kept = ~np.isin(self._ids, changed)
        every = np.concatenate([self._ids[kept], ids])
        order = np.argsort(every)
        self._changes.append(changed)
        self._set(every[order], np.concatenate([self._lengths[kept], lengths])[order])

    def unknown(self, word: Word) -> Ids | None:
        """(m,) ids of the items in which the word must be looked up again; None: in all items."""
        known = self._known.get(word)
        if known is None:
            return None
        changes = self._changes[known.state :]
        return np.unique(np.concatenate(changes)) if changes else np.empty(0, np.int64)

    def learn(self, word: Word, looked_up: Ids | None, ids: Ids, weights: Floats) -> None:
        """Where a word occurs among the items `looked_up` (None: all of them): the item, and the
        weight of the column, for each occurrence."""
        items, places = np.unique(ids, return_inverse=True)
        frequencies = np.bincount(places, weights=weights, minlength=len(items))
        old = self._known.pop(word, None)
        if old is not None and looked_up is not None:
            kept = ~np.isin(old.ids, looked_up)
            items = np.concatenate([old.ids[kept], items])
            frequencies = np.concatenate([old.frequencies[kept], frequencies])
            order = np.argsort(items)
            items, frequencies = items[order], frequencies[order]
        self._size += len(items) - (len(old.ids) if old else 0)
        self._known[word] = Posting(
            len(self._changes), items.astype(np.int32), frequencies.astype(np.float32)
        )
        self._gains.pop(word, None)

    def best(
        self, words: Iterable[Word], k: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """The k best items with one of these known words, ties by ascending id."""
        scores = np.zeros(len(self._ids))
        found = np.zeros(len(self._ids), np.bool_)
        for word in words:
            rows, gains = self._gains_of(word)
            scores[rows] += gains
            found[rows] = True
        self._forget()
        if allowed is not None:
            found &= self._last.of(allowed, self._among)
        return self._top(np.flatnonzero(found), scores, k)

    def having(self, words: Iterable[Word], ids: Ids) -> tuple[int, npt.NDArray[np.bool_]]:
        """How many items have one of these known words, and (n,) which of `ids` do."""
        having = [self._known[word].ids for word in words]
        self._forget()
        if not any(map(len, having)):
            return 0, np.zeros(len(ids), np.bool_)
        every = having[0] if len(having) == 1 else np.unique(np.concatenate(having))
        places = np.minimum(np.searchsorted(every, ids), len(every) - 1)
        return len(every), every[places] == ids

    def _forget(self) -> None:
        """Postings above the limit, once a query has what it needs of them."""
        while self._size > MAX_POSTINGS and len(self._known) > 1:
            gone, posting = self._known.popitem(last=False)
            self._gains.pop(gone, None)
            self._size -= len(posting.ids)

    def _set(self, ids: Ids, lengths: Floats) -> None:
        self._ids = ids
        self._lengths = lengths
        mean = lengths.mean() if len(lengths) else 1.0
        self._norms = K1 * (1 - B + B * lengths / max(mean, 1e-9))
        self._gains: dict[Word, tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]] = {}
        self._last: Last[npt.NDArray[np.bool_]] = Last()  # where the last candidates are

    def _gains_of(self, word: Word) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """(m,) rows in which a known word occurs, and (m,) what it adds to the scores there."""
        self._known.move_to_end(word)
        if word not in self._gains:
            posting = self._known[word]
            rows = np.searchsorted(self._ids, posting.ids)
            if not np.array_equal(self._ids.take(rows, mode="clip"), posting.ids):
                raise CorruptionError(
                    "the words that are searched are not those of the items; "
                    "run `mmsearch check --repair`"
                )
            count, total = len(rows), len(self._ids)
            idf = max(np.log((total - count + 0.5) / (count + 0.5)), LEAST_IDF)
            tf = posting.frequencies
            gains = idf * tf * (K1 + 1) / (tf + self._norms[rows])
            self._gains[word] = rows.astype(np.int32), gains.astype(np.float32)
        return self._gains[word]

    def _among(self, allowed: Ids) -> npt.NDArray[np.bool_]:
        """(n,) which items are allowed."""
        last = max(self._ids.max(initial=-1), allowed.max(initial=-1))
        chosen = np.zeros(int(last) + 1, np.bool_)
        chosen[allowed] = True
        return chosen[self._ids]

    def _top(self, rows: npt.NDArray[np.intp], scores: Floats, k: int) -> list[tuple[int, float]]:
        values = scores[rows]
        if len(rows) > k:
            # Everything as good as the k-th stays, so that ties are settled by id.
            least = np.partition(values, len(values) - k)[len(values) - k]
            rows, values = rows[values >= least], values[values >= least]
        order = np.argsort(-values, kind="stable")[:k]
        return list(zip(self._ids[rows[order]].tolist(), values[order].tolist(), strict=True))


def coverage(items: int, having: Sequence[tuple[int, npt.NDArray[np.bool_]]]) -> Floats:
    """(n,) in [0, 1]: how many of a query's words each of n items has.

    `having` tells of each word how many of all `items` have it, and (n,) which of the n do. Words
    count by their inverse document frequency, log((N + 1) / (n + 0.5)). BM25 itself cannot tell:
    one word three times scores more than two words once.
    """
    rarity = [math.log((items + 1) / (count + 0.5)) for count, _ in having]
    shares = [weight * flags for weight, (_, flags) in zip(rarity, having, strict=True)]
    total: Floats = np.sum(shares, axis=0) / max(sum(rarity), 1e-9)
    return total


def length_of(sizes: bytes) -> int:
    """Words of an item, from the row of FTS5's docsize table: a varint per column.

    A varint has seven bits a byte, the highest first; all but the last byte have the eighth bit.
    """
    if max(sizes, default=0) < 128:
        return sum(sizes)
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 127
        if byte < 128:
            total, value = total + value, 0
    return total


def pairs(found: Iterable[tuple[int, float]]) -> tuple[Ids, Floats]:
    """(item, number) pairs as two arrays (n,)."""
    every = np.fromiter(found, np.dtype([("item", np.int64), ("number", np.float64)]))
    return every["item"], every["number"]
