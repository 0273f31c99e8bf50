"""Pillow-only picture preparation, bit for bit what open_clip's transform does before ToTensor.

Normalisation is left to the device, so that three bytes a pixel travel instead of twelve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmsearch.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

# Means and deviations of OpenAI's CLIP (openai/CLIP clip.py `_transform`), open_clip's default.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Of a picture scaled as a whole: 64 MB. At size 224 its edges are as 1 to 320 then, at 512 as 1 to
# 60, and only the centre is scaled of what is thinner: a value may differ by rounding.
_MOST_PIXELS = 16_000_000
# Pixels beside the centre that its outermost ones are made of: two in bicubic, one for rounding.
_REACH = 3


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
        """RGB picture -> (height, width, 3) uint8. Other modes are converted to RGB first.

        Raises ImageError if there is not enough memory for it.
        """
        import numpy as np

        try:
            if image.mode != "RGB":
                image = image.convert("RGB")
            return np.array(self._scaled(image), dtype=np.uint8)
        except MemoryError as exc:
            raise ImageError(
                f"not enough memory to scale a picture of {image.width} x {image.height} pixels; "
                "save a smaller copy"
            ) from exc

    def _scaled(self, image: Image.Image) -> Image.Image:
        target = self._target(image.size)
        if self.resize_mode == "shortest" and target[0] * target[1] > _MOST_PIXELS:
            return self._middle(image, target)
        return _center(_resize(image, target, self._filter()), self.size, self.fill_color)

    def _middle(self, image: Image.Image, target: tuple[int, int]) -> Image.Image:
        """The centre of a picture resized to `target`, without resizing the rest of it."""
        height, width = self.size
        x, end_x, left, right = _seen(image.width, target[0], width)
        y, end_y, top, bottom = _seen(image.height, target[1], height)
        near = image.crop((x, y, end_x, end_y))
        return near.resize((width, height), self._filter(), box=(left, top, right, bottom))

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
    left, top = _before(image.width, width), _before(image.height, height)
    return image.crop((left, top, left + width, top + height))


def _before(edge: int, size: int) -> int:
    return round((edge - size) / 2.0)


def _seen(edge: int, scaled: int, size: int) -> tuple[int, int, float, float]:
    """(first, end) of the pixels that an edge's centre is made of, and where it lies in them.

    The centre is `size` pixels wide once the edge is `scaled`. Pillow takes its place as float32,
    which is too coarse if one counts from the first pixel of a long edge.
    """
    ratio = edge / scaled
    start = _before(scaled, size) * ratio
    stop = min(start + size * ratio, edge)
    reach = _REACH * max(ratio, 1)
    first, end = max(int(start - reach), 0), min(int(stop + reach), edge)
    return first, end, start - first, stop - first
