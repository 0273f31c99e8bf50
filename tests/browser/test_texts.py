"""A collection of texts only, in which one attribute has values of several types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import mmsearch
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.browser.conftest import settled
from tests.browser.looks import keys
from tests.server.worlds import listening
from tests.support import ColourEncoder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.conftest import Open

ANSWERS = [True, "yes", 5, "5"]
LONG = "It tells of red shoes and blue boots, of who made them, where and how. " * 12


@pytest.fixture(scope="module")
def texts(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("texts")
    with mmsearch.open(folder, create=True, encoder=ColourEncoder()) as collection:
        rows: list[dict[str, Any]] = [
            {"key": f"T{number}", "text": f"Letter {number}. {LONG}", "answer": ANSWERS[number % 4]}
            for number in range(8)
        ]
        rows[1]["price"] = 5  # a caption: its card is higher, and there is room in those beside it
        collection.upsert(rows)
    app = create_app(Settings(folder / ".mmsearch"), encoder=ColourEncoder())
    with listening(app) as address:
        yield address


def test_long_text_ends_where_its_card_says_so(open_page: Open, texts: str) -> None:
    page = open_page("/", at=texts)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        cards = page.locator(".card-text .words").evaluate_all(
            """cards => cards.map(card => ({
                lines: card.clientHeight / parseFloat(getComputedStyle(card).lineHeight),
                cut: card.scrollHeight > card.clientHeight,
            }))"""
        )
        assert len(cards) == 8
        assert all(card["cut"] and round(card["lines"], 1) == 6 for card in cards)


def test_similar_texts_show_their_first_words(open_page: Open, texts: str) -> None:
    page = open_page("/?item=T1", at=texts)
    tiles = page.locator(".alike a")
    tiles.first.wait_for()
    assert tiles.first.inner_text().startswith("Letter ")
    width, height = tiles.first.evaluate("it => [it.clientWidth, it.clientHeight]")
    assert abs(width - height) <= 1
    words = page.locator(".alike .first-words").first.bounding_box()
    assert words is not None
    assert 40 < words["height"] < height


def test_values_of_different_types_do_not_look_the_same(open_page: Open, texts: str) -> None:
    page = open_page("/", at=texts)
    values = page.get_by_role("region", name="Answer").locator(".value")
    shown = {text.split("\n")[0] for text in values.locator(".value-name").all_inner_texts()}
    assert shown == {"yes", "“yes”", "5", "“5”"}
    for text in ("yes", "“yes”"):
        values.filter(has=page.get_by_text(text, exact=True)).get_by_role("checkbox").click()
        settled(page)
    page.locator(".chip").nth(1).wait_for()
    assert page.locator(".chip").all_inner_texts() == ["Answer: yes", "Answer: “yes”"]
    page.get_by_text("4 items of").wait_for()
    settled(page)
    assert set(keys(page)) == {"T0", "T1", "T4", "T5"}
