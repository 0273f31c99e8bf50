"""Thumbs up and down move the query; what was learned can be kept under a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.types import Term


@dataclass(frozen=True)
class Feedback:
    """How much the query itself, the liked and the disliked items weigh.

        q' = a q + b mean(liked) - c mean(disliked), renormalised

    Rocchio, "Relevance feedback in information retrieval", in Salton (ed.), "The SMART Retrieval
    System", 1971, pages 313-323. One judgement weighs as much as ten: the means are what moves it.

    The defaults are those that Manning, Raghavan and Schütze name as reasonable ("Introduction to
    Information Retrieval", 2008, section 9.1.1): likes say more than dislikes.
    """

    query: float = 1.0
    liked: float = 0.75
    disliked: float = 0.15

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not (np.isfinite(weight) and weight >= 0):
                raise UsageError(
                    f"the weight {name!r} of feedback must be a number of at least 0, not {weight}"
                )


@dataclass(frozen=True)
class Concept:
    """A saved query: named, weighted terms, and the keys that were liked and disliked.

    It holds words and keys, not vectors, so that it survives another encoder. A picture has to be
    indexed first to be a part of it.

    Raises UsageError for an empty name, for nothing to look for, or for a picture as a term.
    """

    name: str
    terms: tuple[Term, ...] = ()
    liked: tuple[str, ...] = ()
    disliked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise UsageError("a concept needs a name")
        if not self.terms and not self.liked:
            raise UsageError(f"the concept {self.name!r} is empty: give it a term or a liked item")
        if any(term.image is not None for term in self.terms):
            raise UsageError(
                f"the concept {self.name!r} has a picture as a term, which cannot be saved: index "
                "the picture, and name it by its key"
            )
        both = sorted(set(self.liked) & set(self.disliked))
        if both:
            raise UsageError(f"{both[0]!r} is both liked and disliked in {self.name!r}: choose one")

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        terms = [
            {"text": term.text, "weight": term.weight}
            if term.text is not None
            else {"item": term.item, "weight": term.weight}
            for term in self.terms
        ]
        return {
            "name": self.name,
            "terms": terms,
            "liked": list(self.liked),
            "disliked": list(self.disliked),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Concept:
        """What `to_json` wrote. Raises UsageError for anything else."""
        try:
            terms = tuple(
                Term(
                    text=term.get("text"),
                    item=term.get("item"),
                    weight=float(term.get("weight", 1)),
                )
                for term in value.get("terms", ())
            )
            concept = Concept(
                value["name"],
                terms,
                _keys(value.get("liked", ())),
                _keys(value.get("disliked", ())),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"not a concept: {value!r}; it needs a name, and terms as "
                '[{"text" or "item": ..., "weight": 1}] or liked keys'
            ) from error
        if any((term.text is None) == (term.item is None) for term in terms):
            raise UsageError(f"each term of {concept.name!r} is a text or an item: one of them")
        return concept


def _keys(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(key, str) for key in value):
        raise TypeError("keys are a list of strings")
    return tuple(value)
