"""What a server tells beyond the library's own Answer, Hit, Failure, UpdateReport and Query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmsearch.types import Failure, IndexReport, Mode, Progress, Target

Action = Literal["click", "up", "down"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Item:
    """A stored item. The addresses of its picture are paths on the server."""

    key: str
    text: str | None
    group: str | None
    attributes: Mapping[str, Any]
    has_image: bool
    image_url: str | None
    thumbnail_url: str | None


@dataclass(frozen=True)
class Result:
    """What became of one item of a request. `reason` None: it is committed.

    `key` None: the item was so wrong that it had none.
    """

    key: str | None
    reason: str | None = None

    @property
    def done(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class Written:
    """How many items were written, or removed, and why the others were not."""

    done: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class EncoderInfo:
    """What a collection's vectors were made by."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True)
class Defaults:
    """What a query is answered with where it leaves it open."""

    to: Target
    mode: Mode


@dataclass(frozen=True)
class CollectionInfo:
    """Counts, bytes on disk, the encoder, and each attribute with the types of its values.

    `sequence` is the number of the last change: equal ones mean that nothing changed.
    """

    items: int
    images: int
    texts: int
    missing: int
    failures: int
    sizes: Mapping[str, int]
    index_kind: str
    encoder: EncoderInfo | None
    defaults: Defaults | None
    attributes: Mapping[str, tuple[str, ...]]
    sequence: int


@dataclass(frozen=True)
class Model:
    """A model that a collection can be encoded with. `on_disk`: without a download."""

    name: str
    architecture: str
    pretrained: str
    bundled: bool
    on_disk: bool
    why: str


@dataclass(frozen=True)
class Evaluation:
    """Means over judged queries by the measure's name; None: infinite.

    `unknown_keys` are judged but in no item, and so count as missed.
    """

    measures: Mapping[str, float | None]
    queries: int
    unknown_keys: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """Long work of the server. `report` where it was done, `error` where it failed."""

    id: str
    kind: str
    path: str
    state: JobState
    progress: Progress | None = None
    report: IndexReport | None = None
    error: str | None = None
    created_at: str = field(default="")
    finished_at: str | None = None

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")
