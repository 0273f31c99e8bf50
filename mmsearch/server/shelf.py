"""Items and their pictures, straight from the catalog: safe in any thread, without the engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import StoredItem
from mmsearch.errors import ItemNotFoundError
from mmsearch.layout import Layout
from mmsearch.scan import path_of
from mmsearch.server.naming import odd_keys


@dataclass(frozen=True)
class Held:
    """A live item; `picture` is its file, and `digest` the blake2b-16 of what was indexed."""

    key: str
    text: str | None
    group: str | None
    attributes: Mapping[str, Any]
    picture: Path | None
    digest: bytes | None
    version: str  # changes with anything that a client sees of the item


class Shelf:
    """Reads of one collection's catalog. Each takes well below a millisecond, but blocks."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._catalog = Catalog(self._layout.catalog)

    def close(self) -> None:
        self._catalog.close()

    def item(self, key: str) -> Held:
        """A live item. Raises ItemNotFoundError.

        A key from outside is only ever looked up, never made a path.
        """
        item = self._catalog.item(self.names([key]).get(key, key))
        if item is None or not item.live:
            raise ItemNotFoundError(f"no item has the key {key!r}: keys are as answers give them")
        return self._held(item)

    def picture(self, key: str) -> tuple[Path, bytes]:
        """The file of an item's picture and its digest. Raises ItemNotFoundError."""
        held = self.item(key)
        if held.picture is None or held.digest is None:
            raise ItemNotFoundError(f"the item {key!r} has no picture")
        return held.picture, held.digest

    def known(self, keys: Iterable[str], *, live: bool = False) -> set[str]:
        """Those of `keys` that an item has, also one that is missing unless it must be `live`."""
        found = self._catalog.by_key(set(keys))
        return {key for key, item in found.items() if item.live or not live}

    def names(self, keys: Iterable[str]) -> dict[str, str]:
        """Keys that an item does not have as they are written here, and how it has them, if it
        has: see naming.py."""
        odd = odd_keys(keys)
        there = self.known(odd) if odd else ()
        return {key: clean for key, clean in odd.items() if key not in there}

    def sequence(self) -> int:
        """The number of the last committed change."""
        return self._catalog.seq()

    def attribute_types(self) -> dict[str, list[str]]:
        """Each attribute's types, both in alphabetical order."""
        types = self._catalog.attribute_types()
        return {name: sorted(types[name]) for name in sorted(types)}

    def _held(self, item: StoredItem) -> Held:
        return Held(
            key=item.key,
            text=item.text,
            group=item.group,
            attributes=item.attributes,
            picture=None if item.path is None else path_of(item.path, self._layout.base),
            digest=item.image_digest,
            version=_version(item),
        )


def _version(item: StoredItem) -> str:
    seen = [item.key, item.text, item.group, item.attributes, (item.image_digest or b"").hex()]
    return hashlib.blake2b(json.dumps(seen).encode(), digest_size=8).hexdigest()
