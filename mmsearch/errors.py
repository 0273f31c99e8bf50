"""Every error that mmsearch raises on purpose.

    MmsearchError
    ├── UsageError              the request itself makes no sense (empty query, k < 1)
    │   └── FilterError         a filter that cannot be read
    ├── InputError              a file or table that cannot be read as what it claims to be
    │   ├── ImageError          one picture
    │   └── TableError          one csv, jsonl or parquet file
    ├── RootError               a folder to index that is missing, unreadable or suddenly empty
    ├── CollectionError         the collection on disk
    │   ├── NoCollectionError   there is none here
    │   ├── LockedError         another process is writing
    │   ├── SchemaError         a newer mmsearch wrote it, or an older one on a read-only disk
    │   ├── EncoderMismatchError  it holds vectors of another encoder
    │   ├── CorruptionError     catalog and vectors disagree
    │   └── StorageError        disk full, read-only directory, I/O error
    ├── ItemNotFoundError       no item has that key
    ├── ModelError              a model that cannot be loaded
    │   └── HubUnreachableError it would have to be downloaded and cannot be
    ├── TrainingError           pairs that cannot be learned from, or a run that diverged
    └── ServerError             a server that cannot be reached, or gives no answer to a client
        └── AuthError           it wants an API key, or one that may do more

A message says what happened, with the offending value, and what to do next.
"""

from __future__ import annotations


class MmsearchError(Exception):
    """Base of the family; `except MmsearchError` catches all of it."""


class UsageError(MmsearchError): ...


class FilterError(UsageError):
    """`position`: where the fault starts in the filter's text, None for a filter in JSON."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class InputError(MmsearchError): ...


class ImageError(InputError): ...


class TableError(InputError): ...


class RootError(MmsearchError): ...


class CollectionError(MmsearchError): ...


class NoCollectionError(CollectionError): ...


class LockedError(CollectionError): ...


class SchemaError(CollectionError): ...


class EncoderMismatchError(CollectionError): ...


class CorruptionError(CollectionError): ...


class StorageError(CollectionError): ...


class ItemNotFoundError(MmsearchError): ...


class ModelError(MmsearchError): ...


class HubUnreachableError(ModelError): ...


class TrainingError(MmsearchError): ...


class ServerError(MmsearchError):
    """`status` is that of the response, None without any; `request_id` is its name in the log."""

    def __init__(
        self, message: str, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class AuthError(ServerError): ...


def exit_code(error: MmsearchError) -> int:
    """Process exit code: 2 for a request that makes no sense, 1 for everything else."""
    return 2 if isinstance(error, UsageError) else 1
