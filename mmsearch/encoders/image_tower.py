"""The image tower of a model for queries by picture, without torch: its import takes seconds.

Kept in the user's cache, by fingerprint, for ONNX Runtime: an optimised graph in fp32 whose weights
lie beside it and are memory-mapped. Checked against torch when it is written. Where pictures are
encoded in int8, the very tower that did it answers; of bf16, which saves time where there are many,
one picture has no need.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from mmsearch import onnx_runtime
from mmsearch.encoders.adapter import is_adapter, read_adapter
from mmsearch.encoders.image_export import FORMAT, GRAPH, SETTINGS, write_settings
from mmsearch.encoders.int8_tower import int8_folder
from mmsearch.encoders.kept_tower import cache_folder, staged, tower_folder
from mmsearch.encoders.preprocess import Preprocess
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL import Image

    from mmsearch.encoders.adapter import Adapter
    from mmsearch.encoders.open_clip_encoder import OpenClipEncoder
    from mmsearch.types import Pixels, Vectors

# Beyond this it is another tower; products added in another order stay above 0.999999.
MIN_COSINE = 0.9999
# Of a larger one the file would take more of the disk than its queries are worth.
MOST_BYTES = 500_000_000
SMALL_BYTES = 100_000_000  # written in a second, so that not even the first query has to wait
# Times the tower's size: its graph is written twice, and was seen to take four times its size.
DISK, MEMORY = 3, 5

_writing = Lock()  # exporting changes what all of torch does meanwhile


class ImageTower:
    """An ImageEncoder of one picture or a few, in the caller's thread; safe in any number of them.

    Raises OSError, ValueError, KeyError or TypeError, and what ONNX Runtime raises, which has no
    common base, where `folder` holds no such tower, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if settings["format"] != FORMAT:
            raise ValueError(f"{folder}: of the format {settings['format']}")
        self.fingerprint: str = settings["fingerprint"]
        self._preprocess = Preprocess.from_cfg(settings["preprocess"])
        self.image_size = max(self._preprocess.size)
        self._session = onnx_runtime.session(str(folder / GRAPH), prepack=False)
        taken = tuple(self._session.get_inputs()[0].shape[1:])
        if taken != (*self._preprocess.size, 3):
            raise ValueError(f"{folder}: pictures of {taken} for {self._preprocess.size}")
        self._folder = folder

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB. Raises ImageError."""
        return self._preprocess(image)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows. Raises ModelError if it is damaged."""
        (rows,) = self._run(["rows"], pixels)
        return rows

    @property
    def has_pooled_features(self) -> bool:
        """Whether `encode_pooled_images` can be had of this architecture."""
        return len(self._session.get_outputs()) > 1

    def encode_pooled_images(self, pixels: Pixels) -> tuple[Vectors, Vectors]:
        """What `encode_images` gives, and (n, p) float32 features before the last projection."""
        rows, pooled = self._run(["rows", "pooled"], pixels)
        return rows, pooled

    def _run(self, names: list[str], pixels: Pixels) -> list[Vectors]:
        taken = {"pixels": np.ascontiguousarray(pixels)}
        try:
            found: list[Vectors] = self._session.run(names, taken)
        except Exception as error:  # ONNX Runtime's own have no common base
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"the image tower in {self._folder} cannot be computed ({reason[:200]}): if there "
                "is memory enough, delete that folder"
            ) from error
        if not np.allclose(np.linalg.norm(found[0], axis=1), 1, atol=1e-3):
            raise ModelError(f"the image tower in {self._folder} is damaged: delete that folder")
        return found


class AdaptedImageTower:
    """An ImageEncoder over that of the base model. Raises ValueError where that one lacks what the
    adapter reads."""

    def __init__(self, base: ImageTower, adapter: Adapter) -> None:
        if not adapter.reuses_images and not base.has_pooled_features:
            raise ValueError(f"the tower of {adapter.base} has no pooled features")
        self.fingerprint = adapter.fingerprint
        self.image_size = base.image_size
        self._base = base
        self._adapter = adapter

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB. Raises ImageError."""
        return self._base.preprocess(image)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows. Raises ModelError if it is damaged."""
        if self._adapter.reuses_images:
            rows = self._base.encode_images(pixels)
            return self._adapter.image(rows, rows)
        return self._adapter.image(*self._base.encode_pooled_images(pixels))


def image_folder(fingerprint: str) -> Path:
    """Where the tower of this fingerprint is kept."""
    return cache_folder() / "images" / fingerprint


def open_image_tower(
    fingerprint: str, precision: str | None = None
) -> ImageTower | AdaptedImageTower | None:
    """The tower kept of this very fingerprint, for pictures that were encoded in `precision` (None:
    as it comes); None where there is none that can be used.

    That of an adapter is the base model's, with the copy of it that stands where its text tower is.
    """
    folder = int8_folder if precision == "int8" else image_folder
    with suppress(Exception):  # see ImageTower; torch answers in its place
        tower: ImageTower | AdaptedImageTower
        if is_adapter(tower_folder(fingerprint)):
            adapter = read_adapter(tower_folder(fingerprint))
            tower = AdaptedImageTower(ImageTower(folder(adapter.base_fingerprint)), adapter)
        else:
            tower = ImageTower(folder(fingerprint))
        return tower if tower.fingerprint == fingerprint else None
    return None


def keep_image_tower(encoder: OpenClipEncoder, on_note: Callable[[str], None]) -> bool:
    """Write the tower, unless it is there, and say whether it is now: complete, and checked against
    torch.

    Not of a model on another device than the CPU, nor of one beyond MOST_BYTES, nor without room
    for it, nor of one that ONNX Runtime cannot compute, which is kept in mind: it took seconds to
    see. `on_note` hears of it before it begins.
    """
    if open_image_tower(encoder.fingerprint) is not None:
        return True
    if encoder.device.type != "cpu" or onnx_runtime.absent():
        return False
    try:
        target = image_folder(encoder.fingerprint)
        if _refused(target) == _tools() or not _has_room(target, _bytes(encoder)):
            return False
        on_note("keeping the model's image tower: the next query by picture needs no torch")
        with _writing, staged(target) as folder:
            _write(encoder, folder)
            if not _agrees(encoder, ImageTower(folder)):
                raise ValueError("its vectors are not those of torch")
    except Exception as error:  # noqa: BLE001  exporters raise nearly anything
        if not _is_passing(error):
            with suppress(OSError), staged(target) as folder:
                (folder / SETTINGS).write_text(json.dumps({"refused": _tools()}), encoding="utf-8")
        return False
    return True


def keep_if_small(encoder: OpenClipEncoder) -> None:
    """`keep_image_tower` of one of SMALL_BYTES."""
    if _bytes(encoder) <= SMALL_BYTES:
        keep_image_tower(encoder, lambda _: None)


def _tools() -> str:
    """What decides whether a model can be exported; another release may do better."""
    from importlib.metadata import version  # a tenth of a query's time

    return f"torch {version('torch')}, onnxruntime {version('onnxruntime')}"


def _refused(folder: Path) -> str | None:
    """By which tools no tower could be made; None: it was not tried."""
    with suppress(OSError, ValueError, AttributeError):
        refused: str | None = json.loads((folder / SETTINGS).read_text("utf-8")).get("refused")
        return refused
    return None


def _has_room(folder: Path, size_bytes: int) -> bool:
    """Whether disk and memory bear the export. Raises OSError."""
    if size_bytes > MOST_BYTES:
        return False
    there = next(one for one in folder.parents if one.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return False
    if shutil.disk_usage(there).free < DISK * size_bytes:
        return False
    with suppress(OSError):  # Linux has it
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(one.split()[1]) for one in lines if one.startswith("MemAvailable:"))
        return free * 1024 >= MEMORY * size_bytes
    return True


def _is_passing(error: Exception) -> bool:
    """Whether it may go well another time: disk or memory were short, or there is no cache."""
    words = ("alloc", "memory", "mmap", "space", "disk", "home directory")
    said = str(error).lower()
    return isinstance(error, OSError | MemoryError) or any(word in said for word in words)


def _bytes(encoder: OpenClipEncoder) -> int:
    return sum(one.numel() * one.element_size() for one in encoder.visual.parameters())


def _write(encoder: OpenClipEncoder, folder: Path) -> None:
    from mmsearch.encoders.image_export import to_onnx
    from mmsearch.encoders.silence import quiet

    plain = folder / "plain.onnx"
    with quiet():
        to_onnx(encoder, plain, pooled=True)
        onnx_runtime.write_optimised(plain, folder / GRAPH)
    plain.unlink()
    write_settings(encoder, folder)


def _agrees(encoder: OpenClipEncoder, tower: ImageTower) -> bool:
    import torch

    from mmsearch.encoders.image_export import whole_tower

    pixels = _probes(*encoder.input_size)
    with torch.inference_mode():
        theirs = [whole_tower(encoder)(torch.from_numpy(pixels)).numpy()]
    ours = [tower.encode_images(pixels)]
    if tower.has_pooled_features:
        ours.append(tower.encode_pooled_images(pixels)[1])
        theirs.append(encoder.encode_pooled_images(pixels)[1])
    return all(_least_cosine(*both) >= MIN_COSINE for both in zip(ours, theirs, strict=True))


def _least_cosine(one: Vectors, other: Vectors) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((np.einsum("nd,nd->n", one, other) / norms).min())


def _probes(height: int, width: int) -> npt.NDArray[np.uint8]:
    """(4, height, width, 3) uint8: noise, a ramp, blocks, and grey."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (height, width, 3))
    ramp = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], noise.shape)
    coarse = draw.integers(0, 256, (8, 8, 3))
    blocks = coarse[np.arange(height)[:, None] * 8 // height, np.arange(width)[None] * 8 // width]
    return np.stack([noise, ramp, blocks, np.full(noise.shape, 128)]).astype(np.uint8)
