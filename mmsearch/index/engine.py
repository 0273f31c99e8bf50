"""What the search asks of an index, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmsearch.types import Ids, Vectors

    Rows = npt.NDArray[np.int64]

KindName = Literal["exact", "codes", "ivf"]


@dataclass(frozen=True)
class Plan:
    """How a search will honour its candidates; each way gives k answers where k exist.

    `candidates` of the `size` items in the index are allowed: "copied" together and searched
    alone, exactly; picked by a "bitmap"; or "all" of them, with nothing to honour.
    """

    way: Literal["all", "copied", "bitmap"]
    candidates: int
    size: int


class EngineIndex(Protocol):
    """A VectorIndex over stored rows: an item's vector is a row of the collection's vector file."""

    seq: int

    @property
    def kind(self) -> KindName: ...

    @property
    def why(self) -> str:
        """What it is and why it was chosen, for people."""
        ...

    def __len__(self) -> int: ...

    @property
    def ids(self) -> Ids:
        """(n,) int64 of all items in the index, in no order that means anything."""
        ...

    def vectors(self, ids: Ids) -> Vectors:
        """(n, d) float32 rows of `ids`, each of which must be in the index."""
        ...

    def scores(self, query: Vectors, ids: Ids) -> Vectors:
        """(n,) float32 of `ids`, each of which must be in the index, as `search` gives them for the
        query (d,)."""
        ...

    def add_rows(self, ids: Ids, rows: Rows) -> None:
        """Add or replace: afterwards each id stands for the vector in its row of the file."""
        ...

    def remove(self, ids: Ids) -> None:
        """Forget these ids; unknown ids are no error."""
        ...

    def plan(self, allowed: Ids | None) -> Plan:
        """What `search` does with these candidates."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """Exact scores and ids, each (n, min(k, size)), best first, ties by ascending id.

        Of many vectors that equal the k-th the smallest ids are taken: of all by the exact kind, of
        those that it scores by another.
        """
        ...
