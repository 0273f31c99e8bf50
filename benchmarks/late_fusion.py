"""A product's picture and its title together, against either alone: which weights are right.

    python benchmarks/late_fusion.py --data ../shared/data --model mini

The gallery is the part of fashion_large whose titles no training has seen (about 1,400 pictures of
1,000 titles). A query is what one types: "women's red kurta", one for each combination of gender,
colour and garment among them. Grade 2: all three fit; grade 1: the garment and one of the others.
The text of an item is its title, and, in a second run, its title without the colour, as in shops
whose titles name brand and model only. Half of the queries choose the weight, the others report.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mmsearch
from mmsearch.encoders.open_clip_encoder import load_encoder
from mmsearch.evaluation.cache import default_folder
from mmsearch.evaluation.embed import Embedder
from mmsearch.evaluation.evaluate import evaluate_run
from mmsearch.evaluation.task import Subject, Task
from mmsearch.ranking.fuse import Source, reciprocal_rank
from mmsearch.ranking.late import Weights, combine, scale_of
from mmsearch.ranking.ranked import Ranked, ranked
from mmsearch.training.data import FASHION_HELD_OUT as HELD_OUT
from mmsearch.training.data import GENDERS, fashion_held_out, garment, read_jsonl

if TYPE_CHECKING:
    from mmsearch.types import Vectors

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of the picture
DEPTH = 200  # of the lists that are fused by rank
SAMPLE = 500  # items that a query's scale is taken from

Garment = tuple[str, str, str]  # gender, colour, article


@dataclass(frozen=True)
class Shop:
    images: list[str]
    titles: list[str]
    garments: list[Garment]

    @property
    def queries(self) -> dict[str, Garment]:
        """Query text -> what it asks for."""
        return {
            f"{GENDERS.get(who, who.lower())} {colour.lower()} {garment(what)}": (who, colour, what)
            for who, colour, what in sorted(set(self.garments))
        }

    def grade(self, asked: Garment) -> dict[str, int]:
        grades = {}
        for row, has in enumerate(self.garments):
            if has[2] == asked[2]:
                same = (has[0] == asked[0]) + (has[1] == asked[1])
                if same:
                    grades[str(row)] = same
        return grades


def read_shop(data: Path) -> Shop:
    rows = read_jsonl(data / "fashion_large.jsonl")
    kept = fashion_held_out([row["title"] for row in rows], HELD_OUT)
    rows = [row for row in rows if row["title"].casefold().strip() in kept]
    return Shop(
        [f"{data / 'fashion_large.tar'}::{row['image']}" for row in rows],
        [row["title"] for row in rows],
        [(row["gender"], str(row["baseColour"]), row["articleType"]) for row in rows],
    )


def without_colour(title: str, colour: str) -> str:
    words = {word.lower() for word in colour.split()}
    return " ".join(word for word in title.split() if word.lower() not in words)


@dataclass(frozen=True, eq=False)
class Fusion:
    """The vectors of one run, and the rankings of one query by each way of fusing."""

    images: Vectors
    texts: Vectors

    def rankings(self, query: Vectors) -> dict[str, Ranked]:
        ids = np.arange(len(self.images), dtype=np.int64)
        image, text = self.images @ query, self.texts @ query
        alone = {"image": ranked(image, ids), "text": ranked(text, ids)}
        by_rank = [Source(name, one.head(DEPTH)) for name, one in alone.items()]
        found = {
            "image alone": alone["image"],
            "text alone": alone["text"],
            "raw cosines added": ranked(image + text, ids),
            "reciprocal rank": reciprocal_rank(by_rank).ranking,
        }
        z_image, z_text = self.standard(query, image, text)
        for share in SHARES:
            z = combine(z_image, z_text, Weights(share, 1 - share))
            found[f"standard, picture {share:.1f}"] = ranked(z, ids)
        return found

    def standard(self, query: Vectors, image: Vectors, text: Vectors) -> tuple[Any, Any]:
        step = max(1, len(self.images) // SAMPLE)
        return (
            scale_of(query, self.images[::step]).standard(image),
            scale_of(query, self.texts[::step]).standard(text),
        )


def measure(shop: Shop, fusion: Fusion, asked: Vectors, subject: Subject) -> dict[str, list[float]]:
    """Method -> nDCG@10 over the choosing and over the reporting half of the queries."""
    items = tuple(str(row) for row in range(len(shop.images)))
    queries = shop.queries
    runs: dict[str, dict[str, dict[str, float]]] = {}
    for text, vector in zip(queries, asked, strict=True):
        for method, ranking in fusion.rankings(vector).items():
            best = ranking.head(100)
            # The place, not the score: trec_eval breaks ties by name, and these have an order.
            runs.setdefault(method, {})[text] = {
                str(item): 1.0 / place for place, item in enumerate(best.ids.tolist(), 1)
            }
    halves = [list(queries)[0::2], list(queries)[1::2]]
    figures: dict[str, list[float]] = {}
    for method, run in runs.items():
        for half in halves:
            qrels = {text: shop.grade(queries[text]) for text in half}
            task = Task("fashion", "held-out", "text to product", tuple(half), items, qrels)
            found = evaluate_run(task, {text: run[text] for text in half}, subject)
            figures.setdefault(method, []).append(found.figure("nDCG@10"))
    return figures


def correlation(fusion: Fusion, asked: Vectors) -> float:
    """Mean over the queries of the correlation of the two modalities' scores."""
    values = [np.corrcoef(fusion.images @ q, fusion.texts @ q)[0, 1] for q in asked]
    return float(np.mean(values))


def table(figures: Mapping[str, Sequence[float]]) -> str:
    lines = ["| ranking | nDCG@10, choosing half | nDCG@10, reporting half |", "|---|---|---|"]
    lines += [f"| {name} | {one:.3f} | {two:.3f} |" for name, (one, two) in figures.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with fashion_large")
    parser.add_argument("--device", help="cpu, cuda or mps")
    parser.add_argument("--cache", type=Path, default=default_folder(), help="kept embeddings")
    parser.add_argument("--workers", type=int, help="threads that decode")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    if not (options.data / "fashion_large.tar").is_file():
        sys.exit(f"fashion_large.tar is not in {options.data}: name its folder with --data")
    shop = read_shop(options.data)
    bare = [
        without_colour(title, colour)
        for title, (_, colour, _) in zip(shop.titles, shop.garments, strict=True)
    ]
    encoder = load_encoder(options.model, device=options.device)
    embedder = Embedder(encoder, options.cache, options.workers)
    embedder.prepare(shop.images, [*shop.titles, *bare, *shop.queries])
    asked = embedder.texts(list(shop.queries))
    subject = Subject(options.model, encoder.fingerprint)
    where = f"mmsearch {mmsearch.__version__}, {platform.machine()}"
    for name, titles in (("title", shop.titles), ("title without colour", bare)):
        fusion = Fusion(embedder.images(shop.images), embedder.texts(titles))
        figures = measure(shop, fusion, asked, subject)
        rho = correlation(fusion, asked)
        if options.json:
            facts = {"model": options.model, "fingerprint": encoder.fingerprint, "text": name}
            print(json.dumps(facts | {"nDCG@10": figures, "correlation": round(rho, 3)}))
            continue
        print(
            f"text: {name}; {len(shop.queries)} queries, {len(shop.images)} products, correlation "
            f"{rho:.2f}; {options.model} ({encoder.fingerprint}), {where}\n\n{table(figures)}\n"
        )


if __name__ == "__main__":
    main()
