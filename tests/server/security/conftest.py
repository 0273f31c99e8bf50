"""One shop and one guarded server on it for all tests that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mmsearch.server.security import keys
from tests.server.security.worlds import application, guarded
from tests.server.worlds import listening, make_shop
from tests.support import ColourEncoder


@pytest.fixture(scope="session")
def still_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("guarded") / "shop", ColourEncoder())


@pytest.fixture(scope="session")
def local(still_shop: Path) -> Iterator[TestClient]:
    """A client of a server without keys."""
    with guarded(still_shop, ColourEncoder()) as client:
        yield client


@pytest.fixture(scope="session")
def address(still_shop: Path) -> Iterator[str]:
    """Of a server without keys behind a real socket, which takes 1 MB."""
    with listening(application(still_shop, ColourEncoder(), max_body_bytes=1_000_000)) as found:
        yield found


@pytest.fixture(scope="session")
def impatient(still_shop: Path) -> Iterator[str]:
    """Of a server that waits a second."""
    with listening(application(still_shop, ColourEncoder(), request_seconds=1.0)) as found:
        yield found


@dataclass(frozen=True)
class Keyed:
    """A server with one key of each scope."""

    client: TestClient
    file: Path
    read: dict[str, str]
    write: dict[str, str]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="session")
def keyed(still_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    read = bearer(keys.add(file, "reader", "read"))
    write = bearer(keys.add(file, "writer", "write"))
    with guarded(still_shop, ColourEncoder(), keys_file=file, host="0.0.0.0") as client:
        yield Keyed(client, file, read, write)
