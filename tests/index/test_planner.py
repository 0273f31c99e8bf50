"""The simplest kind that meets the goals, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsearch.errors import UsageError
from mmsearch.index.goals import Goals, Tuned
from mmsearch.index.planner import choose, lists_for, memory_bytes, outgrown, possible


def test_it_grows_from_exact_to_codes_to_lists_of_codes() -> None:
    kinds = [choose(10**power, 512, Goals()).kind for power in range(8)]
    assert kinds == ["exact"] * 5 + ["codes"] + ["ivf"] * 2


def test_it_says_why() -> None:
    why = choose(1_000_000, 512, Goals()).why
    assert why.startswith("IVF of short codes, refined: about")
    assert "exact float16 would take about 102 ms" in why
    assert "for 1,000,000 vectors of 512 numbers, recall 0.99 within 10 ms" in why


def test_memory_excludes_exact_search() -> None:
    assert choose(50_000, 512, Goals()).kind == "exact"
    assert choose(50_000, 512, Goals(memory_bytes=10_000_000)).kind == "codes"


def test_a_budget_that_nothing_fits_into_names_the_nearest_that_does() -> None:
    with pytest.raises(UsageError, match=r"do not fit into 1\.0 MB.* needs 81\.\d MB") as told:
        possible(1_000_000, 512, Goals(memory_bytes=1_000_000))
    # What it says is enough.
    megabytes = float(str(told.value).split("needs ")[1].split(" MB")[0])
    assert possible(1_000_000, 512, Goals(memory_bytes=int(megabytes * 1e6)))


def test_a_collection_that_outgrew_its_budget_gets_the_smallest_and_is_told() -> None:
    choice = choose(1_000_000, 512, Goals(memory_bytes=1_000_000))
    assert choice.kind == "codes"
    assert "do not fit" in choice.why


def test_a_recall_of_one_is_exact() -> None:
    assert possible(10**6, 512, Goals(recall=1)) == ["exact"]
    with pytest.raises(UsageError, match=r"at a recall of 1.*or ask for a recall below 1"):
        possible(10**6, 512, Goals(recall=1, memory_bytes=10**6))


def test_what_was_tuned_holds_until_the_collection_has_grown_fourfold() -> None:
    tuned = Tuned("ivf", 10_000, "measured")
    assert choose(39_000, 64, Goals(), tuned).kind == "ivf"
    assert choose(39_000, 64, Goals(), tuned).why.endswith("as chosen for 10,000 vectors")
    assert choose(41_000, 64, Goals(), tuned).kind == "exact"
    assert choose(2_000, 64, Goals(), tuned).kind == "exact"
    assert not outgrown(10_000, 40_000)
    assert outgrown(10_000, 40_001)


@given(st.integers(0, 10**8), st.integers(1, 4096), st.floats(0.001, 1e4))
def test_there_is_always_a_choice(count: int, dim: int, latency: float) -> None:
    choice = choose(count, dim, Goals(latency_ms=latency))
    assert choice.lists == lists_for(choice.kind, count)
    assert choice.lists & (choice.lists - 1) == 0  # a power of two
    assert choice.lists == 1 or count >= 39 * choice.lists
    assert memory_bytes(choice.kind, count, dim) >= 0
