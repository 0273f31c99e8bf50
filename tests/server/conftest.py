"""A shop, and a client of the server on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.server.worlds import make_shop, serving
from tests.support import ColourEncoder


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("template"), ColourEncoder())


@pytest.fixture
def folder(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "shop"))


@pytest.fixture
def client(folder: Path, encoder: ColourEncoder) -> Iterator[TestClient]:
    with serving(folder, encoder) as opened:
        yield opened
