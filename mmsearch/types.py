"""The values that travel between the rooms. Frozen, typed, free of heavy imports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Vectors = npt.NDArray[np.float32]  # (n, d), unit rows
    Pixels = npt.NDArray[np.uint8]  # (n, height, width, 3) RGB
    Ids = npt.NDArray[np.int64]  # (n,)

Modality = Literal["image", "text"]
MODALITIES: tuple[Modality, Modality] = ("image", "text")
# What a query is compared with: pictures, texts, or each item as a whole.
Target = Literal["image", "text", "both"]
Mode = Literal["vector", "lexical", "hybrid"]
Ranking = Literal["image", "text", "lexical"]
Fusion = Literal["rank", "relevance"]
# In the place of templates: those that suit the collection's model (models/templates.py).
ENSEMBLE = "ensemble"
Precision = Literal["fp32", "bf16", "int8"]  # in which pictures are encoded
WantedPrecision = Literal["auto", "fp32", "bf16", "int8"]


@dataclass(frozen=True)
class FileStamp:
    """What `stat` says of a file: equal stamps mean that it need not be read again."""

    size_bytes: int
    mtime_ns: int


@dataclass(slots=True)  # not frozen: that took a third of the time of a table's row
class Source:
    """One findable thing as it was found on disk, before anything is decoded.

    `key` names it in the collection: the file's path, or `table.csv#7`, or the table's own key.
    `path` is its picture; `text` its words; at least one of the two is there.
    `stamp` is the picture's stamp (or, without a picture, that of the file holding the text).
    `url` is where its picture must be fetched from; `path` is None until it was. `picture_of` is
    the key of the item whose further picture this is: it has that one's text, group and attributes.
    """

    key: str
    path: Path | None
    text: str | None
    stamp: FileStamp
    group: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None  # key of the file that told of it; None: `key` itself
    url: str | None = None
    picture_of: str | None = None


class Block(Protocol):
    """Sources without pictures by the thousand, as something else can be made of them at once."""

    @property
    def keys(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Source]: ...


@dataclass(frozen=True)
class Failure:
    """One file that could not be indexed, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class Term:
    """One weighted part of a query: exactly one of text, image, item and concept.

    `item` is the key of a stored item, `concept` the name of a saved concept.
    """

    text: str | None = None
    image: Image.Image | Path | None = None
    item: str | None = None
    weight: float = 1.0
    concept: str | None = None


@dataclass(frozen=True)
class Sort:
    """An order by attribute; items without a value of it come last, either way."""

    attribute: str
    descending: bool = False


@dataclass(frozen=True)
class Membership:
    """A condition: the item belongs to a saved concept, or, `negated`, does not.

    It belongs if it is relevant to the concept at least so much.
    """

    concept: str
    min_relevance: float = 0.5
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """What to look for, among what, and how to arrange the answers. docs/shop.md explains each.

    Only `terms` is needed. None leaves a choice to the collection.
    """

    terms: tuple[Term, ...]
    to: Target | None = None
    k: int = 10

    # How relevance is judged.
    mode: Mode | None = None
    weights: Mapping[Ranking, float] | None = None  # of the rankings that are fused
    fusion: Fusion | None = None  # of words with vectors: reciprocal ranks, or mean relevance
    templates: tuple[str, ...] | None = None  # "a photo of {}", or (ENSEMBLE,)
    liked: tuple[str, ...] = ()  # keys of items that move the query towards them,
    disliked: tuple[str, ...] = ()  # and away from them

    # Among what.
    where: str | Mapping[str, Any] | None = None  # docs/filters.md: a text, or JSON
    within: tuple[Membership, ...] = ()
    exclude: tuple[str, ...] = ()  # keys
    # In [0, 1]; auto: what 95 of 100 queries with an answer reach.
    min_relevance: float | Literal["auto"] | None = None

    # In which order and form.
    sort: tuple[Sort, ...] = ()
    modifiers: Mapping[str, Any] | None = None  # boosts, decays, pinned and buried keys
    diversity: float | None = None  # in [0, 1]; 0: relevance alone
    group: bool = False  # one hit per group
    facets: tuple[str, ...] = ()  # attributes whose values are counted
    cursor: str | None = None  # of the page before
    explain: bool = False


@dataclass(frozen=True)
class Part:
    """What one ranking said of a hit: its rank there (from 1), and its own score."""

    rank: int
    score: float


@dataclass(frozen=True)
class Hit:
    """One answer.

    `score` orders the answers. From one ranking by vectors it is the cosine similarity with the
    query, in [-1, 1]; of fused rankings it has no unit. `relevance`, in [0, 1], was calibrated on
    the collection; None where nobody asked for it. `variants` counts the items of its group that
    it stands for, itself too.
    """

    rank: int
    score: float
    key: str
    modality: Modality
    path: str | None
    text: str | None
    group: str | None
    attributes: Mapping[str, Any]
    relevance: float | None = None
    variants: int | None = None
    parts: Mapping[Ranking, Part] | None = None


@dataclass(frozen=True)
class Facet:
    """How often an attribute has which value, most frequent first.

    `distinct` is how many values there are, listed or not; `missing` counts items without any.
    `low` and `high` are the ends of its numbers, None without numbers.
    """

    attribute: str
    counts: tuple[tuple[Any, int], ...]
    distinct: int = 0
    missing: int = 0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Answer:
    """The hits of one page, and what else was asked for.

    `total` counts the items that may be found, by the filter and the least relevance. `cursor`
    asks for the next page; None after the last. `no_match` says that nothing is relevant: the hits,
    if any, are only the nearest there are. `explain` are lines for people, in the order of what
    was done.
    """

    hits: tuple[Hit, ...]
    total: int = 0
    facets: tuple[Facet, ...] = ()
    cursor: str | None = None
    no_match: str | None = None
    explain: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexReport:
    """What one `index` run did. Times are seconds of work per stage; stages overlap."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    returned: int = 0  # missing before, back as they were
    missing: int = 0
    unchanged: int = 0
    failures: tuple[Failure, ...] = ()
    decoded: int = 0
    encoded_images: int = 0
    encoded_texts: int = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    bottleneck: Literal["decode", "encode", "commit", "none"] = "none"
    interrupted: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReindexReport:
    """What one `reindex` run did. `switched`: queries are answered by `model` from now on.

    `failures` names items that cannot be encoded again: while there are some, a run switches only
    if it was told to go without them.
    """

    model: str
    switched: bool = False
    encoded_images: int = 0
    encoded_texts: int = 0
    adapted: int = 0  # vectors computed from those of the model's base, without any file
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class UpdateReport:
    """What an update of attributes did; each failure names its key.

    `notes` say which attributes have values of several types since; a server sends none.
    """

    updated: int = 0
    unchanged: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """`step` names what was just finished; `done` of `total` items of it (total None: unknown)."""

    step: str
    done: int = 0
    total: int | None = None


OnProgress = Callable[[Progress], None]


class TextEncoder(Protocol):
    """The part of an encoder that a text query needs."""

    dim: int
    fingerprint: str

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 unit rows, in the order of `texts`."""
        ...


class ImageEncoder(Protocol):
    """The part of an encoder that a query by picture needs."""

    fingerprint: str
    image_size: int

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(image_size, image_size, 3) uint8 RGB. Pure Pillow: safe in any thread."""
        ...

    def encode_images(self, pixels: Pixels) -> Vectors:
        """(n, h, w, 3) uint8 -> (n, d) float32 unit rows; normalisation happens on the device."""
        ...


class Encoder(TextEncoder, ImageEncoder, Protocol):
    """Image tower + text tower + preprocess.

    `fingerprint` changes with architecture, weights or preprocess: vectors of different
    fingerprints must never meet. `name` is what the user typed.
    """

    name: str
    batch_size: int


@runtime_checkable
class OverlappingEncoder(Encoder, Protocol):
    """An encoder that works while its caller does something else."""

    def start_images(self, pixels: Pixels) -> Callable[[], Vectors]:
        """Begin `encode_images`; calling the result waits for what it returns, or raises."""
        ...


@runtime_checkable
class PreciseEncoder(Encoder, Protocol):
    """An encoder that can encode pictures in several precisions: the same space, nearly.

    `precision` is None while `auto` has not seen enough pictures to decide.
    """

    @property
    def precision(self) -> Precision | None: ...

    def use_precision(self, wanted: WantedPrecision) -> None:
        """From now on. Raises ModelError if it cannot be had here."""
        ...


@runtime_checkable
class DerivedEncoder(Encoder, Protocol):
    """An encoder whose vectors are computed from those of another one, its `base`.

    A collection that holds vectors of `base` moves to it without reading texts again, and, where
    `reuses_images`, without opening a picture.
    """

    @property
    def base(self) -> TextEncoder: ...

    @property
    def reuses_images(self) -> bool: ...

    def adapt_images(self, rows: Vectors) -> Vectors:
        """(n, d_base) float32 unit rows of pictures -> (n, d) float32 unit rows."""
        ...

    def adapt_texts(self, rows: Vectors) -> Vectors:
        """(n, d_base) float32 unit rows of texts -> (n, d) float32 unit rows."""
        ...


class VectorIndex(Protocol):
    """Maximum inner product search over unit vectors, by item id."""

    seq: int

    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add or replace: afterwards each id stands for its new vector."""
        ...

    def remove(self, ids: Ids) -> None:
        """Forget these ids; unknown ids are no error."""
        ...

    def search(self, queries: Vectors, k: int, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """Scores and ids, each (n, min(k, size)), best first, ties by ascending id."""
        ...
