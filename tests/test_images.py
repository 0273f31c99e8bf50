"""Pictures: whatever a file holds, decode gives upright RGB or one line that says why not."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsearch.errors import ImageError
from mmsearch.images import MAX_BYTES, MAX_PIXELS, decode, digest_file, is_image_name, read
from tests import bad_images


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(data: bytes, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    value = decode(data, 224).image.getpixel(at)
    assert isinstance(value, tuple)
    return tuple(int(v) for v in value)


MESSAGES = {
    "truncated.jpg": "the picture is damaged or cut off (image file is truncated",
    "truncated.png": "the picture is damaged or cut off (image file is truncated",
    "zero.jpg": "the file is empty; copy or download it again",
    "letter.jpg": "not a picture in any format that can be read here, whatever its name says",
    "bomb.png": "claims far too many pixels, more than the 250 million that are decoded",
}


@pytest.mark.parametrize("name", bad_images.UNREADABLE)
def test_a_bad_file_is_one_line_that_names_it_and_what_to_do(tmp_path: Path, name: str) -> None:
    path = bad_images.write_all(tmp_path)[name]
    with pytest.raises(ImageError) as caught:
        decode(path, 224)
    message = str(caught.value)
    assert message.startswith(f"{path}: {MESSAGES[name]}")
    assert "\n" not in message
    assert "; " in message


@pytest.mark.parametrize("name", bad_images.ODD_BUT_READABLE)
def test_an_odd_file_becomes_rgb(tmp_path: Path, name: str) -> None:
    path = bad_images.write_all(tmp_path)[name]
    decoded = decode(path, 224)
    assert type(decoded.image) is Image.Image
    assert decoded.image.mode == "RGB"
    assert decoded.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    assert decoded.digest == digest_file(path) == read(path).digest


def test_a_header_just_over_the_limit_is_refused_with_its_size() -> None:
    data = bad_images.bomb(25_000, 10_001)
    with pytest.raises(ImageError, match="picture in memory: claims 25000 x 10001 pixels"):
        decode(data, 224)


def test_a_header_at_the_limit_passes_the_check_although_pillow_would_warn() -> None:
    assert MAX_PIXELS == 25_000 * 10_000
    with pytest.raises(ImageError, match="damaged or cut off"):  # it has no such pixels
        decode(bad_images.bomb(25_000, 10_000), 224)


def test_a_file_over_the_byte_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match=r"huge.jpg: larger than 256 MiB.*save a smaller copy"):
        decode(path, 224)


def test_a_vanished_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone.jpg: no such file; check"):
        decode(tmp_path / "gone.jpg", 224)
    with pytest.raises(ImageError, match=r"gone.jpg: no such file; check"):
        digest_file(tmp_path / "gone.jpg")


def test_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    with pytest.raises(ImageError, match=r"album.jpg: a folder, not a picture; name a file"):
        decode(tmp_path / "album.jpg", 224)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"pipe.jpg: not a regular file"):
        decode(tmp_path / "pipe.jpg", 224)


def test_a_link_to_itself_says_so(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with pytest.raises(ImageError, match=r"loop.jpg: a link that leads back to itself"):
        decode(tmp_path / "loop.jpg", 224)


class Locked(io.BytesIO):
    name = "locked.jpg"

    def read(self, size: int | None = -1, /) -> bytes:
        raise PermissionError(13, "Permission denied")


def test_a_stream_that_denies_reading_says_so() -> None:
    with pytest.raises(ImageError, match=r"locked.jpg: permission denied; make the file readable"):
        decode(Locked(), 224)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(bad_images.jpeg())
    path.chmod(0)
    with pytest.raises(ImageError, match=r"secret.jpg: permission denied"):
        decode(path, 224)


def test_a_name_with_a_newline_stays_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        decode(tmp_path / "two\nlines.jpg", 224)
    assert r"two\nlines.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_path_bytes_and_stream_give_the_same_picture(tmp_path: Path) -> None:
    data = bad_images.jpeg()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    decoded = [decode(path, 224), decode(data, 224), decode(io.BytesIO(data), 224)]
    assert len({d.image.tobytes() for d in decoded}) == 1
    assert len({d.digest for d in decoded}) == 1


def test_a_large_jpeg_is_drafted_but_reports_its_full_size() -> None:
    decoded = decode(bad_images.jpeg(2000, 1600), 100)
    assert decoded.size == (2000, 1600)
    assert decoded.image.size == (250, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    decoded = decode(bad_images.exif_rotated(orientation), 224)
    upright = (64, 48) if orientation < 5 else (48, 64)
    assert decoded.size == decoded.image.size == upright
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    x = 4 if corner[1] == "l" else upright[0] - 5
    y = 4 if corner[0] == "t" else upright[1] - 5
    grey = np.asarray(decoded.image.convert("L"))
    assert grey[y, x] < 20
    assert grey[upright[1] // 2, upright[0] // 2] > 235


def test_corrupt_exif_leaves_the_pixels_alone() -> None:
    clean, corrupt = decode(bad_images.jpeg(), 224), decode(bad_images.corrupt_exif(), 224)
    assert corrupt.size == clean.size


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257, 1), (32_896, 128), (65_535, 255)])
def test_sixteen_bits_are_scaled_to_eight(value: int, grey: int) -> None:
    assert pixel(bad_images.sixteen_bit(value)) == (grey,) * 3


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        (np.array([[0.0, 0.5, 1.0, np.nan]], np.float32), [0, 128, 255, 0]),
        (np.array([[0.0, 128.0, 255.0, 3.0]], np.float32), [0, 128, 255, 3]),
        (np.array([[-100.0, 0.0, 100.0, np.inf]], np.float32), [0, 128, 255, 128]),
        (np.array([[0, 100, 255, 7]], np.int32), [0, 100, 255, 7]),
        (np.array([[0, 257, 65_535, 514]], np.int32), [0, 1, 255, 2]),
        (np.array([[-1_000_000, 0, 1_000_000, 0]], np.int32), [0, 128, 255, 128]),
        (np.array([[0.0, 0.75, 1.5, 0.3]], np.float32), [0, 128, 255, 51]),
        (np.array([[0.0, 2.0, 4.0, 9.0]], np.float32), [0, 2, 4, 9]),
        (np.array([[1.0, 1.0, 1.0, 1.0]], np.float32), [255] * 4),
        (np.array([[300.0] * 4], np.float32), [128] * 4),
        (np.array([[-5] * 4], np.int32), [128] * 4),
        (np.array([[100_000] * 4], np.int32), [128] * 4),
    ],
)
def test_deep_grey_takes_the_range_it_holds(values: np.ndarray, greys: list[int]) -> None:
    image = decode(saved(Image.fromarray(values), "TIFF"), 224).image
    assert np.asarray(image)[0, :, 1].tolist() == greys


def test_cmyk_red_is_red() -> None:
    red, green, blue = pixel(bad_images.cmyk(), (16, 16))
    assert red > 220
    assert max(green, blue) < 40


def test_transparency_is_white() -> None:
    data = bad_images.palette_with_transparency()
    assert pixel(data, (0, 0)) == (255, 255, 255)
    assert pixel(data, (7, 7)) == (0, 255, 0)
    assert pixel(saved(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "PNG")) == (255, 255, 255)
    assert pixel(saved(Image.new("LA", (2, 2), (0, 0)), "PNG")) == (255, 255, 255)
    assert pixel(saved(Image.new("RGB", (2, 2), (9, 9, 9)), "PNG", transparency=(9, 9, 9))) == (
        (255, 255, 255)
    )


def test_one_bit_and_grey_become_rgb() -> None:
    assert pixel(saved(Image.new("1", (2, 2), 1), "PNG")) == (255, 255, 255)
    assert pixel(saved(Image.new("L", (2, 2), 77), "PNG")) == (77, 77, 77)


def test_an_animation_gives_its_first_frame() -> None:
    assert pixel(bad_images.animated_gif()) == (255, 0, 0)


def test_one_pixel_is_a_picture() -> None:
    assert decode(bad_images.one_pixel(), 224).size == (1, 1)


def test_a_png_named_jpg_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "really-png.jpg"
    path.write_bytes(bad_images.png())
    assert decode(path, 224).size == (64, 48)


def test_avif_and_webp_are_read() -> None:
    for kind in ("AVIF", "WEBP"):
        assert decode(saved(bad_images.photo(), kind), 224).size == (64, 48)


def test_heic_is_read(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "phone.heic"
    pillow_heif.from_pillow(bad_images.photo()).save(path, quality=90)
    assert decode(path, 224).size == (64, 48)


def test_pillow_settings_and_warning_filters_are_the_hosts_again() -> None:
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    decode(bad_images.jpeg(), 224)
    with pytest.raises(ImageError):
        decode(bad_images.bomb(), 224)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


def test_many_threads_decode_without_a_warning() -> None:
    makers: list[Callable[[], bytes]] = [bad_images.corrupt_exif, bad_images.jpeg]
    data = [make() for make in makers] * 100 + [bad_images.bomb(9_500, 9_500)] * 2
    barrier = threading.Barrier(8)

    def work(part: int) -> int:
        barrier.wait()
        done = 0
        for one in data[part::8]:
            try:
                decode(one, 224)
            except ImageError as exc:
                assert "damaged or cut off" in str(exc)  # noqa: PT017  # in a worker thread
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == len(data)


@pytest.mark.parametrize(
    "name", ["a.jpg", "b.JPEG", "c.png", "d.heic", "e.HEIF", "f.avif", "g.webp", "h.tiff", "i.gif"]
)
def test_pictures_are_known_by_name(name: str) -> None:
    assert is_image_name(Path(name))


@pytest.mark.parametrize(
    "name",
    ["a.pdf", "b.eps", "c.ps", "d.mpg", "e.h5", "f.hdf", "g.bufr", "h.grib", "i.txt", "j.fits"],
)
def test_other_files_are_not_taken_for_pictures(name: str) -> None:
    assert not is_image_name(Path(name))
