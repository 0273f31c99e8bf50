"""Pictures are sent without where they were taken, and look as before."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin
from starlette.testclient import TestClient

import mmsearch
from mmsearch.images import decode
from mmsearch.server.metadata import stripped
from tests.server.worlds import serving
from tests.support import ColourEncoder

SECRET = b"48.137154, 11.576124"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GPS_IFD, ORIENTATION, MAKER = 0x8825, 0x0112, 0x010F
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><place>' + SECRET + b"</place></x:xmpmeta>"
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    found[MAKER] = SECRET.decode()
    found[GPS_IFD] = {1: "N", 2: (48.0, 8.0, 13.75)}
    return found.tobytes()


def scene() -> Image.Image:
    rows = np.random.default_rng(3).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(rows).resize((64, 48), Image.Resampling.BICUBIC)


def photo(format: str, orientation: int = 6, **options: Any) -> bytes:
    """A picture that tells where it was taken, in each way that its format has."""
    data = io.BytesIO()
    more: dict[str, Any] = {"exif": exif(orientation), "icc_profile": PROFILE, **options}
    if format == "PNG":
        words = PngImagePlugin.PngInfo()
        words.add_text("Location", SECRET.decode())
        words.add_itxt("XML:com.adobe.xmp", XMP.decode())
        more["pnginfo"] = words
    else:
        more["xmp"] = XMP
    if format == "JPEG":
        more["comment"] = SECRET
    scene().save(data, format, **more)
    return data.getvalue()


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(decode(data, 1000).image)


PHOTOS = {
    "photo.jpg": photo("JPEG"),
    "progressive.jpg": photo("JPEG", progressive=True),
    "restarts.jpg": photo("JPEG", orientation=3, restart_marker_rows=1),
    # A second picture, or a film, behind the end of the first.
    "film.jpg": photo("JPEG", orientation=1) + photo("JPEG"),
    "photo.png": photo("PNG"),
    "tail.png": photo("PNG", orientation=1) + SECRET,
    "photo.webp": photo("WEBP"),
    "lossless.webp": photo("WEBP", orientation=1, lossless=True),
}


def type_of(name: str) -> str:
    kind = name.split(".")[-1]
    return f"image/{'jpeg' if kind == 'jpg' else kind}"


@pytest.mark.parametrize("name", PHOTOS)
def test_place_is_gone_and_the_picture_is_as_it_was(name: str) -> None:
    data = PHOTOS[name]
    assert SECRET in data
    orientation = Image.open(io.BytesIO(data)).getexif()[ORIENTATION]
    bare = stripped(data, type_of(name), orientation)
    assert bare is not None
    assert SECRET not in bare
    assert b"xmpmeta" not in bare
    opened = Image.open(io.BytesIO(bare))
    assert dict(opened.getexif()) == ({} if orientation == 1 else {ORIENTATION: orientation})
    assert opened.info["icc_profile"] == PROFILE
    np.testing.assert_array_equal(pixels(bare), pixels(data))
    assert stripped(bare, type_of(name), orientation) == bare


def test_compressed_words_of_a_png_go_too() -> None:
    data = photo("PNG")
    hidden = b"zTXt" + b"Location\0\0" + zlib.compress(SECRET)
    chunk = struct.pack(">I", len(hidden) - 4) + hidden + struct.pack(">I", zlib.crc32(hidden))
    bare = stripped(data[:33] + chunk + data[33:], "image/png", 6)
    assert bare is not None
    assert b"zTXt" not in bare


def test_cmyk_keeps_what_says_how_its_colours_are_stored() -> None:
    data = io.BytesIO()
    scene().convert("CMYK").save(data, "JPEG", exif=exif(1))
    bare = stripped(data.getvalue(), "image/jpeg", 1)
    assert bare is not None
    np.testing.assert_array_equal(pixels(bare), pixels(data.getvalue()))


def test_animation_stays_one() -> None:
    for format in ("WEBP", "PNG"):
        data = io.BytesIO()
        frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "lime")]
        more: Any = {"save_all": True, "append_images": frames[1:], "duration": 70}
        frames[0].save(data, format, exif=exif(1), **more)
        bare = stripped(data.getvalue(), TYPES[format], 1)
        assert bare is not None
        assert SECRET not in bare
        assert getattr(Image.open(io.BytesIO(bare)), "n_frames", 1) == 3


def test_avif_with_metadata_takes_a_decoder_and_one_without_does_not() -> None:
    assert stripped(photo("AVIF"), "image/avif", 6) is None
    data = io.BytesIO()
    scene().save(data, "AVIF")
    assert stripped(data.getvalue(), "image/avif", 1) == data.getvalue()


def gif(**options: Any) -> bytes:
    """An animation of three frames with a colour table of its own each."""
    data = io.BytesIO()
    frames = [scene().rotate(angle).quantize(64) for angle in (0, 90, 180)]
    more: Any = {"save_all": True, "append_images": frames[1:], "duration": 70, "loop": 0}
    frames[0].save(data, "GIF", **more, **options)
    return data.getvalue()


def with_extension(data: bytes, label: int, *blocks: bytes) -> bytes:
    """Another extension of a GIF, before its first frame or the extension that is there."""
    place = 13 + (3 << (data[10] % 8 + 1) if data[10] & 0x80 else 0)
    counted = b"".join(bytes([len(block)]) + block for block in blocks)
    return data[:place] + bytes((0x21, label)) + counted + b"\0" + data[place:]


TELLING_GIFS = {
    "comment": gif(comment=SECRET),
    "text": with_extension(gif(), 0x01, bytes(12), SECRET),
    "xmp": with_extension(gif(), 0xFF, b"XMP DataXMP", SECRET),
    "application": with_extension(gif(), 0xFF, b"ACME    1.0", SECRET),
    "unknown": with_extension(gif(), 0xAA, SECRET),
    "tail": gif() + SECRET,
    "second picture": gif() + gif(comment=SECRET),
}


@pytest.mark.parametrize("name", TELLING_GIFS)
def test_what_a_gif_tells_is_cut_out_and_its_frames_stay(name: str) -> None:
    assert SECRET in TELLING_GIFS[name]
    bare = stripped(TELLING_GIFS[name], "image/gif", 1)
    assert bare is not None
    assert SECRET not in bare
    assert shown(bare) == shown(gif())


def shown(data: bytes) -> list[bytes]:
    """The pixels of each frame."""
    with Image.open(io.BytesIO(data)) as film:
        return [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(film)]


def test_gif_that_only_shows_something_is_sent_as_it_is() -> None:
    still = io.BytesIO()
    scene().save(still, "GIF")
    animated = gif()
    assert b"NETSCAPE2.0" in animated
    profiled = with_extension(animated, 0xFF, b"ICCRGBG1012", PROFILE[:200], PROFILE[200:300])
    other_loop = with_extension(animated, 0xFF, b"ANIMEXTS1.0", b"\1\0\0")
    for data in (still.getvalue(), animated, profiled, other_loop, gif(transparency=3)):
        assert stripped(data, "image/gif", 1) == data
        for length in range(13, len(data) - 1, 97):
            assert stripped(data[:length], "image/gif", 1) is None


@pytest.mark.parametrize("name", PHOTOS)
def test_file_that_is_cut_off_tells_nothing(name: str) -> None:
    data = PHOTOS[name]
    for length in range(12, len(data), 7):
        bare = stripped(data[:length], type_of(name), 6)
        assert bare is None or SECRET not in bare


@settings(max_examples=200)
@given(
    st.sampled_from([*sorted(PHOTOS), "drawn.gif"]),
    st.lists(st.tuples(st.integers(12, 2000), st.integers(0, 255)), max_size=5),
)
def test_damage_is_no_bug(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(PHOTOS.get(name) or gif())
    for place, value in changes:
        data[place % len(data)] = value
    stripped(bytes(data), type_of(name), 6)


# ---- over HTTP


def add(folder: Path, encoder: ColourEncoder, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    with mmsearch.open(folder, encoder=encoder) as collection:
        assert not collection.index([folder]).failures


@pytest.mark.parametrize("name", PHOTOS)
def test_picture_is_sent_without_its_place(
    client: TestClient, folder: Path, encoder: ColourEncoder, name: str
) -> None:
    add(folder, encoder, name, PHOTOS[name])
    response = client.get(f"/v1/images/{name}")
    assert response.headers["content-type"] == type_of(name)
    assert SECRET not in response.content
    np.testing.assert_array_equal(pixels(response.content), pixels(PHOTOS[name]))
    assert response.headers["content-length"] == str(len(response.content))


def test_picture_whose_metadata_cannot_be_cut_out_is_sent_as_a_jpeg(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    add(folder, encoder, "phone.avif", photo("AVIF"))
    response = client.get("/v1/images/phone.avif")
    assert response.headers["content-type"] == "image/jpeg"
    assert SECRET not in response.content


def test_operator_may_have_files_sent_as_they_are(
    client: TestClient, folder: Path, encoder: ColourEncoder
) -> None:
    data = PHOTOS["photo.jpg"]
    add(folder, encoder, "photo.jpg", data)
    bare = client.get("/v1/images/photo.jpg")
    with serving(folder, encoder, picture_metadata=True) as open_hearted:
        whole = open_hearted.get("/v1/images/photo.jpg")
        assert whole.content == data
        # Another file under another name: caches between must not mistake one for the other.
        known = {"If-None-Match": whole.headers["etag"]}
        assert open_hearted.get("/v1/images/photo.jpg", headers=known).status_code == 304
    assert client.get("/v1/images/photo.jpg", headers=known).status_code == 200
    known = {"If-None-Match": bare.headers["etag"]}
    assert client.get("/v1/images/photo.jpg", headers=known).status_code == 304


@pytest.mark.parametrize("damage", ["head", "middle", "half"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_file_that_was_damaged_since_is_no_fault_of_the_server(
    client: TestClient, folder: Path, encoder: ColourEncoder, name: str, damage: str
) -> None:
    data = PHOTOS[name]
    add(folder, encoder, name, data)
    broken = {
        "head": data[:16] + b"\xff" * 40,
        "middle": data[:200] + b"\xff\xe1\xff\xff" * 20 + data[280:],
        "half": data[: len(data) // 2],
    }
    (folder / name).write_bytes(broken[damage])
    response = client.get(f"/v1/images/{name}")
    assert response.status_code in (200, 404)
    assert response.status_code == 404 or response.headers["cache-control"] == "no-store"
