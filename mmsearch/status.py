"""What a collection holds, and what it takes on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, Space
from mmsearch.index.faiss_index import KIND
from mmsearch.layout import Layout
from mmsearch.types import MODALITIES


@dataclass(frozen=True)
class Status:
    """Counts, sizes, the encoder that answers queries, and `spaces`: every encoder's vectors."""

    path: str
    items: int
    images: int
    texts: int
    missing: int
    further_pictures: int  # of items with several, beside the first ones
    failures: int
    model: str | None
    fingerprint: str | None
    dim: int | None
    spaces: tuple[Space, ...]
    index_kind: str
    catalog_bytes: int
    vectors_bytes: int
    index_bytes: int
    pictures_bytes: int
    last_run: dict[str, Any] | None


def status(catalog: Catalog, layout: Layout) -> Status:
    """Read it all now. Raises StorageError, CorruptionError."""
    info = catalog.encoder()
    return Status(
        path=str(layout.root),
        **catalog.counts(),
        model=info.name if info else None,
        fingerprint=info.fingerprint if info else None,
        dim=info.dim if info else None,
        spaces=tuple(catalog.spaces.all()),
        index_kind=_kinds(layout, info),
        **layout.sizes(),
        last_run=catalog.last_run(),
    )


def _kinds(layout: Layout, info: EncoderInfo | None) -> str:
    """The kind of index of each modality, said once if they are the same."""
    if info is None:
        return KIND
    said = [(one, layout.snapshots(info, one).described() or KIND) for one in MODALITIES]
    if len({kind for _, kind in said}) == 1:
        return said[0][1]
    return "; ".join(f"{one}: {kind}" for one, kind in said)
