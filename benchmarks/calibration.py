"""How often a search says "no match" when nothing matches, at 5% refused of what is there.

    python benchmarks/calibration.py --data ../shared/data
    python benchmarks/calibration.py --model ViT-B-32/openai --json

Three kinds of queries about what a gallery lacks, each with its own answerable queries:
  far       60 short phrases about other things, and 81 grocery names, against 1,000 Flickr8k
            photos; answerable: the photos' captions
  concept   captions and short phrases about a concept, against the photos without it (no caption of
            theirs names it: dogs, snow, bicycles, ...); answerable: captions of photos that stay
  removed   each caption against the gallery without its photo and the share of photos whose
            captions are most like it; also on the recorded vectors of CLIP ViT-B/32

Photos are split in three: captions of the first third are the bank that the background is measured
on, the second third sets each method's threshold at 5% refused, the last third is reported, with
the share of answerable queries that was in fact refused there. Fixed seeds; embeddings are kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import mmsearch
from mmsearch.evaluation.cache import default_folder
from mmsearch.evaluation.embed import Embedder
from mmsearch.ranking.calibrate import DEPTH, Background, fit

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmsearch.types import Vectors

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
REFUSED = 0.05

FAR = """an x-ray of a hand; stock market chart; a screenshot of source code; a bank statement;
a circuit diagram; the planet Saturn; an MRI scan of a brain; a map of the subway; a QR code;
a wedding cake; sheet music; a periodic table; bacteria under a microscope; an astronaut on the
moon; a rocket launch; a submarine under water; a kitchen with a stainless steel fridge; an empty
bathroom with a bathtub; a bowl of ramen soup; a plate of sushi; a penguin; an elephant at a
waterhole; a giraffe eating leaves; a lion in the savanna; a zebra; a polar bear; a shark; a sea
turtle; a passport; a handwritten letter; a tractor on a wheat field; an oil tanker; a fighter
jet; a helicopter over a city; a server room; a knitting pattern; a church organ; a bottle of wine
and cheese; a laptop on a desk; a chess board; a grand piano; a coral reef; a volcano erupting; the
northern lights; a lighthouse in a storm; a windmill in a tulip field; a newspaper front page; a
comic book page; a floor plan of a flat; a coin collection; pills and a syringe; a dentist at work;
a surgeon in the operating room; a loaf of bread; a steam locomotive; a cactus in the desert; an owl
in a tree; a snake; a spider in its web; a butterfly on a flower"""

# Words that name a concept in a caption, and short queries about it.
CONCEPTS: Mapping[str, tuple[str, str]] = {
    "dog": (
        r"dogs?|pupp(y|ies)|greyhounds?|terriers?|retrievers?|poodles?|collies?|labradors?|canines?"
        r"|shepherds?|hounds?",
        "a dog; a dog running; a brown dog; two dogs playing",
    ),
    "bicycle": (
        r"bikes?|bicycles?|bikers?|biking|bicyclists?|cyclists?|cycling|bmx|motorcycles?"
        r"|motorcyclists?|motorbikes?|dirtbikes?|motocross",
        "a bicycle; a man riding a bike; motorcycle race; cyclist",
    ),
    "snow": (
        r"snow\w*|ski|skis|skiing|skiers?|sled\w*|ice|icy|hockey",
        "snow; a skier; people in the snow; ice hockey",
    ),
    "football": (r"football\w*|soccer", "football player; a soccer game"),
    "water": (
        r"pools?|swim\w*|wading|ocean|sea|beach|lake|water|waves?|surf\w*",
        "a swimming pool; children at the beach; a surfer on a wave; the sea",
    ),
    "climbing": (
        r"climb\w*|cliffs?|rocks?|rocky|mountain\w*|rappel\w*",
        "a rock climber; mountains; a man on a cliff",
    ),
    "horse": (r"horses?|rodeo|ponies|pony|bull|cowboy", "a horse; horses; a rodeo"),
    "skateboard": (r"skate\w*|ramps?", "a skateboarder; skateboard trick"),
    "ball": (
        r"basketball|tennis|baseball|volleyball|rugby|balls?",
        "a basketball game; tennis player; a baseball game",
    ),
    "car": (r"race\s?cars?|cars?|trucks?|vehicles?|bus|buses|train", "a car; a race car; a truck"),
    "band": (
        r"guitar\w*|band|sing\w*|microphone|music\w*|stage|drum\w*",
        "a man playing guitar; a band on stage; a singer",
    ),
    "playground": (
        r"swing\w*|slide\w*|playground|trampoline",
        "a child on a swing; a slide; a playground",
    ),
}


@dataclass(frozen=True, eq=False)
class Gallery:
    """Photos (n, d) and their captions (n * c, d), the c of a photo in a row; `part` (n,) is the
    third that a photo belongs to."""

    images: Vectors
    captions: Vectors
    part: npt.NDArray[np.int64]

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(len(self.images)), len(self.captions) // len(self.images))

    def queries(self, part: int) -> Vectors:
        rows: Vectors = self.captions[self.part[self.owner] == part]
        return rows


@dataclass(frozen=True, eq=False)
class Backgrounds:
    """Measured with the bank's own mean, and (None: not measured) with that of a thousand nouns."""

    bank: Background
    nouns: Background | None


def measure(gallery: Gallery, nouns: Vectors | None) -> Backgrounds:
    bank, images = gallery.queries(0), gallery.images
    return Backgrounds(
        fit(bank, images), None if nouns is None else fit(bank, images, anything=nouns)
    )


# What decides: (queries, photos, their backgrounds) -> one number a query, more is better.
Method = Callable[["Vectors", "Vectors", Backgrounds], "Floats"]


def _best(queries: Vectors, images: Vectors) -> Vectors:
    return np.asarray(-np.sort(-(queries @ images.T), axis=1), np.float32)


def by_cosine(queries: Vectors, images: Vectors, _: Backgrounds) -> Floats:
    return np.asarray((queries @ images.T).max(axis=1), np.float64)


def by_query_z(queries: Vectors, images: Vectors, _: Backgrounds) -> Floats:
    scores = queries @ images.T
    return np.asarray((scores.max(axis=1) - scores.mean(axis=1)) / scores.std(axis=1), np.float64)


def by_gap(queries: Vectors, images: Vectors, _: Backgrounds) -> Floats:
    best = _best(queries, images)
    return np.asarray(best[:, 0] - best[:, 10:100].mean(axis=1), np.float64)


def by_tail(queries: Vectors, images: Vectors, _: Backgrounds) -> Floats:
    """The best score's place in an exponential tail fitted to the best tenth (Pickands 1975)."""
    best = _best(queries, images)
    tenth = max(len(images) // 10, 2)
    over = best[:, :tenth] - best[:, tenth : tenth + 1]
    return np.asarray(over[:, 0] / over[:, 1:].mean(axis=1), np.float64)


def by_background_z(queries: Vectors, images: Vectors, backgrounds: Backgrounds) -> Floats:
    """The best score after each item's own background: no pooling of candidates."""
    scores = queries @ images.T - images @ backgrounds.bank.typical
    return np.asarray(scores.max(axis=1), np.float64)


def by_relevance(queries: Vectors, images: Vectors, backgrounds: Backgrounds) -> Floats:
    """What the search uses. Evidence orders as relevance does, without rounding to 0 or 1."""
    return _evidence(queries, images, backgrounds.bank)


def by_relevance_with_nouns(queries: Vectors, images: Vectors, backgrounds: Backgrounds) -> Floats:
    if backgrounds.nouns is None:
        return np.full(len(queries), np.nan)
    return _evidence(queries, images, backgrounds.nouns)


def _evidence(queries: Vectors, images: Vectors, background: Background) -> Floats:
    values = []
    for query in queries:
        top = np.argpartition(-(images @ query), DEPTH)[:DEPTH]  # evidence has no order
        values.append(background.evidence(query, images[top]))
    return np.array(values)


METHODS: dict[str, Method] = {
    "fixed cosine": by_cosine,
    "z per query": by_query_z,
    "top-1 minus ranks 10..100": by_gap,
    "exponential tail": by_tail,
    "item background": by_background_z,
    "relevance": by_relevance,
    "relevance, nouns": by_relevance_with_nouns,
}


@dataclass(frozen=True)
class Refused:
    """Shares of absent and of answerable queries that are refused, one pair for each method."""

    name: str
    absent: dict[str, float]
    answerable: dict[str, float]
    queries: int


def threshold_and_report(
    name: str,
    absent: Mapping[str, Floats],
    second: Mapping[str, Floats],
    last: Mapping[str, Floats],
) -> Refused:
    gone, here = {}, {}
    for method in absent:
        if np.isnan(second[method]).any():  # a method that this data does not allow
            gone[method] = here[method] = float("nan")
            continue
        least = np.quantile(second[method], REFUSED)
        gone[method] = float((absent[method] < least).mean())
        here[method] = float((last[method] < least).mean())
    return Refused(name, gone, here, len(next(iter(absent.values()))))


def judge(queries: Vectors, images: Vectors, backgrounds: Backgrounds) -> dict[str, Floats]:
    return {name: method(queries, images, backgrounds) for name, method in METHODS.items()}


def mean_of(name: str, parts: Sequence[Refused]) -> Refused:
    def mean(which: str) -> dict[str, float]:
        return {m: float(np.mean([getattr(one, which)[m] for one in parts])) for m in METHODS}

    return Refused(name, mean("absent"), mean("answerable"), sum(one.queries for one in parts))


def far(gallery: Gallery, absent: Mapping[str, Vectors], nouns: Vectors) -> list[Refused]:
    backgrounds = measure(gallery, nouns)
    second, last = (judge(gallery.queries(n), gallery.images, backgrounds) for n in (1, 2))
    return [
        threshold_and_report(name, judge(rows, gallery.images, backgrounds), second, last)
        for name, rows in absent.items()
    ]


def concepts(
    gallery: Gallery, named: Mapping[str, tuple[Mask, Vectors]], nouns: Vectors
) -> tuple[list[Refused], Refused]:
    """`named`: concept -> which captions name it (n * c,), and short queries about it."""
    about_captions: list[Refused] = []
    about_phrases: list[Refused] = []
    for name, (naming, phrases) in named.items():
        gone: Mask = np.any(naming.reshape(len(gallery.images), -1), axis=1)  # (n,)
        kept = Gallery(
            gallery.images[~gone], gallery.captions[~gone[gallery.owner]], gallery.part[~gone]
        )
        backgrounds = measure(kept, nouns)
        second, last = (judge(kept.queries(n), kept.images, backgrounds) for n in (1, 2))
        captions = gallery.captions[naming & (gallery.part[gallery.owner] == 2)]
        for rows, into in ((captions, about_captions), (phrases, about_phrases)):
            absent = judge(rows, kept.images, backgrounds)
            into.append(threshold_and_report(f"concept: {name}", absent, second, last))
    return about_captions, mean_of("concepts, short phrases", about_phrases)


def removed(gallery: Gallery, share: float, name: str, nouns: Vectors | None) -> Refused:
    """Each caption of the last third without its photo and the `share` of photos most like it."""
    backgrounds = measure(gallery, nouns)
    second, last = (judge(gallery.queries(n), gallery.images, backgrounds) for n in (1, 2))
    n = len(gallery.images)
    asked = np.nonzero(gallery.part[gallery.owner] == 2)[0]
    alike = (gallery.captions[asked] @ gallery.captions.T).reshape(len(asked), n, -1).max(axis=2)
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for row, like in zip(asked, alike, strict=True):
        keep = np.ones(n, bool)
        keep[np.argsort(-like)[: max(1, round(share * n))]] = False
        keep[gallery.owner[row]] = False
        one = judge(gallery.captions[row : row + 1], gallery.images[keep], backgrounds)
        for method, value in one.items():
            found[method].append(float(value[0]))
    absent = {method: np.array(values) for method, values in found.items()}
    return threshold_and_report(name, absent, second, last)


def imagenet_names() -> list[str]:
    """The first name of each of ImageNet's thousand classes, as timm lists them."""
    from timm.data.imagenet_info import ImageNetInfo

    return [name.split(",")[0] for name in ImageNetInfo("imagenet-1k").label_descriptions()]


def thirds(n: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(n) % 3


def flickr(data: Path, embedder: Embedder) -> list[Refused]:
    tar, lines = data / "flickr8k_dev.tar", data / "flickr8k_dev.jsonl"
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    names = [f"{tar}::{row['image']}" for row in rows]
    captions = [caption for row in rows for caption in row["captions"]]
    grocery = json.loads((data / "grocery_classes.json").read_text(encoding="utf-8"))
    phrases = [" ".join(one.split()) for one in FAR.split(";")]
    products = [f"a photo of {name}" for name in grocery]
    short = {
        name: [q.strip() for q in queries.split(";")] for name, (_, queries) in CONCEPTS.items()
    }
    words = [f"a photo of a {name}" for name in imagenet_names()]
    asked = [
        *captions,
        *words,
        *phrases,
        *products,
        *(q for queries in short.values() for q in queries),
    ]
    embedder.prepare(names, asked)
    gallery = Gallery(embedder.images(names), embedder.texts(captions), thirds(len(names), 0))
    nouns = embedder.texts(words)
    absent = {"far: phrases": embedder.texts(phrases), "far: groceries": embedder.texts(products)}
    named = {
        name: (
            np.array([bool(re.search(rf"\b({words})\b", one.lower())) for one in captions]),
            embedder.texts(short[name]),
        )
        for name, (words, _) in CONCEPTS.items()
    }
    each, about_phrases = concepts(gallery, named, nouns)
    quarter = np.sort(np.random.default_rng(3).permutation(len(names))[: len(names) // 4])
    part = Gallery(
        gallery.images[quarter],
        gallery.captions[np.isin(gallery.owner, quarter)],
        thirds(len(quarter), 0),
    )
    return [
        *far(gallery, absent, nouns),
        about_phrases,
        mean_of("concepts, captions", each),
        *each,
        *(removed(part, share, f"removed: {share:.0%}", nouns) for share in (0.05, 0.1, 0.2, 0.3)),
    ]


def recorded_clip(folder: Path) -> list[Refused]:
    """100 photos with five captions each: figures are means over six splits in thirds."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        owner = [row["image_id"] for row in csv.DictReader(file)]
    rows = np.unique(owner, return_index=True)[1]
    order = np.argsort(owner, kind="stable")
    images, texts = (np.load(folder / f"{kind}_embeddings.npy") for kind in ("image", "text"))
    images, texts = (
        np.asarray(one / np.linalg.norm(one, axis=1, keepdims=True), np.float32)
        for one in (images[rows], texts[order])
    )
    return [
        mean_of(
            f"removed: {share:.0%}",
            [
                removed(Gallery(images, texts, thirds(len(images), seed)), share, "", None)
                for seed in range(6)
            ],
        )
        for share in (0.05, 0.1, 0.2, 0.3)
    ]


def table(found: Sequence[Refused]) -> str:
    """Percent of the absent refused, and in brackets of the answerable."""
    lines = [
        "| queries | n | " + " | ".join(METHODS) + " |",
        "|---|---|" + "---|" * len(METHODS),
    ]
    for one in found:
        cells = [
            "" if np.isnan(one.absent[m]) else f"{one.absent[m]:.0%} ({one.answerable[m]:.1%})"
            for m in METHODS
        ]
        lines.append(f"| {one.name} | {one.queries} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the optional sets")
    parser.add_argument("--device", help="cpu, cuda or mps")
    parser.add_argument("--cache", type=Path, default=default_folder(), help="kept embeddings")
    parser.add_argument("--workers", type=int, help="threads that decode")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    results: list[tuple[str, list[Refused]]] = []
    if (options.data / "flickr8k_dev.tar").is_file():
        from mmsearch.encoders.open_clip_encoder import load_encoder

        encoder = load_encoder(options.model, device=options.device)
        embedder = Embedder(encoder, options.cache, options.workers)
        name = f"{options.model} ({encoder.fingerprint}), Flickr8k dev"
        results.append((name, flickr(options.data, embedder)))
    else:
        print(f"left out: flickr8k_dev is not in {options.data}", file=sys.stderr)
    clip = options.data / "clip_vitb32_flickr8k"
    if clip.is_dir():
        results.append(("recorded CLIP ViT-B/32, 100 photos of Flickr8k", recorded_clip(clip)))
    else:
        print(f"left out: {clip.name} is not in {options.data}", file=sys.stderr)
    for name, found in results:
        if options.json:
            for one in found:
                facts: dict[str, Any] = {"version": mmsearch.__version__, "subject": name}
                print(json.dumps(facts | vars(one)))
            continue
        print(f"{name}; mmsearch {mmsearch.__version__}, {platform.machine()}\n\n{table(found)}\n")


if __name__ == "__main__":
    main()
