"""Pictures from files: one read, limits before pixels, always upright RGB.

The only room that decodes; everything that goes wrong with a file leaves it as an `ImageError`
of one line. Safe in any number of threads.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from mmsearch.errors import ImageError

MAX_PIXELS = 250_000_000  # about 750 MB as RGB; above any single-shot camera of 2026
MAX_BYTES = 256 * 1024 * 1024
DIGEST_BYTES = 16

# Pillow can open these, but they are documents, data, films or brushes rather than pictures;
# EPS would start Ghostscript.
_NOT_PICTURES = frozenset(
    {"BUFR", "EPS", "FITS", "FLI", "FTEX", "GBR", "GRIB", "HDF5", "IMT", "IPTC", "MCIDAS"}
    | {"MPEG", "PDF", "SPIDER", "WMF", "XVTHUMB"}
)
_NOT_PICTURE_SUFFIXES = frozenset({".vst"})  # Visio stencils, far more often than Targa
_HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_JPEG = b"\xff\xd8\xff"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

# Highlights of float pictures in 0..1 lie above it; one in 0..255 as dark as this shows nothing.
_OVERSHOOT = 2.0

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_lock = threading.Lock()


@dataclass(frozen=True)
class Contents:
    """A picture's bytes as read once, their blake2b-16, and what to call them in an error."""

    name: str
    data: bytes
    digest: bytes


@dataclass(frozen=True)
class Decoded:
    """An upright RGB picture, the blake2b-16 of its file, and the file's own (width, height).

    `size` is as seen (after EXIF rotation); a JPEG's `image` may be smaller than that.
    """

    image: Image.Image
    digest: bytes
    size: tuple[int, int]


def read(source: Path | bytes | BinaryIO) -> Contents:
    """All bytes of a picture. Raises ImageError if they cannot be read or exceed MAX_BYTES."""
    name = _name(source)
    data = _read(source, name)
    return Contents(name, data, hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest())


def decode(source: Path | bytes | BinaryIO | Contents, target: int) -> Decoded:
    """The first frame as upright RGB, transparency on white, 16 bits scaled to 8.

    A JPEG is decoded at the smallest scale that keeps both sides at least 2 * `target`.

    Raises ImageError for anything that cannot be read, is no picture, or exceeds a limit.
    """
    contents = source if isinstance(source, Contents) else read(source)
    with _faults(contents.name):
        image, size = _decode(contents, target)
    return Decoded(image, contents.digest, size)


def size_of(source: Path | bytes | BinaryIO | Contents) -> tuple[int, int]:
    """(width, height) as the file's header claims them; no pixel is decoded. Raises ImageError."""
    contents = source if isinstance(source, Contents) else read(source)
    with _faults(contents.name), _opened(contents) as opened:
        return opened.size


def orientation_of(source: Path | bytes | BinaryIO | Contents) -> int:
    """EXIF's orientation (1 to 8) that `decode` undoes; no pixel is decoded. Raises ImageError."""
    contents = source if isinstance(source, Contents) else read(source)
    with _faults(contents.name), _opened(contents) as opened:
        orientation = _orientation(opened)
    return orientation if orientation in _UPRIGHT else 1


def digest_file(path: Path) -> bytes:
    """The blake2b-16 of a file's bytes, equal to `Decoded.digest`. Raises ImageError."""
    name = _name(path)
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    try:
        _require_regular(path, name)
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except (OSError, ValueError) as exc:
        raise _unreadable(name, exc) from exc
    return digest.digest()


def is_image_name(path: Path | str) -> bool:
    """Whether the name ends like a picture that `decode` may be able to open."""
    return os.path.splitext(path)[1].lower() in image_suffixes()


@cache
def image_suffixes() -> frozenset[str]:
    """Lower-case suffixes with their dot: Pillow's picture formats plus HEIC."""
    formats = _formats()
    suffixes = {s for s, f in Image.registered_extensions().items() if f in formats}
    return frozenset(suffixes - _NOT_PICTURE_SUFFIXES) | _HEIF_SUFFIXES


@cache
def _formats() -> tuple[str, ...]:
    with _lock:
        Image.init()
        return tuple(f for f in Image.ID if f in Image.OPEN and f not in _NOT_PICTURES)


@contextmanager
def _faults(name: str) -> Iterator[None]:
    """Within Pillow's limits; all that goes wrong with the picture `name` is an ImageError."""
    try:
        with _pillow_limits():
            yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_many_pixels(name) from exc
    except UnidentifiedImageError as exc:
        raise ImageError(
            f"{name}: not a picture in any format that can be read here, whatever its name says; "
            "rename it or export it as JPEG or PNG"
        ) from exc
    except MemoryError as exc:
        raise ImageError(f"{name}: not enough memory to decode it; save a smaller copy") from exc
    except Exception as exc:  # plugins raise nearly anything on damaged input
        detail = _one_line(str(exc)) or type(exc).__name__
        raise ImageError(
            f"{name}: the picture is damaged or cut off ({detail}); copy or download it again"
        ) from exc


def _opened(contents: Contents) -> Image.Image:
    data = contents.data
    return Image.open(io.BytesIO(data), formats=_formats_for(data, contents.name))


def _decode(contents: Contents, target: int) -> tuple[Image.Image, tuple[int, int]]:
    name = contents.name
    with _opened(contents) as opened:
        size = opened.size
        if size[0] * size[1] > MAX_PIXELS:
            raise _too_many_pixels(name, size)
        if min(size) < 1:
            raise ImageError(f"{name}: the picture has no pixels; export it again")
        if opened.format == "JPEG":
            opened.draft("RGB", (2 * target, 2 * target))
        opened.load()
        orientation = _orientation(opened)
        image = _rgb(opened)
    turn = _UPRIGHT.get(orientation)
    if turn is not None:
        image = image.transpose(turn)
        if orientation >= 5:
            size = size[1], size[0]
    return image, size


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  # a corrupt EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return _bare(image.convert("RGB"))


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    """RGB of one deep channel. I;16 spans 0..65535; I and F are taken by the range they hold.

    One value alone tells of no range, unless it lies in a usual one: it becomes a middle grey.
    """
    import numpy as np

    values = np.asarray(image).astype(np.float32)  # (h, w)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= _OVERSHOOT:
        low, high = 0.0, max(high, 1.0)
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    if low == high:
        return Image.new("RGB", image.size, (128, 128, 128))
    values = (values - low) / (high - low) * 255.0 + 0.5
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")


def _bare(image: Image.Image) -> Image.Image:
    """The same pixels as a plain Image without the file's metadata."""
    plain = image.copy() if type(image) is not Image.Image else image
    plain.info = {}
    return plain


def _formats_for(data: bytes, name: str) -> tuple[str, ...]:
    if data.startswith(_JPEG):
        return ("JPEG",)  # of one picture alone: all of Pillow's plugins take longer than it
    formats = _formats()
    if data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in _HEIF_BRANDS):
        try:
            _register_heif()
        except ImportError as exc:
            if b"avif" in data[8:64]:
                return formats
            raise ImageError(
                f"{name}: HEIC pictures need pillow-heif; pip install pillow-heif"
            ) from exc
        return ("AVIF", "HEIF") if "AVIF" in formats else ("HEIF",)
    return formats


@cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    with _lock:
        register_heif_opener()


def _read(source: Path | bytes | BinaryIO, name: str) -> bytes:
    try:
        if isinstance(source, bytes):
            data = source
        elif isinstance(source, Path):
            _require_regular(source, name)
            with source.open("rb", buffering=0) as file:
                data = _read_at_most(file, os.fstat(file.fileno()).st_size)
        else:
            data = source.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise _unreadable(name, exc) from exc
    if len(data) > MAX_BYTES:
        raise ImageError(
            f"{name}: larger than {MAX_BYTES // 2**20} MiB, the most that is read of one picture; "
            "save a smaller copy"
        )
    if not data:
        raise ImageError(f"{name}: the file is empty; copy or download it again")
    return data


def _read_at_most(file: io.FileIO, size_bytes: int) -> bytes:
    """All of the file, or just more than MAX_BYTES' worth of nothing where it is too large."""
    if size_bytes > MAX_BYTES:
        return bytes(MAX_BYTES + 1)
    parts = []
    left = MAX_BYTES + 1
    while left > 0 and (part := file.read(min(left, size_bytes + 1))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _require_regular(path: Path, name: str) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ImageError(f"{name}: a folder, not a picture; name a file, or index the folder")
    if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
        raise ImageError(f"{name}: not a regular file; copy the picture into one")


def _unreadable(name: str, exc: OSError | ValueError) -> ImageError:
    if isinstance(exc, FileNotFoundError):
        return ImageError(f"{name}: no such file; check the name, or whether its drive is there")
    if isinstance(exc, PermissionError):
        return ImageError(f"{name}: permission denied; make the file readable (chmod u+r)")
    if isinstance(exc, OSError) and exc.errno == errno.ELOOP:
        return ImageError(f"{name}: a link that leads back to itself; replace it by the file")
    detail = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return ImageError(f"{name}: cannot be read ({_one_line(detail)}); check the disk and try again")


def _too_many_pixels(name: str, size: tuple[int, int] | None = None) -> ImageError:
    claim = f"claims {size[0]} x {size[1]} pixels" if size else "claims far too many pixels"
    return ImageError(
        f"{name}: {claim}, more than the {MAX_PIXELS // 10**6} million that are decoded; "
        "save a smaller copy"
    )


def _name(source: Path | bytes | BinaryIO) -> str:
    if isinstance(source, bytes):
        return "picture in memory"
    name = source if isinstance(source, Path) else getattr(source, "name", None)
    return _one_line(os.fsdecode(name)) if isinstance(name, str | Path) else "picture in memory"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


_guests = 0
_host_limit: int | None = None
_host_filter: object = None


@contextmanager
def _pillow_limits() -> Iterator[None]:
    """Our pixel limit and no warnings of Pillow's while any thread decodes, the host's after.

    `warnings.catch_warnings` swaps a process-wide list and cannot nest across threads
    (https://github.com/python/cpython/issues/81785), so the guests are counted.
    """
    global _guests, _host_limit, _host_filter
    with _lock:
        if _guests == 0:
            _host_limit = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS
            warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)(\.|$)")
            _host_filter = warnings.filters[0]
        _guests += 1
    try:
        yield
    finally:
        with _lock:
            _guests -= 1
            if _guests == 0:
                Image.MAX_IMAGE_PIXELS = _host_limit
                with suppress(ValueError):
                    warnings.filters.remove(_host_filter)  # type: ignore[attr-defined]  # typeshed: Sequence
