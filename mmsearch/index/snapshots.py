"""Indexes on disk: a cache that may vanish, be cut short or be another machine's at any time.

An exact index is one file, `STEM.SEQ.faiss`. One of codes is two: `STEM.SEQ.codes`, its lists (see
lists.py), and, written after it, `STEM.SEQ.items`: a line of JSON, then arrays. The line says how
long both files are and how the other one begins, which machine and FAISS wrote them, and all that
is not an array. All are mapped: opening them reads what is not an item's.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

import faiss
import numpy as np

from mmsearch.durable import replacing
from mmsearch.errors import StorageError
from mmsearch.index.coded_index import CodedIndex, Effort
from mmsearch.index.codes import centroids_of, codebooks_of, without_lists
from mmsearch.index.faiss_index import KIND, FaissIndex
from mmsearch.index.goals import Goals, Settings, Tuned
from mmsearch.index.lists import map_lists, write_lists
from mmsearch.index.planner import Choice, choose

if TYPE_CHECKING:
    from mmsearch.index.engine import EngineIndex, KindName
    from mmsearch.index.stored import RowStore

FORMAT = 4  # since then they are measured with typical words too
ALIGN = 64  # bytes; arrays are mapped where they lie
MOST_HEADER = 1 << 16
# Codes of FAISS hold plain numbers of the machine, in an order that its releases may change.
MACHINE = f"{sys.byteorder} {platform.machine()} faiss {faiss.__version__}"


class Snapshots:
    """The snapshots of one index in one directory; their vectors are in `store`.

    One from before the sequence number `oldest` cannot be replayed and counts as absent.
    `settings_file` is where the collection says what it wants of its indexes; None: the defaults.
    """

    def __init__(
        self,
        directory: Path,
        stem: str,
        store: RowStore,
        oldest: int = 0,
        settings_file: Path | None = None,
    ) -> None:
        self.directory = directory
        self.name = stem
        self._store = store
        self._oldest = oldest
        self._settings_file = settings_file

    @property
    def settings(self) -> Settings:
        """What the collection wants now. Raises CorruptionError."""
        return Settings() if self._settings_file is None else Settings.load(self._settings_file)

    def choose(self, count: int) -> Choice:
        """The kind of index for so many vectors. Raises CorruptionError."""
        settings = self.settings
        return choose(count, self._store.dim, settings.goals, settings.tuned.get(self.name))

    def keep_choice(self, kind: KindName, size: int, why: str, goals: Goals | None = None) -> None:
        """Let later runs make this kind for about so many vectors, and keep the goals, if given.

        The caller holds the writer's lock. Raises CorruptionError, StorageError.
        """
        if self._settings_file is not None:
            settings = self.settings.with_tuned(self.name, Tuned(kind, size, why))
            replace(settings, goals=goals or settings.goals).save(self._settings_file)

    def load(self, newest: int) -> EngineIndex | None:
        """The latest readable snapshot not ahead of `newest`; None when there is none."""
        while True:
            files = self._files()
            for seq, path in sorted(files, reverse=True):
                if seq > newest or seq < self._oldest:
                    continue  # of a catalog restored from a backup, or of another stay here
                index = self._read(seq, path)
                if index is not None:
                    return index
            # A writer may have replaced them meanwhile.
            if self._files() == files:
                return None

    def save(self, index: EngineIndex) -> None:
        """Write atomically; older snapshots go last. Raises StorageError."""
        path = self.directory / f"{self.name}.{index.seq}"
        try:
            self.directory.mkdir(exist_ok=True)
            if isinstance(index, CodedIndex):
                kept = self._write_coded(index, path)
            elif isinstance(index, FaissIndex):
                kept = [path.with_name(f"{path.name}.faiss")]
                with replacing(kept[0]) as new:
                    faiss.write_index(index.file, str(new))
            else:
                raise TypeError(f"no snapshot can be written of {type(index).__name__}")
            for old in self._all_files():
                if old not in kept:
                    old.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:
            raise StorageError(
                f"cannot write the index snapshot {path}: {error}; nothing is lost, queries "
                "rebuild it from the catalog"
            ) from error

    def newest_seq(self) -> int:
        """The sequence number of the latest snapshot that counts; 0 when there is none."""
        return max((seq for seq, path in self._files() if self._counts(seq, path)), default=0)

    def described(self) -> str | None:
        """What kind the latest snapshot is, and why, for people; None when there is none."""
        files = [(seq, path) for seq, path in self._files() if self._counts(seq, path)]
        if not files:
            return None
        _, path = max(files)
        if path.suffix == ".faiss":
            return KIND
        try:
            return str(_read_arrays(path)[0]["why"])
        except (OSError, ValueError, KeyError):
            return None

    def clear(self) -> None:
        for path in self._all_files():
            path.unlink(missing_ok=True)

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._all_files())

    # ---- inside

    def _counts(self, seq: int, path: Path) -> bool:
        """Whether it is not too old, nor of another release, machine or encoder."""
        if seq < self._oldest or path.suffix != ".items":
            return seq >= self._oldest
        try:
            return self._is_ours(_read_arrays(path)[0])
        except (OSError, ValueError, KeyError):
            return False

    def _is_ours(self, header: Mapping[str, Any]) -> bool:
        ours = (FORMAT, MACHINE, self._store.dim)
        return (header["format"], header["machine"], header["dim"]) == ours

    def _read(self, seq: int, path: Path) -> EngineIndex | None:
        """None for a file that is damaged, gone, or of another machine or encoder."""
        try:
            if path.suffix == ".items":
                return self._read_coded(seq, path)
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError):
            return None  # an older one, or a rebuild, will do
        if index.d != self._store.dim or not isinstance(index, faiss.IndexIDMap2):
            return None
        return FaissIndex(self._store.dim, index, seq, store=self._store)

    def _write_coded(self, index: CodedIndex, path: Path) -> list[Path]:
        codes, items = (path.with_name(f"{path.name}.{end}") for end in ("codes", "items"))
        start = f"mmsearch lists {uuid4().hex}".encode().ljust(ALIGN)
        with replacing(codes) as new:
            table = write_lists(index.codes, new, start)
        rows = index.rows
        present = np.flatnonzero(rows >= 0)
        rows = rows[: int(present[-1]) + 1 if len(present) else 0]  # without its spare room
        header = {
            "format": FORMAT,
            "machine": MACHINE,
            "dim": self._store.dim,
            "size": len(index),
            "codes_bytes": codes.stat().st_size,
            "codes_begin": start.decode(),
            "effort": vars(index.effort),
            "built_for": index.built_for,
            "measured_for": index.measured_for,
            "why": index.why,
        }
        arrays = {
            "axes": index.axes,
            "centroids": centroids_of(index.codes),
            "codebooks": codebooks_of(index.codes),
            "lists": table,
            "rows": rows,
        }
        with replacing(items) as new:
            _write_arrays(new, header, arrays)
        return [codes, items]

    def _read_coded(self, seq: int, path: Path) -> CodedIndex | None:
        header, arrays = _read_arrays(path)
        codes_path = path.with_suffix(".codes")
        if not self._is_ours(header) or codes_path.stat().st_size != header["codes_bytes"]:
            return None
        with open(codes_path, "rb") as file:
            if file.read(ALIGN).decode() != header["codes_begin"]:
                return None
        codes = without_lists(arrays["centroids"], arrays["codebooks"])
        map_lists(codes, codes_path, arrays["lists"])
        if (self._store.dim, codes.d) != arrays["axes"].shape or codes.ntotal != header["size"]:
            return None
        return CodedIndex(
            self._store,
            codes,
            arrays["axes"],
            Effort(**header["effort"]),
            rows=arrays["rows"],
            size=int(header["size"]),
            seq=seq,
            why=str(header["why"]),
            built_for=int(header["built_for"]),
            measured_for=int(header["measured_for"]),
        )

    def _files(self) -> list[tuple[int, Path]]:
        """Those that stand for a whole snapshot, with their sequence numbers."""
        found = [(self._seq(path), path) for path in self._all_files()]
        return [(seq, path) for seq, path in found if path.suffix in (".faiss", ".items")]

    def _all_files(self) -> list[Path]:
        pattern = re.compile(re.escape(self.name) + r"\.\d+\.(faiss|codes|items)")
        found = self.directory.iterdir() if self.directory.is_dir() else ()
        return sorted(path for path in found if pattern.fullmatch(path.name))

    def _seq(self, path: Path) -> int:
        return int(path.name.split(".")[-2])


def _write_arrays(path: Path, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """A line of JSON, padded to ALIGN, then each array at a multiple of it."""
    table: dict[str, Any] = {}
    offset = 0  # from the end of the header
    for name, array in arrays.items():
        table[name] = {"dtype": array.dtype.str, "shape": array.shape, "offset": offset}
        offset += -(-array.nbytes // ALIGN) * ALIGN
    line = json.dumps({**header, "arrays": table, "arrays_bytes": offset}).encode()
    with open(path, "wb") as file:
        _write_padded(file, line + b"\n")
        for array in arrays.values():
            _write_padded(file, np.ascontiguousarray(array).tobytes())


def _write_padded(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.write(b" " * (-len(content) % ALIGN))


def _read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header, and the arrays as read-only views. Raises OSError, ValueError, KeyError."""
    with open(path, "rb") as file:
        line = file.readline(MOST_HEADER)
    header = json.loads(line)
    start = -(-len(line) // ALIGN) * ALIGN
    if path.stat().st_size != start + header["arrays_bytes"]:
        raise ValueError(f"{path} is cut short")
    content = np.memmap(path, np.uint8, mode="r")
    arrays = {}
    for name, one in header["arrays"].items():
        dtype, first = np.dtype(one["dtype"]), start + one["offset"]
        length = dtype.itemsize * int(np.prod(one["shape"]))
        view = np.asarray(content[first : first + length])
        arrays[name] = view.view(dtype).reshape(one["shape"])
    return header, arrays
