"""Pillow-only picture preparation, bit for bit what open_clip's transform does before ToTensor.

Normalisation is left to the device, so that three bytes a pixel travel instead of twelve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

# Means and deviations of OpenAI's CLIP (openai/CLIP clip.py `_transform`), open_clip's default.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes model input; the fields are those of open_clip's PreprocessCfg.

    `size` is (height, width). `resize_mode`: "shortest" fits the shorter edge and crops the rest,
    "longest" fits the longer edge and pads with `fill_color`, "squash" ignores the aspect ratio.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> Preprocess:
        """From a PreprocessCfg as a dict; absent or None fields take open_clip's defaults."""
        given = {key: value for key, value in cfg.items() if value is not None}
        size = given.get("size", 224)
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        mode = given.get("resize_mode", "shortest")
        if mode not in ("shortest", "longest", "squash"):
            raise ValueError(f"resize_mode {mode!r}: expected shortest, longest or squash")
        return cls(
            size=(int(height), int(width)),
            mean=_triple(given.get("mean", CLIP_MEAN)),
            std=_triple(given.get("std", CLIP_STD)),
            interpolation=given.get("interpolation", "bicubic"),
            resize_mode=mode,
            fill_color=int(given.get("fill_color", 0)),
        )

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """RGB picture -> (height, width, 3) uint8. Other modes are converted to RGB first."""
        import numpy as np

        if image.mode != "RGB":
            image = image.convert("RGB")
        resized = _resize(image, self._target(image.size), self._filter())
        return np.array(_center(resized, self.size, self.fill_color), dtype=np.uint8)

    def _filter(self) -> Image.Resampling:
        from PIL import Image

        # open_clip takes "random" to mean bicubic outside training.
        bilinear = self.interpolation == "bilinear" and not self._is_oblong_shortest()
        return Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC

    def _is_oblong_shortest(self) -> bool:
        # For oblong targets open_clip's "shortest" drops the configured interpolation.
        return self.resize_mode == "shortest" and self.size[0] != self.size[1]

    def _target(self, source: tuple[int, int]) -> tuple[int, int]:
        """(width, height) after the resize of a picture of `source` (width, height)."""
        (width, height), (to_height, to_width) = source, self.size
        if self.resize_mode == "squash":
            return to_width, to_height
        if self.resize_mode == "shortest" and to_height == to_width:
            # torchvision's Resize truncates the longer edge; timm's ResizeKeepRatio rounds it.
            short, long = min(width, height), max(width, height)
            longer = int(to_height * long / short)
            return (to_height, longer) if width <= height else (longer, to_height)
        pick = max if self.resize_mode == "longest" else min
        ratio = pick(height / to_height, width / to_width)
        return max(round(width / ratio), 1), max(round(height / ratio), 1)


def _triple(value: Any) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (float(value),) * 3


def _resize(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling)


def _center(image: Image.Image, size: tuple[int, int], fill: int) -> Image.Image:
    """Pad to at least `size` (height, width), then crop the centre (half pixels round to even)."""
    from PIL import Image

    height, width = size
    if image.width < width or image.height < height:
        padded = (max(image.width, width), max(image.height, height))
        canvas = Image.new("RGB", padded, (fill, fill, fill))
        canvas.paste(image, ((padded[0] - image.width) // 2, (padded[1] - image.height) // 2))
        image = canvas
    left = round((image.width - width) / 2.0)
    top = round((image.height - height) / 2.0)
    return image.crop((left, top, left + width, top + height))
