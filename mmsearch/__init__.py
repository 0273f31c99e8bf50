"""mmsearch: describe a picture and find it, show a picture and find the words.

import mmsearch

with mmsearch.open("./photos", create=True) as collection:
    collection.index(["./photos"])
    for hit in collection.search("red car", k=5):
        print(hit.rank, hit.score, hit.path)
"""

from __future__ import annotations

# `typing` is half of what bare Python takes to start (2026-11), and this is imported always; type
# checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mmsearch.client import AsyncClient, Client
    from mmsearch.collection import Collection, open
    from mmsearch.errors import MmsearchError
    from mmsearch.types import Failure, Hit, IndexReport, Progress, Query, Term

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "Collection",
    "Failure",
    "Hit",
    "IndexReport",
    "MmsearchError",
    "Progress",
    "Query",
    "Term",
    "open",
]


_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "Collection": "collection",
    "open": "collection",
    "MmsearchError": "errors",
    **dict.fromkeys(("Failure", "Hit", "IndexReport", "Progress", "Query", "Term"), "types"),
}


def __getattr__(name: str) -> Any:
    # The collection brings SQLAlchemy and FAISS: only who opens one pays for them. The types are
    # a tenth of the time of a cold query, which needs none.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mmsearch.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mmsearch' has no attribute {name!r}")
