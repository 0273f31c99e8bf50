"""What has a vector already and need not be encoded again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mmsearch.types import MODALITIES, Modality, Source

if TYPE_CHECKING:
    from mmsearch.catalog.catalog import Catalog
    from mmsearch.catalog.records import StoredItem

Name = tuple[Modality, bytes]  # of a vector: the digest of a picture or of a text


class Known:
    """Names of vectors in the current space; safe in any thread.

    `whole` reads them all once, for a run over everything; otherwise each is looked up.
    """

    def __init__(self, catalog: Catalog, *, whole: bool) -> None:
        self._catalog = catalog
        self._whole = whole
        info = catalog.encoder()
        self._fingerprint = info.fingerprint if info else None
        self._seen: set[Name] = set()
        self._unseen: set[Name] = set()
        if whole and info:
            self._seen = catalog.spaces.known_digests(info.fingerprint)

    def __contains__(self, name: Name) -> bool:
        if name in self._seen:
            return True
        if self._whole or self._fingerprint is None or name in self._unseen:
            return False
        return self._catalog.spaces.row(*name, self._fingerprint) is not None

    def lacking(self, texts: Mapping[bytes, str]) -> dict[bytes, str]:
        """Those of the texts, by digest, that have no vector."""
        return {digest: text for digest, text in texts.items() if ("text", digest) not in self}

    def update(self, names: Iterable[Name]) -> None:
        self._seen.update(names)

    def look_up(self, names: Iterable[Name]) -> None:
        """Learn about many at once what would otherwise be asked for one by one."""
        if self._whole or self._fingerprint is None:
            return
        wanted = set(names)
        for modality in MODALITIES:
            digests = [digest for kind, digest in wanted if kind == modality]
            rows = self._catalog.spaces.rows(modality, digests, self._fingerprint)
            self._seen.update((modality, digest) for digest in rows)
        self._unseen = wanted - self._seen

    def all_of(self, item: StoredItem) -> bool:
        """Whether the item has every vector that it should have."""
        return all(name in self for name in item.digests)


def text_digest(source: Source) -> bytes | None:
    """The blake2b-16 of an item's text; None for no text.

    Nor has a further picture a text to be found by: it shows that of its item.
    """
    text = None if source.picture_of is not None else source.text
    return hashlib.blake2b(text.encode(), digest_size=16).digest() if text else None
