"""Self-evaluation: the captions of a collection ask for its own pictures, and the other way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmsearch.errors import UsageError
from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.measure import Measured
from mmsearch.evaluation.measures import DEFAULT_MEASURES, Measure
from mmsearch.evaluation.task import Shown, Subject, Task
from mmsearch.evaluation.tasks import Direction, sampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmsearch.catalog.records import StoredItem
    from mmsearch.collection import Collection
    from mmsearch.types import Vectors


DIRECTIONS: tuple[Direction, ...] = ("text-to-image", "image-to-text")


def measure_collection(
    collection: Collection,
    directions: Sequence[Direction] = DIRECTIONS,
    *,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
    sample: int | None = None,
) -> list[Measured]:
    """Every item with a picture and a text asks for itself, over the stored vectors, exactly.

    Nothing is encoded. `sample` draws that many queries. Raises UsageError where no item has both,
    NoCollectionError.
    """
    for direction in directions:
        if direction not in DIRECTIONS:
            raise UsageError(f"a collection judges itself from text to image or back: {direction}")
    pictures, texts = collection.stored_vectors("image"), collection.stored_vectors("text")
    both = set(np.intersect1d(pictures.ids, texts.ids).tolist())
    if not both:
        raise UsageError(
            f"{collection.path}: no item has both a picture and a text, so it cannot judge itself; "
            "name a dataset, or index captions (a .txt beside each picture, or a table)"
        )
    status = collection.status()
    subject = Subject(
        status.model or "", status.fingerprint or "", "as indexed", f"exact ({status.index_kind})"
    )
    sides = {"image": collection.vectors("image"), "text": collection.vectors("text")}
    measured = []
    for direction in directions:
        asked_kind, _, wanted_kind = direction.partition("-to-")
        asked, asked_vectors = sides[asked_kind]
        items, item_vectors = sides[wanted_kind]
        rows = [row for row, item in enumerate(asked) if item.id in both]
        task = _task(collection, f"{asked_kind} to {wanted_kind}", [asked[r] for r in rows], items)
        if sample is not None and sample < len(rows):
            row_of = dict(zip(task.queries, rows, strict=True))
            task = sampled(task, sample)
            rows = [row_of[query] for query in task.queries]
        query_vectors = asked_vectors[rows]
        evaluation = evaluate_embeddings(
            task, query_vectors, item_vectors, subject, measures=measures
        )
        measured.append(Measured(task, evaluation, query_vectors, item_vectors))
    return measured


def index_queries(collection: Collection, sample: int) -> tuple[Vectors, Vectors, str]:
    """The picture vectors (n, d), up to `sample` query vectors (q, d), and what the queries are.

    Captions where the collection has some, as users ask in words; otherwise its pictures.
    """
    pictures, texts = collection.stored_vectors("image"), collection.stored_vectors("text")
    gallery = pictures if len(pictures) else texts
    asked, kind = (texts, "texts") if len(texts) else (pictures, "pictures")
    rows = np.sort(np.random.default_rng(0).permutation(len(asked))[:sample])
    return gallery.read(), asked.read(rows), kind


def _task(
    collection: Collection,
    direction: str,
    asked: Sequence[StoredItem],
    items: Sequence[StoredItem],
) -> Task:
    to_image = direction.endswith("to image")

    def shown(item: StoredItem, *, picture: bool) -> Shown:
        from mmsearch.scan import path_of

        image = None if item.path is None else str(path_of(item.path, collection.base))
        return Shown(text=item.text, image=image) if picture else Shown(text=item.text)

    return Task(
        dataset=str(collection.path),
        split=None,
        direction=direction,
        queries=tuple(item.key for item in asked),
        items=tuple(item.key for item in items),
        qrels={item.key: {item.key: 1} for item in asked},
        shown_queries={
            item.key: Shown(text=item.text)
            if to_image
            else Shown(image=shown(item, picture=True).image)
            for item in asked
        },
        shown_items={item.key: shown(item, picture=to_image) for item in items},
        warnings=("each item has one right answer, itself: like items count as wrong",),
    )
