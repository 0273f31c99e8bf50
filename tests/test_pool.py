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
    *_, last = Threads(2).each([threading.get_ident] * 3)
    assert last == threading.get_ident()


def test_without_workers_the_caller_does_all() -> None:
    assert set(Threads(0).each([threading.get_ident] * 3)) == {threading.get_ident()}


def test_the_caller_does_what_nobody_has_begun() -> None:
    begun, released = threading.Event(), threading.Event()

    def first() -> int:
        begun.set()
        released.wait(10)  # until the caller has done the second: nobody else is there
        return threading.get_ident()

    def second() -> int:
        released.set()
        return threading.get_ident()

    def last() -> int:
        begun.wait(10)
        return threading.get_ident()

    other, *own = Threads(1).each([first, second, threading.get_ident, last])
    assert set(own) == {threading.get_ident()}
    assert other not in own


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
