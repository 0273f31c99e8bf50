"""What can go wrong around the page: no server, no network, no key."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.conftest import settled
from tests.browser.looks import keys, search, status
from tests.browser.shop import run, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.conftest import Open


def test_offline_is_told_and_goes_on_by_itself(page: Page) -> None:
    page.context.set_offline(True)
    page.get_by_role("combobox", name="Search").fill("red car")
    page.get_by_role("combobox", name="Search").press("Enter")
    page.get_by_role("heading", name="You are offline").last.wait_for()
    page.context.set_offline(False)
    page.locator(".card[data-key=P001]").wait_for()
    settled(page)
    search(page, "umbrella")
    assert keys(page)


def test_key_is_asked_for_and_a_stopped_server_is_told(
    collection: Path, open_page: Open, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    key = run("keys", "add", "reader", "--keys", str(file)).strip().splitlines()[-1]
    with serving(collection, "--keys", str(file)) as (address, server):
        page = open_page("/?q=red+car", at=address, ready=False)
        prompt = page.get_by_role("dialog", name="This collection asks for a key")
        assert "Enter the key that you were given." in prompt.inner_text()
        assert "Bearer" not in prompt.inner_text()
        prompt.get_by_label("Access key").fill("wrong")
        prompt.get_by_role("button", name="Go on").click()
        again = page.get_by_role("dialog", name="This key is not accepted")
        again.get_by_label("Access key").fill(key)
        again.get_by_role("button", name="Go on").click()
        page.locator(".card[data-key=P001] .frame.ready img").wait_for()
        page.reload()  # kept as long as the tab
        page.locator(".card[data-key=P001] .frame.ready img").wait_for()
        assert key not in page.url

        server.send_signal(signal.SIGTERM)
        server.wait(30)
        page.get_by_role("combobox", name="Search").fill("umbrella")
        page.get_by_role("combobox", name="Search").press("Enter")
        page.get_by_role("button", name="Try again").wait_for()
        assert status(page) == "The server does not answer"
    port = int(address.rpartition(":")[2])
    with serving(collection, "--keys", str(file), port=port):
        page.get_by_role("button", name="Try again").click()
        page.locator(".card[data-key]").first.wait_for()
        settled(page)
        assert "umbrella" in page.locator(".card .title").first.inner_text().lower()
