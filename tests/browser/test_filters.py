"""Narrowing by what the collection itself offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.browser.conftest import settled
from tests.browser.looks import keys, query, search, status
from tests.browser.shop import HOSTILE_MAKER, ODD_NAME, products

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

    from tests.browser.conftest import Open

ROWS = {str(row["key"]): row for row in products()}


def row_of(page: Page, facet: str, value: str) -> Locator:
    rows = page.get_by_role("region", name=facet).locator(".value")
    return rows.filter(has=page.get_by_text(value, exact=True))


def count_of(page: Page, facet: str, value: str) -> int:
    return int(row_of(page, facet, value).locator(".value-count").inner_text().lstrip(", "))


def choose(page: Page, facet: str, value: str) -> None:
    row_of(page, facet, value).get_by_role("checkbox").click()
    page.locator(".chip").filter(has_text=value).wait_for()
    settled(page)
    page.wait_for_timeout(50)


def test_facets_are_made_from_the_data(page: Page) -> None:
    names = page.locator(".facet h3").all_inner_texts()
    assert {"Category", "Colour", "Price", "Sale", "Tags", "Maker", 'Made "in"'} <= set(names)
    assert "Title" not in names  # nearly every item has its own
    reds = [key for key, row in ROWS.items() if row.get("colour") == "red"]
    assert count_of(page, "Colour", "red") == len(reds)


def test_facet_that_cannot_be_counted_is_done_without(open_page: Open) -> None:
    page = open_page("/static/mark.svg", ready=False)

    def with_a_ghost(route: Route) -> None:
        told: dict[str, Any] = route.fetch().json()
        told["attributes"].insert(2, {"name": "ghost", "types": ["string"]})
        route.fulfill(json=told)

    page.route("**/v1/collection", with_a_ghost)
    page.goto(page.url.replace("/static/mark.svg", "/"))
    settled(page)
    assert status(page) == f"{len(ROWS)} items"
    names = page.locator(".facet h3").all_inner_texts()
    assert {"Category", "Colour", "Price", "Sale", "Tags", "Maker"} <= set(names)
    assert "Ghost" not in names


def test_attribute_that_goes_while_the_page_is_open_is_left_out_again(page: Page) -> None:
    def without_colours(route: Route) -> None:
        if '"colour"' not in (route.request.post_data or ""):
            return route.continue_()
        problem = {"title": "Bad Request", "status": 400, "detail": "unknown attribute 'colour'"}
        return route.fulfill(status=400, json=problem)

    page.route("**/v1/search", without_colours)
    page.get_by_role("combobox", name="Search").fill("toy")
    page.get_by_role("combobox", name="Search").press("Enter")
    page.get_by_text("unknown attribute 'colour'").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.locator(".card[data-key]").first.wait_for()
    settled(page)
    assert "Colour" not in page.locator(".facet h3").all_inner_texts()


def test_choosing_values_narrows_to_them(page: Page) -> None:
    expected = count_of(page, "Colour", "red")
    choose(page, "Colour", "red")
    page.get_by_text(f"{expected} items of").wait_for()
    assert {ROWS[key]["colour"] for key in keys(page)} == {"red"}
    # The other colours are still on offer, with what they would add.
    blue = count_of(page, "Colour", "blue")
    choose(page, "Colour", "blue")
    page.get_by_text(f"{expected + blue} items of").wait_for()
    assert {ROWS[key]["colour"] for key in keys(page)} == {"red", "blue"}
    assert query(page) == {"is.colour": ["red", "blue"]}
    page.locator(".chip").filter(has_text="red").click()
    page.get_by_text(f"{blue} items of").wait_for()
    row_of(page, "Colour", "blue").get_by_role("checkbox").click()
    page.get_by_text(f"{len(ROWS)} items").wait_for()
    assert query(page) == {}


def test_ranges_narrow_numbers(page: Page) -> None:
    page.get_by_label("Price, at most").fill("10")
    page.get_by_label("Price, at most").press("Enter")
    page.locator(".chip").filter(has_text="Price: up to 10").wait_for()
    page.get_by_text("items of").wait_for()
    settled(page)  # how many there are is said before they are shown
    cheap = {key for key, row in ROWS.items() if row.get("price", 99) <= 10}
    assert set(keys(page)) == cheap
    page.get_by_label("Price, at least").fill("20")  # upside down: taken as 10 to 20
    page.get_by_label("Price, at least").press("Enter")
    page.locator(".chip").filter(has_text="10 – 20").wait_for()
    assert query(page) == {"min.price": ["10"], "max.price": ["20"]}


def test_values_of_every_type_and_spelling(open_page: Open) -> None:
    chosen = {
        "is.maker": HOSTILE_MAKER,
        f"is.{ODD_NAME}": "Kyōto",
        "is.sale": "true",
        "is.tags": "new",
    }
    page = open_page("/?" + urlencode(chosen))
    expected = {
        key
        for key, row in ROWS.items()
        if row["maker"] == HOSTILE_MAKER
        and row.get(ODD_NAME) == "Kyōto"
        and row.get("sale")
        and "new" in row.get("tags", [])
    }
    assert expected
    assert set(keys(page)) == expected
    assert page.locator(".chip").filter(has_text="Sale: yes").is_visible()
    page.get_by_role("button", name="Clear all").click()
    page.get_by_text(f"{len(ROWS)} items").wait_for()


def test_words_and_filters_go_together(page: Page) -> None:
    search(page, "toy")
    matches = int(status(page).split()[0])
    choose(page, "Colour", "red")
    assert int(status(page).split()[0]) < matches
    assert {ROWS[key]["colour"] for key in keys(page)} == {"red"}


def test_typed_filter_and_its_fault(page: Page) -> None:
    page.get_by_text("Write a filter").click()
    page.get_by_label("Filter expression").fill("prise < 5")
    page.get_by_label("Filter expression").press("Enter")
    page.get_by_text("did you mean price?").wait_for()
    assert status(page) == "This filter cannot be read"
    page.get_by_label("Filter expression").fill("price < 5 and title like '%pple%'")
    page.get_by_label("Filter expression").press("Enter")
    page.get_by_text(f"of {len(ROWS)} items").wait_for()
    assert all("pple" in ROWS[key]["title"] for key in keys(page))


def test_nothing_fits_and_the_way_out(open_page: Open) -> None:
    page = open_page("/?is.colour=red&max.price=0.01")
    assert page.get_by_text("No item passes these filters.").is_visible()
    page.get_by_role("button", name="Clear the filters").click()
    page.get_by_text(f"{len(ROWS)} items").wait_for()


def test_sorting_shows_what_it_sorts_by(page: Page) -> None:
    page.locator("#sort").select_option(label="Stock, high to low")
    page.locator(".caption").filter(has_text="Stock").first.wait_for()
    stocks = [ROWS[key].get("stock", -1) for key in keys(page)]
    assert stocks == sorted(stocks, reverse=True)


def test_groups_fold_and_unfold(page: Page) -> None:
    page.get_by_label("One per group").check()
    page.locator(".variants").first.wait_for()
    settled(page)
    groups = [ROWS[key].get("group") for key in keys(page) if ROWS[key].get("group")]
    assert len(groups) == len(set(groups))
    badge = page.locator(".variants").first
    wanted = int(badge.inner_text()) + 1
    badge.click()
    page.locator(".chip").filter(has_text="Group:").wait_for()
    page.get_by_text(f"{wanted} items of").wait_for()
    assert len({ROWS[key]["group"] for key in keys(page)}) == 1
