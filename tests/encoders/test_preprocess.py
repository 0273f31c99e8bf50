from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmsearch.encoders.preprocess import Preprocess
from mmsearch.encoders.torchvision_shim import import_open_clip

SIZES = [(224, 224), (31, 517), (640, 427), (225, 223), (7, 5), (333, 64)]


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
