"""From pictures and texts to committed-to-be rows of one encoder's vector file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, NewVectors
from mmsearch.layout import Layout
from mmsearch.types import (
    Encoder,
    Modality,
    OnProgress,
    OverlappingEncoder,
    Progress,
    TextEncoder,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Pixels, Vectors

# More are worth the seconds that torch takes to load: it encodes twice as many a second (2026-11).
FEW_TEXTS = 4_000
Names = tuple[tuple[Modality, bytes], ...]


def info_of(encoder: Encoder) -> EncoderInfo:
    """How the catalog knows this encoder."""
    return EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim)


@dataclass(frozen=True)
class Encoding:
    """A batch that is being encoded: what will have rows, and how to wait for them."""

    names: Names
    wait: Callable[[], Vectors]

    def result(self) -> tuple[Names, Vectors]:
        """The names and their (n, d) float32 unit rows."""
        return self.names, self.wait()


class Embedder:
    """One encoder, loaded when the first thing has to be encoded, and its vector file.

    As long as only a few texts have to be, `text_tower` encodes them, if it gives one of the same
    space: it is ready at once, where a server would wait seconds for torch.
    """

    def __init__(
        self,
        catalog: Catalog,
        layout: Layout,
        load: Callable[[], Encoder],
        on_progress: OnProgress,
        text_tower: Callable[[], tuple[EncoderInfo, TextEncoder] | None] = lambda: None,
    ) -> None:
        self._catalog = catalog
        self._layout = layout
        self._load = load
        self._loaded: Encoder | None = None
        self._open_text_tower = text_tower
        self._text_tower: tuple[EncoderInfo, TextEncoder] | None = None
        self._loading = threading.Lock()
        self._progress = on_progress
        self.images = 0  # encoded so far, as are texts
        self.texts = 0
        self.seconds = 0.0  # that the caller waited for the encoder

    @property
    def encoder(self) -> Encoder:
        """Safe in any thread."""
        with self._loading:
            if self._loaded is None:
                self._progress(Progress("loading model"))
                self._loaded = self._load()
        return self._loaded

    @property
    def loaded(self) -> Encoder | None:
        """The encoder, if it was needed."""
        return self._loaded

    def in_flight(self, workers: int) -> int:
        """How many decoded pictures keep the workers busy while the encoder has the CPU."""
        return 2 * self._loaded.batch_size if self._loaded else 4 * workers

    def start(
        self, images: Mapping[bytes, npt.NDArray[np.uint8]], texts: Mapping[bytes, str]
    ) -> Encoding:
        """Digest -> pixels or text: rows of images, then of texts.

        They are under way when this returns where the encoder can work in the background.
        """
        started = time.perf_counter()
        names: list[tuple[Modality, bytes]] = []
        parts: list[Callable[[], Vectors]] = []
        if images:
            parts.append(self._start_images(np.stack(list(images.values()))))
            names += [("image", digest) for digest in images]
        if texts:
            rows = self._text_encoder(len(texts)).encode_texts(list(texts.values()))
            parts.append(lambda: rows)
            names += [("text", digest) for digest in texts]
        self.seconds += time.perf_counter() - started
        return Encoding(tuple(names), lambda: self._finish(parts, len(images), len(texts)))

    def _text_encoder(self, count: int) -> TextEncoder:
        if self._loaded is None and self.texts + count <= FEW_TEXTS:
            self._text_tower = self._text_tower or self._open_text_tower()
            if self._text_tower is not None:
                return self._text_tower[1]
        return self.encoder

    def _start_images(self, pixels: Pixels) -> Callable[[], Vectors]:
        encoder = self.encoder
        if isinstance(encoder, OverlappingEncoder):
            return encoder.start_images(pixels)
        rows = encoder.encode_images(pixels)
        return lambda: rows

    def _finish(self, parts: list[Callable[[], Vectors]], images: int, texts: int) -> Vectors:
        started = time.perf_counter()
        rows = [part() for part in parts]
        self.images += images
        self.texts += texts
        self.seconds += time.perf_counter() - started
        self._progress(Progress("encoded"))
        return np.concatenate(rows) if rows else np.empty((0, 0), np.float32)

    def append(self, names: Names, vectors: Vectors) -> NewVectors | None:
        """Write rows behind the committed ones; they count once the result is committed.

        None if there are none. The caller holds the writer's lock. Raises StorageError, and
        CorruptionError where committed rows are gone: they would be filled with zeros.
        """
        if not names:
            return None
        if self._loaded is None and self._text_tower is not None:
            info = self._text_tower[0]
        else:
            info = info_of(self.encoder)
        spaces, file = self._catalog.spaces, self._layout.vector_file(info)
        file.require(spaces.head(info.fingerprint, sound=True))
        head = spaces.head(info.fingerprint)
        checksum = file.append(head, vectors)
        self._progress(Progress("rows written"))
        return NewVectors(info.fingerprint, head, names, checksum)
