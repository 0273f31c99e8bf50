"""An open_clip model with an adapter on top: one more `Encoder`, and its torch-free text tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    from mmsearch.encoders.adapter import Adapter
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import Pixels, Precision, TextEncoder, Vectors, WantedPrecision


class AdaptedEncoder:
    """The `Encoder` of an adapter's folder. `base` encodes, `adapter` moves what it gives.

    Vectors of `base` that are already at hand need no picture and no text again: see
    `adapt_texts`, and `adapt_images` where `adapter.reuses_images`.
    """

    def __init__(self, name: str, base: OpenClipEncoder, adapter: Adapter) -> None:
        """Raises ModelError if `base` is not the model that the adapter was trained on."""
        if base.fingerprint != adapter.base_fingerprint:
            raise ModelError(
                f"model {name!r}: its adapter was trained on {adapter.base!r} with the fingerprint "
                f"{adapter.base_fingerprint}, but {adapter.base!r} is {base.fingerprint} here: "
                "bring the old base model back, or train again with `mmsearch train`"
            )
        if not adapter.reuses_images and not base.has_pooled_features:
            raise ModelError(
                f"model {name!r}: its adapter reads pooled features, and the image tower of "
                f"{adapter.base!r} gives none; train again with `mmsearch train`"
            )
        self.name = name
        self.base = base
        self.adapter = adapter
        self.dim = adapter.dim
        self.fingerprint = adapter.fingerprint
        self.image_size = base.image_size

    @property
    def batch_size(self) -> int:
        """The base's, which halves itself when memory runs out."""
        return self.base.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self.base.batch_size = size

    @property
    def precision(self) -> Precision | None:
        """The base's; pooled features on a CPU are always fp32."""
        return self.base.precision

    def use_precision(self, wanted: WantedPrecision) -> None:
        """From now on. Raises ModelError if it cannot be had here, or not for this adapter."""
        if not self.adapter.reuses_images and wanted != "auto" and self.base.device.type == "cpu":
            if wanted == "fp32":
                return
            raise ModelError(
                f"model {self.name!r}: its adapter reads pooled features, which a CPU computes in "
                f"fp32 only, not {wanted}; leave --precision out"
            )
        if self.adapter.reuses_images or self.base.device.type != "cpu":
            self.base.use_precision(wanted)

    @property
    def reuses_images(self) -> bool:
        """Whether a picture's base vector is enough for `adapt_images`."""
        return self.adapter.reuses_images

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(image_size, image_size, 3) uint8 RGB. Pure Pillow: safe in any thread."""
        return self.base.preprocess(image)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows. Raises ModelError as the base does."""
        return self.start_images(pixels)()

    def start_images(self, pixels: Pixels) -> Callable[[], Vectors]:
        """Begin to encode; calling the result waits for what `encode_images` gives."""
        if self.adapter.reuses_images:
            base = self.base.start_images(pixels)
            return lambda: self.adapt_images(base())
        both = self.base.start_pooled_images(pixels)
        return lambda: self.adapter.image(*both())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order of `texts`."""
        return self.adapt_texts(self.base.encode_texts(texts))

    def adapt_images(self, rows: Vectors) -> Vectors:
        """What `encode_images` gives for the pictures whose base vectors are `rows`: (n, d).

        Raises ModelError where the adapter reads pooled features: the pictures are needed again.
        """
        if not self.adapter.reuses_images:
            raise ModelError(
                f"model {self.name!r} reads more of a picture than its stored vector: encode the "
                "pictures again, or train with --features embedding"
            )
        return self.adapter.image(rows, rows)

    def adapt_texts(self, rows: Vectors) -> Vectors:
        """What `encode_texts` gives for the texts whose base vectors are `rows`: (n, d)."""
        return self.adapter.text(rows, rows)


class AdaptedTextTower:
    """A `TextEncoder` over the base's text tower; needs torch only if that one does."""

    def __init__(self, base: TextEncoder, adapter: Adapter) -> None:
        self.dim = adapter.dim
        self.fingerprint = adapter.fingerprint
        self._base = base
        self._adapter = adapter

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order of `texts`."""
        rows = self._base.encode_texts(texts)
        return self._adapter.text(rows, rows)
