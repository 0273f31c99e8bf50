"""What has a vector already and need not be encoded again."""

from __future__ import annotations

from collections.abc import Iterable

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import StoredItem
from mmsearch.types import MODALITIES, Modality


class Known:
    """(modality, digest) pairs with a vector in the current space; safe in any thread.

    `whole` reads them all once, for a run over everything; otherwise each is looked up.
    """

    def __init__(self, catalog: Catalog, *, whole: bool) -> None:
        self._catalog = catalog
        self._whole = whole
        info = catalog.encoder()
        self._fingerprint = info.fingerprint if info else None
        self._seen: set[tuple[Modality, bytes]] = set()
        if whole and info:
            self._seen = catalog.spaces.known_digests(info.fingerprint)

    def __contains__(self, name: tuple[Modality, bytes]) -> bool:
        if name in self._seen:
            return True
        if self._whole or self._fingerprint is None:
            return False
        return self._catalog.spaces.row(*name, self._fingerprint) is not None

    def update(self, names: Iterable[tuple[Modality, bytes]]) -> None:
        self._seen.update(names)

    def look_up(self, items: Iterable[StoredItem]) -> None:
        """Learn about all vectors of these items at once."""
        if self._whole or self._fingerprint is None:
            return
        names = [name for item in items for name in item.digests]
        for modality in MODALITIES:
            digests = [digest for kind, digest in names if kind == modality]
            rows = self._catalog.spaces.rows(modality, digests, self._fingerprint)
            self._seen.update((modality, digest) for digest in rows)

    def all_of(self, item: StoredItem) -> bool:
        """Whether the item has every vector that it should have."""
        return all(name in self for name in item.digests)
