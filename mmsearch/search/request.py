"""What makes a query senseless, found before anything is encoded or read."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mmsearch.errors import UsageError
from mmsearch.types import (
    ENSEMBLE,
    Fusion,
    Membership,
    Mode,
    Query,
    Ranking,
    Sort,
    Target,
    Term,
)

if TYPE_CHECKING:
    from PIL import Image

# The largest useful answer; more is a listing, not a search.
MAX_K = 10_000
# Each term is a pass through the encoder; a sentence is one term, so nobody needs many.
MAX_TERMS = 64
# Facets, keys to sort by, liked and disliked items, concepts to belong to: each of them.
MAX_PARTS = 100
RANKINGS: tuple[Ranking, ...] = ("image", "text", "lexical")
CHOICES: dict[str, Any] = {"to": Target, "mode": Mode, "fusion": Fusion}
LISTS: dict[str, type] = {
    "terms": Term,
    "liked": str,
    "disliked": str,
    "within": Membership,
    "exclude": str,
    "sort": Sort,
    "facets": str,
}


def as_query(
    query: str | Path | Image.Image | Query,
    to: Target | None,
    k: int | None,
    options: Mapping[str, Any],
) -> Query:
    """A string is words, and a Path or a Pillow image a picture; `options` are fields of Query.

    Raises UsageError for what no query has, or for a query that can have no answer.
    """
    if not isinstance(query, Query):
        term = Term(text=query) if isinstance(query, str) else Term(image=query)
        query = Query((term,))
    known = {field.name for field in fields(Query)}
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise UsageError(f"a query has no {unknown!r}: it has {', '.join(sorted(known))}")
    number = query.k if k is None else k
    if hasattr(number, "__index__"):
        number = operator.index(number)  # NumPy's too
    whole = replace(query, to=to or query.to, k=number, **options)
    validate(whole)
    return whole


def validate(query: Query) -> None:
    """Raises UsageError for a query that can have no answer."""
    _require_types(query)
    require_characters(query)
    if not query.terms and not query.liked and query.where is None:
        raise UsageError("the query is empty: give words, an image or the key of a stored item")
    if not 1 <= query.k <= MAX_K:
        raise UsageError(f"k must be between 1 and {MAX_K}, not {query.k}")
    if len(query.terms) > MAX_TERMS:
        raise UsageError(
            f"the query has {len(query.terms):,} terms, {MAX_TERMS} at most: a sentence is one "
            "term, and items that should steer the query may be saved as one concept"
        )
    for term in query.terms:
        _validate_term(term)
    for name, parts in (
        ("liked items", query.liked),
        ("disliked items", query.disliked),
        ("concepts to belong to", query.within),
        ("attributes to sort by", query.sort),
        ("facets", query.facets),
        ("templates", query.templates or ()),
    ):
        if len(parts) > MAX_PARTS:
            raise UsageError(f"{len(parts):,} {name}: {MAX_PARTS} at most")
    for template in query.templates or ():
        if template.count("{}") != 1 and query.templates != (ENSEMBLE,):
            raise UsageError(
                f"the template {template!r} must hold {{}} once, where the query's words go; "
                f"{ENSEMBLE!r} alone stands for those of the model"
            )
    both = sorted(set(query.liked) & set(query.disliked))
    if both:
        raise UsageError(f"{both[0]!r} is both liked and disliked: choose one")
    if query.min_relevance != "auto":
        _require_share("min_relevance", query.min_relevance)
    _require_share("diversity", query.diversity)
    if query.diversity and query.sort:
        raise UsageError("diversity is an order of its own: leave it out, or the sorting")
    for membership in query.within:
        _require_share(f"the least relevance to {membership.concept!r}", membership.min_relevance)
    if query.mode == "lexical" and query.to == "image":
        raise UsageError("a lexical search finds texts: ask for texts or both, not for images")
    if query.weights is not None:
        _validate_weights(query.weights)


def require_list(name: str, value: object) -> None:
    """Raises UsageError for a string where several belong: its characters would be taken for them,
    and "ab" for two keys."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{name}: give a list, as [{value!r}], not {type(value).__name__}")


def _require_types(query: Query) -> None:
    for name, kind in CHOICES.items():
        value = getattr(query, name)
        if value is not None and value not in get_args(kind):
            raise UsageError(f"{name} is one of {', '.join(get_args(kind))}, not {value!r}")
    if not hasattr(query.k, "__index__"):
        raise UsageError(f"k must be a whole number, not {query.k!r}")
    for name, kind in LISTS.items():
        require_list(name, getattr(query, name))
        for one in getattr(query, name):
            if not isinstance(one, kind):
                raise UsageError(
                    f"{name} holds objects of the type {kind.__name__}, not {type(one).__name__}"
                )
    for term in query.terms:
        _require_term_types(term)


def _require_term_types(term: Term) -> None:
    if not isinstance(term.text, str | None):
        raise UsageError(f"a term's text is a string, not {type(term.text).__name__}")
    if not (isinstance(term.image, str | Path | None) or hasattr(term.image, "convert")):
        raise UsageError(
            f"a picture is a path or a Pillow image, not {type(term.image).__name__}: "
            "PIL.Image.fromarray and PIL.Image.open make one"
        )


def require_characters(*values: object) -> None:
    """Raises UsageError where a text in these, or in the parts of a query, is no Unicode.

    Python carries bytes that are no UTF-8 as halves of characters, which nothing stored can hold.
    """
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"{value[:80]!r} holds half a character (a lone surrogate), as what is no "
                    "UTF-8 becomes: correct the text"
                ) from error
        elif isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, Query | Term | Membership | Sort):
            waiting += filter(None, vars(value).values())


def _validate_term(term: Term) -> None:
    given = [x for x in (term.text, term.image, term.item, term.concept) if x is not None]
    if len(given) != 1:
        raise UsageError(
            "each term of a query is a text, an image, a stored item or a saved concept: one of"
        )
    if term.text is not None and not term.text.strip():
        raise UsageError("the query text is empty: describe what you are looking for")
    if not math.isfinite(term.weight) or term.weight == 0:
        raise UsageError(f"a term's weight must be a finite number but 0, not {term.weight}")


def _validate_weights(weights: Mapping[Ranking, float]) -> None:
    unknown: list[Any] = [name for name in weights if name not in RANKINGS]
    if unknown:
        raise UsageError(
            f"there is no ranking {unknown[0]!r} to give a weight: {', '.join(RANKINGS)}"
        )
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(f"the weight of {name} must be 0 or more, not {weight}")
    if not any(weights.values()):
        raise UsageError("the weights of all rankings are 0: nothing would be searched")


def _require_share(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:  # nan is not, either
        raise UsageError(f"{name} must be between 0 and 1, not {value}")
