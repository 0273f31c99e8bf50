"""What `mmsearch train` gains on two shops with 0, 100, 500 and all training pairs.

    python benchmarks/adaptation.py --data ../shared/data --work /tmp/adaptation

grocery: photos taken in shops (81 classes). Trained on grocery_train, measured on grocery_val:
top-1 of each picture over the class names ("a photo of NAME"). fashion: product photos with their
titles; 1,000 distinct titles are held out, and each of them looks for its pictures among theirs.
The held-out pictures of the table are never seen by `train`, which holds out some of its own to
choose the step. Features are kept below --work, so that a second run takes minutes only.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmsearch import __version__
from mmsearch.adaptation.features import FeatureStore, fill
from mmsearch.adaptation.pairs import Pair, Pairs
from mmsearch.adaptation.train import TrainOptions, train
from mmsearch.encoders.adapted_encoder import AdaptedEncoder
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_encoder
from mmsearch.images import decode, digest_file
from mmsearch.training.data import Corpus, load_fashion, load_grocery

if TYPE_CHECKING:
    from mmsearch.types import Vectors


@dataclass(frozen=True)
class Shop:
    """Training pairs in a fixed random order, and how a model is measured."""

    name: str
    pairs: tuple[tuple[Pair, ...], ...]  # the captions of one picture stay together
    held_out: tuple[Path, ...]
    queries: tuple[str, ...]
    right: np.ndarray[Any, np.dtype[np.bool_]]  # (pictures, queries)
    by_picture: bool  # pictures look for texts, or texts for pictures

    def score(self, encoder: OpenClipEncoder | AdaptedEncoder, cache: Path) -> dict[str, float]:
        """hit@1 and hit@10; pictures over class names: hit@1 is top-1 accuracy."""
        scores = encode(encoder, self.held_out, cache) @ encoder.encode_texts(self.queries).T
        right = self.right if self.by_picture else self.right.T
        scores = scores if self.by_picture else scores.T
        best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
        ranks = 1 + ((scores >= best) & ~right).sum(axis=1)
        return {f"hit@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 10)}


def encode(
    encoder: OpenClipEncoder | AdaptedEncoder, paths: Sequence[Path], cache: Path
) -> Vectors:
    """(n, d) unit rows; what the base makes of a picture is kept, as `train` keeps it."""
    base = encoder.base if isinstance(encoder, AdaptedEncoder) else encoder
    pooled = base.has_pooled_features
    store = FeatureStore(cache / f"{base.fingerprint}-{'pooled' if pooled else 'embedding'}")
    path_of = {digest_file(path): path for path in paths}

    def compute(digests: Sequence[bytes]) -> tuple[Sequence[bytes], Vectors]:
        images = [decode(path_of[digest], base.image_size).image for digest in digests]
        pixels = np.stack([base.preprocess(image) for image in images])
        if not pooled:
            return digests, base.encode_images(pixels)
        return digests, np.concatenate(base.encode_pooled_images(pixels), axis=1)

    fill(store, list(path_of), compute, "pictures", lambda _: None)
    both = store.rows([digest_file(path) for path in paths])
    rows, features = both[:, : base.dim], both[:, base.dim :]
    if not isinstance(encoder, AdaptedEncoder):
        return rows
    return encoder.adapter.image(rows, rows if encoder.adapter.reuses_images else features)


def extract(corpus: Corpus, folder: Path) -> list[Path]:
    """The pictures as files, in the order of the corpus; those already there are not read again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / Path(example.image).name for example in corpus.examples]
    if not all(path.exists() for path in paths):
        with tarfile.open(corpus.source) as tar:
            for member in tar.getmembers():
                stream = tar.extractfile(member)
                if stream is not None:
                    (folder / Path(member.name).name).write_bytes(stream.read())
    return paths


def pairs_of(path: Path, captions: Sequence[str]) -> tuple[Pair, ...]:
    return tuple(Pair(path.name, path, caption) for caption in dict.fromkeys(captions))


def grocery(data: Path, work: Path) -> Shop:
    seen, unseen = (load_grocery(data, f"grocery_{part}") for part in ("train", "val"))
    paths, held_out = (extract(c, work / "pictures" / c.name) for c in (seen, unseen))
    names = sorted({e.captions[1] for e in (*seen.examples, *unseen.examples)})
    right = [[name == e.captions[1] for name in names] for e in unseen.examples]
    return Shop(
        "grocery",
        tuple(pairs_of(p, e.captions) for p, e in zip(paths, seen.examples, strict=True)),
        tuple(held_out),
        tuple(f"a photo of {name}" for name in names),
        np.array(right),
        by_picture=True,
    )


def fashion(data: Path, work: Path, limit: int) -> Shop:
    corpus = load_fashion(data)
    paths = extract(corpus, work / "pictures" / corpus.name)
    rows = list(zip(paths, corpus.examples, strict=True))
    kept = [(p, e) for p, e in rows if e.held_out]
    seen = [(p, e) for p, e in rows if not e.held_out]
    order = np.random.default_rng(0).permutation(len(seen))[:limit]
    titles = sorted({e.captions[0].casefold() for _, e in kept})
    right = [[title == e.captions[0].casefold() for title in titles] for _, e in kept]
    return Shop(
        "fashion",
        tuple(pairs_of(seen[at][0], seen[at][1].captions) for at in order),
        tuple(p for p, _ in kept),
        tuple(titles),
        np.array(right),
        by_picture=False,
    )


def run(shop: Shop, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per number of training pictures: 0, 100, 500, all."""
    base = load_encoder(options.model, device=options.device)
    cache = options.work / "features"
    rows: list[dict[str, Any]] = [
        {
            "shop": shop.name,
            "pictures": 0,
            "fingerprint": base.fingerprint,
            **shop.score(base, cache),
        }
    ]
    print(json.dumps(rows[0]), file=sys.stderr)
    for count in [n for n in (100, 500) if n < len(shop.pairs)] + [len(shop.pairs)]:
        started = time.perf_counter()
        chosen = tuple(pair for pairs in shop.pairs[:count] for pair in pairs)
        out = options.work / f"{shop.name}-{options.tune}-{count}-{int(time.time())}"
        settings = TrainOptions(
            base=options.model,
            out=out,
            tune=options.tune,
            features=options.features,
            steps=options.steps,
            rate=options.rate,
            keep=options.keep,
            early_stop=options.early_stop,
            device=options.device,
            cache=cache,
        )
        report = train(Pairs(chosen, ()), settings)
        row = {
            "shop": shop.name,
            "pictures": count,
            "pairs": len(chosen),
            "fingerprint": report.fingerprint,
            **shop.score(load_encoder(str(out), device=options.device), cache),
            "text_geometry_change": round(report.text_geometry_change, 4),
            "best_step": report.best_step,
            "seconds": round(time.perf_counter() - started, 1),
        }
        rows.append(row)
        print(json.dumps(row), file=sys.stderr)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["shop     training pictures   hit@1  hit@10"]
    for row in rows:
        counts = f"{row['shop']:<8} {row['pictures']:>17}"
        lines.append(f"{counts}  {row['hit@1']:>6.3f}  {row['hit@10']:>6.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, required=True, help="features, pictures and models")
    parser.add_argument("--shop", choices=["grocery", "fashion"], action="append")
    parser.add_argument("--fashion-pictures", type=int, default=3000, help="at most so many")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--tune", choices=["adapter", "head", "full"], default="adapter")
    parser.add_argument("--features", choices=["pooled", "embedding"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--keep", type=float)
    parser.add_argument(
        "--no-early-stop",
        dest="early_stop",
        action="store_false",
        help="keep the last step: for a model that was itself trained on these pictures, as mini "
        "was; what `train` holds out of them shows no gain",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    if not (options.data / "grocery_train.jsonl").exists():
        raise SystemExit(f"{options.data} holds no grocery_train.jsonl: name the data with --data")
    rows: list[dict[str, Any]] = []
    for name in options.shop or ["grocery", "fashion"]:
        shop = (
            grocery(options.data, options.work)
            if name == "grocery"
            else fashion(options.data, options.work, options.fashion_pictures)
        )
        rows += run(shop, options)
    print(table(rows))
    if options.json:
        about = {"version": __version__, "machine": platform.machine(), "model": options.model}
        settings = {k: v for k, v in vars(options).items() if k not in ("json", "shop")}
        result = {**about, "settings": settings, "rows": rows}
        options.json.write_text(json.dumps(result, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
