"""Between the JSON of the server's contract and the library's values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from mmsearch.client.talk import Reply
from mmsearch.client.values import (
    CollectionInfo,
    Defaults,
    EncoderInfo,
    Evaluation,
    Item,
    Job,
    Model,
    Result,
)
from mmsearch.errors import ServerError, UsageError
from mmsearch.types import (
    Answer,
    Facet,
    Failure,
    Hit,
    IndexReport,
    Part,
    Progress,
    Query,
    Sort,
    Term,
    UpdateReport,
)

T = TypeVar("T")

_NO_QUERY = Query(())


# ---- what is sent


def request_of(query: Query) -> dict[str, Any]:
    """A SearchRequest of all that a query says, but for its pictures.

    Fields at their defaults are left out: the server's are the same. Raises UsageError.
    """
    request: dict[str, Any] = {}
    for field in fields(Query):
        value = getattr(query, field.name)
        if value != getattr(_NO_QUERY, field.name):
            request[field.name] = _WAYS.get(field.name, _plain)(value)
    if not request.get("terms", True):
        del request["terms"]  # there were pictures only
    return request


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _terms(terms: Iterable[Term]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in vars(term).items() if value is not None}
        for term in terms
        if term.image is None
    ]


def _sort(orders: Iterable[Sort]) -> list[str]:
    for order in orders:
        if order.attribute.startswith("-") and not order.descending:
            raise UsageError(
                f"over HTTP a leading minus means descending: {order.attribute!r} cannot be "
                "sorted by upwards; give the attribute another name"
            )
    return [f"-{one.attribute}" if one.descending else one.attribute for one in orders]


_WAYS: dict[str, Callable[[Any], Any]] = {
    "terms": _terms,
    "sort": _sort,
    "within": lambda memberships: [vars(one) for one in memberships],
}


# ---- what comes back


def parsed(make: Callable[[Any], T]) -> Callable[[Reply], T]:
    """`make` of the JSON of a reply; raises ServerError where it is not what is expected."""

    def parse(reply: Reply) -> T:
        try:
            return make(json.loads(reply.content))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ServerError(
                f"the server's answer is not understood ({error!r}): are client and server of "
                "the same version?",
                reply.status,
                reply.headers.get("x-request-id"),
            ) from error

    return parse


def _made(kind: Callable[..., T], data: Mapping[str, Any], **other: Any) -> T:
    """A dataclass of those members that it knows: a newer server may send more."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # of dataclasses only
    return kind(**{**{name: data[name] for name in data if name in known}, **other})


def answer(data: Any) -> Answer:
    return _made(
        Answer,
        data,
        hits=tuple(_hit(hit) for hit in data["hits"]),
        facets=tuple(_facet(facet) for facet in data["facets"]),
        explain=tuple(data["explain"]),
    )


def _hit(data: Any) -> Hit:
    parts = data["parts"]
    return _made(
        Hit, data, parts=None if parts is None else {n: _made(Part, p) for n, p in parts.items()}
    )


def _facet(data: Any) -> Facet:
    return _made(Facet, data, counts=tuple((one["value"], one["count"]) for one in data["counts"]))


def suggestions(data: Any) -> list[tuple[str, int]]:
    return [(one["text"], one["items"]) for one in data["suggestions"]]


def item(data: Any) -> Item:
    return _made(Item, data)


def results(data: Any) -> list[Result]:
    return [result(one) for one in data["results"]]


def result(data: Any) -> Result:
    failed = data["status"] != "done"
    return Result(data["key"], (data.get("reason") or "no reason was given") if failed else None)


def update_report(data: Any) -> UpdateReport:
    return UpdateReport(data["changed"], data["unchanged"], failures_of(results(data)))


def failures_of(found: Iterable[Result]) -> tuple[Failure, ...]:
    return tuple(Failure(one.key or "", one.reason) for one in found if one.reason is not None)


def collection(data: Any) -> CollectionInfo:
    encoder, defaults = data["encoder"], data["defaults"]
    return _made(
        CollectionInfo,
        data,
        encoder=None if encoder is None else _made(EncoderInfo, encoder),
        defaults=None if defaults is None else _made(Defaults, defaults),
        attributes={one["name"]: tuple(one["types"]) for one in data["attributes"]},
    )


def models(data: Any) -> list[Model]:
    return [_made(Model, one) for one in data["models"]]


def concepts(data: Any) -> dict[str, Query]:
    return {one["name"]: concept(one) for one in data["concepts"]}


def concept(data: Any) -> Query:
    return Query(
        tuple(_made(Term, term) for term in data["terms"]),
        liked=tuple(data["liked"]),
        disliked=tuple(data["disliked"]),
    )


def evaluation(data: Any) -> Evaluation:
    return _made(
        Evaluation,
        data,
        unknown_keys=tuple(data["unknown_keys"]),
        warnings=tuple(data["warnings"]),
    )


def jobs(data: Any) -> list[Job]:
    return [job(one) for one in data["jobs"]]


def job(data: Any) -> Job:
    progress, report = data["progress"], data["report"]
    return _made(
        Job,
        data,
        progress=None if progress is None else _made(Progress, progress),
        report=None if report is None else _report(report),
    )


def _report(data: Any) -> IndexReport:
    return _made(
        IndexReport,
        data,
        failures=tuple(_made(Failure, one) for one in data["failures"]),
        notes=tuple(data["notes"]),
    )
