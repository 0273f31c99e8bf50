"""Makes the next process's first query quick; called where an index run writes its snapshots."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.catalog.rows import live_rows
from mmsearch.encoders.text_tower import keep_text_tower
from mmsearch.quick.codes import Codes, write_codes
from mmsearch.types import MODALITIES, Modality

if TYPE_CHECKING:
    from mmsearch.catalog.catalog import Catalog
    from mmsearch.catalog.records import EncoderInfo
    from mmsearch.catalog.vectors import VectorFile


def prepare(catalog: Catalog, info: EncoderInfo, vectors: VectorFile, index: Path) -> None:
    """Bring the codes of both modalities up to date, beside the snapshots in `index`, and keep the
    text tower. A disk that is full or read-only leaves queries as slow as they are without.
    """
    keep_text_tower(info.fingerprint, info.name)
    for modality in MODALITIES:
        path = index / f"{info.fingerprint}-{modality}.signs"
        if not _is_current(path, info, catalog.seq()):
            with suppress(OSError):
                _write(catalog, info, vectors, path, modality)


def _is_current(path: Path, info: EncoderInfo, seq: int) -> bool:
    with suppress(OSError, ValueError, KeyError):
        return Codes(path, info.dim).seq == seq
    return False


def _write(
    catalog: Catalog, info: EncoderInfo, vectors: VectorFile, path: Path, modality: Modality
) -> None:
    # Read first: what is committed meanwhile is a change after it, and replayed.
    seq = catalog.seq()
    ids, rows = live_rows(catalog, info.fingerprint, modality)
    path.parent.mkdir(exist_ok=True)
    write_codes(path, ids, rows, vectors.read, dim=info.dim, seq=seq)
