"""A query's terms as vectors, and their sum.

Terms of one modality are summed as unit vectors. Where a query has terms of both, the cosines of
pictures with pictures spread several times as wide as those of words with pictures, so that a raw
sum would all but ignore the words. There each term is divided by the spread of its direction in
this collection (relevance.py): since scores are linear in the query,

    sum_t (w_t / spread_t) (v_t . x)  =  (sum_t (w_t / spread_t) v_t) . x

the one vector on the right ranks as the weighted sum of standardised scores does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import ItemNotFoundError, UsageError
from mmsearch.stages import stage
from mmsearch.types import ENSEMBLE, ImageEncoder, Modality, Query, Term

if TYPE_CHECKING:
    from mmsearch.catalog.catalog import Catalog
    from mmsearch.catalog.records import EncoderInfo
    from mmsearch.catalog.vectors import VectorFile
    from mmsearch.encoders.text_cache import TextCache
    from mmsearch.ranking.rocchio import Concept
    from mmsearch.types import Vectors


@dataclass(frozen=True)
class Part:
    """One addend of a query vector: a (d,) unit vector of something of `modality`."""

    weight: float
    vector: Vectors
    modality: Modality


def combine(weighted: Sequence[tuple[float, Vectors]]) -> Vectors:
    """(d,) unit float32: the weighted sum of unit vectors (d,), renormalised.

    Raises UsageError where they cancel each other out.
    """
    (weight, vector), *others = weighted
    if weight > 0 and not others:
        return vector  # to the last bit, so that a query has the same scores by every way
    total = np.zeros_like(vector, np.float32)
    for weight, vector in weighted:
        total += weight * vector
    norm = float(np.linalg.norm(total))
    if norm < 1e-6 * max(abs(weight) for weight, _ in weighted):
        raise UsageError("the terms of the query cancel each other out: change their weights")
    unit: Vectors = total / norm
    return unit


def sum_parts(
    parts: Sequence[Part], to: Modality, spread: Callable[[Modality, Modality], float]
) -> Vectors:
    """(d,) unit float32: the query vector for items' vectors of the modality `to`.

    `spread(from, to)` is only asked where the parts are of two modalities. Raises UsageError.
    """
    modalities = {part.modality for part in parts}
    scale = dict.fromkeys(modalities, 1.0)
    if len(modalities) > 1:
        scale = {modality: spread(modality, to) for modality in modalities}
    return combine([(part.weight / scale[part.modality], part.vector) for part in parts])


def flat_terms(query: Query, concept: Callable[[str], Concept]) -> tuple[Term, ...]:
    """The terms of a query without concepts, and with liked and disliked items as terms.

    A concept's terms share its weight in their own proportions. Feedback is Rocchio's (1971):
    the mean of the liked items is added and that of the disliked ones subtracted, with the weights
    of ranking.rocchio.Feedback. Raises ItemNotFoundError for an unknown concept.
    """
    terms: list[Term] = []
    for term in query.terms:
        if term.concept is None:
            terms.append(term)
            continue
        known = concept(term.concept)
        inner = with_feedback(known.terms, known.liked, known.disliked)
        total = sum(abs(one.weight) for one in inner)
        terms += [_scaled(one, term.weight / total) for one in inner]
    return with_feedback(tuple(terms), query.liked, query.disliked)


def words_of(terms: Iterable[Term]) -> str:
    """The words that a lexical search looks for: those of the terms that count for the query."""
    return " ".join(term.text for term in terms if term.text is not None and term.weight > 0)


class TermVectors:
    """Encodes terms, or reads what is stored of them."""

    def __init__(
        self,
        catalog: Catalog,
        info: EncoderInfo,
        vectors: VectorFile,
        text_encoder: Callable[[], TextCache],
        image_encoder: Callable[[], ImageEncoder],
    ) -> None:
        self._catalog = catalog
        self._info = info
        self._vectors = vectors
        self._text_encoder = text_encoder
        self._image_encoder = image_encoder

    def texts(
        self, terms: Iterable[Term], templates: Sequence[str] | None = None
    ) -> Mapping[str, Vectors]:
        """Text -> (d,) float32 unit vector, all encoded in one batch.

        With templates, the mean of the text's unit vectors in each of them, renormalised
        (Radford et al. 2021, arXiv:2103.00020, section 3.1.4); `ensemble` alone stands for those of
        the model. Raises ModelError.
        """
        texts = list(dict.fromkeys(term.text for term in terms if term.text is not None))
        if not texts:
            return {}
        if not templates:
            return dict(zip(texts, self._text_encoder().encode_texts(texts), strict=True))
        if tuple(templates) == (ENSEMBLE,):
            from mmsearch.models.templates import ensemble_of

            templates = ensemble_of(self._info.name)
        # Not str.format: braces in a template or a query are characters like others.
        worded = [template.replace("{}", text) for text in texts for template in templates]
        rows = self._text_encoder().encode_texts(worded)  # (texts * templates, d)
        means = rows.reshape(len(texts), len(templates), -1).mean(axis=1)  # (texts, d)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return dict(zip(texts, means.astype(np.float32), strict=True))

    def encode_together(self, queries: Iterable[Query]) -> None:
        """Encode the texts of several queries in one batch; each query's turn finds them cached.

        Those in templates are left to their query.
        """
        encoder = self._text_encoder()
        terms = [term for query in queries if not query.templates for term in query.terms]
        texts = [term.text for term in terms if term.text is not None]
        if 1 < len(texts) <= encoder.size:
            encoder.encode_texts(texts)

    def part(self, term: Term, texts: Mapping[str, Vectors], prefer: Modality = "image") -> Part:
        """The vector of one term; a stored item with two speaks with the one of `prefer`.

        Raises ItemNotFoundError, ImageError, ModelError, UsageError.
        """
        if term.text is not None:
            return Part(term.weight, texts[term.text], "text")
        if term.item is not None:
            modality, vector = self.stored(term.item, prefer)
            return Part(term.weight, vector, modality)
        return Part(term.weight, self._image(term), "image")

    def stored(self, key: str, prefer: Modality = "image") -> tuple[Modality, Vectors]:
        """A (d,) float32 unit vector of a live item. Raises ItemNotFoundError."""
        item = self._catalog.item(key)
        if item is None or not item.live:
            raise ItemNotFoundError(
                f"no item has the key {key!r}: keys are as `mmsearch query --json` prints them"
            )
        for modality, digest in sorted(item.digests, key=lambda one: one[0] != prefer):
            row = self._catalog.row(modality, digest, self._info.fingerprint)
            if row is not None:
                vector: Vectors = self._vectors.read(np.array([row], np.int64))[0]
                return modality, vector / np.float32(np.linalg.norm(vector))
        raise ItemNotFoundError(f"{key!r} has no vector yet: run `mmsearch index` on its folder")

    def _image(self, term: Term) -> Vectors:
        # Pillow comes with the image query only.
        from PIL import Image

        from mmsearch.images import decode

        encoder = self._image_encoder()
        image = term.image
        if isinstance(image, str | Path):
            image = decode(Path(image), encoder.image_size).image
        if not isinstance(image, Image.Image):
            raise UsageError(f"an image term is a path or a Pillow image, not {type(image)}")
        with stage("encode"):
            pixels = encoder.preprocess(image.convert("RGB"))[None]
            vector: Vectors = encoder.encode_images(pixels)[0]
        return vector


def with_feedback(
    terms: tuple[Term, ...], liked: Sequence[str], disliked: Sequence[str]
) -> tuple[Term, ...]:
    """The terms of a query moved by the keys of good and bad answers, as Rocchio's formula says."""
    if not liked and not disliked:
        return terms
    from mmsearch.ranking.rocchio import Feedback

    weights = Feedback()
    total = sum(abs(term.weight) for term in terms)
    moved = [_scaled(term, weights.query / total) for term in terms]
    moved += [Term(item=key, weight=weights.liked / len(liked)) for key in liked]
    moved += [Term(item=key, weight=-weights.disliked / len(disliked)) for key in disliked]
    return tuple(moved)


def _scaled(term: Term, factor: float) -> Term:
    return Term(term.text, term.image, term.item, term.weight * factor, term.concept)
