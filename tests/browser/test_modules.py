"""Modules of the page by themselves: rows, filter expressions and addresses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mmsearch.filters import matches, parse

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NASTY = ["red", "O'Brien", "''", "\\", "%_", '"', "5", "true", "null", '"5"', "ü 東京", " a  ", ""]


@pytest.fixture(scope="module")
def module(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(f"{address}/static/mark.svg")  # the origin, without the page itself
    yield page
    page.close()


def call(page: Page, name: str, function: str, *arguments: Any) -> Any:
    """What a function of one of the page's modules returns."""
    return page.evaluate(
        "async ([name, f, given]) => (await import(`/static/${name}.js`))[f](...given)",
        [name, function, list(arguments)],
    )


def matching(where: str, attributes: dict[str, Any]) -> bool:
    return matches(parse(where), {"key": "k", "text": None, "attributes": attributes})


def state(**given: Any) -> dict[str, Any]:
    return {"is": {}, "range": {}, "within": None, "where": "", **given}


@pytest.mark.parametrize("value", [*NASTY, 5, -0.5, 1e21, True, False])
def test_filter_finds_exactly_the_value_chosen(module: Page, value: Any) -> None:
    others = [one for one in [*NASTY, 5, True] if (type(one), one) != (type(value), value)]
    for name in ("colour", "key", 'odd "name"', "like"):
        types = {name: ["string", "number", "boolean"]}
        where = call(module, "where", "whereOf", state(**{"is": {name: [value]}}), types)
        assert matching(where, {name: value}), where
        assert not any(matching(where, {name: other}) for other in others), where


def test_filter_of_several_values_lists_and_ends(module: Page) -> None:
    chosen = state(
        **{"is": {"tags": ["new", "O'B"], "size": [4, "L", True]}, "range": {"price": [2, None]}},
        within="a'b",
        where="stock > 0 or stock is null",
    )
    types = {"tags": ["list"], "size": ["number", "string", "boolean"], "price": ["number"]}
    where = call(module, "where", "whereOf", chosen, types)
    good = {"tags": ["old", "O'B"], "size": "L", "price": 2}

    def passes(**changes: Any) -> bool:
        item = {"key": "k", "text": None, "group": "a'b", "attributes": {**good, **changes}}
        return matches(parse(where), item)

    assert passes()
    assert passes(size=4)
    assert passes(size=True)
    assert not passes(size=5)
    assert not passes(tags=["old"])
    assert not passes(price=1.9)
    assert not passes(stock=0)
    freed = call(module, "where", "whereOf", chosen, types, "tags")
    assert "tags" not in freed


@pytest.mark.parametrize("seed", range(5))
def test_state_survives_its_address(module: Page, seed: int) -> None:
    chance = random.Random(seed)
    values = [*NASTY, 5, -2.5, True, False]
    given = {
        "q": "red car & more = ? #1 %",
        "images": [],
        "like": ["a/b"],
        "liked": ["é ü", "x&y=z"],
        "disliked": ["down"],
        "to": chance.choice([None, "image", "text"]),
        "is": {name: chance.sample(values, 3) for name in ("colour", "a.b", "&=?")},
        "range": {"price": [0, None], "x.y": [-1.5, 1e21]},
        "within": chance.choice([None, "", "set"]),
        "where": "price < 5 and title like '%x%'",
        "sort": "-price",
        "group": chance.random() < 0.5,
        "all": chance.random() < 0.5,
        "item": chance.choice([None, "k/e y"]),
    }
    address = call(module, "state", "toAddress", given)
    assert call(module, "state", "fromAddress", address.removeprefix("/")) == given


def test_rows_fill_the_width_and_never_move(module: Page) -> None:
    chance = random.Random(7)
    for _ in range(30):
        aspects = [chance.uniform(0.62, 2.4) for _ in range(chance.randint(1, 60))]
        width, gap = chance.randint(288, 1800), 14
        laid = call(module, "justify", "justify", aspects, width, 200, gap)
        sizes, closed = laid["sizes"], laid["closed"]
        assert len(sizes) == len(aspects)
        at = 0
        while at < closed:
            row = [sizes[at]]
            while sum(one["width"] for one in row) + gap * (len(row) - 1) < width:
                row.append(sizes[at + len(row)])
            assert sum(one["width"] for one in row) + gap * (len(row) - 1) == width
            assert len({one["height"] for one in row}) == 1
            for aspect, one in zip(aspects[at:], row, strict=False):
                assert one["width"] == pytest.approx(aspect * one["height"], abs=len(row) + 2)
            at += len(row)
        rest = sizes[closed:]
        assert sum(one["width"] for one in rest) + gap * (len(rest) - 1) <= width
        more = call(module, "justify", "justify", [*aspects, 1.0, 1.5, 0.7], width, 200, gap)
        assert more["sizes"][:closed] == sizes[:closed]
