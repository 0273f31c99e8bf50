"""The same measures as trec_eval computes them, through ir-measures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.evaluation.measures import Measure
from mmsearch.evaluation.result import MEDIAN_RANK, Qrels, Run

if TYPE_CHECKING:
    from mmsearch.evaluation.result import PerQuery


def trec_measures(
    qrels: Qrels, run: Run, queries: Sequence[str], measures: Sequence[Measure]
) -> dict[str, PerQuery]:
    """measure name -> (q,) float64 for `queries`, 0 for those that the run does not answer.

    Leaves out `MEDIAN_RANK`, which trec_eval does not know. trec_eval itself keeps scores as
    32-bit floats and breaks ties by descending id.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, in some of its optional providers
        import ir_measures

    known = {_measure(ir_measures, one): str(one) for one in measures if one.base != MEDIAN_RANK}
    row_of = {query: row for row, query in enumerate(queries)}
    values = {name: np.zeros(len(queries)) for name in known.values()}
    judged = {query: dict(qrels[query]) for query in queries if qrels.get(query)}
    answered = {query: dict(run[query]) for query in judged if run.get(query)}
    for metric in ir_measures.pytrec_eval.iter_calc(list(known), judged, answered):
        values[known[metric.measure]][row_of[metric.query_id]] = metric.value
    return values


def _measure(ir: Any, measure: Measure) -> Any:
    base = {
        "hit": ir.Success,
        "recall": ir.R,
        "precision": ir.P,
        "AP": ir.AP,
        "nDCG": ir.nDCG,
        "RR": ir.RR,
        "R-precision": ir.Rprec,
    }[measure.base]
    return base if measure.k is None else base @ measure.k
