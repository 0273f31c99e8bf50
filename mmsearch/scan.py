"""What there is to index below some folders: pictures, texts and rows of tables.

Files that belong together are one item: `a.jpg` with the words of `a.txt` beside it, or with the
row of a table that names it. The walk is deterministic and survives whatever it cannot read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from mmsearch.errors import RootError, TableError
from mmsearch.images import image_suffixes, is_image_name
from mmsearch.keys import UTF_8_NAMES
from mmsearch.keys import path_of as path_of
from mmsearch.tables.ahead import rows_read_ahead
from mmsearch.tables.files import TABLE_SUFFIXES
from mmsearch.tables.values import clean_text
from mmsearch.types import Block, Failure, FileStamp, Source

MAX_TEXT_BYTES = 1_000_000

_Block = TypeVar("_Block", bound=Block)

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def key_of(path: Path, base: Path) -> str:
    r"""The path as a key: relative to `base` when below it, otherwise absolute, with slashes.

    Bytes that are not UTF-8 become `\xNN` and a backslash is doubled, so different paths have
    different keys and every key can be stored as UTF-8. `path_of` is the inverse.
    """
    return _key(os.path.abspath(path), _prefix(base))


def scan(roots: Sequence[Path], base: Path) -> Iterator[Source | Failure]:
    """Everything found below `roots`; use `Scan` to learn whether the walk was complete."""
    return iter(Scan(roots, base))


@dataclass
class _Found:
    """Files of the walk in order, each with its status where one stat was due."""

    tables: list[str] = field(default_factory=list)
    pictures: list[tuple[str, str, FileStamp]] = field(default_factory=list)  # with its stem
    texts: dict[str, list[tuple[str, FileStamp]]] = field(default_factory=dict)  # by stem
    failures: list[Failure] = field(default_factory=list)


class Scan:
    """One pass over `roots` (files or folders), keyed relative to `base`.

        scan = Scan([folder], base)
        for found in scan: ...
        scan.complete

    `complete` is True once the iteration ended and everything below the roots was seen: only
    then is an item that was not found really gone. Tables come first, then texts, then pictures.

    Raises RootError, on construction, for a root that is missing or unreadable; TableError,
    while iterating, for a root that is itself a table file and cannot be read as one.
    """

    def __init__(self, roots: Sequence[Path], base: Path) -> None:
        self.roots: tuple[Path, ...] = tuple(Path(os.path.abspath(root)) for root in roots)
        self.complete = False
        self._prefix = _prefix(base)
        self._whole = True
        for root in self.roots:
            _require_readable(root)

    def __iter__(self) -> Iterator[Source | Failure]:
        return cast("Iterator[Source | Failure]", self.in_blocks(None))

    def in_blocks(
        self, make: Callable[[Sequence[Source]], _Block] | None
    ) -> Iterator[Source | Failure | _Block]:
        """As by iteration, but for rows of large tables that something else is made of.

        See tables.ahead; none of their keys is that of anything that came before.
        """
        self.complete, self._whole = False, True
        found = self._walk()
        yield from found.failures
        claimed: set[str] = set()
        owners: dict[str, str] = {}
        for table in found.tables:
            yield from self._rows(table, claimed, owners, make)
        beside = {stem for _, stem, _ in found.pictures}
        words: dict[str, str | None] = {}
        for stem, files in found.texts.items():
            for name, stamp in files:
                text = self._text(name, stamp, stem in beside)
                if isinstance(text, Failure):
                    yield text
                elif stem in beside:
                    words[stem] = words.get(stem) or text
                elif text is not None:
                    source = Source(self._key(name), None, text, stamp)
                    yield self._unless_taken(source, owners, name)
        for name, stem, stamp in found.pictures:
            if name not in claimed:
                source = Source(self._key(name), Path(name), words.get(stem), stamp)
                yield self._unless_taken(source, owners, name)
        self.complete = self._whole

    def _key(self, name: str) -> str:
        return _key(name, self._prefix)

    def _unless_taken(self, source: Source, owners: dict[str, str], name: str) -> Source | Failure:
        owner = owners.setdefault(source.key, name)
        if owner == name:
            return source
        other = self._key(owner)
        reason = f"the key {source.key!r} was already used by {other}; give one another key"
        return Failure(self._key(name), reason)

    def _rows(
        self,
        table: str,
        claimed: set[str],
        owners: dict[str, str],
        make: Callable[[Sequence[Source]], _Block] | None,
    ) -> Iterator[Source | Failure | _Block]:
        try:
            for row in rows_read_ahead(Path(table), self._key(table), claimed, make):
                if isinstance(row, Failure):
                    yield row
                elif not isinstance(row, Source):
                    if owners.keys().isdisjoint(row.keys):
                        owners.update(dict.fromkeys(row.keys, table))
                        yield row
                    else:
                        yield from (self._unless_taken(one, owners, table) for one in row)
                elif row.picture_of is None or owners.get(row.picture_of) == table:
                    yield self._unless_taken(row, owners, table)
        except TableError as exc:
            if Path(table) in self.roots:
                raise
            if exc.__cause__ is not None:  # reading broke off: rows may be there all the same
                self._whole = False
            yield Failure(self._key(table), str(exc))

    def _text(self, name: str, stamp: FileStamp, beside: bool) -> str | Failure | None:
        if stamp.size_bytes > MAX_TEXT_BYTES:
            limit = f"larger than {MAX_TEXT_BYTES // 1000} kB, too long to be one item"
            return Failure(self._key(name), f"{limit}; split it, or make a table of it")
        try:
            with open(name, "rb") as file:
                text = clean_text(file.read(MAX_TEXT_BYTES + 1).decode("utf-8-sig"))
        except UnicodeDecodeError:
            return Failure(self._key(name), "not UTF-8 text; save it as UTF-8")
        except OSError as exc:
            self._whole = self._whole and isinstance(exc, FileNotFoundError)
            return Failure(self._key(name), f"cannot be read ({exc.strerror}); check the file")
        if not text and not beside:
            return Failure(self._key(name), "the text is empty; write something or delete it")
        return text or None

    def _walk(self) -> _Found:
        found = _Found()
        files: set[str] = set()
        folders: set[tuple[int, int]] = set()
        # Links wait until all real folders were seen, so that keys have real folders' names.
        real: deque[str] = deque()
        linked: deque[str] = deque()
        for root in self.roots:
            if root.is_dir():
                real.append(str(root))
            else:
                self._add_single(str(root), found, files)
        while real or linked:
            folder = real.popleft() if real else linked.popleft()
            below: list[str] = []
            for entry in self._entries(folder, folders, found):
                is_dir = self._is_dir(entry, found)
                if is_dir:
                    (linked if entry.is_symlink() else below).append(entry.path)
                elif is_dir is not None:
                    self._add(entry.path, entry, found, files)
            real.extendleft(reversed(below))
        return found

    def _entries(
        self, folder: str, folders: set[tuple[int, int]], found: _Found
    ) -> list[os.DirEntry[str]]:
        """The visible entries by name; none where this very folder was read before."""
        try:
            status = os.stat(folder)
            identity = status.st_dev, status.st_ino
            if identity in folders:
                return []
            folders.add(identity)
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as exc:
            self._whole = False
            reason = f"the folder cannot be read ({exc.strerror}); check its permissions"
            found.failures.append(Failure(self._key(folder), reason))
            return []
        return sorted(visible, key=lambda entry: entry.name)

    def _is_dir(self, entry: os.DirEntry[str], found: _Found) -> bool | None:
        try:
            return entry.is_dir()
        except OSError as exc:
            self._whole = self._whole and exc.errno == errno.ELOOP  # nothing is behind a circle
            reason = f"the link cannot be followed ({exc.strerror}); correct or delete it"
            found.failures.append(Failure(self._key(entry.path), reason))
            return None

    def _add_single(self, name: str, found: _Found, files: set[str]) -> None:
        if not _is_indexed(os.path.splitext(name)[1].lower()):
            reason = "by its name no picture, text (.txt) or table (.csv, .jsonl, .parquet)"
            found.failures.append(Failure(self._key(name), f"{reason}; leave it out or rename it"))
        self._add(name, None, found, files)
        beside = os.path.splitext(name)[0] + ".txt"
        if is_image_name(name) and os.path.isfile(beside):
            self._add(beside, None, found, files)

    def _add(
        self, name: str, entry: os.DirEntry[str] | None, found: _Found, files: set[str]
    ) -> None:
        stem, suffix = os.path.splitext(name)
        suffix = suffix.lower()
        if not _is_indexed(suffix) or name in files:
            return
        files.add(name)
        try:
            status = os.stat(name) if entry is None else entry.stat()
        except OSError as exc:
            self._whole = self._whole and isinstance(exc, FileNotFoundError)
            reason = f"cannot be read ({exc.strerror}); check the file or what it links to"
            found.failures.append(Failure(self._key(name), reason))
            return
        if not stat.S_ISREG(status.st_mode):
            return
        stamp = FileStamp(status.st_size, status.st_mtime_ns)
        if suffix in image_suffixes():
            found.pictures.append((name, stem, stamp))
        elif suffix in TABLE_SUFFIXES:
            found.tables.append(name)
        else:
            found.texts.setdefault(stem, []).append((name, stamp))


def _is_indexed(suffix: str) -> bool:
    return suffix == ".txt" or suffix in TABLE_SUFFIXES or suffix in image_suffixes()


def _require_readable(root: Path) -> None:
    try:
        if stat.S_ISDIR(os.stat(root).st_mode):
            os.scandir(root).close()
        else:
            open(root, "rb", opener=_without_waiting).close()
    except FileNotFoundError as exc:
        raise RootError(
            f"{root}: no such file or folder; check the name, or whether its drive is connected"
        ) from exc
    except (OSError, ValueError) as exc:
        detail = exc.strerror if isinstance(exc, OSError) else exc
        raise RootError(f"{root}: cannot be read ({detail}); check its permissions") from exc


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer


def _prefix(base: Path) -> str:
    folder = os.path.abspath(base)
    return folder if folder.endswith(os.sep) else folder + os.sep


def _key(name: str, prefix: str) -> str:
    if name.startswith(prefix):
        name = name[len(prefix) :] or "."
    elif name + os.sep == prefix:
        name = "."
    if os.sep != "/":
        name = name.replace(os.sep, "/")
    if "\\" in name:
        name = name.replace("\\", "\\\\")
    if not UTF_8_NAMES:
        name = os.fsencode(name).decode("utf-8", "surrogateescape")
    if not name.isascii():
        name = _ESCAPED_BYTE.sub(lambda m: f"\\x{ord(m[0]) - 0xDC00:02x}", name)
    return name
