"""For everyone: keys, screen readers, themes and small windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import settled
from tests.browser.looks import keys, query, search

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Open

PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}


def focused_key(page: Page) -> str | None:
    key: str | None = page.evaluate(
        "document.activeElement.closest('.card[data-key]')?.dataset.key ?? null"
    )
    return key


def test_all_of_it_by_keys(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("toy")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=toy")
    page.get_by_text("matches").wait_for()
    settled(page)
    order = keys(page)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    assert focused_key(page) == order[0]
    page.keyboard.press("ArrowRight")
    assert focused_key(page) == order[1]
    page.keyboard.press("ArrowDown")
    assert focused_key(page) not in order[:3]
    page.keyboard.press("ArrowUp")
    assert focused_key(page) == order[1]
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert query(page)["item"] == [order[1]]
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_url("**q=toy")
    page.wait_for_timeout(100)
    assert focused_key(page) == order[1]
    page.keyboard.press("x")
    page.locator(f".card[data-key={order[1]}]").wait_for(state="detached")
    settled(page)
    next_one = focused_key(page)  # in its place, so that keys go on
    assert next_one in keys(page)
    page.keyboard.press("m")
    page.locator(".chip.plus").wait_for()
    assert query(page)["up"] == [next_one]
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="hidden")


def test_results_are_one_stop_on_the_way_through(page: Page) -> None:
    reachable = page.locator(".card .open[tabindex='0']").count()
    assert reachable == 1


def test_theme_follows_the_system_until_one_is_chosen(open_page: Open) -> None:
    page = open_page(color_scheme="dark")

    def is_light() -> bool:
        colour: str = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0]) > 128

    assert not is_light()
    page.emulate_media(color_scheme="light")
    assert is_light()
    page.get_by_role("button", name="Switch to the dark theme").click()
    assert not is_light()
    page.reload()
    settled(page)
    assert not is_light()
    page.get_by_role("button", name="Switch to the light theme").click()
    page.emulate_media(color_scheme="dark")
    assert is_light()


def test_small_windows_need_no_sideways_scrolling(open_page: Open) -> None:
    page = open_page("/?q=toy&up=P001&is.colour=red&is.colour=blue&max.price=300", **PHONE)
    filters = page.get_by_role("button", name="Filters")
    for width in (768, 375, 320):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        filters.tap()
        page.get_by_role("region", name="Category").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        filters.tap()
        page.locator(".card .open").first.tap()
        page.locator("#detail .stage.ready").wait_for()
        overflow = page.locator("#detail").evaluate("it => it.scrollWidth - it.clientWidth")
        assert overflow <= 0
        page.get_by_role("button", name="Close").tap()
        page.get_by_role("dialog").wait_for(state="hidden")


def test_fault_of_a_filter_is_read_in_a_small_window(open_page: Open) -> None:
    page = open_page("/?where=price+<+50+and+colour+%3D", **PHONE)
    said = page.locator(".message p")
    assert "the filter ends where it needs a value" in said.inner_text()
    assert said.evaluate("it => it.scrollWidth - it.clientWidth") <= 0
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    filter, mark = page.locator(".message pre").inner_text().splitlines()
    assert filter.endswith("colour =")
    assert mark.index("^") == len(filter)


def test_filters_of_a_small_window_are_closed_from_within(open_page: Open) -> None:
    page = open_page("/?q=toy", **PHONE)
    filters = page.get_by_role("button", name="Filters")
    filters.tap()
    page.get_by_role("button", name="Done").tap()
    page.get_by_role("region", name="Category").wait_for(state="hidden")
    assert filters.evaluate("it => it === document.activeElement && !it.ariaExpanded.includes('t')")


def test_filters_reach_from_the_header_to_the_end_of_the_window(open_page: Open) -> None:
    page = open_page("/", viewport={"width": 1200, "height": 500})
    page.mouse.wheel(0, 400)
    page.wait_for_function("scrollY > 100")
    top, bottom = page.locator("#filters").evaluate(
        "it => [it.getBoundingClientRect().top, innerHeight - it.getBoundingClientRect().bottom]"
    )
    header = page.locator("header").evaluate("it => it.getBoundingClientRect().bottom")
    assert abs(top - header) < 1
    assert abs(bottom) < 1
    assert not page.get_by_role("button", name="Done").is_visible()


def test_no_motion_where_none_is_wanted(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    moving = page.evaluate(
        "document.getAnimations().filter(one => one.playState === 'running').length"
    )
    assert moving == 0
    assert page.locator(".frame img").first.evaluate("it => getComputedStyle(it).transform") in (
        "none",
        "matrix(1, 0, 0, 1, 0, 0)",
    )


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/?q=toy&up=P001&is.colour=red", {}),
        ("/?q=stock+market+chart", {}),
        ("/?q=toy&item=P001", {}),
        ("/?q=toy&to=text&like=P001", PHONE),
    ],
    ids=["results", "no match", "dialog", "phone, texts"],
)
def test_axe_finds_nothing_serious(open_page: Open, path: str, options: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(path, reduced_motion="reduce", **options)
    if "item=" in path:
        page.locator("#detail .alike img").first.wait_for()
        page.locator("#detail .stage.ready").wait_for()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.run(page).response["violations"]
        assert [
            (scheme, one["id"], [node["html"][:120] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ] == []


def test_count_of_results_is_announced(page: Page) -> None:
    live = page.get_by_role("status")
    search(page, "toy")
    assert live.inner_text().strip().endswith("matches")
    assert page.locator("#results").get_attribute("aria-busy") is None
