"""What the options of `mmsearch query` say, as parts of a Query. Raises UsageError."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from mmsearch.errors import UsageError
from mmsearch.types import Membership, Query, Ranking, Sort, Term

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from mmsearch.collection import Collection

T = TypeVar("T", list[Any], dict[str, Any])

# What --minus subtracts by itself: the whole of it would outweigh the query.
MINUS = 0.5


def weighted(given: str, default: float = 1.0) -> tuple[str, float]:
    """`red^0.5` as ("red", 0.5); without a ^, the whole and `default`."""
    text, caret, number = given.rpartition("^")
    if not caret:
        return given, default
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise UsageError(
            f"{number!r} in {given!r} is no weight: write a finite number after the last ^"
        )
    return text, weight


def terms(
    text: str | None,
    *,
    images: Sequence[Image.Image | Path],
    items: Sequence[str],
    plus: Sequence[str],
    minus: Sequence[str],
    concepts: Sequence[str],
) -> tuple[Term, ...]:
    """All that is looked for. Only --plus, --minus and --concept take weights."""
    found = [] if text is None else [Term(text=text)]
    found += [Term(image=image) for image in images]
    found += [Term(item=key) for key in items]
    found += [Term(text=one, weight=weight) for one, weight in map(weighted, plus)]
    for one in minus:
        words, weight = weighted(one, MINUS)
        found.append(Term(text=words, weight=-weight))
    found += [Term(concept=name, weight=weight) for name, weight in map(weighted, concepts)]
    return tuple(found)


def weights(given: str | None) -> dict[Ranking, float] | None:
    """`image=1,lexical=0.5`."""
    if given is None:
        return None
    found: dict[Ranking, float] = {}
    for part in given.split(","):
        name, _, number = part.partition("=")
        try:
            found[cast("Ranking", name.strip())] = float(number)
        except ValueError:
            raise UsageError(
                f"{part!r} in --weights is no weight of 0 or more: write NAME=NUMBER, as in "
                "image=1,lexical=0.5"
            ) from None
    return found


def where(given: str | None) -> str | Mapping[str, Any] | None:
    """A filter as text, or as JSON if it begins with a brace, which no text does."""
    if given is None or not given.lstrip().startswith("{"):
        return given
    return _json_object(given, "--where")


def memberships(within: Sequence[str], outside: Sequence[str]) -> tuple[Membership, ...]:
    """`NAME`, or `NAME^RELEVANCE`."""
    found = [Membership(name, least) for name, least in (weighted(one, 0.5) for one in within)]
    found += [
        Membership(name, least, negated=True)
        for name, least in (weighted(one, 0.5) for one in outside)
    ]
    return tuple(found)


def relevance(given: str | None) -> float | Literal["auto"] | None:
    """A number, or auto."""
    if given is None or given == "auto":
        return cast("Literal['auto'] | None", given)
    try:
        return float(given)
    except ValueError:
        raise UsageError(
            f"--min-relevance is a number from 0 to 1 or auto, not {given!r}"
        ) from None


def sort(given: Sequence[str]) -> tuple[Sort, ...]:
    """`price`, or `-price` from large to small."""
    return tuple(Sort(one.removeprefix("-"), descending=one.startswith("-")) for one in given)


def modifiers(
    given: str | None, boosts: Sequence[str], pins: Sequence[str], buried: Sequence[str]
) -> dict[str, Any] | None:
    """The JSON form, with what --boost, --pin and --bury add to it; None without any."""
    if given is None and not boosts and not pins and not buried:
        return None
    whole = {} if given is None else dict(_json_object(given, "--modifiers"))
    if boosts:
        whole["boosts"] = [*_part(whole, "boosts", list), *map(_boost, boosts)]
    if pins:
        whole["pinned"] = {**_part(whole, "pinned", dict), **dict(map(_pin, pins))}
    if buried:
        whole["buried"] = [*_part(whole, "buried", list), *buried]
    return whole


def with_keys(collection: Collection, query: Query, folder: Path, base: Path) -> Query:
    """A KEY that names no item is read as a path from `folder`, if that names one.

    `base` is the folder that the collection's keys are relative to.
    """

    def key(name: str) -> str:
        if collection.has_item(name):
            return name
        from mmsearch.scan import key_of

        there = key_of(folder / name, base)
        return there if collection.has_item(there) else name

    return replace(
        query,
        terms=tuple(
            term if term.item is None else replace(term, item=key(term.item))
            for term in query.terms
        ),
        liked=tuple(map(key, query.liked)),
        disliked=tuple(map(key, query.disliked)),
        exclude=tuple(map(key, query.exclude)),
    )


def _part(whole: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """What --modifiers say of it, for an option to add to. Raises UsageError."""
    found = whole.get(name, kind())
    if not isinstance(found, kind):
        what = "a list" if kind is list else "an object"
        raise UsageError(f"{name!r} in --modifiers must be {what}, not {json.dumps(found)[:80]}")
    return found


def _boost(given: str) -> dict[str, Any]:
    pair, factor = weighted(given, 2.0)
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise UsageError(f"--boost is NAME=VALUE^FACTOR, as in brand=Acme^2, not {given!r}")
    values: list[Any] = [value]
    if value in ("true", "false"):
        values.append(value == "true")
    elif re.fullmatch(r"[-+]?\d+(\.\d+)?", value):
        values.append(float(value))
    return {"attribute": name, "in": values, "factor": factor}


def _pin(given: str) -> tuple[str, int]:
    key, at, place = given.rpartition("@")
    if not at or not place.isascii() or not place.isdigit():
        raise UsageError(f"--pin is KEY@PLACE, as in P007@1, not {given!r}")
    return key, int(place)


def _json_object(given: str, option: str) -> Mapping[str, Any]:
    try:
        value = json.loads(given)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{option} is no JSON: {given[:80]!r} cannot be read from character {error.pos + 1} "
            "on; write an object, in braces and with names in double quotes"
        ) from None
    if not isinstance(value, Mapping):
        raise UsageError(f"{option} must be a JSON object, not {given[:80]!r}")
    return value
