"""Pictures that the collection keeps itself: handed over as bytes, or fetched from the web."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmsearch.catalog.catalog import Catalog
from mmsearch.durable import replacing
from mmsearch.errors import StorageError
from mmsearch.images import Contents
from mmsearch.layout import Layout
from mmsearch.scan import key_of


def keep_picture(picture: Contents, layout: Layout) -> Path:
    """The file of the collection that holds this picture, written now if need be.

    Raises StorageError if it cannot be written.
    """
    path = layout.picture(picture.digest)
    if path.exists():
        return path
    try:
        layout.pictures.mkdir(exist_ok=True)
        # Threads may fetch the same picture at the same time.
        with replacing(path, alone=False) as new:
            new.write_bytes(picture.data)
    except OSError as error:
        raise StorageError(
            f"cannot keep a picture in {path}: {error.strerror or error}; what was committed "
            "before is safe. Free space or fix permissions and hand over the same items again"
        ) from error
    return path


def drop_unused_pictures(digests: Iterable[bytes], catalog: Catalog, layout: Layout) -> None:
    """Delete the kept files of those pictures that no item has any more."""
    kept = [digest for digest in digests if layout.picture(digest).exists()]
    used = catalog.paths_in_use(kept)
    for digest in kept:
        path = layout.picture(digest)
        if key_of(path, layout.base) not in used:
            path.unlink(missing_ok=True)
