"""One browser and one server for all tests of the page; a fresh, watched window for each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser.shop import make_collection, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    Open = Callable[..., "Page"]

BROWSERS = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 30_000  # of one step; a busy machine is slow, a wrong page never gets there


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium of this machine: Playwright's own would be a download.

    For this package only, as all that rests on it: while it is there an event loop runs in this
    thread, and no test elsewhere could start its own.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}): apt-get install chromium")
    # Chromium refuses its sandbox to root, which containers often run as.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(
            executable_path=found, args=[*options, "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def collection(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    """The shop; asks for the browser first, so that nothing is indexed where there is none."""
    return make_collection(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="package")
def address(collection: Path) -> Iterator[str]:
    with serving(collection) as (address, _):
        yield address


class Watch:
    """What a window asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        # A failed request is a matter of the test; anything else in red is a fault of the page.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def origins(self) -> set[str]:
        parts = [urlsplit(url) for url in self.requests]
        return {f"{part.scheme}://{part.netloc}" for part in parts if part.scheme != "blob"}


@pytest.fixture(scope="package")
def usual(browser: Browser) -> BrowserContext:
    """What windows without wishes share: a cache, so that files come over only once."""
    return browser.new_context(viewport={"width": 1280, "height": 800})


@pytest.fixture
def open_page(browser: Browser, usual: BrowserContext, address: str) -> Iterator[Open]:
    """Opens the page at a path, in a window with Playwright's `options`, and waits for results.

    Every window that a test opens must have stayed with its server and without faults.
    """
    watches: list[tuple[Watch, str]] = []
    pages: list[Page] = []
    contexts: list[BrowserContext] = []

    def opened(path: str = "/", *, at: str = address, ready: bool = True, **options: Any) -> Page:
        context = usual
        if options:
            options.setdefault("viewport", {"width": 1280, "height": 800})
            context = browser.new_context(**options)
            contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        pages.append(page)
        watches.append((Watch(page), at))
        page.goto(f"{at}{path}")
        if ready:
            settled(page)
        return page

    yield opened
    for one in [*pages, *contexts]:
        one.close()
    for watch, at in watches:
        assert watch.origins() <= {at}
        assert watch.faults == []


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page at its start."""
    return open_page()


def settled(page: Page, timeout_ms: float | None = None) -> None:
    """Waits until nothing is searched for any more, and something is shown."""
    shown = page.locator("body:not(.busy) :is(.card[data-key], .results .message, dialog[open])")
    shown.first.wait_for(state="attached", timeout=timeout_ms)
