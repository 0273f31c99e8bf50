"""A server's collection from Python, as if it were here: `mmsearch.Client`."""

from mmsearch.client.async_client import AsyncClient
from mmsearch.client.client import Client
from mmsearch.client.values import (
    CollectionInfo,
    Evaluation,
    Item,
    Job,
    Model,
    Result,
    Written,
)

__all__ = [
    "AsyncClient",
    "Client",
    "CollectionInfo",
    "Evaluation",
    "Item",
    "Job",
    "Model",
    "Result",
    "Written",
]
