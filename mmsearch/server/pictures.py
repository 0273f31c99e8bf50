"""Pictures in and out: uploads decoded within their limits, thumbnails made and kept."""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mmsearch.errors import ImageError, ItemNotFoundError
from mmsearch.images import Contents, decode, orientation_of, read, size_of
from mmsearch.server.byte_cache import ByteCache
from mmsearch.server.metadata import stripped
from mmsearch.server.problems import Problem

log = logging.getLogger("mmsearch.server")

SIZES = (128, 256, 512, 1024)
# What an uploaded JPEG is scaled down to on decoding, at least twice this much a side: more than
# any encoder looks at (SigLIP's 512), and for most pictures what indexing decodes them at.
_QUERY_TARGET = 256
# What is kept of any other upload until its query is answered: 12 MB at most. Of a blank PNG 150 kB
# are 50 million pixels.
_QUERY_SIDE = 2048
_UPLOAD = "the picture"  # what it is called in errors: its own name stays with the client
_WHOLE = 1 << 20  # a target that asks for every pixel of a JPEG
_QUALITY = 82  # about 8 kB at 256 pixels

# Formats that browsers show, by how their files begin; all others are sent as JPEG.
_SHOWN = (
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypavif", 4, "image/avif"),
)


@dataclass(frozen=True)
class Sent:
    """A picture as it is sent; `kept` False: its file is not what was indexed."""

    data: bytes
    media_type: str
    kept: bool = True


def snapped(size: int) -> int:
    """The smallest size that thumbnails have and that is not below `size`."""
    return next((one for one in SIZES if one >= size), SIZES[-1])


def require_pixels(contents: Contents, most: int) -> None:
    """Raises Problem by the header alone, ImageError where there is none."""
    width, height = size_of(contents)
    if width * height > most:
        raise Problem(
            413,
            f"the picture claims {width} x {height} pixels, more than the {most / 1e6:g} million "
            "that this server decodes: send a smaller copy",
        )


def decode_upload(data: bytes, max_pixels: int) -> Image.Image:
    """An upright RGB picture to search with. Raises ImageError, Problem."""
    try:
        contents = replace(read(data), name=_UPLOAD)
        require_pixels(contents, max_pixels)
        image = decode(contents, _QUERY_TARGET).image
    except ImageError as error:
        _, _, reason = str(error).partition(": ")
        said = reason if reason.startswith(_UPLOAD) else f"{_UPLOAD}: {reason}"
        raise ImageError(said) from error
    image.thumbnail((_QUERY_SIDE, _QUERY_SIDE))
    return image


def original(path: Path, digest: bytes, *, metadata: bool) -> Sent:
    """A picture's own bytes where browsers show its format, else a JPEG of it.

    Without `metadata` nothing but what it takes to show it. Raises ItemNotFoundError where the
    file is gone or damaged.
    """
    contents = _contents(path)
    kept = contents.digest == digest
    for start, offset, media_type in _SHOWN:
        if contents.data.startswith(start, offset):
            data = contents.data if metadata else _stripped(contents, media_type)
            if data is not None:
                return Sent(data, media_type, kept)
    return Sent(_jpeg(_decoded(contents, _WHOLE)), "image/jpeg", kept)


class Thumbnails:
    """JPEGs of pictures, the last used ones kept in memory by (digest, size). For any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: ByteCache[tuple[bytes, int]] = ByteCache(max_bytes)
        self._lock = threading.Lock()

    def get(self, path: Path, digest: bytes, size: int) -> Sent:
        """At most `size` pixels a side. Raises ItemNotFoundError, ImageError."""
        found = self.find(digest, size)
        if found is not None:
            return found
        contents = _contents(path)
        image = _decoded(contents, size // 2)  # a JPEG: at least `size` a side
        image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
        data = _jpeg(image)
        if contents.digest != digest:
            return Sent(data, "image/jpeg", kept=False)
        with self._lock:
            self._kept.put((digest, size), data)
        return Sent(data, "image/jpeg")

    def find(self, digest: bytes, size: int) -> Sent | None:
        """One that is kept."""
        with self._lock:
            data = self._kept.get((digest, size))
        return None if data is None else Sent(data, "image/jpeg")


def _contents(path: Path) -> Contents:
    try:
        return read(path)
    except ImageError as error:
        raise _lost(error) from error


def _decoded(contents: Contents, target: int) -> Image.Image:
    try:
        return decode(contents, target).image
    except ImageError as error:
        raise _lost(error) from error


def _stripped(contents: Contents, media_type: str) -> bytes | None:
    try:
        return stripped(contents.data, media_type, orientation_of(contents))
    except ImageError as error:
        raise _lost(error) from error


def _lost(error: ImageError) -> ItemNotFoundError:
    # The error names the file, which is for the operator.
    log.warning("a picture of the collection: %s", error)
    return ItemNotFoundError("the item's picture is gone or damaged: index its folder again")


def _jpeg(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()
