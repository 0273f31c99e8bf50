"""Which items a query may find: its filter, the concepts that they must belong to, its exceptions.

The first filter of a process is answered by SQL, which looks at each row; a process that asks
again gets the columns in memory, which cost 1 to 2 s per 100,000 items once and 1 to 3 ms then.
A shop asks for the same few categories again and again: the last filters' items are kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.errors import ItemNotFoundError
from mmsearch.types import Membership, Query

if TYPE_CHECKING:
    from mmsearch.columns.columns import Columns
    from mmsearch.filters import Filter
    from mmsearch.types import Ids

Members = Callable[[Membership], "Ids"]

KEPT = 8  # filters whose items are remembered, until what items hold changes


class Candidates:
    """Evaluates conditions over one catalog; keeps its columns once they are worth it.

    Nothing of it is of one encoder.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._columns: Columns | None = None
        self._asked = False
        self._seq = -1
        self._every: tuple[int, Ids] | None = None  # at which sequence number
        self._kept: OrderedDict[str, tuple[int, Ids]] = OrderedDict()  # of what Columns.content_seq

    def refresh(self, seq: int) -> None:
        """Tell how far the catalog is, at the start of each query."""
        self._seq = seq

    @property
    def columns(self) -> Columns:
        """The items' attributes in memory, as they are now."""
        if self._columns is None:
            from mmsearch.columns.columns import Columns

            self._columns = Columns(self._catalog)
        if self._columns.seq < self._seq:
            self._columns.refresh()
        return self._columns

    @property
    def every(self) -> Ids:
        """(n,) int64 ascending ids of the live items.

        Until the catalog changes these are read alone: 0.1 s per 100,000, and the columns' 1 to 2 s
        are not worth it. A process that sees it change has columns, which follow.
        """
        if self._columns is None:
            if self._every is None:
                from mmsearch.filters.nodes import Exists, Field

                self._every = self._seq, self._catalog.candidates(Exists(Field("key", "key")))
            seq, ids = self._every
            if seq == self._seq:
                return ids
        self._every = None
        return self.columns.ids

    def allowed(self, query: Query, members: Members, explain: list[str]) -> Ids | None:
        """(n,) int64 ascending ids that the query may find; None: all.

        Raises FilterError, ItemNotFoundError.
        """
        allowed: Ids | None = None
        if query.where is not None:
            started = time.perf_counter()
            allowed, way = self._matching(query.where)
            explain.append(
                f"filter: {len(allowed):,} items match, found by {way} in "
                f"{1000 * (time.perf_counter() - started):.1f} ms"
            )
        for membership in query.within:
            inside = members(membership)
            explain.append(
                f"concept {membership.concept!r}: {len(inside):,} items belong to it"
                + (" and are left out" if membership.negated else "")
            )
            if membership.negated:
                every = self.every if allowed is None else allowed
                allowed = np.setdiff1d(every, inside, assume_unique=True)
            elif allowed is None:
                allowed = inside
            else:
                allowed = np.intersect1d(allowed, inside, assume_unique=True)
        return allowed

    def excluded(self, query: Query) -> frozenset[int]:
        """Ids of the keys that must not be found. Raises ItemNotFoundError."""
        if not query.exclude:
            return frozenset()
        found = self._catalog.by_key(query.exclude)
        for key in query.exclude:
            # Of an item that is also looked for, Terms.stored says that it is not there.
            if key not in found and all(term.item != key for term in query.terms):
                raise ItemNotFoundError(f"no item has the key {key!r}, so it cannot be excluded")
        return frozenset(item.id for item in found.values())

    def _matching(self, where: str | Mapping[str, Any]) -> tuple[Ids, str]:
        if self._columns is None and not self._asked:
            self._asked = True
            condition = _read(where, self._catalog.attribute_types())
            return self._catalog.candidates(condition), "SQL"
        columns = self.columns
        asked = repr(where)
        seq, ids = self._kept.pop(asked, (-1, None))
        if ids is None or seq != columns.content_seq:
            ids = columns.candidates(_read(where, columns.schema()))
            # The same array again is what indexes know a filter by.
            ids.flags.writeable = False
        self._kept[asked] = columns.content_seq, ids
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return ids, "columns in memory"


def _read(where: str | Mapping[str, Any], schema: Any) -> Filter:
    from mmsearch.filters import from_json, parse

    return parse(where, schema) if isinstance(where, str) else from_json(where, schema)
