"""What to ask a dataset: its captions; attributes.py and query_file.py have the other questions."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.anchors import anchors_of
from mmsearch.evaluation.dataset import Dataset, Entry
from mmsearch.evaluation.own import without_own
from mmsearch.evaluation.task import Shown, Task, asking, some

Direction = Literal[
    "text-to-image", "image-to-text", "image-to-image", "mixed-to-image", "mixed-to-text"
]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


def parse_direction(name: str) -> Direction:
    """Raises UsageError."""
    for direction in DIRECTIONS:
        if name.strip().casefold() == direction:
            return direction
    raise UsageError(f"no direction is called {name!r}: choose among {', '.join(DIRECTIONS)}")


def caption_tasks(dataset: Dataset, directions: Sequence[Direction]) -> list[Task]:
    """One task per direction; a caption and its picture are relevant to each other.

    `image-to-image`: pictures of the same `group` are. `mixed-to-text`: a picture and its first
    caption ask for its other captions. Raises UsageError where the dataset lacks what it takes.
    """
    return [_CAPTION_TASKS[direction](dataset) for direction in directions]


def _captions(dataset: Dataset) -> tuple[list[Entry], dict[str, str], dict[str, str]]:
    """Pictures that can be found, caption id -> text, caption id -> entry id."""
    pictures = pictures_in(dataset)
    texts: dict[str, str] = {}
    owner: dict[str, str] = {}
    for entry in pictures:
        for number, caption in enumerate(entry.captions):
            texts[f"{entry.id}#{number}"] = caption
            owner[f"{entry.id}#{number}"] = entry.id
    if not texts:
        raise UsageError(
            f"{dataset.name}: has no captions to search with; give --labels COLUMN, "
            "--relevance COLUMNS or --queries FILE"
        )
    return pictures, texts, owner


def pictures_in(dataset: Dataset) -> list[Entry]:
    pictures = [entry for entry in dataset.entries if entry.image is not None]
    if not pictures:
        raise InputError(f"{dataset.name}: has no pictures")
    return pictures


def _text_to_image(dataset: Dataset) -> Task:
    pictures, texts, owner = _captions(dataset)
    return make_task(
        dataset,
        "text to image",
        {caption: Shown(text=text) for caption, text in texts.items()},
        {entry.id: shown_picture(entry) for entry in pictures},
        {caption: {entry: 1} for caption, entry in owner.items()},
        clusters=tuple(owner.values()),
    )


def _image_to_text(dataset: Dataset) -> Task:
    pictures, texts, owner = _captions(dataset)
    qrels: dict[str, dict[str, int]] = {entry.id: {} for entry in pictures if entry.captions}
    for caption, entry_id in owner.items():
        qrels[entry_id][caption] = 1
    wordless = [entry.id for entry in pictures if not entry.captions]
    without = f"{len(wordless)} pictures have no caption ({some(wordless)}): they ask for nothing"
    return make_task(
        dataset,
        "image to text",
        {entry.id: Shown(image=entry.image) for entry in pictures if entry.captions},
        {caption: Shown(text=text) for caption, text in texts.items()},
        qrels,
        warnings=(without,) if wordless else (),
    )


def _image_to_image(dataset: Dataset) -> Task:
    grouped = [entry for entry in pictures_in(dataset) if entry.group is not None]
    if not grouped:
        raise UsageError(
            f"{dataset.name}: nothing says which pictures belong together; name the columns that "
            "do with --relevance, or add a group column"
        )
    from mmsearch.evaluation.attributes import alike

    return alike(dataset, grouped, lambda entry: (str(entry.group),))


def _mixed_to_text(dataset: Dataset) -> Task:
    pictures, texts, _ = _captions(dataset)
    several = [entry for entry in pictures if len(entry.captions) > 1]
    if not several:
        raise UsageError(f"{dataset.name}: mixed queries take two or more captions per picture")
    return make_task(
        dataset,
        "mixed to text",
        {entry.id: Shown(text=entry.captions[0], image=entry.image) for entry in several},
        {caption: Shown(text=text) for caption, text in texts.items()},
        {e.id: {f"{e.id}#{n}": 1 for n in range(1, len(e.captions))} for e in several},
        own={entry.id: (f"{entry.id}#0",) for entry in several},
    )


def _mixed_to_image(dataset: Dataset) -> Task:
    raise UsageError(
        "mixed queries for pictures need to know what the text changes: name the columns with "
        "--relevance (the last one is changed), or give --queries FILE"
    )


_CAPTION_TASKS: Mapping[Direction, Callable[[Dataset], Task]] = {
    "text-to-image": _text_to_image,
    "image-to-text": _image_to_text,
    "image-to-image": _image_to_image,
    "mixed-to-image": _mixed_to_image,
    "mixed-to-text": _mixed_to_text,
}


def make_task(
    dataset: Dataset,
    direction: str,
    asked: Mapping[str, Shown],
    items: Mapping[str, Shown],
    qrels: Mapping[str, Mapping[str, int]],
    clusters: tuple[str, ...] = (),
    own: Mapping[str, Sequence[str]] | None = None,
    warnings: tuple[str, ...] = (),
) -> Task:
    """Pictures that ask are not found by themselves, whatever items show them."""
    task = Task(
        dataset=dataset.name,
        split=dataset.split,
        direction=direction,
        queries=tuple(asked),
        items=tuple(items),
        qrels=qrels,
        clusters=clusters,
        shown_queries=asked,
        shown_items=items,
        own=own or {},
        warnings=(*dataset.warnings, *warnings),
        anchors=anchors_of(dataset, direction),
    )
    return without_own(task, os.path.realpath)


def shown_picture(entry: Entry) -> Shown:
    return Shown(text=next(iter(entry.captions), None), image=entry.image)


def sampled(task: Task, count: int, seed: int = 0) -> Task:
    """The same task with `count` of its queries, drawn at random; the gallery stays whole."""
    if count >= len(task.queries):
        return task
    rows = sorted(random.Random(seed).sample(range(len(task.queries)), count))
    return replace(
        asking(task, rows),
        warnings=(*task.warnings, f"{count} of {len(task.queries)} queries, seed {seed}"),
        anchors=(),
    )
