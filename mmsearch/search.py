"""A query's journey: encode its terms, catch the index up, search, hydrate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.catalog.catalog import Catalog, EncoderInfo
from mmsearch.catalog.vectors import VectorFile
from mmsearch.errors import ItemNotFoundError, UsageError
from mmsearch.index.faiss_index import FaissIndex, Snapshots
from mmsearch.types import Encoder, Hit, Modality, Query, Term, TextEncoder

if TYPE_CHECKING:
    from mmsearch.types import Vectors

# The largest useful answer; more is a listing, not a search.
MAX_K = 10_000


def validate(query: Query) -> None:
    """Raises UsageError for a query that can have no answer."""
    if not query.terms:
        raise UsageError("the query is empty: give words, an image or the key of a stored item")
    if not 1 <= query.k <= MAX_K:
        raise UsageError(f"k must be between 1 and {MAX_K}, not {query.k}")
    for term in query.terms:
        given = [x for x in (term.text, term.image, term.item) if x is not None]
        if len(given) != 1:
            raise UsageError("each term of a query is a text, an image or a stored item: one of")
        if term.text is not None and not term.text.strip():
            raise UsageError("the query text is empty: describe what you are looking for")
        if not np.isfinite(term.weight) or term.weight == 0:
            raise UsageError(f"a term's weight must be a finite number but 0, not {term.weight}")


def combine(weighted: Sequence[tuple[float, Vectors]]) -> Vectors:
    """(d,) unit float32: the weighted sum of unit vectors (d,), renormalised.

    Raises UsageError where they cancel each other out.
    """
    total = np.zeros_like(weighted[0][1], np.float32)
    for weight, vector in weighted:
        total += weight * vector
    norm = float(np.linalg.norm(total))
    if norm < 1e-6:
        raise UsageError("the terms of the query cancel each other out: change their weights")
    unit: Vectors = total / norm
    return unit


class Searcher:
    """Answers queries over one collection; keeps one index per modality, current by replay."""

    def __init__(
        self,
        catalog: Catalog,
        info: EncoderInfo,
        vectors: VectorFile,
        snapshots: Callable[[Modality], Snapshots],
        text_encoder: Callable[[], TextEncoder],
        image_encoder: Callable[[], Encoder],
    ) -> None:
        self._catalog = catalog
        self._info = info
        self._vectors = vectors
        self._snapshots = snapshots
        self._text_encoder = text_encoder
        self._image_encoder = image_encoder
        self._indexes: dict[Modality, FaissIndex] = {}

    def index(self, modality: Modality) -> FaissIndex:
        """The index of one modality, caught up with the catalog."""
        newest = self._catalog.seq()
        index = self._indexes.get(modality)
        if index is None:
            index = self._snapshots(modality).load(newest) or FaissIndex(self._info.dim)
            self._indexes[modality] = index
        if index.seq < newest:
            changes = self._catalog.changes(index.seq, modality, self._info.fingerprint)
            for chunk in changes:
                gone = [item for item, row in chunk if row is None]
                live = [(item, row) for item, row in chunk if row is not None]
                index.remove(np.array(gone, np.int64))
                if live:
                    ids, rows = np.array(live, np.int64).T
                    index.add(ids, self._vectors.read(rows))
            index.seq = newest
        return index

    def save(self, modality: Modality) -> None:
        """Snapshot the caught-up index. Raises StorageError."""
        self._snapshots(modality).save(self.index(modality))

    def search(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """One ranking per query, best first, ties by age of the item.

        Raises UsageError, ItemNotFoundError, ImageError, ModelError.
        """
        for query in queries:
            validate(query)
        vectors = self._encode(queries)
        answers: list[list[Hit]] = [[] for _ in queries]
        default = self._default_target()
        groups: dict[tuple[Modality, int], list[int]] = {}
        for number, query in enumerate(queries):
            groups.setdefault((query.to or default, query.k), []).append(number)
        for (modality, k), members in groups.items():
            scores, ids = self.index(modality).search(vectors[members], k)
            found = self._catalog.items(set(ids.ravel().tolist()))
            for member, row_scores, row_ids in zip(members, scores, ids, strict=True):
                pairs = zip(row_ids.tolist(), row_scores.tolist(), strict=True)
                # An item removed since the index caught up is left out, not invented.
                live = [(found[i], score) for i, score in pairs if i in found]
                answers[member] = [
                    Hit(
                        rank,
                        round(score, 6),
                        item.key,
                        modality,
                        item.path,
                        item.text,
                        item.group,
                        item.attributes,
                    )
                    for rank, (item, score) in enumerate(live, 1)
                ]
        return answers

    def _default_target(self) -> Modality:
        return "image" if self._catalog.counts()["images"] else "text"

    # ---- query vectors

    def _encode(self, queries: Sequence[Query]) -> Vectors:
        """(n, d) float32 unit rows: the weighted sum of unit term vectors, renormalised."""
        terms = [term for query in queries for term in query.terms]
        texts = list(dict.fromkeys(term.text for term in terms if term.text is not None))
        by_text: dict[str, Vectors] = {}
        if texts:
            by_text = dict(zip(texts, self._text_encoder().encode_texts(texts), strict=True))
        rows = []
        for query in queries:
            weighted = [
                (term.weight, by_text[term.text] if term.text is not None else self._term(term))
                for term in query.terms
            ]
            rows.append(combine(weighted))
        return np.stack(rows) if rows else np.empty((0, self._info.dim), np.float32)

    def _term(self, term: Term) -> Vectors:
        if term.item is not None:
            return self._stored_vector(term.item)
        # Pillow comes with the image query only.
        from PIL import Image

        from mmsearch.images import decode

        encoder = self._image_encoder()
        image = term.image
        if isinstance(image, str | Path):
            image = decode(Path(image), encoder.image_size).image
        if not isinstance(image, Image.Image):
            raise UsageError(f"an image term is a path or a Pillow image, not {type(image)}")
        pixels = encoder.preprocess(image.convert("RGB"))[None]
        vector: Vectors = encoder.encode_images(pixels)[0]
        return vector

    def _stored_vector(self, key: str) -> Vectors:
        item = self._catalog.item(key)
        if item is None or not item.live:
            raise ItemNotFoundError(
                f"no item has the key {key!r}: keys are as `mmsearch query --json` prints them"
            )
        digests: list[tuple[Modality, bytes | None]] = [
            ("image", item.image_digest),
            ("text", item.text_digest),
        ]
        for modality, digest in digests:
            if digest is None:
                continue
            row = self._catalog.row(modality, digest, self._info.fingerprint)
            if row is not None:
                vector: Vectors = self._vectors.read(np.array([row], np.int64))[0]
                return vector / np.float32(np.linalg.norm(vector))
        raise ItemNotFoundError(f"{key!r} has no vector yet: run `mmsearch index` on its folder")
