"""How often one client may ask, and what it costs to remember."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmsearch.server.security import rate
from mmsearch.server.security.access import route_of
from mmsearch.server.security.rate import Rate, client_of
from mmsearch.server.security.refusal import Facts
from tests.server.security.conftest import Keyed
from tests.server.security.worlds import guarded
from tests.support import ColourEncoder


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_passes_and_then_so_many_a_second(clock: Clock) -> None:
    bucket = Rate(2.0, 5, clock)
    assert [bucket.take("a", 1) for _ in range(5)] == [0] * 5
    assert bucket.take("a", 1) == pytest.approx(0.5)
    assert bucket.take("b", 1) == 0  # another client has a bucket of its own
    clock.now += 0.5
    assert bucket.take("a", 1) == 0
    assert bucket.take("a", 1) > 0
    clock.now += 1000  # a long silence saves up no more than a burst
    assert sum(bucket.take("a", 1) == 0 for _ in range(20)) == 5


def test_over_a_minute_nobody_gets_more_than_its_share(clock: Clock) -> None:
    bucket = Rate(3.0, 10, clock)
    passed = 0
    for _ in range(6000):
        passed += bucket.take("a", 1) == 0
        clock.now += 0.01
    assert 180 <= passed <= 10 + 3 * 60


def test_memory_is_bounded_and_the_busy_are_remembered(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "MAX_CLIENTS", 100)
    bucket = Rate(0.001, 1, clock)
    assert bucket.take("busy", 1) == 0
    for number in range(5000):
        bucket.take(f"stranger {number}", 1)
        assert bucket.take("busy", 1) > 0
    assert len(bucket) == 100


def facts(path: str = "/v1/search", key: str | None = None) -> Facts:
    return Facts("id", route_of("GET", path), key)


def scope(address: str) -> dict[str, Any]:
    return {"client": (address, 1234)}


def test_a_household_of_ipv6_is_one_client() -> None:
    def client(address: str) -> str:
        return client_of(scope(address), facts())

    assert client("2001:db8:1:2::3") == client("2001:db8:1:2:ffff::")
    assert client("2001:db8:1:2::3") != client("2001:db8:1:3::3")
    assert client("192.0.2.1") != client("192.0.2.2")
    assert client_of({"client": None}, facts()) == "at "
    assert client_of(scope("192.0.2.1"), facts(key="web")) == "key web"


def test_the_client_is_told_when_to_come_again(still_shop: Path) -> None:
    limits = {"requests_per_second": 0.5, "burst": 3}
    with guarded(still_shop, ColourEncoder(), **limits) as client:
        passed = [client.get("/v1/suggest?q=r").status_code for _ in range(3)]
        assert passed == [200] * 3
        refused = client.get("/v1/suggest?q=r")
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert client.get("/healthz").status_code == 200  # whoever watches it is no client


def test_pictures_cost_a_tenth(still_shop: Path) -> None:
    limits = {"requests_per_second": 0.001, "burst": 2}
    with guarded(still_shop, ColourEncoder(), **limits) as client:
        statuses = [client.get("/v1/thumbnails/P1").status_code for _ in range(25)]
    assert statuses.count(200) == 20
    assert set(statuses) == {200, 429}


def test_keys_have_buckets_of_their_own_and_guessing_is_limited(
    still_shop: Path, keyed: Keyed
) -> None:
    limits = {"requests_per_second": 0.001, "burst": 2}
    with guarded(still_shop, ColourEncoder(), keys_file=keyed.file, **limits) as client:

        def statuses(headers: dict[str, str]) -> list[int]:
            return [client.get("/v1/suggest?q=r", headers=headers).status_code for _ in range(3)]

        assert statuses({"Authorization": "Bearer guess"}) == [401, 401, 429]
        assert statuses(keyed.read) == [200, 200, 429]
        assert statuses(keyed.write) == [200, 200, 429]
