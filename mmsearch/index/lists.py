"""The lists of an IndexIVFPQFastScan in a file that is mapped: opening one reads none of it.

Each list stands there as FAISS has it in memory: codes in blocks of 32, zeros in the free slots of
the last, and then as many ids as there are slots. So FAISS can search the file where it lies, as
lists "on disk"; before the first change they are copied into memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Table = npt.NDArray[np.int64]  # (lists, 3): items, slots, and where in the file

ID_BYTES = 8
FREE = -1  # the id of a free slot


def write_lists(codes: Any, path: Path, start: bytes) -> Table:
    """Write the lists behind `start`, a multiple of 64 bytes, and say what is where."""
    lists = faiss.downcast_InvertedLists(codes.invlists)
    sizes = np.array([lists.list_size(number) for number in range(codes.nlist)], np.int64)
    slots = _in_blocks(codes, sizes)
    lengths = slots * (_code_bytes(codes) + ID_BYTES)
    with open(path, "wb") as file:
        file.write(start)
        for number, (size, room) in enumerate(zip(sizes.tolist(), slots.tolist(), strict=True)):
            if size == 0:
                continue
            length = room * _code_bytes(codes)
            file.write(faiss.rev_swig_ptr(lists.get_codes(number), length).data)
            file.write(faiss.rev_swig_ptr(lists.get_ids(number), size).data)
            file.write(np.full(room - size, FREE, np.int64).data)
    return np.stack([sizes, slots, len(start) + np.cumsum(lengths) - lengths], axis=1)


def map_lists(codes: Any, path: Path, table: Table) -> None:
    """Give `codes`, which has none yet, the lists of a file. Raises ValueError, RuntimeError."""
    length = os.path.getsize(path)
    items, slots, starts = table.T
    ends = starts + slots * (_code_bytes(codes) + ID_BYTES)
    if len(table) != codes.nlist or (items > slots).any() or ends.max(initial=0) > length:
        raise ValueError(f"{path} does not hold the lists that it should")
    lists = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size = codes.nlist, _code_bytes(codes)
    lists.filename, lists.totsize, lists.read_only = str(path), length, True
    lists.prefetch_nthread = 0  # threads that read ahead would take longer to start
    lists.lists.resize(codes.nlist)
    plain = np.ascontiguousarray(table)
    faiss.memcpy(lists.lists.data(), faiss.swig_ptr(plain), plain.nbytes)
    lists.do_mmap()
    codes.replace_invlists(lists, False)
    codes.referenced_objects.append(lists)
    codes.ntotal = int(items.sum())


def are_mapped(codes: Any) -> bool:
    return isinstance(faiss.downcast_InvertedLists(codes.invlists), faiss.OnDiskInvertedLists)


def copy_lists(codes: Any, empty: Any) -> None:
    """Give `empty`, which has none yet, the lists of `codes`, in memory."""
    source = faiss.downcast_InvertedLists(codes.invlists)
    target = faiss.downcast_InvertedLists(empty.invlists)
    for number in range(codes.nlist):
        size = source.list_size(number)
        if size == 0:
            continue
        target.resize(number, size)
        length = _in_blocks(codes, size) * _code_bytes(codes)
        faiss.memcpy(target.get_codes(number), source.get_codes(number), length)
        faiss.memcpy(target.get_ids(number), source.get_ids(number), size * ID_BYTES)
    empty.ntotal = codes.ntotal


def _in_blocks(codes: Any, items: Any) -> Any:
    """Slots for so many items, a number or an array of them: blocks are whole."""
    return -(-items // codes.bbs) * codes.bbs


def _code_bytes(codes: Any) -> int:
    """Of one item in its block."""
    return int(codes.M2) // 2
