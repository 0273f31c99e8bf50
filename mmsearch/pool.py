"""Work in threads whose results come in order and never pile up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def default_workers() -> int:
    """Threads that decode, where nobody said how many."""
    return min(32, os.cpu_count() or 1)


class Threads:
    """Threads for tasks that leave Python's lock alone most of their time.

    `workers` work beside the caller's own thread, which does all of it where there are none.
    """

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="beside")
        self._alone = workers < 1

    def each(self, tasks: Iterable[Callable[[], _Result]]) -> list[_Result]:
        """The result of each task. The last is done in the caller's own thread, which then goes on
        with those before it that nobody has begun.

        Raises what a task raises, after all that were begun have ended.
        """
        if self._alone:
            return [task() for task in tasks]
        waiting = list(tasks)
        pending = [self._pool.submit(task) for task in waiting[:-1]]
        own: list[_Result] = []
        try:
            own += [task() for task in waiting[-1:]]
            while pending and pending[-1].cancel():
                own.append(waiting[len(pending) - 1]())
                pending.pop()
        except BaseException:
            for one in pending:
                one.cancel()
            raise
        finally:
            wait(pending)
        return [task.result() for task in pending] + own[::-1]


def in_order(
    tasks: Iterable[_Task],
    work: Callable[[_Task], _Result],
    *,
    workers: int,
    window: Callable[[], int],
) -> Iterator[_Result]:
    """`work` of each task, in the order of `tasks`, with at most `window()` in flight."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    pending: list[Future[_Result]] = []
    queue = iter(tasks)
    try:
        pending = [pool.submit(work, task) for task in islice(queue, window())]
        while pending:
            result = pending.pop(0).result()
            for task in islice(queue, max(0, window() - len(pending))):
                pending.append(pool.submit(work, task))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
