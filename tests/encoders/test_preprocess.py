from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsearch.encoders import preprocess
from mmsearch.encoders.preprocess import Preprocess
from mmsearch.encoders.torchvision_shim import import_open_clip
from mmsearch.errors import ImageError

SIZES = [(224, 224), (31, 517), (640, 427), (225, 223), (7, 5), (333, 64)]
# Scaled to 224 as a whole, as open_clip does it, they are just too large for us.
THIN = [(2, 700), (700, 2), (3, 1000), (1000, 3)]


def reference(cfg: dict[str, Any], image: Image.Image) -> Any:
    open_clip = import_open_clip()
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**cfg), is_train=False
    )
    steps = transform.transforms[:-2]  # all but ToTensor and Normalize
    for step in steps:
        image = step(image)
    return np.asarray(image)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [224, 65, (48, 80)])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_pixels_equal_those_of_open_clip_before_to_tensor(
    mode: str, size: int | tuple[int, int], interpolation: str
) -> None:
    rng = np.random.default_rng(0)
    cfg = {"size": size, "resize_mode": mode, "interpolation": interpolation, "fill_color": 7}
    ours = Preprocess.from_cfg(cfg)
    for width, height in SIZES:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        np.testing.assert_array_equal(ours(image), reference(cfg, image))


def test_an_unknown_resize_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="stretch"):
        Preprocess.from_cfg({"resize_mode": "stretch"})


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("source", THIN)
def test_the_middle_of_a_thin_picture_is_that_of_open_clip(
    source: tuple[int, int], interpolation: str
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*source[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    cfg = {"size": 224, "interpolation": interpolation}
    ours = Preprocess.from_cfg(cfg)
    target = ours._target(image.size)
    assert target[0] * target[1] > preprocess._MOST_PIXELS
    np.testing.assert_allclose(ours(image).astype(int), reference(cfg, image), atol=1)


@pytest.mark.parametrize("size", [224, (48, 80), (80, 48)])
def test_the_thinnest_picture_takes_no_memory_to_speak_of(size: int | tuple[int, int]) -> None:
    # Pillow refuses rows of 2 GB at once: as a whole it would be 500 million pixels wide and more.
    image = Image.new("RGB", (12_000_000, 1), (9, 90, 200))
    image.putpixel((0, 0), (0, 0, 0))
    pixels = Preprocess.from_cfg({"size": size})(image)
    height, width = (size, size) if isinstance(size, int) else size
    assert pixels.shape == (height, width, 3)
    assert (pixels == (9, 90, 200)).all()


def test_a_picture_too_large_for_the_memory_is_an_error_of_that_picture() -> None:
    ours = Preprocess(size=(1, 600_000_000), resize_mode="squash")
    with pytest.raises(ImageError, match=r"not enough memory .* 3 x 2 pixels; save a smaller copy"):
        ours(Image.new("RGB", (3, 2)))
