"""Writes the pictures that break programs. Each maker returns the bytes of one file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """A deterministic colour gradient."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), x * 0 + 90], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return _saved(photo(width, height), "JPEG", quality=95)


def png(width: int = 64, height: int = 48) -> bytes:
    return _saved(photo(width, height), "PNG")


def truncated() -> bytes:
    whole = jpeg(256, 256)
    return whole[: len(whole) // 2]


def truncated_png() -> bytes:
    whole = png(256, 256)
    return whole[: len(whole) // 2]


def zero_byte() -> bytes:
    return b""


def mislabelled() -> bytes:
    return b"This is a letter, not a picture.\n" * 20


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few bytes whose header claims `width` x `height` pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def one_pixel() -> bytes:
    return _saved(Image.new("RGB", (1, 1), (10, 20, 30)), "PNG")


def sixteen_bit(value: int = 32_896) -> bytes:
    return _saved(Image.fromarray(np.full((4, 4), value, np.uint16)), "PNG")


def cmyk() -> bytes:
    return _saved(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)  # red


def palette_with_transparency() -> bytes:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (4, 0, 8, 8))
    return _saved(image, "PNG", transparency=0)  # left half see-through, right half green


def animated_gif() -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    return _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


def corrupt_exif() -> bytes:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40
    return _saved(photo(), "JPEG", exif=exif)


def exif_rotated(orientation: int = 6) -> bytes:
    """64 x 48 on disk: white with a black top left corner; 6 and 8 stand it upright as 48 x 64."""
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(image, "JPEG", exif=exif.tobytes(), quality=95)


UNREADABLE: dict[str, Callable[[], bytes]] = {
    "truncated.jpg": truncated,
    "truncated.png": truncated_png,
    "zero.jpg": zero_byte,
    "letter.jpg": mislabelled,
    "bomb.png": bomb,
}
ODD_BUT_READABLE: dict[str, Callable[[], bytes]] = {
    "one-pixel.png": one_pixel,
    "sixteen-bit.png": sixteen_bit,
    "cmyk.jpg": cmyk,
    "palette.png": palette_with_transparency,
    "animated.gif": animated_gif,
    "corrupt-exif.jpg": corrupt_exif,
    "exif-rotated.jpg": exif_rotated,
}


def write_all(folder: Path) -> dict[str, Path]:
    """All of the above as files in `folder`, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, make in {**UNREADABLE, **ODD_BUT_READABLE}.items():
        paths[name] = folder / name
        paths[name].write_bytes(make())
    return paths
