"""The vectors of a task's queries and gallery: decoded in threads, encoded in full batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import ImageError
from mmsearch.evaluation import pictures
from mmsearch.evaluation.cache import EmbeddingCache, digest_of
from mmsearch.evaluation.task import Shown
from mmsearch.images import decode, digest_file
from mmsearch.pool import default_workers, in_order
from mmsearch.types import Encoder, OnProgress, Progress

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

TEXTS_AT_ONCE = 512


@dataclass(frozen=True)
class _Decoded:
    name: str
    digest: bytes | None = None
    pixels: npt.NDArray[np.uint8] | None = None  # None: already embedded, or failed
    failure: str | None = None


@dataclass
class Embedder:
    """Encodes each picture and text once, whichever tasks ask for it, and keeps the vectors.

    `failures` collects the pictures that cannot be read, with the reason.
    """

    encoder: Encoder
    cache: Path | None = None
    workers: int | None = None
    on_progress: OnProgress | None = None
    failures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fingerprint, dim = self.encoder.fingerprint, self.encoder.dim
        self._images = EmbeddingCache(self.cache, fingerprint, "image", dim)
        self._texts = EmbeddingCache(self.cache, fingerprint, "text", dim)
        self._digest_of: dict[str, bytes] = {}  # picture name -> digest of its bytes

    def prepare(self, images: Iterable[str], texts: Iterable[str]) -> None:
        """Encode what is not known yet. What was encoded stays when this is interrupted."""
        self._encode_images([name for name in dict.fromkeys(images) if name not in self._digest_of])
        self._encode_texts(list(dict.fromkeys(texts)))

    def digest(self, name: str) -> bytes | None:
        """The digest of a prepared picture's bytes, None where they could not be read."""
        return self._digest_of.get(name)

    def images(self, names: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows of prepared pictures."""
        return self._images.get([self._digest_of[name] for name in names])

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows of prepared texts."""
        return self._texts.get([digest_of(text.encode()) for text in texts])

    def queries(self, asked: Sequence[Shown]) -> Vectors:
        """(q, d) float32 unit rows: text, picture, or both by the rule of the search itself.

        A query whose picture failed gets a row of zeros.
        """
        rows = np.zeros((len(asked), self.encoder.dim), np.float32)
        for row, query in enumerate(asked):
            if query.image is not None and query.image in self.failures:
                continue
            parts = []
            if query.text is not None:
                parts.append(self.texts([query.text])[0])
            if query.image is not None:
                parts.append(self.images([query.image])[0])
            rows[row] = parts[0] if len(parts) == 1 else _mixed(parts)
        return rows

    # ---- inside

    def _encode_images(self, names: Sequence[str]) -> None:
        size = max(1, self.encoder.batch_size)
        batch: dict[bytes, npt.NDArray[np.uint8]] = {}
        for done, one in enumerate(self._decode_all(names), 1):
            if one.failure is not None or one.digest is None:
                self.failures[one.name] = one.failure or "unreadable"
                continue
            self._digest_of[one.name] = one.digest
            if one.pixels is not None:
                batch.setdefault(one.digest, one.pixels)
            if len(batch) >= size:
                self._encode_batch(batch)
                batch = {}
            self._report("pictures", done, len(names))
        if batch:
            self._encode_batch(batch)
        self._report("pictures", len(names), len(names))

    def _encode_batch(self, batch: Mapping[bytes, npt.NDArray[np.uint8]]) -> None:
        vectors = self.encoder.encode_images(np.stack(list(batch.values())))
        self._images.add(list(batch), vectors)

    def _encode_texts(self, texts: Sequence[str]) -> None:
        digests = {digest_of(text.encode()): text for text in texts}
        unknown = [digest for digest in digests if digest not in self._texts]
        for start in range(0, len(unknown), TEXTS_AT_ONCE):
            part = unknown[start : start + TEXTS_AT_ONCE]
            self._texts.add(part, self.encoder.encode_texts([digests[digest] for digest in part]))
            self._report("texts", start + len(part), len(unknown))

    def _decode_all(self, names: Sequence[str]) -> Iterator[_Decoded]:
        """In order; at most two batches wait in memory."""
        workers = self.workers or default_workers()
        window = max(2 * self.encoder.batch_size, 2 * workers)
        return in_order(names, self._decode, workers=workers, window=lambda: window)

    def _decode(self, name: str) -> _Decoded:
        try:
            source = pictures.read(name)
            digest = digest_file(source) if isinstance(source, Path) else digest_of(source)
            if digest in self._images:
                return _Decoded(name, digest)
            decoded = decode(source, self.encoder.image_size)
            return _Decoded(name, digest, self.encoder.preprocess(decoded.image))
        except ImageError as error:
            return _Decoded(name, failure=str(error))

    def _report(self, step: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(step, done, total))


def _mixed(parts: Sequence[Vectors]) -> Vectors:
    # The search brings the catalog and FAISS: only mixed queries pay for them.
    from mmsearch.search.terms import combine

    return combine([(1.0, part) for part in parts])
