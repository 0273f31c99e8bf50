"""Is hybrid search over picture and title better than its parts, on a real catalogue?

    python benchmarks/shop_quality.py --work DIR [--data ../shared/data] [--model mini]

All products of fashion_large are indexed with title and price; gender, article and colour stay out
of the index, and say which products are right for queries such as "red women's kurtas". A second
set of queries are titles, less their first word (a brand), of products that `mini` was not trained
on; right are the products of that title. Each way of searching answers through
`Collection.search`, and the figures, intervals and tests (paired randomisation, Holm) are those of
`mmsearch evaluate`. The collection and the pictures are kept in --work.
"""

from __future__ import annotations

import argparse
import json
import random
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import mmsearch
from mmsearch import Query, Term
from mmsearch.collection import Collection
from mmsearch.evaluation.attributes import attribute_tasks
from mmsearch.evaluation.dataset import read_dataset
from mmsearch.evaluation.evaluate import evaluate_run
from mmsearch.evaluation.measures import parse_measure
from mmsearch.evaluation.report.groups import grouped
from mmsearch.evaluation.result import Evaluation
from mmsearch.evaluation.table import markdown
from mmsearch.evaluation.task import Shown, Subject, Task
from mmsearch.training.data import load_fashion

DATA = Path(__file__).parents[2] / "shared" / "data"
GARMENT = ("gender", "articleType", "baseColour")
DEPTH = 100
MEASURES = [parse_measure(name) for name in ("nDCG@10", "mAP@50", "hit@10", "MRR")]
WAYS: dict[str, dict[str, Any]] = {
    "pictures": {"to": "image", "mode": "vector"},
    "titles": {"to": "text", "mode": "vector"},
    "words": {"mode": "lexical"},
    "pictures and titles": {"to": "both", "mode": "vector"},
    "hybrid, by rank": {"mode": "hybrid", "fusion": "rank"},
    "hybrid, by relevance": {"mode": "hybrid", "fusion": "relevance"},
    "default": {},
}


def prepare(data: Path, work: Path) -> Path:
    """The table of products beside their pictures."""
    table = work / "products.jsonl"
    if table.exists():
        return table
    pictures = work / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    with tarfile.open(data / "fashion_large.tar") as tar:
        for member in tar.getmembers():
            if (stream := tar.extractfile(member)) is not None:
                (pictures / Path(member.name).name).write_bytes(stream.read())
    lines = [
        json.loads(line)
        for line in (data / "fashion_large.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    rows = [
        {
            "key": line["id"],
            "title": line["title"],
            "image": f"pictures/{line['image']}",
            "price": line["price"],
        }
        for line in lines
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return table


def tasks(data: Path, count: int) -> list[Task]:
    """Attribute queries and title queries, `count` of each at most, drawn with a fixed seed."""
    dataset = read_dataset(data / "fashion_large.jsonl")
    [attributes] = attribute_tasks(dataset, GARMENT, ["text-to-image"])
    held_out = {
        example.captions[0].casefold().strip(): example.captions[0]
        for example in load_fashion(data).examples
        if example.held_out
    }
    right: dict[str, dict[str, int]] = {}
    for entry in dataset.entries:
        title = str(entry.attributes["title"]).casefold().strip()
        if title in held_out:
            right.setdefault(title, {})[entry.id] = 1
    titles = replace(
        attributes,
        queries=tuple(sorted(right)),
        qrels=right,
        clusters=(),
        shown_queries={
            title: Shown(text=" ".join(held_out[title].split()[1:]) or held_out[title])
            for title in right
        },
        warnings=(),
    )
    return [
        replace(drawn(attributes, count), dataset="fashion, attribute queries"),
        replace(drawn(titles, count), dataset="fashion, titles without their first word"),
    ]


def drawn(task: Task, count: int) -> Task:
    """`task` with `count` of its queries."""
    queries = random.Random(0).sample(sorted(task.queries), min(count, len(task.queries)))
    return replace(
        task,
        queries=tuple(queries),
        qrels={query: task.qrels[query] for query in queries},
        clusters=(),
    )


def ask(collection: Collection, task: Task, way: dict[str, Any]) -> dict[str, dict[str, float]]:
    """A run: the first hundred answers of each query, by their rank."""
    run = {}
    for query in task.queries:
        text = task.shown_queries[query].text
        assert text is not None
        hits = collection.search(Query((Term(text=text),), k=DEPTH, **way))
        run[query] = {hit.key: float(DEPTH - hit.rank) for hit in hits}
    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--queries", type=int, default=400)
    options = parser.parse_args()
    if not (options.data / "fashion_large.jsonl").exists():
        raise SystemExit(f"{options.data} holds no fashion_large.jsonl: name the data with --data")
    table = prepare(options.data, options.work)
    measured: list[Evaluation] = []
    with mmsearch.open(options.work / "shop.mmsearch", create=True) as collection:
        collection.index([table], model=options.model)
        status = collection.status()
        for task in tasks(options.data, options.queries):
            for name, way in WAYS.items():
                subject = Subject(name, f"{status.fingerprint} {name}", index_kind="collection")
                run = ask(collection, task, way)
                measured.append(evaluate_run(task, run, subject, measures=MEASURES))
    for group in grouped(measured, 0, None):
        print(markdown(group), end="\n\n")


if __name__ == "__main__":
    main()
