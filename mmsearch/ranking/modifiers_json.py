"""Modifiers from JSON, with errors that name the place of the fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmsearch.errors import UsageError
from mmsearch.ranking.modifiers import Boost, Decay, Modifiers, Scalar

_FIELDS = ("boosts", "decays", "pinned", "buried")
_NUMBERS = ("origin", "scale", "offset", "decay")


def modifiers_from_json(value: object) -> Modifiers:
    """What the JSON object says; `modifiers.py` shows its form.

    Raises UsageError that names the faulty part, as in "modifiers.boosts[0].factor".
    """
    top = _object(value, "modifiers", _FIELDS)
    boosts = [_boost(one, f"modifiers.boosts[{n}]") for n, one in enumerate(_list(top, "boosts"))]
    decays = [_decay(one, f"modifiers.decays[{n}]") for n, one in enumerate(_list(top, "decays"))]
    pinned = top.get("pinned", {})
    if not isinstance(pinned, Mapping) or not all(
        isinstance(place, int) and not isinstance(place, bool) for place in pinned.values()
    ):
        raise UsageError(f'modifiers.pinned must be {{"key": place}}, not {pinned!r}')
    buried = _list(top, "buried")
    if not all(isinstance(key, str) for key in buried):
        raise UsageError(f"modifiers.buried must be a list of keys, not {buried!r}")
    return Modifiers(tuple(boosts), tuple(decays), dict(pinned), frozenset(buried))


def _boost(value: object, at: str) -> Boost:
    fields = _object(value, at, ("attribute", "in", "factor"))
    values = fields.get("in")
    if not isinstance(values, list) or not all(isinstance(one, Scalar) for one in values):
        raise UsageError(f"{at}.in must be a list of texts, numbers or truth values: {values!r}")
    return Boost(_attribute(fields, at), tuple(values), _number(fields, "factor", at))


def _decay(value: object, at: str) -> Decay:
    fields = _object(value, at, ("attribute", "shape", *_NUMBERS))
    numbers = {
        name: _number(fields, name, at)
        for name in _NUMBERS
        if name in fields or name in ("origin", "scale")
    }
    return Decay(_attribute(fields, at), shape=fields.get("shape", "gauss"), **numbers)


def _object(value: object, at: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{at} must be a JSON object, not {value!r}")
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise UsageError(f"{at} has no field {unknown[0]!r}; it has {', '.join(known)}")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise UsageError(f"modifiers.{name} must be a list, not {value!r}")
    return value


def _attribute(fields: Mapping[str, Any], at: str) -> str:
    value = fields.get("attribute")
    if not isinstance(value, str) or not value:
        raise UsageError(f"{at}.attribute must be the name of an attribute, not {value!r}")
    return value


def _number(fields: Mapping[str, Any], name: str, at: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{at}.{name} must be a number, not {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise UsageError(f"{at}.{name} is a number of too many digits") from error
