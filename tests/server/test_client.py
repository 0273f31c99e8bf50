"""mmsearch.Client asks a server what a collection would be asked, and gets the same."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import mmsearch
from mmsearch import AsyncClient, Client, Query, Term
from mmsearch.client import rows
from mmsearch.errors import (
    AuthError,
    FilterError,
    ImageError,
    ItemNotFoundError,
    MmsearchError,
    ServerError,
    UsageError,
)
from mmsearch.models.registry import list_models
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from mmsearch.types import Answer, Membership, Progress, Sort, UpdateReport
from tests.server.worlds import picture, process, serving
from tests.support import COLOURS, ColourEncoder, paint

if TYPE_CHECKING:
    from mmsearch.client.calls import Asked

T = TypeVar("T")
URL = "http://127.0.0.1"
PROBLEM = {"content-type": "application/problem+json"}


@pytest.fixture
def remote(client: TestClient) -> Client:
    return Client(URL, http=client)


@asynccontextmanager
async def in_process(folder: Path, encoder: ColourEncoder) -> AsyncIterator[AsyncClient]:
    """An AsyncClient of the application itself."""
    app = create_app(Settings(folder / ".mmsearch"), encoder=encoder)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http,
    ):
        yield AsyncClient(URL, http=http)


def as_sent(answer: Answer) -> Answer:
    """With figures as the contract has them: six digits; without what each run has of its own.

    That is how long it took, and the cursor, which knows all digits: another test follows it.
    """
    hits = tuple(
        replace(
            hit,
            score=round(hit.score, 6),
            relevance=None if hit.relevance is None else round(hit.relevance, 6),
        )
        for hit in answer.hits
    )
    explain = tuple(line for line in answer.explain if not line.startswith("answered in"))
    return replace(answer, hits=hits, cursor=answer.cursor and "more", explain=explain)


# ---- the answers are those of the library

QUESTIONS: list[tuple[str | Query, dict[str, Any]]] = [
    ("red", {}),
    ("red", {"k": 3, "to": "text"}),
    ("blue shoe", {"mode": "hybrid", "to": "both", "explain": True}),
    ("blue shoe", {"mode": "hybrid", "fusion": "relevance", "weights": {"image": 2, "text": 1}}),
    (Query((Term(text="red"), Term(text="blue", weight=-0.5))), {"k": 4}),
    (Query((Term(item="P1"), Term(concept="warm", weight=2))), {"exclude": ("P1",)}),
    (Query((Term(text="green"),), k=2, liked=("P2",), disliked=("P1",)), {"diversity": 0.3}),
    ("red", {"where": "price < 5", "facets": ("brand", "price")}),
    ("red", {"where": {"attribute": "price", "op": ">=", "value": 4}, "group": True}),
    (Query((), where="price > 0"), {"sort": (Sort("price", descending=True), Sort("brand"))}),
    ("red", {"within": (Membership("warm", 0.2), Membership("warm", 0.99, negated=True))}),
    ("red", {"min_relevance": "auto"}),
    ("purple elephants", {"min_relevance": 0.9}),
    ("red", {"modifiers": {"pinned": {"P3": 1}, "buried": ["P1"]}, "to": "both"}),
    ("red", {"templates": ("a photo of {}", "a {} thing")}),
]


@pytest.fixture
def with_concept(folder: Path, encoder: ColourEncoder) -> Path:
    """With a concept, and enough items to say what is relevant to it."""
    with mmsearch.open(folder, encoder=encoder) as collection:
        collection.upsert(
            {"key": f"T{n}", "text": f"{colour} thing {n}", "image": picture(colour, (9 + n, 9))}
            for n, colour in enumerate(list(COLOURS) * 10)
        )
        collection.save_concept("warm", Query((Term(text="red"), Term(text="yellow"))))
    return folder


def test_answers_are_those_of_the_collection(with_concept: Path, encoder: ColourEncoder) -> None:
    with mmsearch.open(with_concept, encoder=encoder) as collection:
        expected = [as_sent(collection.answer(query, **more)) for query, more in QUESTIONS]
    with serving(with_concept, encoder) as http:
        client = Client(URL, http=http)
        got = [client.search(query, **more) for query, more in QUESTIONS]
    assert [as_sent(answer) for answer in got] == expected
    assert sum(1 for answer in expected if answer.hits) > 10


def test_answers_of_the_async_client_are_the_same(
    with_concept: Path, encoder: ColourEncoder
) -> None:
    with mmsearch.open(with_concept, encoder=encoder) as collection:
        expected = [as_sent(collection.answer(query, **more)) for query, more in QUESTIONS]

    async def ask() -> list[Answer]:
        async with in_process(with_concept, encoder) as client:
            asked = (client.search(query, **more) for query, more in QUESTIONS)
            return list(await asyncio.gather(*asked))

    assert [as_sent(answer) for answer in asyncio.run(ask())] == expected


def pictures(folder: Path) -> list[Asked]:
    red = paint(folder.parent / "asked" / "red.png", "red")
    photo = folder.parent / "asked" / "blue.jpg"
    Image.new("RGB", (300, 200), COLOURS["blue"]).save(photo)
    image = Image.open(red)
    image.load()
    palette = image.convert("P")
    mixed = Query((Term(image=photo), Term(image=red), Term(text="green", weight=0.5)), k=3)
    away = Query((Term(image=photo, weight=0.4), Term(image=red, weight=-1), Term(item="P2")))
    heavy = Query((Term(image=red, weight=2.5), Term(text="white", weight=-1)), to="image")
    return [red, photo, image, palette, mixed, away, heavy]


def test_pictures_find_what_they_find_in_the_collection(
    remote: Client, folder: Path, encoder: ColourEncoder
) -> None:
    with mmsearch.open(folder, encoder=encoder) as collection:
        for asked in pictures(folder):
            assert not isinstance(asked, bytes)
            assert as_sent(remote.search(asked)) == as_sent(collection.answer(asked)), asked


def test_bytes_of_a_picture_are_a_picture(remote: Client, tmp_path: Path) -> None:
    path = paint(tmp_path / "red.png", "red")
    assert remote.search(path.read_bytes(), k=4) == remote.search(path, k=4)


def test_similar_is_more_like(remote: Client, folder: Path, encoder: ColourEncoder) -> None:
    with mmsearch.open(folder, encoder=encoder) as collection:
        expected = collection.more_like("P1", k=3, where="price > 0", exclude=("P2",))
    got = remote.similar("P1", k=3, where="price > 0", exclude=("P2",))
    assert as_sent(got) == as_sent(expected)
    assert {hit.key for hit in got.hits} == {"P3", "P4"}


def test_all_hits_come_page_by_page(remote: Client, folder: Path, encoder: ColourEncoder) -> None:
    whole = remote.search("red", k=100, to="both").hits
    assert len(whole) > 6
    assert tuple(remote.search_all("red", k=2, to="both")) == whole
    shown = picture("red")
    assert (
        len(list(remote.search_all(shown, k=2, to="image")))
        == remote.search(shown, to="image").total
    )

    async def ask() -> list[mmsearch.Hit]:
        async with in_process(folder, encoder) as client:
            return [hit async for hit in client.search_all("red", k=3, to="both")]

    assert tuple(asyncio.run(ask())) == whole


def test_suggestions_are_those_of_the_collection(
    remote: Client, folder: Path, encoder: ColourEncoder
) -> None:
    with mmsearch.open(folder, encoder=encoder) as collection:
        assert remote.suggest("a", k=5) == collection.suggest("a", k=5) != []


# ---- items

AWKWARD = ["a/../b", "a.b/..", "ümlaut & co?#%2F", "with space", "1//2"]


def test_items_are_found_by_any_key(folder: Path, encoder: ColourEncoder) -> None:
    async def ask() -> None:
        async with in_process(folder, encoder) as client:
            written = await client.upsert({"key": k, "image": picture("red")} for k in AWKWARD)
            assert written.done == len(AWKWARD), written
            for key in AWKWARD:
                item = await client.item(key)
                assert (item.key, item.has_image) == (key, True)
                assert await client.image(key) == picture("red")
                assert (await client.thumbnail(key, size=128))[:3] == b"\xff\xd8\xff"

    asyncio.run(ask())


def catalogue(folder: Path) -> list[dict[str, Any]]:
    """Rows in every form that `Collection.upsert` takes."""
    shown = paint(folder / "elsewhere" / "blue.png", "blue")
    return [
        {"key": "A", "title": "Blue boot", "description": "for rain", "image": shown, "price": 9},
        {"SKU": 17.0, "caption": "a white cap", "group": "caps", "attributes": {"tags": ["x"]}},
        {"id": "C", "image": picture("green"), "text": None, "brand": "Acme", "when": None},
        {"key": "D", "text": "", "title": "black sock", "size": float("nan"), "price": "3"},
        {"key": "E", "captions": ["a red hat"], "parent_id": 4, "attributes": None},
    ]


def test_rows_become_the_items_that_the_collection_makes(
    remote: Client, folder: Path, encoder: ColourEncoder, tmp_path: Path
) -> None:
    with mmsearch.open(tmp_path / "other", create=True, encoder=encoder) as collection:
        collection.upsert(catalogue(tmp_path))
        expected = collection.search(Query((), where="key is not null", k=50))
    assert remote.upsert(catalogue(tmp_path)).done == 5
    keys = ", ".join(f"'{key}'" for key in ("A", "17", "C", "D", "E"))
    got = remote.search(Query((), where=f"key in ({keys})", k=50)).hits
    assert len(expected) == len(got) == 5

    def seen(hit: mmsearch.Hit) -> tuple[Any, ...]:
        return hit.key, hit.text, hit.group, dict(hit.attributes), hit.path is None

    assert sorted(map(seen, got)) == sorted(map(seen, expected))


def test_rows_that_fail_are_told_and_the_others_are_there(remote: Client, tmp_path: Path) -> None:
    items: list[dict[str, Any]] = [
        {"key": "good", "text": "a red kite"},
        {"key": "lost", "image": tmp_path / "none.png"},
        {"text": "without a key"},
        {"key": "broken", "image": b"no picture"},
        {"key": "half", "text": "\ud800"},
        {"key": "odd", "text": "odd", "attributes": 7},
        {"key": "last", "text": "a blue kite"},
    ]
    results = list(remote.upsert_each(items))
    assert [result.done for result in results] == [True, *[False] * 5, True]
    reasons = [result.reason or "" for result in results]
    assert "none.png" in reasons[1]
    assert "key" in reasons[2]
    assert "surrogate" in reasons[4]
    assert results[0].key == "good"
    assert remote.item("last").text == "a blue kite"


def test_row_with_one_picture_may_say_so_in_each_form(remote: Client, tmp_path: Path) -> None:
    red = paint(tmp_path / "a|red.png", "red")
    items: list[dict[str, Any]] = [
        {"key": "one of images", "images": [red]},
        {"key": "one of image", "image": [str(red), None]},
        {"key": "twice", "image": str(red), "image2": f" {red}", "image3": ""},
        {"key": "third", "image 3": red.read_bytes(), "price": 4},
    ]
    assert remote.upsert(items).failures == ()
    for item in items:
        assert remote.image(item["key"]) == red.read_bytes()
    assert remote.item("one of images").attributes == {}
    assert remote.item("third").attributes == {"price": 4}


def test_row_with_several_pictures_is_told_and_not_taken_in_part(
    remote: Client, tmp_path: Path
) -> None:
    red, blue = (paint(tmp_path / f"{colour}.png", colour) for colour in ("red", "blue"))
    written = remote.upsert(
        [
            {"key": "before", "text": "a red kite"},
            {"key": "list", "title": "two", "images": [red, blue]},
            {"key": "columns", "title": "two", "image": red, "image2": blue},
            {"key": "cell", "title": "two", "image": f"{red}|{blue}"},
            {"key": "after", "text": "a blue kite"},
        ]
    )
    assert written.done == 2
    assert [failure.key for failure in written.failures] == ["list", "columns", "cell"]
    assert all("over HTTP an item has one" in failure.reason for failure in written.failures)
    with pytest.raises(ItemNotFoundError):
        remote.item("list")


def test_row_that_no_json_can_hold_is_told_and_the_others_are_there(remote: Client) -> None:
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    rows: list[dict[str, Any]] = [
        {"key": "nan", "title": float("nan")},
        {"key": "object", "title": object()},
        {"key": "deep", "title": "deep", "size": deep},
        {"key": "digits", "title": "digits", "size": 10**5000},
        {"key": "gap", "image": float("nan")},
    ]
    written = remote.upsert([{"key": "first", "text": "a"}, *rows, {"key": "last", "text": "b"}])
    assert written.done == 2
    assert [failure.key for failure in written.failures] == [row["key"] for row in rows]
    assert [failure.reason[:6] for failure in written.failures] == [
        f"row {n}:" for n in range(2, 7)
    ]


def test_any_number_of_rows_is_sent(remote: Client, folder: Path, encoder: ColourEncoder) -> None:
    count = 2 * rows.MAX_LINES + 7
    handed: list[int] = []

    def items() -> Iterator[dict[str, Any]]:
        for number in range(count):
            handed.append(number)
            yield {"key": f"N{number}", "text": f"thing {number}"}

    results = remote.upsert_each(items())
    assert next(results).key == "N0"
    assert len(handed) < count  # results come while rows are still to be read
    assert len(list(results)) == count - 1
    assert remote.search(Query((), where=f"key = 'N{count - 1}'")).total == 1

    async def again() -> tuple[Any, list[Any]]:
        async with in_process(folder, encoder) as client:
            removed = await client.remove([f"N{number}" for number in range(count)])
            return removed, [one async for one in client.upsert_each([{"key": "Z", "text": "z"}])]

    removed, told = asyncio.run(again())
    assert (removed.done, removed.failures) == (count, ())
    assert [one.key for one in told] == ["Z"]


def test_bodies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_BYTES", 1000)
    sent = list(rows.bodies({"key": str(n), "text": "x" * 300} for n in range(20)))
    assert all(len(body.content) <= 1000 for body in sent)
    assert sum(body.lines for body in sent) == 20
    (alone,) = rows.bodies([{"key": "big", "text": "x" * 5000}])
    assert alone.lines == 1


def test_attributes_change_and_items_go(remote: Client) -> None:
    report = remote.update(
        {"P1": {"price": 1, "brand": None}, "P2": {"price": 4}, "none": {"a": 1}}
    )
    assert (report.updated, report.unchanged) == (1, 1)
    assert [failure.key for failure in report.failures] == ["none"]
    assert remote.item("P1").attributes == {"price": 1}
    gone = remote.remove(["P1", "none"])
    assert gone.done == 1
    assert [failure.key for failure in gone.failures] == ["none"]
    with pytest.raises(ItemNotFoundError, match="P1"):
        remote.item("P1")
    assert remote.update({}) == UpdateReport()


def test_update_removes_nothing_that_was_not_none(
    remote: Client, folder: Path, encoder: ColourEncoder
) -> None:
    wanted: dict[str, Any] = {
        "P1": {"price": float("nan"), "note": "new"},
        "P2": {"price": b"raw"},
        "P3": {"price": np.float32(7.5), "sizes": np.array([38, 39]), "note": ""},
        "P4": {"price": {"from": float("inf")}},
        "none": {"price": 1},
    }
    kept = {key: dict(remote.item(key).attributes) for key in ("P1", "P2", "P4")}
    report = remote.update(wanted)
    assert (report.updated, len(report.failures)) == (1, 4)
    reasons = {failure.key: failure.reason for failure in report.failures}
    assert set(reasons) == {"P1", "P2", "P4", "none"}
    assert reasons["P1"].startswith("attribute 'price'")
    assert {key: dict(remote.item(key).attributes) for key in kept} == kept
    assert remote.item("P3").attributes == {
        "price": 7.5,
        "sizes": [38, 39],
        "brand": "Acme",
        "note": "",
    }
    with mmsearch.open(folder, encoder=encoder) as collection:
        same = collection.update(wanted)
    assert {failure.key for failure in same.failures} == set(reasons)

    async def ask() -> UpdateReport:
        async with in_process(folder, encoder) as client:
            return await client.update(wanted)

    assert {failure.key for failure in asyncio.run(ask()).failures} == set(reasons)


# ---- the rest of the contract


def test_collection_tells_of_itself(remote: Client) -> None:
    found = remote.collection()
    assert (found.items, found.images) == (11, 10)
    assert found.encoder is not None
    assert found.encoder.fingerprint == ColourEncoder.fingerprint
    assert found.attributes["price"] == ("number",)
    before = found.sequence
    remote.update({"P1": {"price": 100}})
    assert remote.collection().sequence > before


def test_models_are_those_of_the_registry() -> None:
    known = [asdict(model) for model in list_models()]
    client = faked(lambda request: httpx2.Response(200, json={"models": known}))
    assert [asdict(model) for model in client.models()] == known != []


def test_concepts_are_kept_and_forgotten(remote: Client) -> None:
    query = Query((Term(text="red"), Term(item="P2", weight=0.5)), liked=("P1",))
    assert remote.save_concept("warm/ish", query) == query
    assert remote.concepts() == {"warm/ish": query}
    assert remote.search(Query((Term(concept="warm/ish"),))).hits
    remote.remove_concept("warm/ish")
    assert remote.concepts() == {}
    with pytest.raises(ItemNotFoundError, match="warm/ish"):
        remote.remove_concept("warm/ish")
    with pytest.raises(UsageError, match="pictures"):
        remote.save_concept("shown", Query((Term(image=Image.new("RGB", (8, 8))),)))


def test_feedback_is_kept(remote: Client, folder: Path) -> None:
    remote.feedback("red shoes", "P1", "click", rank=2)
    remote.feedback(Query((Term(text="blue"),), where="price > 1"), "P3", "up")
    lines = (folder / ".mmsearch" / "feedback.jsonl").read_text().splitlines()
    assert [json.loads(line)["relevant"] for line in lines] == [{"P1": 1}, {"P3": 2}]


def test_judged_queries_are_measured(remote: Client) -> None:
    judged: list[tuple[str | Query, dict[str, int]]] = [
        ("red", {"P1": 1, "unheard of": 1}),
        (Query((Term(text="blue"),), to="both"), {"P3": 2}),
    ]
    found = remote.evaluate(judged, ["recall@100", "hit@100"])
    assert found.measures["hit@100"] == 1.0
    assert found.measures["recall@100"] == pytest.approx(0.75)
    assert (found.queries, found.unknown_keys) == (2, ("unheard of",))
    as_sent: list[dict[str, Any]] = [
        {"query": "red", "relevant": {"P1": 1, "unheard of": 1}},
        {"query": {"text": "blue", "to": "both"}, "relevant": {"P3": 2}},
    ]
    assert remote.evaluate(as_sent, ["recall@100", "hit@100"]) == found
    wrong: list[Any] = ["red", ("red", ["P1"]), ("red",), None]
    for one in wrong:
        with pytest.raises(UsageError, match='as in \\("red shoe", '):
            remote.evaluate([one])


def test_job_indexes_a_folder(folder: Path, encoder: ColourEncoder) -> None:
    paint(folder / "more" / "yellow.png", "yellow")
    with serving(folder, encoder, roots=(folder,)) as http:
        remote = Client(URL, http=http)
        seen: list[Progress] = []
        job = remote.wait(
            remote.index_job(folder / "more").id, on_progress=seen.append, poll_s=0.01
        )
        assert (job.state, job.over, job.error) == ("done", True, None)
        assert job.report is not None
        assert job.report.added == 1
        assert all(isinstance(one, Progress) for one in seen)
        assert [one.id for one in remote.jobs()] == [job.id]
        assert remote.cancel(job.id).id == job.id
        with pytest.raises(AuthError, match="no such path"):
            remote.index_job("/")
        with pytest.raises(ItemNotFoundError, match="nope"):
            remote.wait("nope")


def test_waiting_for_a_job_has_an_end() -> None:
    job = {
        "id": "j", "kind": "index", "path": "/p", "state": "running", "progress": None,
        "report": None, "error": None, "created_at": "", "finished_at": None,
    }  # fmt: skip
    client = faked(lambda request: httpx2.Response(200, json=job))
    with pytest.raises(ServerError, match=r"still running after 0\.02 s"):
        client.wait("j", poll_s=0.01, timeout_s=0.02)


# ---- errors are the library's own


def error_of(ask: Callable[[], object]) -> MmsearchError:
    with pytest.raises(MmsearchError) as raised:
        ask()
    return raised.value


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("red", {"where": "price <"}),
        ("red", {"where": "prise < 3"}),
        ("red", {"where": {"attribute": "price"}}),
        ("", {}),
        ("red", {"colour": "blue"}),
        ("red", {"diversity": 7.5}),
        ("red", {"cursor": "no cursor"}),
        (Query((Term(item="nobody"),)), {}),
        (Query((Term(concept="nothing"),)), {}),
        (Query((Term(text="a", item="b"),)), {}),
        (Path("there-is-no-such.png"), {}),
    ],
    ids=str,
)
def test_errors_are_those_of_the_collection(
    remote: Client,
    folder: Path,
    encoder: ColourEncoder,
    query: str | Query | Path,
    options: dict[str, Any],
) -> None:
    with mmsearch.open(folder, encoder=encoder) as collection:
        expected = error_of(lambda: collection.answer(query, **options))
    got = error_of(lambda: remote.search(query, **options))
    assert type(got) is type(expected)
    if not isinstance(query, Path):
        assert str(got) == str(expected)
    if isinstance(expected, FilterError):
        assert isinstance(got, FilterError)
        assert got.position == expected.position


def test_what_is_no_picture_is_an_image_error(remote: Client) -> None:
    with pytest.raises(ImageError):
        remote.search(b"no picture at all")


def test_shapes_that_the_server_refuses_are_usage_errors(remote: Client) -> None:
    with pytest.raises(UsageError, match="k"):
        remote.search("red", k=0)
    with pytest.raises(UsageError, match="JSON"):
        remote.search("red", diversity=float("nan"))
    with pytest.raises(UsageError, match="JSON"):
        remote.search("\ud800")
    with pytest.raises(UsageError, match="leading minus"):
        remote.search("red", sort=(Sort("-price"),))


def faked(handle: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> Client:
    """A client of a server of one function."""
    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    return Client(URL, http=http, **options)


def refusal(status: int, detail: str, **headers: str) -> httpx2.Response:
    body = json.dumps({"type": "about:blank", "title": "", "status": status, "detail": detail})
    return httpx2.Response(status, headers={**PROBLEM, **headers}, content=body)


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (refusal(401, "a key, please"), AuthError, "a key, please"),
        (refusal(403, "this key only reads"), AuthError, "only reads"),
        (refusal(413, "too much"), UsageError, "too much"),
        (refusal(404, "there is nothing at /v1/search"), ServerError, "nothing at"),
        (refusal(500, "a fault"), ServerError, "a fault"),
        (httpx2.Response(502, html="<h1>Bad gateway</h1>"), ServerError, "502 Bad Gateway"),
        (httpx2.Response(404, text="nope"), ServerError, "does the address lead to"),
        (httpx2.Response(302, headers={"location": "/login"}), ServerError, "not understood"),
        (httpx2.Response(200, html="<p>hello</p>"), ServerError, "not understood"),
        (httpx2.Response(200, json={"hits": [{"rank": 1}]}), ServerError, "not understood"),
        (httpx2.Response(200, json=[]), ServerError, "not understood"),
    ],
)  # fmt: skip
def test_other_answers_are_errors_too(
    response: httpx2.Response, kind: type[MmsearchError], message: str
) -> None:
    error = error_of(lambda: faked(lambda request: response, retries=0).search("red"))
    assert type(error) is kind
    assert message in str(error)
    if isinstance(error, ServerError):
        assert error.status == response.status_code


def test_key_is_sent_and_answers_of_newer_servers_are_read() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"] == "Bearer sesame"
        body = {
            "hits": [], "total": 3, "facets": [], "cursor": None, "no_match": None, "explain": [],
            "invented_later": True,
        }  # fmt: skip
        return httpx2.Response(200, json=body)

    assert faked(handle, key="sesame").search("red").total == 3


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://x", "", "http://"])
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        Client(url)


def test_keys_are_checked_and_not_shown() -> None:
    with pytest.raises(UsageError) as raised:
        Client(URL, key="sesame\r\nX-Other: 1")
    assert "sesame" not in str(raised.value)


def test_address_may_have_a_path() -> None:
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, json={"suggestions": []})

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    Client("https://shop.example/search/", http=http).suggest("a b")
    assert asked == ["https://shop.example/search/v1/suggest?q=a+b&k=10"]


# ---- calls are made again where that helps


def busy() -> httpx2.Response:
    return refusal(503, "busy", **{"retry-after": "0"})


def too_fast() -> httpx2.Response:
    return refusal(429, "slowly", **{"retry-after": "0.01"})


Mood = Callable[[], httpx2.Response] | type[httpx2.TransportError]


class Moody:
    """Refuses or fails some times, then tells that nothing is suggested and all was kept."""

    def __init__(self, *moods: Mood) -> None:
        self.moods = list(moods)
        self.asked = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        if not self.moods:
            return httpx2.Response(200, json={"suggestions": []})
        mood = self.moods.pop(0)
        if isinstance(mood, type):
            raise mood("it broke", request=request)
        return mood()


@pytest.mark.parametrize(
    "mood",
    [
        busy,
        too_fast,
        httpx2.ConnectError,
        httpx2.ReadError,
        httpx2.RemoteProtocolError,
    ],
)
def test_harmless_calls_are_made_again(mood: Mood) -> None:
    server = Moody(mood, mood)
    assert faked(server).suggest("a") == []
    assert server.asked == 3
    server = Moody(mood, mood, mood)
    error = error_of(lambda: faked(server).suggest("a"))
    assert isinstance(error, ServerError)
    assert server.asked == 3


def test_async_calls_are_made_again() -> None:
    server = Moody(busy, httpx2.ConnectError)

    async def ask() -> list[tuple[str, int]]:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(server)) as http:
            return await AsyncClient(URL, http=http).suggest("a")

    assert asyncio.run(ask()) == []
    assert server.asked == 3


@pytest.mark.parametrize("mood", [busy, httpx2.ReadError, httpx2.RemoteProtocolError])
def test_calls_that_may_have_been_done_are_not_made_again(mood: Mood) -> None:
    server = Moody(mood)
    with pytest.raises(ServerError):
        faked(server).feedback("red", "P1", "click")
    assert server.asked == 1


def test_call_that_never_left_is_made_again() -> None:
    server = Moody(httpx2.ConnectError)
    faked(server).feedback("red", "P1", "click")
    assert server.asked == 2


def test_too_much_patience_is_not_asked_of_a_caller() -> None:
    server = Moody(lambda: refusal(429, "tomorrow", **{"retry-after": "86400"}))
    with pytest.raises(ServerError, match="tomorrow"):
        faked(server).suggest("a")
    assert server.asked == 1


def test_slow_answers_are_not_asked_for_again() -> None:
    server = Moody(httpx2.ReadTimeout)
    with pytest.raises(ServerError, match="raise `timeout`"):
        faked(server).suggest("a")
    assert server.asked == 1


def test_nobody_there_is_told_with_the_address() -> None:
    with (
        Client("http://127.0.0.1:9", retries=0) as client,
        pytest.raises(ServerError, match=r"127\.0\.0\.1:9.*mmsearch serve"),
    ):
        client.suggest("a")


def test_answers_that_break_off_are_told() -> None:
    line = b'{"line":1,"key":"A","status":"done"}\n'
    client = faked(lambda request: httpx2.Response(200, content=line), retries=0)
    with pytest.raises(ServerError, match="1 of 2"):
        client.upsert([{"key": "A", "text": "a"}, {"key": "B", "text": "b"}])


# ---- the two clients, and what they load


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(value)
        for name, value in vars(kind).items()
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_calls() -> None:
    one, other = public(Client), public(AsyncClient)
    assert one.keys() == other.keys()
    for name, signature in one.items():
        assert signature.parameters == other[name].parameters, name


def test_client_loads_nothing_heavy() -> None:
    code = (
        "import sys, mmsearch; mmsearch.Client('http://127.0.0.1:9').close(); print(*(m for m in "
        "('torch', 'faiss', 'sqlalchemy', 'numpy', 'PIL', 'fastapi') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_both_clients_ask_over_a_network(folder: Path, encoder: ColourEncoder) -> None:
    server = [str(Path(__file__).with_name("colours.py")), str(folder / ".mmsearch")]
    with process(server, folder) as (_, url), Client(url) as client:
        assert (
            client.upsert({"key": f"N{n}", "text": f"thing {n}"} for n in range(1200)).done == 1200
        )
        expected = client.search("red", k=3)
        with mmsearch.open(folder, encoder=encoder) as collection:
            assert as_sent(expected) == as_sent(collection.answer("red", k=3))

        async def many() -> list[Answer]:
            async with AsyncClient(url) as other:
                asked = (other.search("red", k=3) for _ in range(40))
                return list(await asyncio.gather(*asked))

        for answer in asyncio.run(many()):
            assert_alike(answer, expected)


@pytest.mark.slow
def test_served_collection_answers_as_it_does_here(corpus: Path) -> None:
    """`mmsearch serve`, with the bundled model."""
    with mmsearch.open(corpus, create=True) as collection:
        collection.index([corpus])
        asked: list[tuple[Any, dict[str, Any]]] = [
            ("a red ball", {"to": "image"}),
            ("a dog", {"to": "text", "k": 2}),
            (corpus / "red.png", {"to": "text"}),
            (Query((Term(image=corpus / "red.png"), Term(text="blue"))), {"to": "image"}),
            ("taxi", {"where": "price < 20", "facets": ("price",), "min_relevance": "auto"}),
        ]
        expected = [collection.answer(query, **more) for query, more in asked]
    arguments = ["-m", "mmsearch.cli", "--collection", str(corpus), "serve", "--port", "0"]
    with process(arguments, corpus) as (_, url), Client(url) as client:
        for (query, more), answer in zip(asked, expected, strict=True):
            assert_alike(client.search(query, **more), answer)
        assert {"mini", "best"} < {model.name for model in client.models()}
        assert client.upsert([{"key": "new", "text": "a green parrot"}]).done == 1
        assert client.search("parrot", to="text").hits[0].key == "new"


def assert_alike(got: Answer, expected: Answer) -> None:
    """Equal, but for the last digits of figures: numbers in a batch are added in another order."""

    def bare(answer: Answer) -> Answer:
        hits = tuple(replace(hit, score=0.0, relevance=None) for hit in answer.hits)
        return replace(as_sent(answer), hits=hits)

    assert bare(got) == bare(expected)
    for one, other in zip(got.hits, expected.hits, strict=True):
        assert one.score == pytest.approx(other.score, abs=2e-6)
        assert one.relevance == pytest.approx(other.relevance, abs=1e-4)
