"""What the catalog gives and takes: items, encoders with their spaces, and one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mmsearch.types import FileStamp, Modality

if TYPE_CHECKING:
    from mmsearch.catalog.prepared import Prepared

SpaceState = Literal["current", "left", "unfinished"]


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder and the space of its vectors.

    `complete_at` is the sequence number at which its space became the one that answers queries:
    vectors may have arrived in any order before, so no older index of it can be replayed.
    """

    name: str
    fingerprint: str
    dim: int
    complete_at: int = 0


@dataclass(frozen=True)
class Space:
    """One encoder's vectors in the collection.

    `current` answers queries; `left` did so before; `unfinished` is being filled by a reindex.
    `vectors` counts rows of the vector file, dead ones too.
    """

    encoder: EncoderInfo
    state: SpaceState
    vectors: int


@dataclass(slots=True, eq=False)  # not frozen, see types.Source: an index run reads all of them
class StoredItem:
    """An item as the catalog holds it; `path` and `key` are in key form.

    `told`: the attributes that its row or file told of, None where they are just `attributes`.
    `picture_of`: the key of the item whose further picture this is. `url`: where its picture was
    fetched. JSON is read when it is asked for.
    """

    id: int
    key: str
    state: str
    origin: str | None
    group: str | None
    path: str | None
    text: str | None
    attributes_json: str
    image_digest: bytes | None
    text_digest: bytes | None
    size_bytes: int
    mtime_ns: int
    told_json: str | None
    picture_of: str | None
    url: str | None
    _attributes: dict[str, Any] | None = field(default=None, init=False, repr=False)

    @property
    def attributes(self) -> dict[str, Any]:
        if self._attributes is None:
            self._attributes = json.loads(self.attributes_json)
        assert self._attributes is not None
        return self._attributes

    @property
    def told(self) -> dict[str, Any] | None:
        return None if self.told_json is None else dict(json.loads(self.told_json))

    @property
    def stamp(self) -> FileStamp:
        return FileStamp(self.size_bytes, self.mtime_ns)

    @property
    def fields(self) -> dict[str, Any]:
        """What a filter can ask for, see filters.matches."""
        columns = {"key": self.key, "text": self.text, "group": self.group, "path": self.path}
        return {**columns, "attributes": self.attributes}

    @property
    def live(self) -> bool:
        return self.state == "live"

    @property
    def digests(self) -> list[tuple[Modality, bytes]]:
        """What of it should have a vector."""
        found: list[tuple[Modality, bytes]] = []
        if self.image_digest is not None:
            found.append(("image", self.image_digest))
        if self.text_digest is not None:
            found.append(("text", self.text_digest))
        return found


class Content(NamedTuple):  # a frozen dataclass takes several times as long to make
    """What copies of the catalog in memory hold of an item; `attributes` is JSON text."""

    id: int
    live: bool
    group: str | None
    attributes: str


@dataclass(frozen=True)
class NewVectors:
    """Rows that were appended to one encoder's vector file, to be committed.

    `names[i]` is the (modality, digest) of row `first_row + i`.
    """

    fingerprint: str
    first_row: int
    names: tuple[tuple[Modality, bytes], ...]
    checksum: bytes


@dataclass
class Write:
    """One transaction: everything that becomes visible together.

    `items` are rows of `items`, whose id is None where they are new. To prepare them takes a third
    of the time, and can be done (prepared.prepare) while another transaction is going on.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    prepared: list[Prepared] = field(default_factory=list)
    states: dict[str, list[int]] = field(default_factory=dict)  # state -> item ids
    vectors: NewVectors | None = None
    failures: list[dict[str, Any]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)  # keys whose failure is over

    def __bool__(self) -> bool:
        return bool(
            self.items
            or any(map(len, self.prepared))
            or any(self.states.values())
            or self.vectors
            or self.failures
            or self.recovered
        )
