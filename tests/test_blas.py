"""Products have one thread each while we compute them, and then what they had."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np  # its library of products is what is limited
import pytest
from threadpoolctl import OpenBLASController, threadpool_info, threadpool_limits

from mmsearch import blas
from mmsearch.blas import VARIABLE, keep_to_one_thread, lanes, one_thread


def threads() -> set[int]:
    """Those of a product, of each library with one number for all threads, as NumPy's is."""
    return {
        one["num_threads"]
        for one in threadpool_info()
        if one["user_api"] == "blas" and one.get("threading_layer") != "openmp"
    }


def let_any_thread_set_limits() -> None:
    """From threadpoolctl 3.8 on the first one to set one is the only one that may."""
    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@pytest.fixture(autouse=True)
def three_each(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(VARIABLE, raising=False)
    let_any_thread_set_limits()  # whatever tests before have left
    with threadpool_limits(3, "blas"):
        if threads() != {3}:
            pytest.skip(f"NumPy {np.__version__} multiplies with a library that takes no orders")
        let_any_thread_set_limits()
        yield


def test_a_product_has_one_thread_inside_and_what_it_had_afterwards() -> None:
    with one_thread():
        assert threads() == {1}
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {3}


def test_an_error_takes_the_limit_back() -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert threads() == {3}


def test_blocks_that_overlap_in_several_threads_leave_what_was() -> None:
    first_inside, second_inside, leave = (threading.Event() for _ in range(3))
    later: list[set[int]] = []

    def first() -> None:
        with one_thread():
            first_inside.set()
            second_inside.wait(10)
        leave.wait(10)  # alive, which is no reason for others to have no limit

    thread = threading.Thread(target=first)
    thread.start()
    assert first_inside.wait(10)
    with one_thread():
        assert threads() == {1}
        second_inside.set()
        while one_thread_is_limited():
            time.sleep(0.001)
    assert threads() == {3}
    with one_thread():
        later.append(threads())
    leave.set()
    thread.join()
    assert later == [{1}]
    assert threads() == {3}


def one_thread_is_limited() -> bool:
    return blas._limiting.locked()


def test_who_sets_the_variable_keeps_what_he_set() -> None:
    environment = {VARIABLE: "4"}
    keep_to_one_thread(environment)
    assert environment == {VARIABLE: "4"}


def test_there_are_as_many_lanes_as_processors_or_as_openmp_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for told, expected in (("", 6), ("2", 2), ("64", 6), ("0", 1), ("2,1", 6)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert lanes() == expected, told


def test_the_program_keeps_to_one_thread_before_it_loads_numpy() -> None:
    code = """
import sys
from mmsearch import __main__
from mmsearch.cli import app
def show():
    import numpy
    from threadpoolctl import threadpool_info
    print(*(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"))
app.main = show
assert "numpy" not in sys.modules
sys.argv = ["mmsearch", "models"]
__main__.main()
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["1"]
