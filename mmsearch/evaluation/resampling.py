"""Queries drawn again and again, by cluster: the arrays behind `statistics`.

A resample is a row of counts, how often each cluster was drawn; all measures of a resample then are
one matrix product of these counts with the sums by cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

# Draws held at a time: 4 million counts as float64 are 32 MB, whatever the number of queries.
CHUNK_ELEMENTS = 4_000_000
MEDIAN_PARTS = 16  # of the values, to find the middle in one of them


@dataclass(frozen=True)
class Groups:
    """Values summed by cluster: `sums` (c, m), `sizes` (c,); `of_query` (q,) numbers clusters."""

    sums: Floats
    sizes: Floats
    of_query: Integers

    @classmethod
    def of(cls, matrix: Floats, clusters: Sequence[object] | None) -> Groups:
        queries = len(matrix)
        if clusters is None:
            return cls(matrix, np.ones(queries), np.arange(queries, dtype=np.int64))
        if len(clusters) != queries:
            raise UsageError(
                f"{len(clusters)} cluster labels for {queries} queries: one label a query"
            )
        number: dict[object, int] = {}
        of_query = np.array([number.setdefault(x, len(number)) for x in clusters], np.int64)
        sums = np.zeros((len(number), matrix.shape[1]))
        np.add.at(sums, of_query, matrix)
        return cls(sums, np.bincount(of_query).astype(np.float64), of_query)

    def jackknife(self, column: int) -> Floats:
        """(c,) the mean of `column` without each cluster in turn; empty when there is only one."""
        if len(self.sizes) == 1:
            return np.empty(0)
        one = self.sums[:, column]
        left: Floats = (one.sum() - one) / (self.sizes.sum() - self.sizes)
        return left


def bootstrap_draws(
    groups: Groups, matrix: Floats, median: Sequence[bool], resamples: int, seed: int
) -> Floats:
    """(resamples, m) the mean, or where `median` says so the median, of each resample."""
    random = np.random.default_rng(seed)
    count = len(groups.sizes)
    columns = [column for column, is_median in enumerate(median) if is_median]
    results = np.empty((resamples, matrix.shape[1]))
    for start, stop in chunks(resamples, len(matrix)):
        times = np.empty((stop - start, count))
        for row in times:  # one by one, the counts stay in the cache
            row[:] = np.bincount(random.integers(0, count, count), minlength=count)
        results[start:stop] = (times @ groups.sums) / (times @ groups.sizes)[:, None]
        for column in columns:
            results[start:stop, column] = medians_of(times, groups.of_query, matrix[:, column])
    return results


def medians_of(times: Floats, of_query: Integers, values: Floats) -> Floats:
    """(rows,) the median of `values` (q,) in each resample.

    Query i stands in it `times[:, of_query[i]]` times; an even number takes the middle of two.
    One product tells how many of a resample's values lie in each part of the ascending ones; those
    of the part that holds its middle are then counted one by one.
    """
    order = np.argsort(values)
    edges = np.linspace(0, len(order), MEDIAN_PARTS + 1).astype(np.int64)
    parts = [of_query[order[start:stop]] for start, stop in pairwise(edges)]
    table = np.stack([np.bincount(part, minlength=times.shape[1]) for part in parts], axis=1)
    reached = (times @ table).cumsum(axis=1)  # (rows, parts)
    total = reached[:, -1]
    middles = np.stack([(total - 1) // 2, total // 2], axis=1)  # positions from 0, equal if odd
    part = (reached[:, None, :] <= middles[:, :, None]).sum(axis=2)  # (rows, 2)
    before = np.where(part[:, 0] > 0, reached[np.arange(len(times)), part[:, 0] - 1], 0)
    found = np.empty(middles.shape, np.int64)
    for number, (row, (first, last)) in enumerate(zip(times, part, strict=True)):
        some = order[edges[first] : edges[last + 1]]
        position = np.searchsorted(
            row[of_query[some]].cumsum(), middles[number] - before[number], side="right"
        )
        found[number] = some[position]
    medians: Floats = values[found].mean(axis=1)
    return medians


def sign_flip_test(groups: Groups, resamples: int, seed: int) -> tuple[Floats, bool]:
    """(m,) two-sided p values of the sign-flip test on the sums by cluster, and whether exact."""
    count = len(groups.sizes)
    observed = np.abs(groups.sums.sum(axis=0))
    # Sums of the same numbers in another order differ in the last digits and are ties all the same.
    least = observed - 1e-12 * np.abs(groups.sums).sum(axis=0)
    exact = count < 63 and 2**count <= resamples
    trials = 2**count if exact else resamples
    random = np.random.default_rng(seed)
    hits = np.zeros(groups.sums.shape[1])
    for start, stop in chunks(trials, count):
        if exact:
            bits = (np.arange(start, stop)[:, None] >> np.arange(count)) & 1
        else:
            bits = random.integers(0, 2, (stop - start, count), np.int8)
        # sum_i s_i S_i with s_i = 2 bit_i - 1
        flipped = 2 * (bits.astype(np.float64) @ groups.sums) - groups.sums.sum(axis=0)
        hits += (np.abs(flipped) >= least).sum(axis=0)
    return (hits / trials if exact else (1 + hits) / (1 + trials)), exact


def chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges over `total` rows of `width` elements, CHUNK_ELEMENTS at a time."""
    rows = max(1, CHUNK_ELEMENTS // max(width, 1))
    for start in range(0, total, rows):
        yield start, min(start + rows, total)
