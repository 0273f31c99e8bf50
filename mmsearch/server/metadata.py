"""Picture files without what they tell of their makers: where, when, with what and by whom.

Pixels stay as they are coded; what says how to show them (orientation, colour profile, animation)
stays too. All else goes, known or not: EXIF, XMP, IPTC, comments, previews, and what cameras hang
behind the end of the picture, such as films and depth maps with metadata of their own.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

_UPRIGHT = 1  # EXIF's orientation of a picture that is stored as it is seen

# JPEG (ITU-T T.81, annex B). A marker is 0xFF and a code; before it stand coded pixels, in which
# 0xFF is followed by 0 or counts restarts, and fill bytes.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATIONS = range(0xE0, 0xF0)
_JPEG_KEPT = ((0xE0, b"JFIF\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))  # Adobe: CMYK or not

# PNG (third edition, 2025): pixels, colours, and APNG's frames.
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT "
    b"acTL fcTL fdAT".split()
)

# WebP (RFC 9649).
_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04

# GIF89a. An extension is 0x21, its label and blocks; an application's first block is its name.
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B
_GIF_CONTROL = 0xF9  # how long the next frame stands, and what is transparent in it
_GIF_KEPT = (b"\xff\x0bNETSCAPE2.0", b"\xff\x0bANIMEXTS1.0", b"\xff\x0bICCRGBG1012")


class _Damaged(Exception):
    """The file is not as its format has it."""


def stripped(data: bytes, media_type: str, orientation: int) -> bytes | None:
    """A JPEG, PNG, WebP, GIF or AVIF without metadata but its EXIF `orientation` (1 to 8).

    None where that takes a decoder: the file is damaged, or of a format whose metadata cannot be
    cut out here.
    """
    try:
        return _STRIPS[media_type](data, orientation)
    except (_Damaged, struct.error, IndexError):
        return None


def _jpeg(data: bytes, orientation: int) -> bytes:
    kept = [data[:2]]
    if orientation != _UPRIGHT:
        exif = b"Exif\0\0" + _exif(orientation)
        kept.append(struct.pack(">HH", 0xFFE1, len(exif) + 2) + exif)
    place = 2
    scanning = False
    while (found := _MARKER.search(data, place)) is not None:
        if scanning:
            kept.append(data[place : found.start()])
        code, place = found[1][0], found.end()
        if code == _END:
            return b"".join([*kept, b"\xff\xd9"])
        if code == _START:
            raise _Damaged
        (length,) = struct.unpack_from(">H", data, place)
        segment = data[place : place + length]
        if length < 2 or len(segment) < length:
            raise _Damaged
        if _is_shown(code, segment[2:]):
            kept.append(bytes((0xFF, code)) + segment)
        place += length
        scanning = scanning or code == _SCAN
    raise _Damaged  # it has no end


def _is_shown(code: int, segment: bytes) -> bool:
    if code in _APPLICATIONS:
        return any(code == one and segment.startswith(name) for one, name in _JPEG_KEPT)
    return code != _COMMENT


def _png(data: bytes, orientation: int) -> bytes:
    kept = [data[:8]]
    for name, chunk in _chunks(data, 8, ">I4s", extra=4):
        if name in _PNG_KEPT:
            kept.append(chunk)
        if name == b"IHDR" and orientation != _UPRIGHT:
            body = b"eXIf" + _exif(orientation)
            kept.append(
                struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
            )
        if name == b"IEND":
            return b"".join(kept)
    raise _Damaged


def _webp(data: bytes, orientation: int) -> bytes:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise _Damaged
    kept = []
    turned = False
    for name, chunk in _chunks(data[: size + 8], 12, "<4sI"):
        if name == b"VP8X":
            turned = orientation != _UPRIGHT  # a file without this chunk has no EXIF
            flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turned else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if name in _WEBP_KEPT:
            kept.append(chunk)
    if turned:
        exif = _exif(orientation)
        kept.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif)
    body = b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunks(data: bytes, place: int, head: str, *, extra: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Name and all bytes of each chunk; `extra` bytes follow its contents. Raises _Damaged."""
    while place < len(data):
        first, second = struct.unpack_from(head, data, place)
        name, length = (second, first) if isinstance(first, int) else (first, second)
        end = place + 8 + length + extra
        if end > len(data):
            raise _Damaged
        end += (length % 2) if head[0] == "<" else 0  # RIFF: to an even length
        yield name, data[place:end]
        place = end


def _gif(data: bytes, _orientation: int) -> bytes:
    place = 13 + _colours(data[10])
    kept = [data[:place]]
    while data[place] != _GIF_TRAILER:
        start = place
        is_shown = True
        if data[place] == _GIF_IMAGE:
            place += 11 + _colours(data[place + 9])  # and how many bits its codes have
        elif data[place] == _GIF_EXTENSION:
            is_shown = _is_shown_in_gif(data[place + 1 : place + 14])
            place += 2
        else:
            raise _Damaged
        while data[place]:  # blocks, each after its length; one of none ends them
            place += 1 + data[place]
        place += 1
        if is_shown:
            kept.append(data[start:place])
    return b"".join([*kept, bytes((_GIF_TRAILER,))])


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags of a screen or image announce."""
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0


def _is_shown_in_gif(extension: bytes) -> bool:
    """`extension`: its label, a length, and the application's name if it is one."""
    return extension[0] == _GIF_CONTROL or extension in _GIF_KEPT


def _avif(data: bytes, _orientation: int) -> bytes | None:
    """Items of metadata lie anywhere in it, and other items are found by their offset."""
    return None if b"Exif" in data or b"rdf+xml" in data else data


def _exif(orientation: int) -> bytes:
    """A TIFF header and a directory of one entry: tag 0x0112, a SHORT (EXIF 3.0, 4.5.4)."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


_STRIPS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/avif": _avif,
}
