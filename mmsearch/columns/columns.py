"""The columns of one collection, caught up with its catalog before each use."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mmsearch import collector
from mmsearch.catalog.catalog import Catalog
from mmsearch.columns import facets
from mmsearch.columns.dictionary import ABSENT, Dictionary
from mmsearch.columns.facets import Facet
from mmsearch.columns.suggest import Completions
from mmsearch.columns.truth import TRUE, truths
from mmsearch.filters.build import Builder
from mmsearch.lexical.words import fold

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.catalog.records import Content
    from mmsearch.columns.dictionary import Codes
    from mmsearch.filters import Filter, ValueType
    from mmsearch.filters.nodes import Field
    from mmsearch.types import Ids

# Values that no item has any more are forgotten once a column has this many for each of its rows: a
# shop that changes its prices all day.
VALUES_PER_ROW = 3
_SLACK = 1_000

_LAZY: tuple[Literal["key", "text", "path"], ...] = ("key", "text", "path")


class _Column:
    """One field: the code of its value in each row."""

    def __init__(self, rows: int) -> None:
        self.dictionary = Dictionary()
        self._codes = np.full(rows, ABSENT, np.int32)

    def codes(self, rows: int) -> Codes:
        """(rows,) int32; rows that were never set lack the field."""
        if len(self._codes) < rows:
            grown = np.full(max(rows, 2 * len(self._codes)), ABSENT, np.int32)
            grown[: len(self._codes)] = self._codes
            self._codes = grown
        return self._codes[:rows]

    def encode(self, values: Sequence[str | None]) -> Codes:
        """(n,) int32 the codes of values; None: the field is not there."""
        given = [value is not None for value in values]
        codes = np.full(len(values), ABSENT, np.int32)
        codes[given] = self.dictionary.encode(list(compress(values, given)))
        return codes

    def without_unused(self) -> _Column:
        """The same rows, with a dictionary of those values alone that they have."""
        used, inverse = np.unique(self._codes, return_inverse=True)
        kept = _Column(0)
        values = [self.dictionary.values[code] for code in used[used != ABSENT].tolist()]
        codes = np.zeros(len(used), np.int32)
        codes[used != ABSENT] = kept.dictionary.encode(values)
        kept._codes = codes[inverse]
        return kept


class Columns:
    """What the live items hold, for filters, facets, sorting, grouping and suggestions.

    One row per item in the order of ids; an item that goes leaves a dead row. `refresh` reads what
    the catalog has changed since. Key, text and path are only loaded when they are asked for.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.seq = -1  # of the catalog at the last refresh
        self.content_seq = -1  # of the catalog at the last refresh that found any of this changed
        self._catalog = catalog
        self._lock = threading.RLock()
        self._row_ids: Ids = np.empty(0, np.int64)
        self._live: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._attributes: dict[str, _Column] = {}
        self._types: dict[str, set[ValueType]] = {}
        self._group = _Column(0)
        self._lazy: dict[str, _Column] = {}
        self._completions = Completions()
        self._counts: tuple[int, npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self._live))

    @property
    def ids(self) -> Ids:
        """(n,) int64 ascending ids of the live items."""
        return self._row_ids[self._live]

    @collector.paused()
    def refresh(self) -> None:
        """Catch up with the catalog. Raises StorageError, CorruptionError."""
        with self._lock:
            newest = self._catalog.seq()
            if newest == self.seq:
                return
            types = self._catalog.attribute_types()
            changed = types != self._types
            self._forget_unused()
            since = max(self.seq, 0)
            for chunk in self._catalog.content_changes(since):
                self._take(chunk)
                changed = True
            # Where attributes alone were set, the items' own numbers stay where they were.
            if changed and self._lazy and self._catalog.count_changes(since):
                for name in self._lazy:
                    self._load_lazy(name, since)
            self._types = types
            if changed:
                self.content_seq = newest
            self.seq = newest

    # ---- choosing

    def schema(self) -> dict[str, set[ValueType]]:
        """Each attribute's types, for filters.parse; none is forgotten when its last item goes:
        the catalog knows more of those than was read of live items."""
        types = {name: column.dictionary.types() for name, column in self._attributes.items()}
        return {
            name: self._types.get(name, set()) | types.get(name, set())
            for name in {**self._types, **types}
        }

    def candidates(self, filter: Filter) -> Ids:
        """(n,) int64 ascending ids of the live items for which `filter` is true."""
        return self._row_ids[self._mask(filter)]

    def count(self, filter: Filter) -> int:
        """How many live items the filter is true for."""
        return int(np.count_nonzero(self._mask(filter)))

    # ---- reading

    def facet(self, name: str, ids: Ids | None = None, k: int = 20) -> Facet:
        """The values of an attribute among these items, or all. Raises FilterError for its name."""
        codes, dictionary = self._named(name)
        chosen = codes[self._live] if ids is None else self._at(codes, ids)
        return facets.count(name, chosen, dictionary, k)

    def values(self, name: str, ids: Ids) -> list[Any]:
        """The value of each item, None where it has none. Raises FilterError for the name."""
        codes, dictionary = self._named(name)
        return [dictionary.values[code] for code in self._at(codes, ids).tolist()]

    def numbers(self, name: str, ids: Ids) -> npt.NDArray[np.float64]:
        """(n,) float64, NaN where the value is no number. Raises FilterError for the name."""
        codes, dictionary = self._named(name)
        return dictionary.numbers[self._at(codes, ids)]

    def order(self, name: str, ids: Ids) -> npt.NDArray[np.int64]:
        """(n,) int64 to sort items by: larger for a larger value, equal for equal ones.

        Truths come before numbers, those before strings, which are ordered by code point; -1 where
        there is no value or a list. Raises FilterError for the name.
        """
        codes, dictionary = self._named(name)
        return facets.ranks(self._at(codes, ids), dictionary)

    def groups(self, ids: Ids) -> npt.NDArray[np.int64]:
        """(n,) int64, equal for items of one group; an item without one has a negative number."""
        codes = self._at(self._group.codes(len(self._row_ids)), ids).astype(np.int64)
        return np.where(codes == ABSENT, -1 - ids, codes)

    def suggest(self, prefix: str, k: int = 10) -> list[tuple[str, int]]:
        """Titles, tags and other strings that start with `prefix`, and how many items have each.

        The most frequent first; accents and case do not matter. Nothing for an empty prefix.
        """
        if not fold(prefix).strip():  # a lone accent is nothing
            return []
        with self._lock:
            columns = [self._column("text"), *self._attributes.values()]
            if self._completions.update([column.dictionary for column in columns]):
                self._counts = None
            if self._counts is None or self._counts[0] != self.content_seq:
                rows = len(self._row_ids)
                live = [(column.codes(rows)[self._live], column.dictionary) for column in columns]
                self._counts = self.content_seq, self._completions.tally(live)
            return self._completions.starting_with(prefix, self._counts[1], k)

    # ---- inside

    def _mask(self, filter: Filter) -> npt.NDArray[np.bool_]:
        return np.equal(truths(filter, self._field), TRUE) & self._live

    def _named(self, name: str) -> tuple[Codes, Dictionary]:
        return self._field(Builder(self.schema()).field(name))

    def _field(self, field: Field) -> tuple[Codes, Dictionary]:
        column = (
            self._attributes.get(field.name) if field.column is None else self._column(field.column)
        ) or _Column(0)
        return column.codes(len(self._row_ids)), column.dictionary

    def _column(self, name: Literal["key", "text", "path", "group"]) -> _Column:
        if name == "group":
            return self._group
        with self._lock:
            if name not in self._lazy:
                self._lazy[name] = _Column(len(self._row_ids))
                self._load_lazy(name, 0)
            return self._lazy[name]

    def _load_lazy(self, name: str, since: int) -> None:
        column = self._lazy[name]
        lazy = cast("Literal['key', 'text', 'path']", name)
        items: list[int] = []
        values: list[str | None] = []
        for item, value in self._catalog.field(lazy, since):
            items.append(item)
            values.append(value)
        ids = np.array(items, np.int64)
        # An item may have come since the rows were read.
        known = self._has(ids)
        codes = column.encode(list(compress(values, known.tolist())))
        column.codes(len(self._row_ids))[self._rows(ids[known])] = codes

    def _at(self, codes: Codes, ids: Ids) -> Codes:
        """(n,) the codes of items; ABSENT for one that went after it was ranked."""
        if not len(codes):
            return np.full(len(ids), ABSENT, codes.dtype)
        rows = np.minimum(self._rows(ids), len(codes) - 1)
        return np.where(self._row_ids[rows] == ids, codes[rows], ABSENT).astype(codes.dtype)

    def _rows(self, ids: Ids) -> npt.NDArray[np.intp]:
        """(n,) the rows of known ids."""
        return np.searchsorted(self._row_ids, ids)

    def _has(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """(n,) whether there is a row of each id."""
        if not len(self._row_ids):
            return np.zeros(len(ids), np.bool_)
        rows = np.minimum(self._rows(ids), len(self._row_ids) - 1)
        return np.equal(self._row_ids[rows], ids)

    def _take(self, chunk: Sequence[Content]) -> None:
        """Put changed items, in the order of ids, into their rows; new ones come after all."""
        ids = np.array([item.id for item in chunk], np.int64)
        last = self._row_ids[-1] if len(self._row_ids) else -1
        # Unknown among the old: removed for good while the rows were read the first time.
        wanted = (ids > last) | self._has(ids)
        items = list(compress(chunk, wanted.tolist()))
        ids = ids[wanted]
        # Grown aside and put in place at once, rows last: who reads meanwhile sees whole rows.
        row_ids = np.concatenate([self._row_ids, ids[ids > last]])
        size = len(row_ids)
        live = np.zeros(size, np.bool_)
        live[: len(self._live)] = self._live
        rows = np.searchsorted(row_ids, ids)
        live[rows] = [item.live for item in items]
        held = _by_name(json.loads(f"[{','.join([item.attributes for item in items])}]"))
        for name in held:
            if name not in self._attributes:
                self._attributes[name] = _Column(size)
        for name, column in self._attributes.items():
            codes = np.full(len(rows), ABSENT, np.int32)
            if name in held:
                places, values = held[name]
                codes[places] = column.dictionary.encode(values)
            column.codes(size)[rows] = codes
        self._group.codes(size)[rows] = self._group.encode([item.group for item in items])
        self._row_ids, self._live = row_ids, live

    def _forget_unused(self) -> None:
        limit = VALUES_PER_ROW * len(self._row_ids) + _SLACK
        for columns in (self._attributes, self._lazy):
            for name, column in columns.items():
                if len(column.dictionary) > limit:
                    columns[name] = column.without_unused()
                    self._completions, self._counts = Completions(), None


def _by_name(items: Sequence[Mapping[str, Any]]) -> Mapping[str, tuple[list[int], list[Any]]]:
    """Of each attribute the places of the items that have it, and its values there.

    Most items have the same attributes as many others: theirs are taken together.
    """
    alike: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, names in enumerate(map(tuple, items)):
        alike[names].append(place)
    held: defaultdict[str, tuple[list[int], list[Any]]] = defaultdict(lambda: ([], []))
    for names, places in alike.items():
        together = list(chain.from_iterable(items[place].values() for place in places))
        for number, name in enumerate(names):
            at, values = held[name]
            at += places
            values += together[number :: len(names)]
    return held
