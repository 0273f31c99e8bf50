"""What the frozen base makes of each picture and text, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmsearch.adaptation.storage import write_file
from mmsearch.types import OnProgress, Progress

Floats = npt.NDArray[np.float32]

# Rows per file: what a killed run may have to compute again, about ten seconds of `mini`.
CHUNK = 256


class FeatureStore:
    """Rows by content digest, in files of up to CHUNK rows under one folder.

    The folder's name must stand for everything else that the rows depend on; several processes may
    fill it at once. A row may differ by about 1e-6 from one computed in another batch: matrix
    products depend on their shapes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[bytes, Floats] = {}
        for path in sorted(folder.glob("*.npz")):
            self._rows.update(_read(path))

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._rows

    def add(self, digests: Sequence[bytes], rows: Floats) -> None:
        """Keep (n, p) rows. Raises StorageError."""
        content = io.BytesIO()
        keys = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(digests), -1)
        np.savez(content, keys=keys, rows=rows)
        name = hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()
        write_file(self.folder / f"{name}.npz", content.getvalue(), alone=False)
        self._rows.update(zip(digests, rows, strict=True))

    def rows(self, digests: Sequence[bytes]) -> Floats:
        """(n, p) rows in the order of `digests`; all of them must be there."""
        return np.stack([self._rows[digest] for digest in digests])


def fill(
    store: FeatureStore,
    wanted: Sequence[bytes],
    compute: Callable[[Sequence[bytes]], tuple[Sequence[bytes], Floats]],
    step: str,
    on_progress: OnProgress,
) -> None:
    """Compute the rows of `wanted` that the store lacks, a chunk at a time.

    `compute` gets digests and gives those it could do, with their (n, p) rows.
    """
    missing = [digest for digest in dict.fromkeys(wanted) if digest not in store]
    done, total = len(set(wanted)) - len(missing), len(set(wanted))
    on_progress(Progress(step, done, total))
    for start in range(0, len(missing), CHUNK):
        part = missing[start : start + CHUNK]
        digests, rows = compute(part)
        if digests:
            store.add(digests, rows)
        done += len(part)
        on_progress(Progress(step, done, total))


def _read(path: Path) -> dict[bytes, Floats]:
    """A file's rows; none for a damaged one, which is then computed and written again."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            keys, rows = stored["keys"], stored["rows"]
            return {key.tobytes(): row for key, row in zip(keys, rows, strict=True)}
    except Exception:  # noqa: BLE001  zipfile raises nearly anything for bytes that are no zip file
        return {}
