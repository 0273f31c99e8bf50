"""Does a model understand words that no training caption says?

    python benchmarks/synonyms.py [--model mini] [--data ../shared/data] [--json]

synonyms.csv pairs fifty words that occur in no caption that `mini` was trained on with the words
that the captions do say. For each pair two held-out captions of Flickr8k dev that say the seen
word once are chosen by their hash, and asked twice: as they are, and with the unseen word in its
place. Printed: hit@10 of both on the 1,000 pictures. The words were chosen before the training.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np

from mmsearch.encoders.open_clip_encoder import load_encoder
from mmsearch.images import decode
from mmsearch.training.data import hash_fraction, load_all, load_flickr

ROOT = Path(__file__).parent
PER_PAIR = 2
AT = (1, 5, 10)


def word(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b(an?\s+)?{re.escape(name)}\b", re.IGNORECASE)


def replaced(caption: str, seen: str, unseen: str) -> str:
    """`caption` with one word for another, and the article that fits it."""
    article = "an " if unseen[0] in "aeiou" else "a "
    return word(seen).sub(lambda found: (article if found[1] else "") + unseen, caption.lower())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--data", type=Path, default=ROOT.parents[1] / "shared" / "data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with (ROOT / "synonyms.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(row["seen"], row["unseen"]) for row in csv.DictReader(file)]
    trained = {
        token
        for corpus in load_all(options.data, None)
        for example in corpus.examples
        if not example.held_out
        for caption in example.captions
        for token in re.findall(r"[a-z]+", caption.lower())
    }
    if known := [unseen for _, unseen in pairs if unseen in trained]:
        raise SystemExit(f"not unseen: {', '.join(known)}")
    corpus = load_flickr(options.data, "flickr8k_dev", 5)
    captions = [
        (row, caption)
        for row, example in enumerate(corpus.examples)
        for caption in example.captions
    ]
    picked: list[tuple[int, str, str]] = []  # picture, caption as it is, with the unseen word
    for seen, unseen in pairs:
        said = [(row, text) for row, text in captions if len(word(seen).findall(text)) == 1]
        said.sort(key=lambda pair: hash_fraction(f"{unseen} {pair[1]}"))
        picked += [(row, text, replaced(text, seen, unseen)) for row, text in said[:PER_PAIR]]
    encoder = load_encoder(options.model)
    pictures = encoder.encode_images(
        np.stack(
            [
                encoder.preprocess(decode(picture, encoder.image_size).image)
                for picture in corpus.read_images()
            ]
        )
    )  # (1000, d)
    right = np.array([row for row, _, _ in picked])
    figures = {}
    for name, texts in (
        ("seen", [text for _, text, _ in picked]),
        ("unseen", [text for _, _, text in picked]),
    ):
        scores = encoder.encode_texts(texts) @ pictures.T  # (queries, 1000)
        ranks = (scores >= scores[np.arange(len(right)), right][:, None]).sum(axis=1)
        figures[name] = {f"hit@{k}": round(float((ranks <= k).mean()), 3) for k in AT}
    if options.json:
        print(json.dumps({"model": options.model, "queries": len(picked)} | figures))
        return
    print(f"{options.model}, {len(picked)} queries each")
    for name, values in figures.items():
        print(
            f"{name:7}" + "  ".join(f"{measure} {value:.3f}" for measure, value in values.items())
        )


if __name__ == "__main__":
    main()
