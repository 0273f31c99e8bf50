"""Rows of `items`, and those of a first run by the thousand, made where their table is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmsearch.catalog.prepared import Prepared, prepare
from mmsearch.ingest.known import text_digest
from mmsearch.types import FileStamp, Source


class NewItems:
    """Items that are all new and have no pictures (types.Block)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.prepared: Prepared = prepare(
            [item_row(one, one.attributes, text_digest=text_digest(one)) for one in sources]
        )

    @property
    def keys(self) -> Sequence[str]:
        return self.prepared.new.column("key")

    @property
    def texts(self) -> dict[bytes, str]:
        """By digest, all that they are to be found by."""
        new = self.prepared.new
        texts = dict(zip(new.column("text_digest"), new.column("text"), strict=True))
        texts.pop(None, None)
        return texts

    def __len__(self) -> int:
        return len(self.prepared)

    def __iter__(self) -> Iterator[Source]:
        for row in self.prepared.new.mappings():
            stamp = FileStamp(row["size_bytes"], row["mtime_ns"])
            attributes = json.loads(row["attributes"])
            yield Source(
                row["key"], None, row["text"], stamp, row["group"], attributes, row["origin"]
            )


def item_row(
    source: Source,
    attributes: Mapping[str, Any],
    *,
    id: int | None = None,
    path: str | None = None,
    told: Mapping[str, Any] | None = None,
    image_digest: bytes | None = None,
    text_digest: bytes | None = None,
) -> dict[str, Any]:
    """The row of a live item. `path` is that of its picture, in key form."""
    return {
        "id": id,
        "key": source.key,
        "state": "live",
        "origin": source.origin,
        "group": source.group,
        "path": path,
        "text": source.text,
        "attributes": attributes,
        "told": told,
        "image_digest": image_digest,
        "text_digest": text_digest,
        "picture_of": source.picture_of,
        "url": source.url,
        "size_bytes": source.stamp.size_bytes,
        "mtime_ns": source.stamp.mtime_ns,
    }
