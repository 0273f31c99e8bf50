"""Every call of the contract, once: what is sent, and what the reply is read as."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from mmsearch.client import shapes
from mmsearch.client.pictures import picture_bytes
from mmsearch.client.rows import Body
from mmsearch.client.shapes import parsed, request_of
from mmsearch.client.talk import Reply, Request
from mmsearch.client.values import (
    Action,
    CollectionInfo,
    Evaluation,
    Item,
    Job,
    Model,
    Result,
)
from mmsearch.errors import ServerError, UsageError
from mmsearch.types import Answer, Query, Term, UpdateReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    Asked = str | bytes | Path | Image.Image | Query
    # A query and the grades of its items by key, or both as the contract has them.
    Judged = tuple[str | Query, Mapping[str, int]] | Mapping[str, Any]

T = TypeVar("T")

# What the server takes as one JSON body, unless its operator says otherwise.
MAX_BATCH = 1000
JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and how its reply is read."""

    request: Request
    parse: Callable[[Reply], T]


@dataclass(frozen=True)
class Search:
    """A query and its pictures, as files with their weights."""

    query: Query
    pictures: tuple[tuple[bytes, float], ...] = ()

    def after(self, answer: Answer) -> Search | None:
        """The next page; None after the last."""
        if answer.cursor is None:
            return None
        return replace(self, query=replace(self.query, cursor=answer.cursor))


def asked(query: Asked, k: int | None, options: Mapping[str, Any]) -> Search:
    """What `Collection.answer(query, k=k, **options)` asks for. Raises UsageError, ImageError."""
    if not isinstance(query, Query):
        if not isinstance(query, bytes):
            term = Term(text=query) if isinstance(query, str) else Term(image=query)
            query = Query((term,))
        else:
            return Search(_with(Query(()), k, options), ((query, 1.0),))
    whole = _with(query, k, options)
    images = [(term.image, term.weight) for term in whole.terms if term.image is not None]
    return Search(whole, tuple((picture_bytes(image), weight) for image, weight in images))


def _with(query: Query, k: int | None, options: Mapping[str, Any]) -> Query:
    known = {field.name for field in fields(Query)}
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise UsageError(f"a query has no {unknown!r}: it has {', '.join(sorted(known))}")
    if k is not None:
        options = {**options, "k": k}
    return replace(query, **options)


# ---- search


def search(search: Search) -> Call[Answer]:
    body = _json(request_of(search.query))
    if not search.pictures:
        return Call(_send("POST", "/v1/search", body), parsed(shapes.answer))
    files: list[tuple[str, tuple[str | None, bytes, str]]] = [
        ("image", (f"{number}", data, "application/octet-stream"))
        for number, (data, _) in enumerate(search.pictures)
    ]
    files.append(("query", (None, body, JSON)))
    files += [("weight", (None, repr(w).encode(), "text/plain")) for _, w in search.pictures]
    return Call(Request("POST", "/v1/search/image", files=files), parsed(shapes.answer))


def similar(key: str, k: int | None, options: Mapping[str, Any]) -> Call[Answer]:
    exclude = (key, *options.get("exclude", ()))
    query = Query((Term(item=key),))
    return search(asked(query, k, {**options, "exclude": exclude}))


def suggest(prefix: str, k: int) -> Call[list[tuple[str, int]]]:
    request = Request("GET", "/v1/suggest", params={"q": prefix, "k": k})
    return Call(request, parsed(shapes.suggestions))


# ---- items and their pictures


def item(key: str) -> Call[Item]:
    return Call(Request("GET", _path("items", key)), parsed(shapes.item))


def image(key: str) -> Call[bytes]:
    return Call(Request("GET", _path("images", key)), lambda reply: reply.content)


def thumbnail(key: str, size: int) -> Call[bytes]:
    request = Request("GET", _path("thumbnails", key), params={"size": size})
    return Call(request, lambda reply: reply.content)


def upsert(body: Body) -> Call[list[Result]]:
    def parse(reply: Reply) -> list[Result]:
        found = [
            shapes.parsed(shapes.result)(replace(reply, content=line))
            for line in reply.content.splitlines()
        ]
        if len(found) != body.lines:
            raise ServerError(
                f"the server answered {len(found)} of {body.lines} items and broke off: those "
                "answered are safe, send the others again",
                reply.status,
            )
        return body.merged(found)

    return Call(_send("POST", "/v1/items", body.content, NDJSON), parse)


def update(items: Mapping[str, Mapping[str, Any]]) -> Call[UpdateReport]:
    request = _send("PATCH", "/v1/items", _json({"items": items}))
    return Call(request, parsed(shapes.update_report))


def remove(keys: Sequence[str]) -> Call[list[Result]]:
    # Not repeatable: the second time the keys are not there, and that is no failure.
    body = _json({"keys": list(keys)})
    request = _send("POST", "/v1/items/delete", body, repeatable=False)
    return Call(request, parsed(shapes.results))


# ---- quality


def feedback(query: str | Query, key: str, action: Action, rank: int | None) -> Call[None]:
    body = {"query": _words(query), "key": key, "action": action, "rank": rank}
    request = _send("POST", "/v1/feedback", _json(body), repeatable=False)
    return Call(request, lambda reply: None)


def evaluate(judged: Iterable[Judged], measures: Sequence[str] | None) -> Call[Evaluation]:
    body: dict[str, Any] = {"queries": [_judged(one) for one in judged]}
    if measures is not None:
        body["measures"] = list(measures)
    return Call(_send("POST", "/v1/evaluate", _json(body)), parsed(shapes.evaluation))


def _judged(one: Judged) -> dict[str, Any]:
    """A JudgedQuery; one of the contract's own form goes as it is. Raises UsageError."""
    if isinstance(one, Mapping):
        return dict(one)
    query, relevant = one if isinstance(one, tuple | list) and len(one) == 2 else ("", None)
    if not isinstance(relevant, Mapping):
        raise UsageError(
            f"{one!r} is no judged query: give a query and the grades of its items, as in "
            '("red shoe", {"P001": 2}) or {"query": "red shoe", "relevant": {"P001": 2}}'
        )
    return {"query": _words(query), "relevant": dict(relevant)}


# ---- the collection


def collection() -> Call[CollectionInfo]:
    return Call(Request("GET", "/v1/collection"), parsed(shapes.collection))


def models() -> Call[list[Model]]:
    return Call(Request("GET", "/v1/models"), parsed(shapes.models))


def concepts() -> Call[dict[str, Query]]:
    return Call(Request("GET", "/v1/concepts"), parsed(shapes.concepts))


def save_concept(name: str, query: str | Query) -> Call[Query]:
    request = _send("PUT", _path("concepts", name), _json(_words(query)))
    return Call(request, parsed(shapes.concept))


def remove_concept(name: str) -> Call[None]:
    # Not repeatable: the second time there is no such concept, and that is an error.
    request = Request("DELETE", _path("concepts", name), repeatable=False)
    return Call(request, lambda reply: None)


# ---- jobs


def index_job(path: str | Path) -> Call[Job]:
    body = _json({"kind": "index", "path": str(path)})
    request = _send("POST", "/v1/jobs", body, repeatable=False)
    return Call(request, parsed(shapes.job))


def jobs() -> Call[list[Job]]:
    return Call(Request("GET", "/v1/jobs"), parsed(shapes.jobs))


def job(id: str) -> Call[Job]:
    return Call(Request("GET", _path("jobs", id)), parsed(shapes.job))


def cancel(id: str) -> Call[Job]:
    return Call(Request("DELETE", _path("jobs", id)), parsed(shapes.job))


# ---- inside


def _send(
    method: str, path: str, body: bytes, media_type: str = JSON, *, repeatable: bool = True
) -> Request:
    headers = {"Content-Type": media_type}
    return Request(method, path, content=body, headers=headers, repeatable=repeatable)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:  # nan, half a character, an object of some class
        raise UsageError(f"this cannot be sent as JSON: {error}") from error


def _words(query: str | Query) -> dict[str, Any]:
    """A query of which the server keeps more than the answer."""
    search = asked(query, None, {})
    if search.pictures:
        raise UsageError(
            "pictures are only searched with, never kept by the server: index this one, and name "
            "its key in the place of the picture"
        )
    return request_of(search.query)


def _path(kind: str, name: str) -> str:
    """Of something by its name; slashes are quoted, or `..` in a name would be normalised away."""
    return f"/v1/{kind}/{quote(name, safe='')}"
