"""What a ranking asks of a collection, whoever reads it: the vectors by modality, and the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmsearch.types import Ids, Modality, Vectors


class VectorSource(Protocol):
    """The vectors of one modality, by item."""

    seq: int

    def __len__(self) -> int: ...

    def vectors(self, ids: Ids) -> Vectors:
        """(n, d) float32 of items that have one."""
        ...

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """(n,) float32 of items that have one, as `search` gives them for the query (d,)."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """See VectorIndex.search."""
        ...


class VectorSources(Protocol):
    """The vectors of each modality; see Indexes."""

    def get(self, modality: Modality) -> VectorSource: ...

    def ids(self, modality: Modality) -> Ids: ...

    def has(self, modality: Modality, ids: Ids) -> npt.NDArray[np.bool_]: ...


class WordSource(Protocol):
    """The words of the items; see Catalog."""

    def lexical_search(
        self, text: str, k: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]: ...

    def word_coverage(self, text: str, ids: Ids) -> npt.NDArray[np.float64]: ...
