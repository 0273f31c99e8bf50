"""Pictures by name, in folders and in tar shards: `photos/a.jpg` or `shard.tar::a.jpg`."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mmsearch.errors import ImageError, InputError

SEPARATOR = ".tar::"


def name_in_tar(shard: Path, member: str) -> str:
    """What `read` and `locate` call a member of a shard."""
    return f"{shard}::{member}"


def read(name: str) -> bytes | Path:
    """The bytes of a shard's member, or the path of a file, both as `images.decode` takes them.

    Safe in any thread. Raises ImageError.
    """
    shard, separator, member = name.partition(SEPARATOR)
    if not separator:
        return Path(name)
    path = Path(f"{shard}.tar")
    found = members(path).get(member)
    if found is None:
        raise ImageError(f"{path}: holds no picture {member!r}")
    start, size = found
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error


@cache
def members(shard: Path) -> Mapping[str, tuple[int, int]]:
    """Name -> (offset, size) in bytes of the files in an uncompressed tar. Raises InputError."""
    try:
        with tarfile.open(shard, "r:") as tar:
            return {
                member.name.removeprefix("./"): (member.offset_data, member.size)
                for member in tar
                if member.isfile()
            }
    except (OSError, tarfile.TarError) as error:
        raise InputError(
            f"{shard}: not a tar file that can be read without unpacking ({error}); "
            "a compressed one has to be unpacked first"
        ) from error
