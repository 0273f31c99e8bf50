"""examples/product_page.html: a shop's own page, on another origin than the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mmsearch
from mmsearch.server.app import create_app
from mmsearch.server.settings import Settings
from tests.server.worlds import listening, picture
from tests.support import COLOURS, ColourEncoder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTILE = "<img src=x onerror=document.title='broken'>"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def own_site() -> Iterator[str]:
    """What `python -m http.server` serves in examples/; gives its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with mmsearch.open(tmp_path, create=True, encoder=ColourEncoder()) as collection:
        collection.upsert(
            {
                "key": f"P/{colour}",
                "title": HOSTILE if colour == "black" else f"a {colour} shoe",
                "image": picture(colour),
                "brand": brand,
                "colour": colour,
                "origin": "here",  # nothing to choose among
            }
            for colour, brand in zip(COLOURS, ["Acme", "Bolt"] * 3, strict=True)
        )
    return tmp_path


@contextmanager
def opened(browser: Browser, folder: Path, *, allowed: bool) -> Iterator[Page]:
    with own_site() as site:
        origins = (site,) if allowed else ("https://shop.example",)
        settings = Settings(folder / ".mmsearch", allow_origins=origins)
        with listening(create_app(settings, encoder=ColourEncoder())) as api:
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"{site}/product_page.html?api={api}")
            yield page
            context.close()


def test_shop_searches_narrows_and_shows_what_is_similar(browser: Browser, folder: Path) -> None:
    with opened(browser, folder, allowed=True) as page:
        page.get_by_role("searchbox").fill("red")
        page.keyboard.press("Enter")
        hits = page.locator("figure")
        hits.nth(5).wait_for()
        assert "a red shoe" in hits.first.inner_text()
        # Its pictures come from the other origin, too.
        image = hits.first.locator("img")
        page.wait_for_function(
            "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
        )

        # Its filters are what the collection has.
        assert page.get_by_role("button", name="red (1)", exact=True).is_visible()
        assert page.get_by_role("button", name="here (6)").count() == 0
        page.get_by_role("button", name="Acme (3)").click()
        page.get_by_role("button", name="Acme (3)", pressed=True).wait_for()
        assert hits.count() == 3
        assert page.get_by_role("status").inner_text() == "3 items"
        page.get_by_role("button", name="Acme (3)").click()
        hits.nth(5).wait_for()

        hits.first.get_by_role("button", name="Similar").click()
        page.get_by_text("5 items").wait_for()
        texts = hits.all_inner_texts()
        assert not any("a red shoe" in text for text in texts)
        assert any(HOSTILE in text for text in texts)  # as words, not as a picture
        assert page.title() == "Shop"


def test_sites_that_nobody_allowed_read_nothing(browser: Browser, folder: Path) -> None:
    with opened(browser, folder, allowed=False) as page:
        page.get_by_role("searchbox").fill("red")
        with page.expect_event("requestfailed"):
            page.keyboard.press("Enter")
        assert page.locator("figure").count() == 0
