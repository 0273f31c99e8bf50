"""One item, in its dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.conftest import settled
from tests.browser.looks import keys, query, search

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Open


def test_detail_tells_all_of_an_item(open_page: Open) -> None:
    page = open_page("/?q=red+car&item=P001")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("heading", name="Toy car, red").wait_for()
    text = dialog.inner_text()
    for words in ("a red shiny toy car on a wooden table", "11.30", "P001", "toys"):
        assert words in text
    page.locator("#detail-judged").get_by_text("relevant").wait_for()
    page.locator(".stage.ready").wait_for()
    page.locator(".alike a").first.wait_for()
    assert page.locator(".alike a").count() == 12
    assert "P001" not in page.locator(".alike").inner_html()


def test_closing_is_one_step_back_and_the_focus_returns(page: Page) -> None:
    page.locator(".card[data-key=P001] .open").click()
    page.get_by_role("dialog").wait_for()
    page.locator("#detail-next").click()
    page.wait_for_url("**item=*")
    second = query(page)["item"][0]
    assert second == keys(page)[1]
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_url(lambda url: "item=" not in url)
    assert query(page) == {}
    page.go_forward()
    page.get_by_role("dialog").wait_for()
    page.go_back()
    page.get_by_role("dialog").wait_for(state="hidden")


def test_thumb_in_the_dialog_outlives_it(page: Page) -> None:
    search(page, "red car")
    page.locator(".card[data-key=P001] .open").click()
    page.locator("#detail-up").click()
    page.locator("#detail-up[aria-pressed=true]").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert query(page) == {"q": ["red car"], "up": ["P001"]}


def test_like_this_but_blue(open_page: Open) -> None:
    page = open_page("/?item=P001")
    page.get_by_label("Like this, but").fill("blue")
    page.get_by_label("Like this, but").press("Enter")
    page.get_by_role("dialog").wait_for(state="hidden")
    settled(page)
    assert query(page) == {"like": ["P001"], "q": ["blue"]}
    page.get_by_text("matches").wait_for()
    first = page.locator(".card .title").first.inner_text().lower()
    assert "car" in first
    assert page.get_by_role("button", name="Remove Like Toy car, red").is_visible()


def test_closed_item_is_not_asked_for_again(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".card[data-key=P001] .open").click()
    page.locator(".alike a").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    search(page, "umbrella")
    assert any(url.endswith("/v1/items/P001") for url in asked)
    assert not any(url.endswith("/v1/items/null") for url in asked)


def test_item_that_is_not_there(open_page: Open) -> None:
    page = open_page("/?item=nothing")
    page.get_by_text("There is no such item any more").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("dialog").wait_for(state="hidden")
    assert query(page) == {}


def test_focus_stays_in_the_dialog(open_page: Open) -> None:
    page = open_page("/?item=P001")
    page.locator(".alike a").first.wait_for()
    for _ in range(30):
        page.keyboard.press("Tab")
        inside = page.evaluate(
            "document.activeElement === document.body || "
            "document.querySelector('#detail').contains(document.activeElement)"
        )
        assert inside
