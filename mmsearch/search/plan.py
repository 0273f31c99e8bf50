"""What a query means in this collection: the choices that it left open, and its vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmsearch.errors import UsageError
from mmsearch.search.defaults import WEIGHTS, Defaults, modalities_of
from mmsearch.search.rank import DEPTH, Search
from mmsearch.search.terms import TermVectors, flat_terms, sum_parts, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmsearch.ranking.rocchio import Concept
    from mmsearch.search.indexes import Indexes
    from mmsearch.search.relevance import Relevance
    from mmsearch.types import Ids, Modality, Mode, Query, Ranking, Target, Term, Vectors


class Planner:
    """Turns queries into searches. Raises UsageError, ItemNotFoundError, ImageError, ModelError."""

    def __init__(
        self,
        indexes: Indexes,
        terms: TermVectors,
        relevance: Relevance,
        concept: Callable[[str], Concept],
    ) -> None:
        self._indexes = indexes
        self._terms = terms
        self._relevance = relevance
        self._concept = concept

    def plan(
        self, query: Query, defaults: Defaults, allowed: Ids | None, explain: list[str]
    ) -> Search:
        """The search for a query that has terms or liked items."""
        terms = flat_terms(query, self._concept)
        words = words_of(terms)
        mode = query.mode or (_mode_to(query.to) if query.to else defaults.mode)
        to = query.to or ("both" if mode == "lexical" else defaults.to)
        weights = {**WEIGHTS, **(query.weights or {})}
        weights["lexical"] *= _share_of_texts(terms)
        chosen = f"mode {mode}, answers by {to}" + (
            "" if query.mode or query.to else ": the default"
        )
        if mode == "lexical" and not words:
            raise UsageError(
                "a lexical search needs words: give a text, or take --mode vector or hybrid"
            )
        if mode == "vector" or not words or not weights["lexical"]:
            words = ""
        if mode == "hybrid" and not words:
            chosen += "; there are no words to look for"
        explain.append(chosen)
        vectors: dict[Modality, Vectors] = {}
        of: Modality = "text"
        if mode != "lexical":
            vectors, of = self._vectors(terms, query, to, weights)
        if not vectors and not words:
            raise UsageError("the weights leave no ranking for this query: give one of them more")
        return Search(
            vectors=vectors,
            of=of,
            words=words,
            weights=weights,
            fusion=query.fusion or "relevance",
            depth=max(DEPTH, 2 * query.k),
            allowed=allowed,
        )

    def _vectors(
        self,
        terms: Sequence[Term],
        query: Query,
        to: Target,
        weights: Mapping[Ranking, float],
    ) -> tuple[dict[Modality, Vectors], Modality]:
        """The query's vector for each modality that it is compared with, and its own modality,
        that of its weightiest part."""
        wanted = [
            modality
            for modality in modalities_of(to)
            if to != "both" or (weights[modality] and len(self._indexes.get(modality)))
        ]
        texts = self._terms.texts(terms, query.templates)
        # A picture's vector is the same for every modality, and takes a pass of the encoder.
        pictures = [None if term.image is None else self._terms.part(term, texts) for term in terms]
        vectors: dict[Modality, Vectors] = {}
        of: Modality = "text"
        for modality in wanted:
            prefer = modality if to == "both" else "image"
            parts = [
                known or self._terms.part(term, texts, prefer)
                for term, known in zip(terms, pictures, strict=True)
            ]
            vectors[modality] = sum_parts(parts, modality, self._relevance.spread)
            of = max(parts, key=lambda part: abs(part.weight)).modality
        return vectors, of


def _share_of_texts(terms: Sequence[Term]) -> float:
    """How much of the query is words: the ranking by words cannot know the rest."""
    whole = sum(term.weight for term in terms if term.weight > 0)
    texts = sum(term.weight for term in terms if term.weight > 0 and term.text is not None)
    return texts / whole if whole else 0.0


def _mode_to(to: Target) -> Mode:
    """Who asks for one modality means its vectors."""
    return "hybrid" if to == "both" else "vector"
