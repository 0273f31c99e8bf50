"""Pictures on a CPU: as many batches at once as there are cores, each on one of them.

An operation that is shared between cores ends at a barrier. With decoding threads on the same
cores one of its halves is always late, and the other spins until it comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Lanes:
    """Threads in which torch computes on one core each; elsewhere it goes on as before."""

    def __init__(self, count: int) -> None:
        import torch

        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="encode")
        together = threading.Barrier(count)

        def settle() -> None:
            torch.get_num_threads()  # a thread takes the common number when it first needs one
            torch.set_num_threads(1)  # of this thread, and the common one
            together.wait()

        before = torch.get_num_threads()
        try:
            for started in [self._pool.submit(settle) for _ in range(count)]:
                started.result()
        finally:
            torch.set_num_threads(before)  # the common one is as it was

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Do `work` as soon as a lane is free."""
        return self._pool.submit(work)


def share(total: int, at_most: int, lanes: int, at_least: int) -> list[slice]:
    """Slices that cover range(total), one a lane where that leaves `at_least` items to each.

    None holds more than `at_most`; small matrices waste a core, hence `at_least`.
    """
    size = min(at_most, max(at_least, -(-total // lanes)))
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]
