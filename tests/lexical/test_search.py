"""Search by words over a real catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsearch.catalog.catalog import Catalog, Write
from mmsearch.errors import CorruptionError, UsageError
from mmsearch.lexical import bm25, fts


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path / "catalog.sqlite3", create=True)
    yield catalog
    catalog.close()


def row(key: str, text: str | None, **attributes: Any) -> dict[str, Any]:
    empty = ("origin", "group", "path", "image_digest", "text_digest", "size_bytes", "mtime_ns")
    return {
        "id": None,
        "key": key,
        "state": "live",
        "text": text,
        "attributes": attributes,
        **dict.fromkeys(empty),
    }


def put(catalog: Catalog, *rows: dict[str, Any]) -> None:
    catalog.commit(Write(items=list(rows)))


def ranked(catalog: Catalog, text: str, **options: Any) -> list[tuple[int, float]]:
    """What FTS5 answers, and that the postings in memory answer the same."""
    fresh = Catalog(catalog._database.path)
    first = fresh.lexical_search(text, 10, **options)
    again = fresh.lexical_search(text, 10, **options)
    fresh.close()
    assert [item for item, _ in again] == [item for item, _ in first]
    assert [score for _, score in again] == pytest.approx([score for _, score in first])
    return catalog.lexical_search(text, 10, **options)


def found(catalog: Catalog, text: str, **options: Any) -> list[int]:
    return [item for item, _ in ranked(catalog, text, **options)]


def test_item_is_found_by_its_text_its_attributes_and_its_key(catalog: Catalog) -> None:
    put(
        catalog,
        row("sku-77", "red shoe", brand="Acme", tags=["summer"]),
        row("sku-78", "blue coat"),
    )
    for query in ("shoe", "RED", "acme", "summer", "sku-77", "77"):
        assert found(catalog, query)[0] == 1, query
    assert found(catalog, "green") == []


def test_one_common_word_suffices_and_the_rare_one_counts_most(catalog: Catalog) -> None:
    put(catalog, *(row(f"a{n}", "plain shoe") for n in range(5)), row("b", "velvet hat"))
    assert found(catalog, "a shoe of velvet")[0] == 6
    assert len(found(catalog, "a shoe of velvet")) == 6


def test_score_grows_with_similarity_and_ties_go_by_id(catalog: Catalog) -> None:
    put(catalog, row("a", "x shoe"), row("b", "x red shoe"), row("c", "x shoe"), *rest(20))
    (best, high), (second, middle), (third, low) = ranked(catalog, "red shoe")
    assert [best, second, third] == [2, 1, 3]
    assert high > middle == low > 0


def rest(count: int) -> list[dict[str, Any]]:
    return [row(f"rest{number}", "something else") for number in range(count)]


def test_title_counts_more_than_an_attribute(catalog: Catalog) -> None:
    put(catalog, row("a", "plain thing", note="velvet"), row("b", "velvet thing", note="plain"))
    put(catalog, *rest(20))
    assert found(catalog, "velvet") == [2, 1]


def test_every_change_is_followed_at_once(catalog: Catalog) -> None:
    put(catalog, row("a", "red shoe"), row("b", "blue shoe"))
    catalog.set_attributes({1: {"brand": "Acme"}})
    assert found(catalog, "acme") == [1]
    catalog.set_attributes({1: {"brand": "Other"}})
    assert found(catalog, "acme") == []
    catalog.commit(Write(items=[{**row("a", "green hat"), "id": 1}]))
    assert (found(catalog, "red"), found(catalog, "green")) == ([], [1])
    catalog.commit(Write(states={"missing": [2]}))
    assert found(catalog, "blue") == []
    catalog.commit(Write(states={"live": [2]}))
    assert found(catalog, "blue") == [2]
    catalog.commit(Write(states={"removed": [2]}))
    assert found(catalog, "blue") == []


def test_transaction_that_fails_leaves_the_words_as_they_were(catalog: Catalog) -> None:
    put(catalog, row("a", "red shoe"))
    nameless = {"key": None, "reason": "", "size_bytes": 0, "mtime_ns": 0, "origin": None}
    with pytest.raises(CorruptionError, match="NOT NULL"):
        catalog.commit(Write(items=[row("b", "blue shoe")], failures=[nameless]))
    assert (found(catalog, "blue"), found(catalog, "red")) == ([], [1])


def test_accents_case_and_unspaced_scripts(catalog: Catalog) -> None:
    put(catalog, row("1", "Café crème"), row("2", "黑色皮靴"), row("3", "Straße"), row("4", "जूते"))
    put(catalog, row("5", "รองเท้าสีแดง"))
    for query, item in (
        ("CAFE CREME", 1),
        ("皮靴", 2),
        ("靴", 2),
        ("皮", 2),
        ("strasse", 3),
        ("जूते", 4),
        ("รองเท้า", 5),
    ):
        assert found(catalog, query) == [item], query
    assert found(catalog, "靴黑") == []


def test_last_word_may_be_unfinished(catalog: Catalog) -> None:
    put(catalog, row("a", "red sneaker"), row("b", "red shoe"), *rest(5))
    assert found(catalog, "red sne", prefix=True) == [1, 2]
    assert found(catalog, "sne") == []
    assert found(catalog, "sne ", prefix=True) == []


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ("adidsa", ("adidas",)),
        ("sneekars", ("sneakers",)),
        ("zneakers", ("sneakers",)),
        ("кросовки", ("кроссовки",)),
        ("ab1235", ("ab1234",)),
        ("adidas", ("adidas",)),
        ("qwertyuiop", ()),
        ("99998", ()),
    ],
)
def test_misspelt_words_are_taken_for_known_ones(
    catalog: Catalog, query: str, taken: tuple[str, ...]
) -> None:
    put(catalog, row("ab1234", "white sneakers", brand="Adidas"), row("99999", "кроссовки"))
    (match,) = catalog.explain_words(query)
    assert match.terms == taken
    assert match.corrected == (bool(taken) and taken != (query,))
    assert match.items == len(found(catalog, query)) == bool(taken)


def test_allowed_ids_restrict_the_answer(catalog: Catalog) -> None:
    put(catalog, *(row(f"k{n}", "shoe") for n in range(20)))
    assert found(catalog, "shoe", allowed=np.array([3, 7, 99])) == [3, 7]
    assert found(catalog, "shoe", allowed=np.array([], np.int64)) == []


@pytest.mark.parametrize(
    "text",
    [
        '"', '""', "'", "shoe\"", 'shoe" OR "hat', "NEAR(shoe hat, 1)", "shoe NEAR hat", "shoe*",
        "text:shoe", "{text names}: shoe", "- names : shoe", "shoe AND NOT hat", "NOT", "AND", "OR",
        "shoe + hat", "^shoe", "(shoe", ")", "shoe\0", "\0", "*", "%", "shoe; DROP TABLE x", "\\",
        "words MATCH 'shoe'", "\ud800shoe", "\uffff", "shoe' --", "rank:1", "shoe -hat",
    ],
)  # fmt: skip
def test_no_text_is_syntax(catalog: Catalog, text: str) -> None:
    put(catalog, row("k1", "shoe"), row("k2", "hat"), *rest(3))
    meant = {item for item, word in ((1, "shoe"), (2, "hat")) if word in text}
    for prefix in (False, True):
        assert set(found(catalog, text, prefix=prefix)) == meant


def test_query_of_very_many_words_is_an_error_and_of_many_is_none(catalog: Catalog) -> None:
    put(catalog, row("1", "w7 shoe"))
    assert found(catalog, " ".join(f"w{number}" for number in range(200))) == [1]
    assert found(catalog, "shoe " * 5_000) == [1]
    with pytest.raises(UsageError, match="1,000 different words"):
        found(catalog, " ".join(f"w{number}" for number in range(1000)))


WORDS = [*"abcdefgh", "ab", "abc", "ba"]


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=8), min_size=1, max_size=25),
    query=st.lists(st.sampled_from([*WORDS, "abcx", "zz"]), min_size=1, max_size=5),
    allowed=st.none() | st.sets(st.integers(1, 30)),
    k=st.integers(1, 12),
    prefix=st.booleans(),
)
def test_postings_in_memory_score_as_fts5_does(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[str]],
    query: list[str],
    allowed: set[int] | None,
    k: int,
    prefix: bool,
) -> None:
    catalog = Catalog(tmp_path_factory.mktemp("words") / "c.sqlite3", create=True)
    put(catalog, *(row(f"k{n}", " ".join(t), x=" ".join(t[:2])) for n, t in enumerate(texts)))
    only = None if allowed is None else np.array(sorted(allowed), np.int64)
    asked = " ".join(query)
    cold = catalog.lexical_search(asked, k, only, prefix=prefix)
    warm = catalog.lexical_search(asked, k, only, prefix=prefix)
    every = dict(catalog.lexical_search(asked, 100, only, prefix=prefix))
    catalog.close()
    assert [score for _, score in warm] == pytest.approx([score for _, score in cold])
    # Sums in another order may differ in their last digit, and so may the order of equals.
    assert all(every[item] == pytest.approx(score) for item, score in cold)
    assert len(warm) == min(k, len(every))


@settings(max_examples=20)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 30), st.lists(st.sampled_from(WORDS), max_size=5), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    query=st.lists(st.sampled_from([*WORDS, "abcx", "zz"]), min_size=1, max_size=4),
)
def test_postings_in_memory_follow_what_changes(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, list[str], bool]],
    query: list[str],
) -> None:
    path = tmp_path_factory.mktemp("words") / "c.sqlite3"
    catalog = Catalog(path, create=True)
    put(catalog, *(row(f"k{n}", " ".join(WORDS[n % 4 :])) for n in range(1, 25)))
    asked = " ".join(query)
    for _ in range(2):
        catalog.lexical_search(asked, 40)
    for number, words, stays in steps:
        known = catalog.item(f"k{number}")
        if stays or known is None:
            changed = row(f"k{number}", " ".join(words)) | {"id": known.id if known else None}
            put(catalog, changed)
        else:
            catalog.commit(Write(states={"missing": [known.id]}))
        fresh = Catalog(path)
        expected = dict(fresh.lexical_search(asked, 40))
        share = fresh.word_coverage(asked, np.arange(1, 31))
        fresh.close()
        assert dict(catalog.lexical_search(asked, 40)) == pytest.approx(expected)
        assert catalog.word_coverage(asked, np.arange(1, 31)) == pytest.approx(share)
    assert catalog._lexical._warm is not None
    catalog.close()


@settings(max_examples=20)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=6), min_size=1, max_size=12),
    query=st.lists(st.sampled_from([*WORDS, "abcx", "zz"]), min_size=1, max_size=5),
)
def test_coverage_is_the_share_of_the_words_that_an_item_has_by_their_rarity(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], query: list[str]
) -> None:
    catalog = Catalog(tmp_path_factory.mktemp("words") / "c.sqlite3", create=True)
    put(catalog, *(row("-", " ".join(t)) | {"key": f"{n}"} for n, t in enumerate(texts)))
    asked = " ".join(query)
    ids = np.arange(1, len(texts) + 1)
    cold = catalog.word_coverage(asked, ids)
    catalog.lexical_search(asked, 1)
    catalog.lexical_search(asked, 1)
    warm = catalog.word_coverage(asked, ids)
    meant = {match.word: set(match.terms) for match in catalog.explain_words(asked)}
    catalog.close()
    having = {word: [bool(terms & set(t)) for t in texts] for word, terms in meant.items()}
    rarity = {word: np.log((len(texts) + 1) / (sum(has) + 0.5)) for word, has in having.items()}
    expected = sum(rarity[word] * np.array(having[word]) for word in meant)
    assert cold == pytest.approx(expected / max(sum(rarity.values()), 1e-9))
    assert warm == pytest.approx(cold)


def test_change_that_leaves_the_words_alone_keeps_the_postings(catalog: Catalog) -> None:
    put(catalog, row("a", "red shoe", price=1), row("b", "blue shoe"))
    assert found(catalog, "shoe") == found(catalog, "shoe") == [1, 2]
    warm = catalog._lexical._warm
    catalog.set_attributes({1: {"price": 2}})
    assert found(catalog, "shoe") == [1, 2]
    assert catalog._lexical._warm is warm is not None
    catalog.set_attributes({1: {"brand": "Acme"}})
    assert found(catalog, "acme") == [1]
    assert catalog._lexical._warm is None


def test_words_that_exceed_the_memory_for_postings_are_found_all_the_same(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bm25, "MAX_POSTINGS", 3)
    put(catalog, *(row(f"k{n}", "red shoe") for n in range(3)), row("b", "big bag"), *rest(5))
    for _ in range(3):
        assert found(catalog, "red shoe") == [1, 2, 3]
        assert found(catalog, "bag red") == [4, 1, 2, 3]
    assert catalog.word_coverage("red bag", np.array([1, 4])).min() > 0


def test_long_texts_have_their_true_lengths(catalog: Catalog) -> None:
    long = " ".join(["shoe"] + [f"w{number}" for number in range(20_000)])
    put(catalog, row("a", long), row("b", "shoe " + "x " * 200), row("c", "shoe"), *rest(5))
    assert found(catalog, "shoe") == [3, 2, 1]


def test_types_of_attributes_are_known_and_kept(catalog: Catalog) -> None:
    put(catalog, row("1", "x", price=1, tags=["a"], on=True), row("2", "x", price="free", a=None))
    catalog.set_attributes({1: {"size": 1.5, "é": {"b": 1}}})
    assert catalog.attribute_types() == {
        "price": {"number", "string"},
        "tags": {"list"},
        "on": {"boolean"},
        "a": {"null"},
        "size": {"number"},
        "é": {"object"},
    }


def test_only_the_first_misspelt_words_of_a_query_are_corrected(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["almond", "banana", "cherry", "damson", "elderberry"]
    put(catalog, *(row(str(number), word) for number, word in enumerate(words, 1)))
    monkeypatch.setattr(fts, "MAX_CORRECTED", 2)
    # Neither known words nor those that are too short to be misspelt count.
    asked = "xy elderberry banan 12345 chery almon zq"
    assert found(catalog, asked) == [2, 3, 5]
    assert [match.terms for match in catalog.explain_words(asked)] == [
        *[(), ("elderberry",), ("banana",), (), ("cherry",), (), ()]
    ]
    ids = np.arange(1, 6)
    for _ in range(2):  # by FTS5, and by postings in memory
        assert (catalog.word_coverage(asked, ids) > 0).tolist() == [False, True, True, False, True]
        assert [item for item, _ in catalog.lexical_search(asked, 10)] == [2, 3, 5]
    # What one query leaves is still corrected for another.
    assert found(catalog, "almon") == [1]
    assert [item for item, _ in catalog.lexical_search("almon chery banan", 10)] == [1, 3]
