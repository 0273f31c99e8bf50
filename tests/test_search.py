"""The whole way of a query, on small shops whose right answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmsearch
from mmsearch import Query, Term
from mmsearch.columns.columns import Columns
from mmsearch.errors import (
    CorruptionError,
    FilterError,
    ItemNotFoundError,
    UsageError,
)
from mmsearch.filters import matches, parse
from mmsearch.types import Answer, Membership, Mode, Sort
from tests.support import COLOURS, ColourEncoder

BRANDS = ["Acme", "Bolt", "Café"]


def rows(count: int) -> list[dict[str, Any]]:
    """Products without pictures, of six colours in turn, two variants to a group."""
    names = list(COLOURS)
    return [
        {
            "key": f"P{number:03}",
            "text": f"{names[number % 6]} chair number{number}",
            "group": f"G{number // 2}",
            "attributes": {
                "price": float(number % 17),
                "colour": names[number % 6],
                "brand": BRANDS[number % 3],
                **({"stock": number} if number % 5 else {}),
            },
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mmsearch.Collection]:
    path = tmp_path_factory.mktemp("shop") / ".mmsearch"
    with mmsearch.open(path, create=True, encoder=ColourEncoder()) as opened:
        opened.upsert(rows(120))
        yield opened


def keys(answer: Answer) -> list[str]:
    return [hit.key for hit in answer.hits]


def stored(shop: mmsearch.Collection) -> list[dict[str, Any]]:
    items, _ = shop.vectors("text")
    return [
        {"key": i.key, "text": i.text, "group": i.group, "path": i.path, "attributes": i.attributes}
        for i in items
    ]


conditions = st.sampled_from(
    [
        "price < 5",
        "price between 3 and 8",
        "colour = 'red'",
        "colour in ('red', 'blue')",
        "brand like 'A%'",
        "stock is null",
        "stock > 100",
        "text ilike '%NUMBER1%'",
        "group = 'G3'",
    ]
)
filters = st.lists(conditions, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([" and ", " or "]).map(lambda word: word.join(parts))
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, k=st.sampled_from([1, 3, 200]), mode=st.sampled_from(["vector", "hybrid"]))
def test_filter_finds_what_python_finds_and_k_is_honoured(
    shop: mmsearch.Collection, where: str, k: int, mode: Any
) -> None:
    condition = parse(where)
    right = {item["key"] for item in stored(shop) if matches(condition, item)}
    # The first filter of a process goes by SQL, later ones by columns.
    with mmsearch.open(shop.path, encoder=ColourEncoder()) as fresh:
        cold = fresh.answer("red", where=where, k=k, mode=mode)
        warm = fresh.answer("red", where=where, k=k, mode=mode)
    assert keys(cold) == keys(warm)
    assert len(cold.hits) == min(k, len(right))
    assert set(keys(cold)) <= right
    assert cold.total == len(right)


def test_filter_as_json_is_the_same(shop: mmsearch.Collection) -> None:
    text = shop.answer("red", where="price < 3", k=50)
    as_json = shop.answer("red", where={"field": "price", "op": "<", "value": 3}, k=50)
    assert keys(text) == keys(as_json)


def test_filter_without_a_query_lists_the_items_by_age(shop: mmsearch.Collection) -> None:
    answer = shop.answer(Query((), where="colour = 'red'", k=3))
    assert keys(answer) == ["P000", "P006", "P012"]
    assert answer.total == 20


def test_key_is_found_by_words_and_fused_with_the_vectors(shop: mmsearch.Collection) -> None:
    assert keys(shop.answer("P077", mode="lexical", k=1)) == ["P077"]
    assert keys(shop.answer("number77", mode="hybrid", k=1)) == ["P077"]
    (hit,) = shop.answer("number77", mode="hybrid", k=1, explain=True).hits
    assert hit.parts is not None
    assert hit.parts["lexical"].rank == 1
    assert set(hit.parts) <= {"text", "lexical"}


@pytest.mark.parametrize("text", ["cafe", "CAFÉ", "Cafe\u0301"])
def test_accents_and_case_do_not_count_for_words(shop: mmsearch.Collection, text: str) -> None:
    hits = shop.search(text, mode="lexical", k=50)
    assert len(hits) == 40
    assert {hit.attributes["brand"] for hit in hits} == {"Café"}


def test_every_script_comes_through_unharmed(tmp_path: Path) -> None:
    words = [
        "红色 自行车",
        "красный велосипед",
        "赤い自転車",
        "दोचक्का",
        "אופניים",
        "자전거",
        "🚲 bike",
    ]
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as shop:
        shop.upsert({"key": str(n), "text": text} for n, text in enumerate(words))
        for number, text in enumerate(words):
            best = shop.search(text, mode="lexical", k=1)
            assert [hit.key for hit in best] == [str(number)]
            assert best[0].text == text


@pytest.mark.parametrize("mode", ["vector", "hybrid", "lexical"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"group": True},
        {"diversity": 0.5},
        {"diversity": 0.5, "group": True},
        {"where": "price > 2"},
        {"sort": (Sort("price"),)},
    ],
)
def test_pages_miss_nothing_and_repeat_nothing(
    shop: mmsearch.Collection, mode: Any, options: dict[str, Any]
) -> None:
    seen: list[str] = []
    ranks: list[int] = []
    cursor = None
    for _ in range(20):
        answer = shop.answer("red chair", k=13, mode=mode, cursor=cursor, **options)
        seen += keys(answer)
        ranks += [hit.rank for hit in answer.hits]
        cursor = answer.cursor
        if cursor is None:
            break
    assert cursor is None
    assert len(set(seen)) == len(seen)
    assert ranks == list(range(1, len(seen) + 1))
    count = answer.total if not options.get("group") else 60
    assert len(seen) == count


@pytest.fixture
def lamps(tmp_path: Path) -> Iterator[mmsearch.Collection]:
    """60 lamps, the price of each its number."""
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as opened:
        opened.upsert(lamp(number) for number in range(60))
        yield opened


def lamp(number: int, price: int | None = None) -> dict[str, Any]:
    return {"key": f"L{number}", "text": "red lamp", "price": number if price is None else price}


@pytest.mark.parametrize(
    "options",
    [{"mode": "lexical"}, {"sort": (Sort("price"),)}, {"sort": (Sort("price", descending=True),)}],
)
def test_pages_go_on_to_the_end_whatever_comes_in_before_them(
    lamps: mmsearch.Collection, options: dict[str, Any]
) -> None:
    answer = lamps.answer("red lamp", k=10, **options)
    seen = keys(answer)
    lamps.upsert({**lamp(n, price), "text": "red red lamp"} for n in (90, 91) for price in (-1, 99))
    lamps.upsert({**lamp(n, n % 2 * 200 - 50), "text": "red red lamp"} for n in range(100, 130))
    while answer.cursor is not None:
        answer = lamps.answer("red lamp", k=10, cursor=answer.cursor, **options)
        seen += keys(answer)
    assert set(seen) >= {f"L{number}" for number in range(60)}


@pytest.mark.parametrize("descending", [False, True])
def test_pages_go_on_where_the_last_item_of_the_one_before_is_gone(
    lamps: mmsearch.Collection, descending: bool
) -> None:
    options: dict[str, Any] = {"sort": (Sort("price", descending=descending),), "k": 10}
    first = lamps.answer("red lamp", **options)
    lamps.remove([first.hits[-1].key])
    second = lamps.answer("red lamp", cursor=first.cursor, **options)
    expected = [f"L{number}" for number in range(60)]
    assert keys(second) == (expected[::-1] if descending else expected)[10:20]


def test_all_that_have_the_words_are_as_relevant_by_them(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / ".mmsearch", create=True) as opened:
        opened.upsert(
            {"key": f"{n}", "text": f"red shoe number {n} for {'wo' * (1 - n % 2)}men"}
            for n in range(500)
        )
        for k in (5, 300):
            answer = opened.answer("shoe for women", k=k, min_relevance=0.9)
            assert answer.total == 250
            assert {int(hit.key) % 2 for hit in answer.hits} == {0}


def test_what_was_shown_may_be_left_out_however_much_it_is(lamps: mmsearch.Collection) -> None:
    lamps.upsert(lamp(number) for number in range(60, 400))
    best = tuple(f"L{number}" for number in range(300))
    more: list[dict[str, Any]] = [{}, {"sort": (Sort("price"),)}, {"diversity": 0.5}]
    for options in [*more, {"mode": "lexical", "min_relevance": 0.1}]:
        answer = lamps.answer("red lamp", k=5, exclude=best, **options)
        assert len(answer.hits) == 5
        assert answer.no_match is None
    assert lamps.answer("red", where="key = 'L1'", exclude=("L1",), diversity=0.5).hits == ()


def test_a_group_stands_once_also_beside_pinned_and_buried_ones(shop: mmsearch.Collection) -> None:
    modifiers = {"pinned": {"P007": 1}, "buried": ["P000", "P013"]}
    answer = shop.answer("red chair", k=60, group=True, modifiers=modifiers)
    groups = [hit.group for hit in answer.hits]
    assert len(set(groups)) == len(groups) == 60
    assert (groups[0], answer.hits[0].variants) == ("G3", 2)


def test_numbers_of_any_size_can_be_searched_among(lamps: mmsearch.Collection) -> None:
    lamps.upsert([lamp(70, 10**400), lamp(71, 2**60 + 1), lamp(72, 2**60), lamp(73, -(10**400))])
    order = keys(lamps.answer("red lamp", k=70, sort=(Sort("price"),)))
    assert order[0] == "L73"
    assert order[-3:] == ["L72", "L71", "L70"]
    (facet,) = lamps.answer("red lamp", facets=("price",)).facets
    assert (facet.low, facet.high) == (0, 2**60)
    decay = {"attribute": "price", "origin": 5, "scale": 1}
    assert "L5" in keys(lamps.answer("red lamp", k=1, modifiers={"decays": [decay]}))
    assert len(lamps.answer("red lamp", modifiers={"pinned": {"L5": 2**70}}).hits) == 10
    with pytest.raises(UsageError, match="too many digits"):
        lamps.answer("red lamp", modifiers={"decays": [{**decay, "origin": 10**400}]})


def test_cursor_of_another_query_or_a_damaged_one_is_refused(shop: mmsearch.Collection) -> None:
    cursor = shop.answer("red", k=3).cursor
    assert cursor is not None
    with pytest.raises(UsageError, match="belongs to another query"):
        shop.answer("blue", k=3, cursor=cursor)
    with pytest.raises(UsageError, match="not a cursor"):
        shop.answer("red", k=3, cursor=cursor[:-3] + "xyz")


def test_k_groups_come_whenever_k_exist(shop: mmsearch.Collection) -> None:
    for k in (5, 60):
        answer = shop.answer("red", group=True, k=k)
        groups = [hit.group for hit in answer.hits]
        assert len(groups) == len(set(groups)) == k
    assert [hit.variants for hit in answer.hits] == [2] * 60


def test_facets_count_under_the_filter(shop: mmsearch.Collection) -> None:
    answer = shop.answer("red", where="price < 5", facets=("colour", "stock"), k=1)
    inside = [item for item in stored(shop) if item["attributes"]["price"] < 5]
    colours, stock = answer.facets
    assert dict(colours.counts) == {
        name: sum(item["attributes"]["colour"] == name for item in inside) for name in COLOURS
    }
    assert colours.missing == 0
    assert stock.missing == sum("stock" not in item["attributes"] for item in inside)


def test_sorting_is_by_attribute_and_among_the_relevant_only(shop: mmsearch.Collection) -> None:
    answer = shop.answer("red", sort=(Sort("price"), Sort("stock", descending=True)), k=120)
    prices = [hit.attributes["price"] for hit in answer.hits]
    assert prices == sorted(prices)
    assert 0 < answer.total < 120
    for one, other in zip(answer.hits, answer.hits[1:], strict=False):
        if one.attributes["price"] == other.attributes["price"]:
            assert one.attributes.get("stock", -1) >= other.attributes.get("stock", -1)


def test_relevance_falls_with_the_rank_and_cuts(shop: mmsearch.Collection) -> None:
    whole = shop.answer("red", mode="vector", k=120)
    relevance = [hit.relevance for hit in whole.hits]
    assert None not in relevance
    assert relevance == sorted(relevance, key=lambda share: -(share or 0))
    cut = shop.answer("red", mode="vector", k=120, min_relevance=0.5)
    assert keys(cut) == [hit.key for hit in whole.hits if (hit.relevance or 0) >= 0.5]
    assert cut.total == len(cut.hits)


def test_nothing_relevant_is_said_to_be_no_match(shop: mmsearch.Collection) -> None:
    answer = shop.answer("red", mode="vector", min_relevance=1)
    assert answer.hits == ()
    assert answer.no_match is not None
    assert "no match" in answer.no_match
    assert answer.total == 0


def test_small_collection_says_that_relevance_cannot_be_measured(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as small:
        small.upsert(rows(6))
        assert small.answer("red", mode="vector").hits[0].relevance is None
        with pytest.raises(UsageError, match="40 items"):
            small.answer("red", mode="vector", min_relevance=0.5)


def test_background_is_kept_and_measured_again_when_the_collection_grew(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as shop:
        shop.upsert(rows(60))
        before = shop.answer("red", mode="vector", k=1).hits
        (kept,) = (tmp_path / "c" / "index").glob("*-text-text.relevance.json")
        written = kept.stat().st_mtime_ns
        shop.upsert(rows(66))
        shop.answer("red", mode="vector", k=1)
        assert kept.stat().st_mtime_ns == written
        shop.upsert(rows(120))
        shop.answer("red", mode="vector", k=1)
        assert kept.stat().st_mtime_ns != written
        kept.write_text("torn")
    with mmsearch.open(tmp_path / "c", encoder=ColourEncoder()) as again:
        assert again.answer("red", mode="vector", k=1).hits[0].key == before[0].key
        assert kept.read_text().startswith("{")


def test_modifiers_lift_pin_and_bury(shop: mmsearch.Collection) -> None:
    plain = keys(shop.answer("red", k=10))
    modifiers = {
        "boosts": [{"attribute": "brand", "in": ["Bolt"], "factor": 1000}],
        "pinned": {"P001": 3},
        "buried": [plain[0]],
    }
    answer = shop.answer("red chair", modifiers=modifiers, k=120)
    assert keys(answer)[2] == "P001"
    assert keys(answer)[-1] == plain[0]
    assert len(set(keys(answer))) == 120
    bolt = shop.answer("chair", modifiers={"boosts": modifiers["boosts"]}, k=10)
    assert {hit.attributes["brand"] for hit in bolt.hits} == {"Bolt"}


def test_pinned_item_that_the_filter_forbids_is_not_shown(shop: mmsearch.Collection) -> None:
    answer = shop.answer("red", where="colour = 'red'", modifiers={"pinned": {"P001": 1}}, k=120)
    assert "P001" not in keys(answer)


def test_liked_items_draw_the_query_and_disliked_ones_push_it(shop: mmsearch.Collection) -> None:
    plain = shop.answer("red", mode="vector", k=120)
    moved = shop.answer("red", mode="vector", k=120, liked=("P002",), disliked=("P003",))
    before = {hit.key: hit.score for hit in plain.hits}
    after = {hit.key: hit.score for hit in moved.hits}
    assert after["P002"] > before["P002"]
    assert after["P003"] < before["P003"]
    only = shop.answer(Query((), liked=("P002",), mode="vector", k=20))
    assert {hit.attributes["colour"] for hit in only.hits} == {"blue"}


def test_more_like_this_leaves_this_out(shop: mmsearch.Collection) -> None:
    answer = shop.more_like("P004", mode="vector", k=5)
    assert "P004" not in keys(answer)
    assert {hit.attributes["colour"] for hit in answer.hits} == {rows(5)[4]["attributes"]["colour"]}


def test_concept_is_a_term_and_a_condition_and_outlives_a_new_process(
    shop: mmsearch.Collection,
) -> None:
    shop.save_concept("warm", Query((Term(text="red"), Term(text="yellow", weight=0.5))))
    with mmsearch.open(shop.path, encoder=ColourEncoder()) as again:
        assert list(again.concepts()) == ["warm"]
        terms = (Term(text="red"), Term(text="yellow", weight=0.5))
        spelt = again.answer(Query(terms, mode="vector", k=20))
        named = again.answer(Query((Term(concept="warm"),), mode="vector", k=20))
        assert keys(named) == keys(spelt)
        again.save_concept("reds", "a red thing")
        inside = again.answer("blue", within=(Membership("reds"),), mode="vector", k=120)
        outside = again.answer(
            "blue", within=(Membership("reds", negated=True),), mode="vector", k=120
        )
        assert {hit.attributes["colour"] for hit in inside.hits} == {"red"}
        assert sorted(keys(inside) + keys(outside)) == [row["key"] for row in rows(120)]
        again.remove_concept("reds")
        again.remove_concept("warm")
        with pytest.raises(ItemNotFoundError, match="no concept is called 'warm'"):
            again.answer(Query((Term(concept="warm"),)))


def test_damaged_concepts_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    with mmsearch.open(tmp_path / "c", create=True, encoder=ColourEncoder()) as shop:
        shop.upsert(rows(3))
        (tmp_path / "c" / "concepts.json").write_text('{"concepts": [{"name": 1')
        with pytest.raises(CorruptionError, match=r"concepts\.json is damaged"):
            shop.concepts()


def test_templates_are_averaged_and_braces_are_only_characters(shop: mmsearch.Collection) -> None:
    assert shop.search("red", templates=("{} {0}",), mode="vector", k=1)
    templates = ("a {}", "the {} thing")
    encoder = ColourEncoder()
    mean = encoder.encode_texts(["a red", "the red thing"]).mean(axis=0)
    items, vectors = shop.vectors("text")
    best = items[int(np.argmax(vectors @ mean))].key
    assert shop.search("red", templates=templates, mode="vector", k=1)[0].key == best


def test_diversity_changes_the_order_and_zero_does_not(shop: mmsearch.Collection) -> None:
    plain = shop.answer("red", mode="vector", k=6)
    assert keys(shop.answer("red", mode="vector", k=6, diversity=0)) == keys(plain)
    diverse = shop.answer("red", mode="vector", k=6, diversity=0.9)
    assert {hit.attributes["colour"] for hit in plain.hits} == {"red"}
    assert len({hit.attributes["colour"] for hit in diverse.hits}) > 1


@pytest.mark.parametrize("mode", ["vector", "lexical", "hybrid"])
def test_with_hardly_any_diversity_the_order_is_that_of_the_ranking(
    shop: mmsearch.Collection, mode: Mode
) -> None:
    plain = shop.answer("red chair", mode=mode, k=6)
    scores = [hit.score for hit in plain.hits]
    slight = shop.answer("red chair", mode=mode, k=6, diversity=1e-9)
    assert [hit.score for hit in slight.hits] == scores
    assert keys(shop.answer("red chair", mode=mode, k=1, diversity=0.5)) == keys(plain)[:1]


def test_a_plain_query_reads_no_attributes_into_memory(
    lamps: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Columns, "refresh", lambda _: pytest.fail("columns were read"))
    for options in ({}, {"mode": "vector"}, {"diversity": 0.5}):
        assert len(lamps.answer("red lamp", k=5, **options).hits) == 5
    assert lamps.answer("red lamp", exclude=("L3", "L4")).total == 58
    assert lamps.more_like("L3").total == 59


def test_what_is_outside_a_concept_is_told_without_attributes_in_memory(
    shop: mmsearch.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.save_concept("reds", "a red thing")
    inside = shop.answer("blue", within=(Membership("reds"),))
    monkeypatch.setattr(Columns, "refresh", lambda _: pytest.fail("columns were read"))
    outside = shop.answer("blue", within=(Membership("reds", negated=True),))
    assert inside.total
    assert outside.total == 120 - inside.total


def test_total_without_some_follows_the_collection(lamps: mmsearch.Collection) -> None:
    def total() -> int:
        return lamps.answer("red lamp", exclude=("L3",)).total

    assert total() == 59
    lamps.remove(["L9"])
    assert total() == 58
    lamps.upsert(lamp(number) for number in range(60, 70))
    assert total() == 68
    assert lamps.answer("red lamp", exclude=("L3",), where="price < 5").total == 4
    lamps.remove(["L60"])
    assert total() == 67


def test_explanation_says_what_was_done(shop: mmsearch.Collection) -> None:
    said = "\n".join(shop.answer("redd chair zzzz", where="price < 2", explain=True).explain)
    assert "filter:" in said
    assert "items match" in said
    assert "copied" in said
    assert "word 'redd': taken for red, in " in said
    assert "word 'zzzz': no item has it or a word like it" in said
    assert shop.answer("red", where="price < 2").explain == ()


RED = Query((Term(text="red"),))


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        (replace(RED, where="colr = 'red'"), FilterError, "did you mean colour"),
        (replace(RED, where="price = 'five'"), FilterError, "price"),
        (replace(RED, where="colour = 'red"), FilterError, "no closing"),
        (replace(RED, where="1=1; drop table items"), FilterError, "name"),
        (replace(RED, where={"op": "="}), FilterError, "field"),
        (replace(RED, facets=("nope",)), FilterError, "unknown attribute 'nope'"),
        (replace(RED, sort=(Sort("price; drop table items"),)), FilterError, "unknown attribute"),
        (replace(RED, terms=(Term(text="red"),) * 1000), UsageError, "1,000 terms"),
        (replace(RED, terms=(Term(text="red"), Term(text="red", weight=-1))), UsageError, "cancel"),
        (replace(RED, liked=("P001",), disliked=("P001",)), UsageError, "both liked and disliked"),
        (replace(RED, diversity=0.5, sort=(Sort("price"),)), UsageError, "order of its own"),
        (replace(RED, liked=("nope",)), ItemNotFoundError, "nope"),
        (replace(RED, exclude=("nope",)), ItemNotFoundError, "nope"),
        (replace(RED, min_relevance=1.5), UsageError, "between 0 and 1"),
        (replace(RED, diversity=float("nan")), UsageError, "between 0 and 1"),
        (replace(RED, weights={"text": 0, "image": 0, "lexical": 0}), UsageError, "all rankings"),
        (replace(RED, weights={"text": -1}), UsageError, "0 or more"),
        (replace(RED, templates=("no place",)), UsageError, "once"),
        (replace(RED, modifiers={"boost": []}), UsageError, "boost"),
        (replace(RED, modifiers={"pinned": {"nope": 1}}), ItemNotFoundError, "nope"),
        (replace(RED, cursor="'; --"), UsageError, "not a cursor"),
        (replace(RED, within=(Membership("nope"),)), ItemNotFoundError, "no concept"),
        (Query((Term(item="P001"),), mode="lexical"), UsageError, "needs words"),
        (Query((Term(text="red"),), mode="lexical", to="image"), UsageError, "finds texts"),
    ],
)
def test_bad_input_is_a_clear_error(
    shop: mmsearch.Collection, query: Query, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        shop.answer(query)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "img"}, "to is one of image, text, both, not 'img'"),
        ({"mode": "lexcial"}, "mode is one of vector, lexical, hybrid, not 'lexcial'"),
        ({"fusion": "sum"}, "fusion is one of rank, relevance, not 'sum'"),
        ({"k": "3"}, "k must be a whole number, not '3'"),
        ({"k": 2.5}, "k must be a whole number, not 2.5"),
        ({"exclude": "P001"}, r"exclude: give a list, as \['P001'\], not str"),
        ({"facets": "colour"}, r"facets: give a list, as \['colour'\]"),
        ({"sort": ("price",)}, "sort holds objects of the type Sort, not str"),
        ({"liked": 3}, r"liked: give a list, as \[3\], not int"),
    ],
)
def test_option_of_a_wrong_kind_is_refused_with_what_it_should_be(
    shop: mmsearch.Collection, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        shop.answer("red", **options)


@pytest.mark.parametrize("query", [3, b"x", ["a"], np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_query_is_told_what_one_is(shop: mmsearch.Collection, query: Any) -> None:
    with pytest.raises(UsageError, match="a picture is a path or a Pillow image, not "):
        shop.search(query)
    with pytest.raises(UsageError, match="text is a string, not int"):
        shop.answer(Query((Term(text=cast("str", 3)),)))


def test_numbers_of_numpy_are_numbers(shop: mmsearch.Collection) -> None:
    assert len(shop.search("red", k=cast("int", np.int64(2)))) == 2


def test_one_string_is_no_list_of_them(shop: mmsearch.Collection) -> None:
    count = shop.status().items
    with pytest.raises(UsageError, match=r"keys: give a list, as \['P1'\], not str"):
        shop.remove("P1")
    with pytest.raises(UsageError, match="queries: give a list"):
        shop.search_many("red")
    with pytest.raises(UsageError, match="rows: give a list of rows"):
        shop.upsert(cast("Any", {"key": "a", "text": "red"}))
    with pytest.raises(UsageError, match="attributes: give them by key"):
        shop.update(cast("Any", [{"key": "a", "price": 3}]))
    assert shop.status().items == count


def test_unknown_option_names_those_that_there_are(shop: mmsearch.Collection) -> None:
    with pytest.raises(UsageError, match=r"no 'filter'.*where"):
        shop.answer("red", filter="price < 3")


@pytest.mark.parametrize(
    "text",
    [
        '"',
        "'",
        "red OR",
        "NEAR(red, 2)",
        "text:red",
        "red*",
        "^red",
        "-red",
        "(",
        "red\0chair",
        ";",
    ],
)
def test_no_text_is_syntax_of_the_word_index(shop: mmsearch.Collection, text: str) -> None:
    answer = shop.answer(text, mode="hybrid", k=200)
    assert len(answer.hits) == 120


def test_thousand_words_are_one_text_or_an_error_that_says_so(shop: mmsearch.Collection) -> None:
    long = " ".join(f"word{number}" for number in range(1000))
    assert shop.search(long, mode="vector", k=1)
    with pytest.raises(UsageError, match="200 at most"):
        shop.search(long, mode="lexical")


def test_many_queries_at_once_get_the_answers_that_each_gets_alone(
    shop: mmsearch.Collection,
) -> None:
    queries = [
        Query((Term(text="red chair"),), k=5),
        Query((Term(text="blue chair"),), k=3, explain=True, facets=("colour",)),
        Query((Term(text="red chair"),), where="price < 5", group=True),
        Query((Term(text="green"),), to="text"),
        Query((), where="colour = 'black'"),
        Query((Term(item="P003"),), exclude=("P003",)),
        Query((Term(text="chair"),), k=50, templates=("a {}", "the {}")),
    ]
    together = shop.answer_many(queries)
    for query, answer in zip(queries, together, strict=True):
        assert isinstance(answer, Answer)
        alone = shop.answer(query)
        assert [replace(hit, score=0) for hit in answer.hits] == [
            replace(hit, score=0) for hit in alone.hits
        ]
        assert [hit.score for hit in answer.hits] == pytest.approx(
            [hit.score for hit in alone.hits], abs=1e-6
        )
        assert replace(answer, hits=(), explain=()) == replace(alone, hits=(), explain=())
        assert len(answer.explain) == len(alone.explain)


def test_error_of_one_of_many_queries_is_its_own(shop: mmsearch.Collection) -> None:
    queries = [
        Query((Term(text="red"),), k=0),
        Query((Term(text="red"),), k=2),
        Query((Term(text="red"),), where="prize < 3"),
        Query((Term(item="nobody"),)),
        Query((Term(text="blue"),), k=2),
    ]
    kinds = [type(result) for result in shop.answer_many(queries)]
    assert kinds == [UsageError, Answer, FilterError, ItemNotFoundError, Answer]


def test_texts_of_many_queries_are_encoded_in_one_batch(tmp_path: Path) -> None:
    class Counting(ColourEncoder):
        batches: list[int] = []  # noqa: RUF012

        def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            self.batches.append(len(texts))
            return super().encode_texts(texts)

    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=Counting()) as opened:
        opened.upsert(rows(12))
        opened.answer("warm up")
        Counting.batches.clear()
        opened.answer_many([Query((Term(text=text),)) for text in ("red", "blue", "red", "sea")])
        assert Counting.batches == [3]
