"""Looking for something by words and by pictures, and what comes of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import settled
from tests.browser.looks import boxes, keys, query, search, status
from tests.browser.shop import HOSTILE_KEY, HOSTILE_TITLE, SAMPLES, products

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Open

TOWER_MS = 120_000  # to load what encodes pictures, for the first of them on a busy machine
RED_CAR = SAMPLES / "photos" / "red-car-wooden-table.jpg"


def hand_over(page: Page, event: str) -> None:
    """Drops or pastes the picture of the red car."""
    page.evaluate(
        """([event, data]) => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const given = new DataTransfer();
            given.items.add(new File([bytes], 'car.jpg', {type: 'image/jpeg'}));
            const options = {bubbles: true, cancelable: true};
            if (event === 'paste') {
                const paste = new ClipboardEvent(event, {...options, clipboardData: given});
                document.body.dispatchEvent(paste);
            } else for (const one of ['dragenter', 'dragover', 'drop']) {
                document.body.dispatchEvent(new DragEvent(one, {...options, dataTransfer: given}));
            }
        }""",
        [event, base64.b64encode(RED_CAR.read_bytes()).decode()],
    )
    page.locator(".term").wait_for()
    settled(page, TOWER_MS)


def test_start_lists_everything(page: Page) -> None:
    assert status(page) == f"{len(products())} items"
    assert page.title() == "mmsearch"


def test_words_find_their_pictures_first(page: Page) -> None:
    search(page, "red car")
    assert keys(page)[0] == "P001"
    assert status(page).endswith(("match", "matches"))
    assert query(page) == {"q": ["red car"]}
    assert page.title() == "red car · mmsearch"
    assert "Relevance" in (page.locator(".relevance").first.get_attribute("aria-label") or "")


def test_suggestions_complete_what_was_begun(page: Page) -> None:
    box = page.get_by_role("combobox", name="Search")
    box.press_sequentially("toy c")
    first = page.get_by_role("option").first
    first.wait_for()
    words = first.get_attribute("data-text") or ""
    assert words.lower().startswith("toy c")
    box.press("ArrowDown")
    assert box.input_value() == words
    assert box.get_attribute("aria-activedescendant") == first.get_attribute("id")
    box.press("Escape")
    assert box.input_value() == "toy c"
    assert box.get_attribute("aria-expanded") == "false"
    box.press_sequentially("a")
    page.get_by_role("option", name="Toy car, red").first.click()
    settled(page)
    assert query(page) == {"q": ["Toy car, red"]}


@pytest.mark.parametrize("way", ["drop", "paste", "pick"])
def test_picture_finds_its_like(page: Page, way: str) -> None:
    if way == "pick":
        page.locator("#file").set_input_files(RED_CAR)
        page.locator(".term").wait_for()
        settled(page, TOWER_MS)
    else:
        hand_over(page, way)
    page.locator(".card[data-key=P001]").wait_for()
    assert keys(page)[0] == "P001"
    assert query(page) == {}
    assert page.get_by_text("not part of the link").is_visible()


def test_damaged_picture_is_said_in_plain_words(page: Page, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(RED_CAR.read_bytes()[:3000])
    page.locator("#file").set_input_files(damaged)
    page.get_by_role("heading", name="This picture cannot be read").last.wait_for()
    settled(page, TOWER_MS)
    assert status(page) == "This picture cannot be read"
    assert page.locator(".message p").inner_text().startswith("the picture is damaged")
    assert page.get_by_role("button", name="Try again").count() == 0
    page.get_by_role("button", name="Leave it out").click()
    page.locator(".card[data-key]").first.wait_for()
    assert page.locator(".term").count() == 0


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/?sort=nothing", "This search is not possible"),
        ("/?like=gone", "It is not there any more"),
    ],
)
def test_faults_have_titles_for_people(open_page: Open, path: str, title: str) -> None:
    assert status(open_page(path)) == title


def test_picture_finds_texts_and_goes_together_with_words(page: Page) -> None:
    hand_over(page, "drop")
    page.get_by_role("button", name="Texts").click()
    page.locator(".texts .card").first.wait_for()
    settled(page)
    assert "red shiny toy car" in page.locator(".texts .card").first.inner_text()
    page.get_by_role("button", name="Pictures").click()
    page.locator(".pictures .card").first.wait_for()
    search(page, "blue")
    page.locator(".card[data-key]").first.wait_for()
    assert "car" in page.locator(".card .title").first.inner_text().lower()
    assert page.locator(".term").count() == 1
    for _ in ("blue", "Pictures", "Texts", "dropped"):
        page.go_back()
    page.locator(".term").wait_for(state="hidden")
    page.go_forward()  # the picture is still known
    page.locator(".term").wait_for()


def test_reloaded_page_says_that_the_picture_is_gone(page: Page) -> None:
    hand_over(page, "drop")
    page.reload()
    settled(page)
    assert page.get_by_text("was never part of the link").is_visible()


def test_scrolling_brings_every_item_once_and_moves_none(open_page: Open) -> None:
    page = open_page("/", viewport={"width": 1000, "height": 600})
    before = boxes(page)
    assert 20 < len(before) <= 40
    for _ in range(40):
        if page.get_by_text("That is all.").is_visible():
            break
        page.mouse.wheel(0, 1500)
        page.wait_for_timeout(100)
    assert sorted(keys(page)) == sorted(str(row["key"]) for row in products())
    after = {box["key"]: box for box in boxes(page)}
    assert len(after) == len(products())
    assert [after[box["key"]] for box in before] == before


def test_no_match_is_said_and_the_nearest_are_dimmed(page: Page) -> None:
    search(page, "stock market chart")
    assert page.get_by_text("Nothing here is really about that. Nearest:").is_visible()
    assert status(page) == "No match"
    assert page.locator(".dimmed .card").count() == 12


def test_what_is_less_relevant_comes_when_asked_for(page: Page) -> None:
    search(page, "umbrella")
    few = len(keys(page))
    assert few < 15
    nearest = keys(page)[0]
    page.get_by_role("button", name="Show the less relevant too").click()
    page.wait_for_url("**all=1**")
    settled(page)
    page.get_by_text("best first").wait_for()
    assert len(keys(page)) > few
    assert keys(page)[0] == nearest


def test_more_and_less_like_this(page: Page) -> None:
    search(page, "toy")
    unwanted, wanted = keys(page)[:2]
    page.locator(f".card[data-key={unwanted}]").hover()
    page.locator(f".card[data-key={unwanted}]").get_by_title("Less like this").click()
    page.locator(f".card[data-key={unwanted}]").wait_for(state="detached")
    page.locator(f".card[data-key={wanted}]").hover()
    page.locator(f".card[data-key={wanted}]").get_by_title("More like this").click()
    page.locator(".chip.plus").wait_for()
    settled(page)
    assert query(page) == {"q": ["toy"], "up": [wanted], "down": [unwanted]}
    assert unwanted not in keys(page)
    page.locator(".chip.minus").click()
    page.locator(".chip.minus").wait_for(state="detached")
    assert query(page) == {"q": ["toy"], "up": [wanted]}


def test_liked_item_alone_is_a_query(page: Page) -> None:
    page.locator(".card[data-key=P001]").hover()
    page.locator(".card[data-key=P001]").get_by_title("More like this").click()
    page.get_by_text("matches").wait_for()
    assert all("car" in title.lower() for title in page.locator(".card .title").all_inner_texts())


def test_hostile_words_are_only_words(open_page: Open) -> None:
    page = open_page("/?q=zebra&all=1")
    page.get_by_text("best first").wait_for()
    card = page.locator(".card").filter(has_text=HOSTILE_TITLE).first
    card.wait_for()
    assert page.locator(".title").filter(has_text=HOSTILE_TITLE).count() >= 1
    page.locator(".card .title").get_by_text(HOSTILE_TITLE, exact=True).click()
    page.locator("#detail h2").get_by_text(HOSTILE_TITLE, exact=True).wait_for()
    assert page.locator("#detail code").inner_text() == HOSTILE_KEY
    assert query(page)["item"] == [HOSTILE_KEY]
    page.locator("#detail .stage.ready").wait_for()  # its picture has an address that works
    page.locator("#detail .alike img").first.wait_for()
    page.locator("#detail-up").click()
    page.get_by_role("button", name="Close").click()
    page.locator(".chip.plus").filter(has_text=HOSTILE_TITLE).wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x], main script, dialog script").count() == 0


def test_state_is_restored_from_the_address(open_page: Open) -> None:
    path = "/?q=toy&up=P001&is.colour=red&is.colour=blue&max.price=20&sort=-price"
    page = open_page(path)
    seen = keys(page), page.locator(".chips").inner_text()
    assert len(seen[0]) >= 2
    page.reload()
    settled(page)
    assert (keys(page), page.locator(".chips").inner_text()) == seen
    assert page.get_by_role("combobox", name="Search").input_value() == "toy"
    assert page.locator("#sort").input_value() == "-price"


def test_back_and_forward_go_through_what_was_asked(page: Page) -> None:
    search(page, "umbrella")
    umbrellas = keys(page)
    search(page, "red car")
    cars = keys(page)
    page.go_back()
    page.locator(f".card[data-key={umbrellas[0]}]").wait_for()
    settled(page)
    assert keys(page) == umbrellas
    page.go_forward()
    page.locator(f".card[data-key={cars[0]}]").wait_for()
    settled(page)
    assert keys(page) == cars
