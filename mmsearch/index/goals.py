"""What a collection wants of its indexes, and what was measured to reach it, in a file of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from mmsearch.durable import replacing
from mmsearch.errors import CorruptionError, StorageError, UsageError
from mmsearch.index.engine import KindName

FORMAT = 1


@dataclass(frozen=True)
class Goals:
    """`recall`: of the ten nearest, in (0, 1]; `memory_bytes`: of one index, None: no limit;
    `latency_ms`: of one query through the index, half of them (p50).
    """

    recall: float = 0.99
    latency_ms: float = 10.0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise UsageError(f"a recall of {self.recall} is no share: give one in (0, 1], as 0.99")
        if not self.latency_ms > 0:
            raise UsageError(f"a latency of {self.latency_ms} ms: give more than 0")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise UsageError(f"a memory of {self.memory_bytes} bytes: give more than 0")


@dataclass(frozen=True)
class Tuned:
    """The kind that `tune` found best for one index, when it held `size` vectors."""

    kind: KindName
    size: int
    why: str


@dataclass(frozen=True)
class Settings:
    """`tuned` by the index's name, FINGERPRINT-MODALITY."""

    goals: Goals = field(default_factory=Goals)
    tuned: Mapping[str, Tuned] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """As `save` wrote it; the defaults where there is no file. Raises CorruptionError."""
        try:
            plain: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        try:
            if plain["format"] != FORMAT:
                raise ValueError(f"format {plain['format']!r}, not {FORMAT}")
            tuned = {name: Tuned(**_renamed(one)) for name, one in plain["tuned"].items()}
            if any(one.kind not in get_args(KindName) for one in tuned.values()):
                raise ValueError("an unknown kind of index")
            return cls(Goals(**plain["goals"]), tuned)
        except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
            raise _unreadable(path, error) from error

    def with_tuned(self, name: str, tuned: Tuned) -> Settings:
        return replace(self, tuned={**self.tuned, name: tuned})

    def save(self, path: Path) -> None:
        """Replace the file, whole or not at all. Raises StorageError."""
        plain = {
            "format": FORMAT,
            "goals": asdict(self.goals),
            "tuned": {name: asdict(one) for name, one in self.tuned.items()},
        }
        try:
            with replacing(path) as new:
                new.write_text(json.dumps(plain, indent=1), encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror or error}; free space or fix permissions, "
                "then run `mmsearch tune` again"
            ) from error


def set_aside(path: Path) -> Path:
    """Rename a file of settings, so that the defaults hold; its new path. Raises StorageError."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        return path.replace(aside)
    except OSError as error:
        raise StorageError(
            f"cannot rename {path} to {aside.name}: {error.strerror or error}; fix permissions or "
            "delete it"
        ) from error


def _renamed(tuned: Mapping[str, Any]) -> Mapping[str, Any]:
    """Codes were of another sort once, with its name."""
    return {**tuned, "kind": "codes"} if tuned["kind"] == "rabitq" else tuned


def _unreadable(path: Path, error: Exception) -> CorruptionError:
    return CorruptionError(
        f"{path} cannot be read as index settings ({error}): run `mmsearch check --repair`, "
        "which sets it aside; then run `mmsearch tune` again or go on with the defaults"
    )
