"""Reading the page as one sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.browser.conftest import settled

if TYPE_CHECKING:
    from playwright.sync_api import Page


def search(page: Page, words: str) -> None:
    """Types words into the box, and Enter."""
    box = page.get_by_role("combobox", name="Search")
    box.fill(words)
    box.press("Enter")
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("q") == [words])
    settled(page)


def keys(page: Page) -> list[str]:
    """The keys of the results, in their order."""
    found: list[str] = page.locator(".card[data-key]").evaluate_all(
        "cards => cards.map(card => card.dataset.key)"
    )
    return found


def status(page: Page) -> str:
    return page.locator("#status").inner_text().strip()


def query(page: Page) -> dict[str, list[str]]:
    """What the address says."""
    return parse_qs(urlsplit(page.url).query)


def boxes(page: Page) -> list[dict[str, Any]]:
    """Where each picture is: `{key, x, y, width, height}`, from the top of the page."""
    found: list[dict[str, Any]] = page.locator(".card[data-key]:not([hidden])").evaluate_all(
        """cards => cards.map(card => {
            const at = card.querySelector('.frame').getBoundingClientRect();
            return {key: card.dataset.key, x: at.x, y: at.y + scrollY,
                    width: at.width, height: at.height};
        })"""
    )
    return found
