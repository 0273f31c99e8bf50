"""Every route asks for the key that the contract says, and for no weaker one."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from mmsearch.errors import InputError, UsageError
from mmsearch.server import routes
from mmsearch.server.security import keys
from mmsearch.server.security.access import ROUTES, route_of
from tests.server.security.conftest import Keyed, bearer
from tests.server.security.worlds import application, guarded
from tests.support import ColourEncoder

LISTED = [(template, method, scope) for template, methods, scope in ROUTES for method in methods]


def example(template: str) -> str:
    """A path of that template."""
    for name in ("{name:path}", "{key:path}", "{id}"):
        template = template.replace(name, "some")
    return template


def real_routes() -> set[tuple[str, str]]:
    found = {("/openapi.json", "GET"), ("/openapi.json", "HEAD"), ("/metrics", "GET")}
    for module in pkgutil.iter_modules(routes.__path__):
        router = importlib.import_module(f"{routes.__name__}.{module.name}").router
        found |= {(route.path, method) for route in router.routes for method in route.methods}
    return found


def test_every_route_has_a_scope_and_every_scope_a_route() -> None:
    assert {(template, method) for template, method, _ in LISTED} == real_routes()


def test_the_open_routes_are_these_and_only_read() -> None:
    assert {(t, m) for t, m, scope in LISTED if scope == "open"} == {
        *((path, method) for path in ("/", "/static/{name:path}") for method in ("GET", "HEAD")),
        *(("/openapi.json", method) for method in ("GET", "HEAD")),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
    }


@pytest.mark.parametrize(("template", "method", "scope"), LISTED)
def test_strangers_get_in_nowhere_but_at_the_open_routes(
    keyed: Keyed, template: str, method: str, scope: str
) -> None:
    response = keyed.client.request(method, example(template))
    if scope == "open":
        assert response.status_code not in (401, 403)
        return
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer realm=")
    wrong = keyed.client.request(method, example(template), headers=bearer("mms_wrong"))
    assert wrong.status_code == 401
    assert "invalid_token" in wrong.headers["www-authenticate"]


@pytest.mark.parametrize(("template", "method", "scope"), LISTED)
def test_a_read_key_reads_and_never_writes(
    keyed: Keyed, template: str, method: str, scope: str
) -> None:
    status = keyed.client.request(method, example(template), headers=keyed.read).status_code
    assert (status == 403) == (scope == "write")
    assert status != 401


@pytest.mark.parametrize(("template", "method", "scope"), [r for r in LISTED if r[2] == "write"])
def test_a_write_key_gets_to_every_route(
    keyed: Keyed, template: str, method: str, scope: str
) -> None:
    response = keyed.client.request(method, example(template), headers=keyed.write)
    assert response.status_code not in (401, 403), response.text  # 404, 422: it came through


def test_a_write_key_reads_too(keyed: Keyed) -> None:
    assert keyed.client.get("/v1/search?q=red", headers=keyed.write).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/unheard-of"),
        ("POST", "//v1/items"),
        ("POST", "/v1/items/"),
        ("POST", "/V1/items"),
        ("TRACE", "/"),
        ("POST", "/"),
        ("PUT", "/static/x"),
        ("OPTIONS", "/v1/items"),
        ("POST", "/v1/images/x"),
    ],
)
def test_what_nobody_listed_asks_for_the_strongest_key(
    keyed: Keyed, method: str, path: str
) -> None:
    assert route_of(method, path).scope == "write"
    assert keyed.client.request(method, path).status_code == 401
    assert keyed.client.request(method, path, headers=keyed.read).status_code == 403


@pytest.mark.parametrize(
    "form", ["{key}", "Basic {key}", "Bearer", "Bearer {key} x", "Token {key}"]
)
def test_only_a_bearer_key_lets_in(keyed: Keyed, form: str) -> None:
    key = keyed.read["Authorization"].split()[1]
    headers = {"Authorization": form.format(key=key)}
    assert keyed.client.get("/v1/collection", headers=headers).status_code == 401
    lower = {"Authorization": f"bearer {key}"}  # schemes have no case (RFC 9110, section 11.1)
    assert keyed.client.get("/v1/collection", headers=lower).status_code == 200
    twice = [("Authorization", f"Bearer {key}"), ("Authorization", "Bearer other")]
    assert keyed.client.get("/v1/collection", headers=twice).status_code == 401
    assert keyed.client.get(f"/v1/collection?key={key}").status_code == 401


def test_a_key_counts_from_when_it_is_added_until_it_is_removed(
    still_shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    first = bearer(keys.add(file, "first", "read"))
    with guarded(still_shop, ColourEncoder(), keys_file=file) as client:

        def status(headers: dict[str, str]) -> int:
            return client.get("/v1/collection", headers=headers).status_code

        second = bearer(keys.add(file, "second", "read"))
        assert (status(first), status(second)) == (200, 200)
        keys.remove(file, "first")
        assert (status(first), status(second)) == (401, 200)
        file.write_text("{")
        # Not the keys from before: among them may be the one that is to be removed.
        assert (status(first), status(second)) == (503, 503)
        assert client.get("/healthz").status_code == 200
        file.unlink()
        assert status(second) == 503


def test_an_open_address_without_keys_starts_nothing(still_shop: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.com"):
        with pytest.raises(UsageError, match="open to other machines"):
            application(still_shop, ColourEncoder(), host=host)
    for host in ("127.0.0.1", "127.0.0.5", "::1", "localhost"):
        application(still_shop, ColourEncoder(), host=host)


def test_a_missing_file_of_keys_starts_nothing(still_shop: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keys add NAME"):
        application(still_shop, ColourEncoder(), keys_file=tmp_path / "none.json")
