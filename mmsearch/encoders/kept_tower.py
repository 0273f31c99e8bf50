"""Text towers kept in the user's cache, by fingerprint: what a query reads instead of a model.

A folder holds one of three:

- the text half of an open_clip model: text.json (settings), text.safetensors and tokenizer.json,
  written by `tower_export`;
- text.json alone, for a model whose own folder serves as it is (`mini`): its settings, where that
  folder is, and the stamps of its files, so that nobody has to hash it again;
- a copy of an adapter; the tower of its base is kept beside it.

The first two have the tokens in a table, where the tokenizer is of a kind that has one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.durable import sync_directory, sync_files
from mmsearch.encoders.numpy_tower import NumpyTextTower
from mmsearch.encoders.tensor_file import TensorFile
from mmsearch.encoders.text_tokens import TABLE, TextTokens, write_table

if TYPE_CHECKING:
    from mmsearch.types import TextEncoder

SETTINGS = "text.json"
WEIGHTS = "text.safetensors"
TOKENIZER = "tokenizer.json"
_LEFT_S = 3600  # nobody writes that long


def cache_folder() -> Path:
    """The user's cache of mmsearch; MMSEARCH_CACHE overrides it."""
    if cache := os.environ.get("MMSEARCH_CACHE"):
        return Path(cache).expanduser()
    system: str = sys.platform  # as a variable, so that mypy reads both branches
    if system == "linux":
        # What platformdirs finds there; its import costs a query a tenth of its time.
        base = os.environ.get("XDG_CACHE_HOME", "")
        return Path(base if base.strip() else "~/.cache").expanduser() / "mmsearch"
    import platformdirs

    return Path(platformdirs.user_cache_dir("mmsearch"))


def tower_folder(fingerprint: str) -> Path:
    """Where the tower of this fingerprint is kept."""
    return cache_folder() / "towers" / fingerprint


def read_kept(fingerprint: str) -> TextEncoder:
    """The tower of this very fingerprint.

    Raises OSError, ValueError or KeyError (and sqlite3.Error, and what tokenizers raises, which is
    a bare Exception) where none is kept, or it is damaged, or the model's own folder has changed.
    """
    tower = read_tower(tower_folder(fingerprint))
    if tower.fingerprint != fingerprint:
        raise ValueError(f"{tower_folder(fingerprint)} holds the tower {tower.fingerprint}")
    return tower


def read_tower(folder: Path) -> TextEncoder:
    """The tower kept in `folder`. Raises as `read_kept` does."""
    if not (folder / SETTINGS).exists():
        return _read_adapted(folder)
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    weights, tokenizer = folder / WEIGHTS, folder / TOKENIZER
    if "source" in settings:
        source = Path(settings["source"]["folder"])
        if stamps(source, settings["source"]["stamps"]) != settings["source"]["stamps"]:
            raise ValueError(f"{source} has changed since its tower was kept")
        weights, tokenizer = source / settings["source"]["weights"], source / TOKENIZER
    tokens = TextTokens(tokenizer, settings["tokens"], folder / TABLE)
    return NumpyTextTower(settings, TensorFile(weights), tokens)


def stamps(folder: Path, names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, list[int]]:
    """Name -> size and modification time of some files of a folder. Raises OSError."""
    found = {name: (folder / name).stat() for name in names}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}


def write_settings(folder: Path, settings: dict[str, Any], tokenizer_json: str) -> None:
    """Write text.json, and the table of tokens where there can be one. Raises OSError."""
    table = write_table(tokenizer_json, folder / TABLE)
    if table is not None:
        settings = {**settings, "tokens": {**settings["tokens"], "table": table}}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")


def keep_adapter(source: Path, names: tuple[str, ...], fingerprint: str) -> None:
    """Copy an adapter's files. Raises OSError."""
    import shutil

    with staged(tower_folder(fingerprint)) as folder:
        for name in names:
            shutil.copyfile(source / name, folder / name)


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder, synced, that takes the place of `target` if the block ends well.

    Several processes may write one target at the same time. Raises OSError.
    """
    # Who only reads a tower is in a hurry.
    import shutil
    import tempfile
    import time

    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(".writing-*"):  # of processes that were ended meanwhile
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_S:
                shutil.rmtree(left)
    staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    old = staging.with_name(f"{staging.name}-old")
    try:
        yield staging
        sync_files(staging)
        # A folder cannot be renamed to one that is not empty. Moved aside, the old one is missing
        # for no longer than a rename.
        with contextlib.suppress(FileNotFoundError):
            os.replace(target, old)
        _settle(staging, target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _settle(staging: Path, target: Path) -> None:
    try:
        os.replace(staging, target)
    except OSError as exc:
        # Another process was quicker, and its folder is as good.
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _read_adapted(folder: Path) -> TextEncoder:
    from mmsearch.encoders.adapted_encoder import AdaptedTextTower
    from mmsearch.encoders.adapter import read_adapter
    from mmsearch.errors import ModelError

    try:
        adapter = read_adapter(folder)
    except ModelError as error:
        raise ValueError(str(error)) from error
    return AdaptedTextTower(read_tower(folder.parent / adapter.base_fingerprint), adapter)
