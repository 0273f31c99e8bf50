"""From a cosine to a relevance in [0, 1], and an honest "no match".

A cosine says which item is nearest, not whether it is near enough: what an unrelated query scores
differs between encoders, directions (text to image, text to text) and collections, and between
items of one collection, some of which are near to every query. So a `Background` is measured on
the collection itself, for one direction:

1. **Item background.** What a typical query scores with item x is <x, m>, with m the mean of a bank
   of typical queries. It is taken off: c(q, x) = <x, q - m>, the first moment of the query-bank
   normalisation of Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022.
2. **Evidence.** The soft mean of the best DEPTH candidates, in units of the spread of c:

       E(q) = log(1 / DEPTH * sum over candidates of exp(SHARPNESS * c / spread)) / SHARPNESS

   One outstanding item is evidence, and so are several good ones: weak encoders show what is there
   by many fair scores rather than by a high one.
3. **Relevance.** E is measured on the bank twice, as it is (answerable) and with each query's best
   LEFT_OUT of the collection taken away, which is what the query would see if that were not there
   (absent). With equal priors and normal classes of one variance, the probability of the first is

       r(q) = 1 / (1 + exp(-(E - middle) * slope)),  slope = (mean1 - mean0) / variance

   (linear discriminant analysis; Hastie, Tibshirani and Friedman, "The Elements of Statistical
   Learning", section 4.3), with medians and MADs for means and deviations. That is the relevance
   of the best hit; a hit that scores less has E less by the difference of the scores over spread.

Measured on 2026-11-25 with `benchmarks/calibration.py` against a fixed cosine, z-scores per query,
top-1 minus the mean of ranks 10 to 100, an exponential tail, local scaling and logistic regression
on ten features of the scores. Scores standardised per query were worst everywhere: a query about
nothing here also has its own best item, and its small spread is what tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.ranking.ranked import Floats
    from mmsearch.types import Vectors

DEPTH = 30  # candidates that count as evidence; 10 were a little better on CLIP, 100 on `mini`
SHARPNESS = 2.0  # 1: nearly the plain mean, 3: nearly the best one alone
LEFT_OUT = 0.05  # of the collection: what a query could be about
REFUSED = 0.05  # share of answerable queries that may be refused by the default threshold
# A threshold that a relevance can still reach: fused relevances end a little below 1.
HIGHEST = 1 - 1e-6
# A background counts while its collection is within these shares of what it was measured on.
SIZE_CHANGED = (0.5, 1.5)
FEWEST = 40  # queries and items below which medians and deviations say nothing
_BLOCK = 256  # queries at once: 256 x 100,000 float32 scores are 100 MB
_SAMPLE = 2000  # queries and items from which the spread is taken: 16 MB of scores
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Background:
    """How scores of one encoder, direction and collection are read.

    `typical` (d,) float32 is m, `spread` the standard deviation of c over bank and collection;
    `middle` and `slope` make a relevance of evidence. `least`: the relevance that all but REFUSED
    of the bank's queries reach, a threshold for "no match". `size` (items) and `queries` are what
    it was measured on: measure again when the collection has doubled.
    """

    typical: Vectors
    spread: float
    middle: float
    slope: float
    least: float
    size: int
    queries: int

    def evidence(self, query: Vectors, candidates: Vectors) -> float:
        """E of the unit query (d,) from the vectors (k, d) of its best candidates; DEPTH of them
        or all that there are. Missing ones count as nothing, not as average."""
        return float(_pool((candidates[:DEPTH] @ (query - self.typical))[None] / self.spread)[0])

    def relevance(
        self, query: Vectors, scores: npt.NDArray[np.floating], candidates: Vectors
    ) -> Floats:
        """(n,) relevances in [0, 1] of the hits of one query, falling as `scores` (n,) fall.

        `scores` are cosines, best first; `candidates` (at least min(n, DEPTH), d) the vectors of
        the best of them. The first relevance is the query's own: below the threshold there is no
        match.
        """
        if not len(scores):
            return np.empty(0)
        below = (np.asarray(scores, np.float64) - float(scores[0])) / self.spread
        return self._relevance(self.evidence(query, candidates) + below)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back, to the last bit."""
        return {**vars(self), "typical": [float(value) for value in self.typical]}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Background:
        """What `to_json` wrote. Raises UsageError for anything else."""
        try:
            return Background(
                np.array(value["typical"], np.float32),
                spread=float(value["spread"]),
                middle=float(value["middle"]),
                slope=float(value["slope"]),
                least=min(float(value["least"]), HIGHEST),
                size=int(value["size"]),
                queries=int(value["queries"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"not a background ({error!r}): it lacks or misspells a field; measure it again"
            ) from error

    def _relevance(self, evidence: Floats) -> Floats:
        # A logistic written with tanh, which does not overflow.
        return 0.5 + 0.5 * np.tanh(0.5 * self.slope * (evidence - self.middle))


def no_match(top: float, least: float) -> str | None:
    """What to say of an answer whose best relevance is `top`; None if that is a match."""
    if top >= least:
        return None
    return (
        f"no match: the most relevant item has a relevance of {top:.2f}, a match here has "
        f"{least:.2f} or more"
    )


def fit(
    bank: Vectors,
    corpus: Vectors,
    own: npt.NDArray[np.integer] | None = None,
    anything: Vectors | None = None,
) -> Background:
    """The background of one direction.

    `bank` (q, d) are unit vectors of queries that the collection answers, best of all the texts of
    some hundred of its items, or its pictures' vectors for searches by picture; `corpus` (n, d) the
    vectors that are searched, all of them or a sample. `own` (q,): the row of `corpus` that is the
    bank query itself and must not count, -1 for none (from picture to picture, text to text).
    `anything` (t, d): queries about all kinds of things, such as a thousand nouns, whose mean is m;
    without them it is the bank's. They let a query about something else be told better (phrases
    about other things refused with `mini`: 90% instead of 85%), at somewhat more answerable ones
    refused (8.1% instead of 6.4%), and worse on near misses.
    One pass of q x n products in bounded memory.

    Raises UsageError for fewer than FEWEST queries or items, where all scores are equal, or where
    what is answerable does not stand out.
    """
    if len(bank) < FEWEST or len(corpus) < FEWEST:
        raise UsageError(
            f"{len(bank)} queries and {len(corpus)} items are too few to measure what a score is "
            f"worth: it takes {FEWEST} of each"
        )
    common = bank if anything is None else anything
    typical = common.mean(axis=0, dtype=np.float64).astype(np.float32)
    with_typical = corpus @ typical  # (n,)
    rows = np.linspace(0, len(corpus) - 1, min(len(corpus), _SAMPLE)).astype(np.intp)
    spread = float((bank[:_SAMPLE] @ corpus[rows].T - with_typical[rows]).std())
    if not spread > 1e-6:
        raise UsageError("all items score the same with all queries: nothing can be told apart")
    answerable, absent = [], []
    removed = max(1, round(LEFT_OUT * len(corpus)))
    for scores in _scores(bank, corpus, own):
        # The candidates are the best by cosine, as those of a search are.
        top = np.argpartition(-scores, removed + DEPTH, axis=1)[:, : removed + DEPTH]
        best = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        centred = np.take_along_axis(best - with_typical[top], order, axis=1) / spread
        answerable.append(_pool(centred[:, :DEPTH]))  # centred: (block, removed + DEPTH)
        absent.append(_pool(centred[:, removed:]))
    with_it, without = np.concatenate(answerable), np.concatenate(absent)
    mean1, mean0 = float(np.median(with_it)), float(np.median(without))
    variance = (_deviation(with_it) ** 2 + _deviation(without) ** 2) / 2
    if not (variance > 1e-12 and mean1 > mean0):
        raise UsageError(
            "the best items of the bank's queries are no more like them than the next ones: "
            "give queries that this collection has answers to, or use another model"
        )
    background = Background(
        typical,
        spread,
        middle=(mean1 + mean0) / 2,
        slope=(mean1 - mean0) / variance,
        least=0.0,
        size=len(corpus),
        queries=len(bank),
    )
    reached = background._relevance(np.quantile(with_it, [REFUSED]))
    return Background(**{**vars(background), "least": min(float(reached[0]), HIGHEST)})


def _pool(standard: npt.NDArray[np.floating]) -> Floats:
    """(q,) evidence from (q, k <= DEPTH) standardised scores."""
    wide = SHARPNESS * np.asarray(standard, np.float64)
    if not wide.shape[1]:
        return np.full(len(wide), -np.inf)
    top = wide.max(axis=1)  # subtracted, so that exp does not overflow
    total = np.exp(wide - top[:, None]).sum(axis=1)
    pooled: Floats = (top + np.log(total / DEPTH)) / SHARPNESS
    return pooled


def _scores(
    bank: Vectors, corpus: Vectors, own: npt.NDArray[np.integer] | None
) -> Iterator[Vectors]:
    """Blocks (b, n) of cosines; -inf where x is the query itself."""
    for start in range(0, len(bank), _BLOCK):
        block = np.asarray(bank[start : start + _BLOCK] @ corpus.T, np.float32)
        if own is not None:
            mine = own[start : start + _BLOCK]
            block[np.nonzero(mine >= 0)[0], mine[mine >= 0]] = -np.inf
        yield block


def _deviation(values: Floats) -> float:
    """A standard deviation that outliers do not move."""
    return _MAD_TO_DEVIATION * float(np.median(np.abs(values - np.median(values))))
