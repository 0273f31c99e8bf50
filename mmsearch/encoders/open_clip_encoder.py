"""The torch encoder: any open_clip model on a CPU, a CUDA device or Apple's MPS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mmsearch.encoders import model_source
from mmsearch.encoders.choice import Choice
from mmsearch.encoders.folding import faster_copy
from mmsearch.encoders.image_head import split_tower
from mmsearch.encoders.lanes import Lanes, share
from mmsearch.encoders.memory import keep_freed_memory
from mmsearch.encoders.preprocess import Preprocess
from mmsearch.encoders.text_padding import encode_tokens, token_lengths
from mmsearch.errors import ModelError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from mmsearch.encoders.adapted_encoder import AdaptedEncoder
    from mmsearch.encoders.choice import Tower
    from mmsearch.encoders.tensor_file import Floats
    from mmsearch.types import Pixels, Precision, Vectors, WantedPrecision

Part = TypeVar("Part")

# Enough to saturate the device with a ViT-B/32 without filling its memory.
_BATCH_SIZES = {"cuda": 256, "mps": 64}
_PICTURES_A_CORE = 8  # keeps an index run of `mini` on two cores well within 1.5 GB
# A ViT-B/32 does 4.1 pictures/s one by one and 6.5 in batches of 8 (one core, November 2026).
_PICTURES_A_LANE = 4


class OpenClipEncoder:
    """An `Encoder` around one open_clip model; use `load_encoder` to get one."""

    def __init__(
        self,
        name: str,
        loaded: model_source.Loaded,
        device: torch.device,
        batch_size: int,
        on_note: Callable[[str], None],
    ) -> None:
        import torch

        self.name = name
        self.dim = loaded.dim
        self.fingerprint = loaded.fingerprint
        self.batch_size = batch_size
        self.device = device
        self._preprocess = Preprocess.from_cfg(loaded.preprocess_cfg)
        self.image_size = max(self._preprocess.size)
        self.model = loaded.model.eval().to(device)
        self.weights_changed()
        self.tokenizer = loaded.tokenizer
        self.model_cfg = loaded.model_cfg
        self.preprocess_cfg = loaded.preprocess_cfg
        self._on_note = on_note
        # (1, 3, 1, 1) on the device, in units of a pixel's 255 steps.
        self._mean = torch.tensor(self._preprocess.mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(self._preprocess.std, device=device).view(1, 3, 1, 1) * 255
        threads = torch.get_num_threads() if device.type == "cpu" else 1
        self._lanes = Lanes(threads) if threads > 1 else None
        self._choice: Choice | None = None  # of another precision, on a CPU
        self._precision: Precision = "bf16" if device.type == "cuda" else "fp32"

    def weights_changed(self) -> None:
        """Tell that `model` was trained: pictures are encoded by a faster copy of its tower."""
        # What open_clip made of it, or that copy.
        self.visual: Any = faster_copy(self.model.visual, self.image_size)
        self._choice = None

    @property
    def convolutional(self) -> bool:
        """Whether the image tower has convolutions with batch norms, and so a faster copy."""
        return self.visual is not self.model.visual

    @property
    def precision(self) -> Precision | None:
        """In which pictures are encoded; None while `auto` has seen too few to decide."""
        return self._choice.precision if self._choice else self._precision

    def use_precision(self, wanted: WantedPrecision) -> None:
        """Encode pictures like this from now on; texts, and pooled features on a CPU, stay fp32.

        On a CPU the first pictures are a trial: `auto` takes the fastest precision that stays near
        fp32, any other than that is refused where its vectors are too far off. Raises ModelError
        if it cannot be had here, and at the next pictures if it is refused.
        """
        if self.device.type == "cpu":
            self._precision = "fp32"
            self._choice = None if wanted == "fp32" else Choice(self, wanted, self._on_note)
            return
        possible: tuple[Precision, ...] = ("fp32",)
        if self.device.type == "cuda":
            possible = ("bf16", "fp32")
        if wanted == "auto":
            self._precision = possible[0]
        elif wanted in possible:
            self._precision = wanted
        else:
            raise ModelError(
                f"precision {wanted}: the device {self.device.type} encodes in "
                f"{' or '.join(possible)} only; use one of these, auto, or --device cpu"
            )

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(image_size, image_size, 3) uint8 RGB. Pure Pillow: safe in any thread."""
        return self._preprocess(image)

    def encode_images(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows.

        Raises ModelError if not even a single picture fits into the device's memory.
        """
        return self.start_images(pixels)()

    def start_images(self, pixels: Pixels) -> Callable[[], Vectors]:
        """Begin to encode; calling the result waits for what `encode_images` gives.

        Meanwhile the caller may prepare, store, or start the next pictures. Raises ModelError,
        here or there.
        """

        def features(part: slice) -> torch.Tensor:
            return self._image_features(pixels[part])

        tower = self._tower(pixels) if self._choice and len(pixels) else None
        if tower is None:
            return self._start(len(pixels), features)
        return self._share(len(pixels), lambda part: tower(pixels[part]))

    def _tower(self, pixels: Pixels) -> Tower | None:
        """Decide on another precision, if that is still open: on one core, as in any lane."""
        assert self._choice is not None

        def plain(some: Pixels) -> Vectors:
            return self._encode(slice(0, len(some)), lambda part: self._image_features(some[part]))

        choose = partial(self._choice.tower, pixels, plain)
        return self._lanes.submit(choose).result() if self._lanes else choose()

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what `preprocess` gives."""
        return self._preprocess.size

    @property
    def has_pooled_features(self) -> bool:
        """Whether `encode_pooled_images` can be had of this architecture."""
        return split_tower(self.visual) is not None

    def encode_pooled_images(self, pixels: Pixels) -> tuple[Vectors, Floats]:
        """What `encode_images` gives, and (n, p) float32 features before the last projection.

        Raises ModelError as `encode_images` does, and for a tower that has no such projection.
        """
        return self.start_pooled_images(pixels)()

    def start_pooled_images(self, pixels: Pixels) -> Callable[[], tuple[Vectors, Floats]]:
        """Begin to encode; calling the result waits for what `encode_pooled_images` gives."""
        import torch

        parts = split_tower(self.visual)
        if parts is None:
            raise ModelError(
                f"model {self.name!r}: its image tower has no projection of its own; use its "
                "embeddings (--features embedding)"
            )
        trunk, projection = parts

        def features(part: slice) -> torch.Tensor:
            pooled = trunk(self.normalised(pixels[part]))  # (b, p)
            return torch.cat([self._unit(projection(pooled)), pooled.float()], dim=1)

        started = self._start(len(pixels), features)

        def result() -> tuple[Vectors, Floats]:
            both = started()  # (n, d + p)
            return both[:, : self.dim], both[:, self.dim :]

        return result

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        tokens: torch.Tensor = self.tokenizer(list(texts))  # (n, context)
        # Similar lengths share a batch.
        lengths = token_lengths(self.model, tokens)
        order = lengths.argsort(descending=True, stable=True)

        def features(part: slice) -> torch.Tensor:
            rows = order[part]
            short = tokens[rows, : int(lengths[rows].max())]
            return self._unit(encode_tokens(self.model, self._to_device(short)))

        out = np.empty((len(texts), self.dim), dtype=np.float32)
        out[order.numpy()] = self._encode(slice(0, len(texts)), features)
        return out

    def _start(
        self, total: int, features: Callable[[slice], torch.Tensor]
    ) -> Callable[[], Vectors]:
        """`features` of all slices of range(total): under way when this returns."""
        if self.device.type == "cuda":
            return self._start_on_device(slice(0, total), features)
        return self._share(total, lambda part: self._encode(part, features))

    def _share(self, total: int, encode: Callable[[slice], Vectors]) -> Callable[[], Vectors]:
        """`encode` of all slices of range(total), each on a core; few pictures have all cores."""
        if self._lanes is None or total <= _PICTURES_A_LANE:
            rows = encode(slice(0, total))
            return lambda: rows
        parts = share(total, self.batch_size, self._lanes.count, _PICTURES_A_LANE)
        running = [self._lanes.submit(partial(encode, part)) for part in parts]
        return lambda: np.concatenate([lane.result() for lane in running])

    def _start_on_device(
        self, part: slice, features: Callable[[slice], torch.Tensor]
    ) -> Callable[[], Vectors]:
        """Queue everything, the copy back too; only the result waits for the device."""
        import torch

        rows = self._on_device(part, features)
        host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
        host.copy_(rows, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self.device))

        def result() -> Vectors:
            done.synchronize()
            out: Vectors = host.numpy().copy()  # the pinned memory goes back to its pool
            return out

        return result

    def _encode(self, part: slice, features: Callable[[slice], torch.Tensor]) -> Vectors:
        rows: Vectors = self._on_device(part, features).cpu().numpy()
        return rows

    def _on_device(self, part: slice, features: Callable[[slice], torch.Tensor]) -> torch.Tensor:
        """(n, d) on the device; no wait between batches."""
        import torch

        def shifted(batch: slice) -> torch.Tensor:
            return features(slice(part.start + batch.start, part.start + batch.stop))

        total = part.stop - part.start
        if total == 0:
            return torch.zeros((0, self.dim), device=self.device)
        with torch.inference_mode(), self._autocast():
            return torch.cat(self._in_batches(total, shifted))

    def _in_batches(self, total: int, features: Callable[[slice], Part]) -> list[Part]:
        size, note = self.batch_size, self._on_note
        parts, self.batch_size = run_in_batches(total, size, features, self._free_memory, note)
        return parts

    def _image_features(self, pixels: Pixels) -> torch.Tensor:
        if not self.convolutional:
            return self._unit(self.model.encode_image(self.normalised(pixels)))
        return self._unit(self.visual(self.normalised(pixels)))

    def normalised(self, pixels: Pixels) -> torch.Tensor:
        """(n, h, w, 3) uint8 -> (n, 3, h, w) float32 on the device, as the image tower reads it."""
        import torch

        return self.standardised(self._to_device(torch.from_numpy(np.ascontiguousarray(pixels))))

    def standardised(self, pixels: torch.Tensor) -> torch.Tensor:
        """`normalised` of a tensor that is on the device already."""
        batch = pixels.permute(0, 3, 1, 2).float()  # (b, h, w, 3) -> (b, 3, h, w), channels last
        return batch.sub_(self._mean).div_(self._std)

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    @staticmethod
    def _unit(features: Any) -> torch.Tensor:
        import torch.nn.functional as functional

        return functional.normalize(features.float(), dim=-1)  # (b, d)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self._precision != "bf16":  # on a CPU another tower computes it
            return contextlib.nullcontext()
        return torch.autocast("cuda", dtype=torch.bfloat16)

    def _free_memory(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def load_encoder(
    name: str,
    device: str | None = None,
    batch_size: int | None = None,
    on_note: Callable[[str], None] | None = None,
) -> OpenClipEncoder | AdaptedEncoder:
    """The encoder called `name`: `load_open_clip`'s, or the folder of an adapter with its base.

    Raises ModelError or HubUnreachableError as `load_open_clip`, and ModelError for an adapter
    that is damaged or whose base model is another one here.
    """
    folder = model_source.adapter_folder(name)
    if folder is None:
        return load_open_clip(name, device, batch_size, on_note)
    from mmsearch.encoders.adapted_encoder import AdaptedEncoder
    from mmsearch.encoders.adapter import read_adapter

    adapter = read_adapter(folder)
    base = load_open_clip(adapter.base, device, batch_size, on_note)
    return AdaptedEncoder(name, base, adapter)


def load_open_clip(
    name: str,
    device: str | None = None,
    batch_size: int | None = None,
    on_note: Callable[[str], None] | None = None,
) -> OpenClipEncoder:
    """The open_clip model called `name`; see `mmsearch.encoders.model_source` for the names.

    `device` None takes CUDA, then MPS, then the CPU. `batch_size` None takes a default for the
    device; it halves itself when memory runs out. `on_note` gets one line for each thing that the
    user may want to know (a download, a halved batch).

    Raises ModelError (unknown name, unusable weights, unknown or absent device) or
    HubUnreachableError.
    """
    if batch_size is not None and batch_size < 1:
        raise ModelError(f"batch size {batch_size}: must be at least 1")
    model_source.parse_name(name)  # a name that can mean nothing should not cost torch's import
    chosen = choose_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    note = on_note or (lambda _: None)
    loaded = model_source.load(name, note)
    size = batch_size or _BATCH_SIZES.get(chosen.type) or _cpu_batch_size()
    return OpenClipEncoder(name, loaded, chosen, size, note)


def _cpu_batch_size() -> int:
    import torch

    return _PICTURES_A_CORE * max(2, torch.get_num_threads())


def choose_device(name: str | None) -> torch.device:
    """The named torch device, or the fastest kind there is. Raises ModelError if it cannot run."""
    import torch

    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).sum().item()
    except Exception as exc:  # RuntimeError, AssertionError or NotImplementedError, by backend
        reason = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise ModelError(
            f"device {name!r} cannot be used here ({reason[:200]}); use cpu, or leave it out"
        ) from exc
    return device


def run_in_batches(
    total: int,
    batch_size: int,
    forward: Callable[[slice], Part],
    free_memory: Callable[[], None],
    on_note: Callable[[str], None],
) -> tuple[list[Part], int]:
    """`forward` of consecutive slices that cover range(total), and the batch size at the end.

    When the device's memory runs out the batch size is halved, and the same items are tried again.
    Raises ModelError when a batch of one does not fit.
    """
    import torch

    parts: list[Part] = []
    start = 0
    while start < total:
        part = slice(start, min(start + batch_size, total))
        try:
            parts.append(forward(part))
        except torch.OutOfMemoryError as exc:
            if part.stop - part.start == 1:
                raise ModelError(
                    "the device has not enough memory for even one item: "
                    "use a smaller model or another device"
                ) from exc
        else:
            start = part.stop
            continue
        # Outside the handler, where the traceback no longer holds the failed batch's tensors.
        batch_size = max(1, (part.stop - part.start) // 2)
        free_memory()
        on_note(f"out of device memory: going on with batches of {batch_size}")
    return parts, batch_size
