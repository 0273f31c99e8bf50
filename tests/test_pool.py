"""Tasks beside each other: results in order, and nothing goes on behind the caller's back."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from mmsearch.pool import Threads


def test_results_come_in_the_order_of_their_tasks() -> None:
    threads = Threads(2)
    assert threads.each([partial(abs, -number) for number in range(7)]) == list(range(7))
    assert threads.each([]) == []


def test_the_last_task_is_done_by_the_caller() -> None:
    *others, last = Threads(2).each([threading.get_ident] * 3)
    assert last == threading.get_ident()
    assert threading.get_ident() not in others


def test_what_a_task_raises_is_raised_once_all_have_ended() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        may_end.wait(10)
        ended.append(True)

    def fails() -> None:
        begun.wait(10)
        threading.Timer(0.05, may_end.set).start()
        raise ValueError("the last one")

    with pytest.raises(ValueError, match="the last one"):
        Threads(2).each([slow, fails])
    assert ended
