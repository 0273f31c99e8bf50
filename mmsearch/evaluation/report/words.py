"""What the report says of its measures and of its statistics."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmsearch.evaluation.measures import DEFINITIONS
from mmsearch.evaluation.report.markup import Markup, element, join
from mmsearch.evaluation.statistics import CONFIDENCE, RESAMPLES

if TYPE_CHECKING:
    from mmsearch.evaluation.measures import Definition
    from mmsearch.evaluation.report.groups import Group

SYMBOLS = (
    "R is the number of relevant items of a query, r_1 < r_2 < \u2026 < r_R are their ranks, and "
    "rel_i is the grade of the item at rank i. Ranks begin at 1. A figure is the mean over all "
    "queries; a query without results counts as 0."
)


def definitions(groups: Sequence[Group]) -> Markup:
    """Formula, convention and source of every measure that the report names."""
    used = dict.fromkeys(name.partition("@")[0] for group in groups for name in group.measures)
    entries = [_definition(DEFINITIONS[name]) for name in used if name in DEFINITIONS]
    return element(
        "section",
        element("h2", "Definitions"),
        element("p", formula(SYMBOLS)),
        element("dl", *entries, class_="definitions"),
        id="definitions",
        class_="part",
    )


def _definition(one: Definition) -> Markup:
    name = one.name if one.name == one.mean_name else f"{one.mean_name}, the mean of {one.name}"
    return element(
        "div",
        element("dt", name),
        element("dd", element("code", formula(one.formula))),
        element("dd", f"{one.convention[:1].upper()}{one.convention[1:]}."),
        element("dd", f"Source: {one.source}.", class_="source"),
    )


def formula(written: str) -> Markup:
    """`written` with its indices lowered (r_1, rel_i) and <= as one sign."""
    parts: list[Markup | str] = []
    for part in re.split(r"(?<=[A-Za-z])_([A-Za-z0-9])\b", written.replace("<=", "\u2264")):
        parts.append(element("sub", part) if len(parts) % 2 else part)
    return join(*parts)


def method(groups: Sequence[Group]) -> Markup:
    """How intervals and tests were made, in the words of their formulas."""
    said = [
        f"Intervals: {CONFIDENCE:.0%} bootstrap over queries, {RESAMPLES:,} resamples, "
        "bias-corrected and accelerated (Efron 1987); percentile for a median. \u201cNo "
        "spread\u201d: all queries have the same value, and the bootstrap cannot tell how sure "
        "that is.",
        _clusters(groups),
    ]
    tested = [group.significance for group in groups if group.significance is not None]
    if tested:
        exact = all(pair.comparison.exact for one in tested for pair in one.pairs)
        counted = "all sign vectors" if exact else f"{RESAMPLES:,} random sign vectors"
        said.append(
            "Tests: Fisher\u2019s paired randomisation test on the mean difference per query, "
            f"{counted}, two-sided (Smucker, Allan and Carterette 2007); p = (1 + hits) / (1 + "
            "draws) where drawn (Phipson and Smyth 2010). Holm\u2019s correction covers the pairs "
            f"of runs within one measure, at {tested[0].alpha:g}; measures are not corrected for "
            "one another. d_z is Cohen\u2019s effect size of paired differences, their mean over "
            "their standard deviation. A median is not tested."
        )
    return element(
        "section",
        element("h2", "Method"),
        *(element("p", one) for one in said),
        id="method",
        class_="part",
    )


def _clusters(groups: Sequence[Group]) -> str:
    shared = [
        f"{group.title.lower()}, {len(set(group.first.clusters)):,} clusters of "
        f"{len(group.first.queries):,} queries"
        for group in groups
        if len(set(group.first.clusters)) < len(group.first.queries)
    ]
    if not shared:
        return "Every query counts as independent of the others: each is a cluster of its own."
    return (
        "Queries that share a picture are not independent: they are drawn, and their runs swapped, "
        f"together ({'; '.join(shared)})."
    )
