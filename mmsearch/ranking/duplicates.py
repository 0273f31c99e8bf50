"""Items that are nearly the same, from their vectors: pairs above a threshold, and groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

# One block of similarities is BLOCK x BLOCK float32: 16 MiB, whatever the collection's size.
BLOCK = 2048


@dataclass(frozen=True)
class DuplicateGroup:
    """Ids of one group, ascending; the first, the oldest item, stands for it."""

    ids: tuple[int, ...]

    @property
    def representative(self) -> int:
        return self.ids[0]


def duplicate_groups(
    vectors: npt.NDArray[np.floating], ids: Ids, threshold: float, block: int = BLOCK
) -> list[DuplicateGroup]:
    """The groups of two or more, by their representative.

    `vectors` (n, d) float16 or float32 unit rows, also memory-mapped; `ids` (n,). Items belong
    together if a chain of pairs with cosine >= `threshold` joins them (single linkage): with a
    strict threshold chains are short. Memory is O(block^2 + block d + n), time O(n^2 d).

    Raises UsageError for a threshold outside (0, 1].
    """
    label = np.arange(len(ids), dtype=np.int64)  # (n,) the smallest row of each row's group
    for first, second, hits, _ in _blocks(vectors, threshold, block):
        a, b = label[first + hits[0]], label[second + hits[1]]
        apart = a != b
        if apart.any():
            # Labels repeat, pairs do not matter: thousands of equal pictures are one union.
            edges = np.unique(np.stack([a[apart], b[apart]], axis=1), axis=0)
            label = _merge(label, edges)
    order = np.lexsort((ids, label))
    groups = np.split(ids[order], np.nonzero(np.diff(label[order]))[0] + 1)
    found = [DuplicateGroup(tuple(group.tolist())) for group in groups if len(group) > 1]
    return sorted(found, key=lambda group: group.representative)


def duplicate_pairs(
    vectors: npt.NDArray[np.floating], ids: Ids, threshold: float, block: int = BLOCK
) -> Iterator[tuple[int, int, float]]:
    """(id, id, cosine) of each pair with cosine >= `threshold`, the smaller id first; block by
    block, so that the order is deterministic but not that of the ids.

    Raises UsageError for a threshold outside (0, 1].
    """
    for first, second, hits, cosines in _blocks(vectors, threshold, block):
        left, right = ids[first + hits[0]], ids[second + hits[1]]
        yield from zip(
            np.minimum(left, right).tolist(),
            np.maximum(left, right).tolist(),
            cosines.tolist(),
            strict=True,
        )


def like_first(
    vectors: npt.NDArray[np.floating], threshold: float
) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """The cosine of each row with the first, and whether it is at least `threshold`: both (n,).

    `vectors` (n, d) as in `duplicate_groups`, of one group. A chain may join rows that are less
    alike than that.
    """
    unit = _unit(vectors)
    cosines: Vectors = unit @ unit[0]
    return np.minimum(cosines, np.float32(1)), cosines >= _least(threshold)


_Hits = tuple["npt.NDArray[np.intp]", "npt.NDArray[np.intp]"]


def _blocks(
    vectors: npt.NDArray[np.floating], threshold: float, block: int
) -> Iterator[tuple[int, int, _Hits, Vectors]]:
    """First row of two blocks, and where and how much rows of one are like rows of the other;
    each pair of rows once, none with itself."""
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold of duplicates is above 0 and at most 1, not {threshold}")
    least = _least(threshold)
    for first in range(0, len(vectors), block):
        left = _unit(vectors[first : first + block])
        for second in range(first, len(vectors), block):
            right = left if second == first else _unit(vectors[second : second + block])
            cosines = left @ right.T  # (block, block)
            hit = cosines >= least
            if second == first:
                hit = np.triu(hit, k=1)
            rows, columns = np.nonzero(hit)
            if len(rows):
                found = np.minimum(cosines[rows, columns], np.float32(1))
                yield first, second, (rows, columns), found


def _least(threshold: float) -> np.float32:
    """What a cosine has to reach: the product of two equal rows may fall short of 1."""
    return np.float32(threshold - 1e-6)


def _unit(rows: npt.NDArray[np.floating]) -> Vectors:
    """Float32 and renormalised: float16 rows have lost a little of their norm."""
    wide = np.asarray(rows, np.float32)
    unit: Vectors = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit


def _merge(label: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Labels after joining those of each edge: union-find whose root is the smallest label."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while (above := parent.get(node, node)) != node:
            parent[node] = parent.get(above, above)  # path halving
            node = above
        return node

    for a, b in edges.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    moved = np.arange(len(label), dtype=np.int64)
    for node in list(parent):
        moved[node] = root(node)
    return moved[label]
