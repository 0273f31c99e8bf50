"""Queries with their judgements from a file: JSON, or one row per query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmsearch.errors import InputError
from mmsearch.evaluation.dataset import Dataset
from mmsearch.evaluation.files import read_json
from mmsearch.evaluation.task import Shown, Task
from mmsearch.evaluation.tasks import make_task, shown_picture
from mmsearch.tables.files import TableProblem, read_table
from mmsearch.types import Modality


def query_file_task(dataset: Dataset, path: Path, to: Modality = "image") -> Task:
    """Queries with their judgements: JSON {text: {item: grade}} or rows of id, text, image,
    relevant (a list of items, or item -> grade). Items are named by key or by picture.

    Raises InputError for a file that is not so.
    """
    asked: dict[str, Shown] = {}
    judged: dict[str, Mapping[str, int]] = {}
    for query, shown, relevant in _query_rows(path):
        if query in asked:
            raise InputError(f"{path}: the query {query!r} is there twice")
        asked[query] = shown
        judged[query] = relevant
    items, entry_of = _targets(dataset, to)
    qrels = {query: _resolved(path, query, graded, entry_of) for query, graded in judged.items()}
    kinds = {
        "mixed" if s.text and s.image else "image" if s.image else "text" for s in asked.values()
    }
    kind = kinds.pop() if len(kinds) == 1 else "mixed"
    return replace(
        make_task(dataset, f"{kind} to {to}", asked, items, qrels),
        dataset=f"{dataset.name} with {path.name}",
        anchors=(),
    )


def _targets(dataset: Dataset, to: Modality) -> tuple[dict[str, Shown], dict[str, tuple[str, ...]]]:
    """The gallery, and for each name of an entry the gallery ids that it stands for."""
    items: dict[str, Shown] = {}
    entry_of: dict[str, tuple[str, ...]] = {}
    for entry in dataset.entries:
        if to == "image":
            mine = {entry.id: shown_picture(entry)} if entry.image is not None else {}
        else:
            mine = {f"{entry.id}#{n}": Shown(text=t) for n, t in enumerate(entry.captions)}
        items |= mine
        for name in {*entry.names, entry.id}:
            # Several products may share a picture: its name stands for all of them.
            entry_of[name] = entry_of.get(name, ()) + tuple(mine)
    return items, entry_of


def _resolved(
    path: Path, query: str, graded: Mapping[str, int], entry_of: Mapping[str, tuple[str, ...]]
) -> dict[str, int]:
    """Grades by gallery id; a name that stands for nothing stays, and is missed by the gallery."""
    resolved: dict[str, int] = {}
    for item, grade in graded.items():
        for target in entry_of.get(item) or (item,):
            if resolved.setdefault(target, grade) != grade:
                raise InputError(f"{path}: {target!r} has two grades for the query {query!r}")
    return resolved


def _query_rows(path: Path) -> list[tuple[str, Shown, Mapping[str, int]]]:
    if path.suffix == ".json":
        content = read_json(path)
        if not isinstance(content, Mapping):
            raise InputError(f"{path}: not an object of query -> item -> grade")
        return [
            (query, Shown(text=query), _grades(path, query, graded))
            for query, graded in content.items()
        ]
    rows = []
    for number, row in read_rows(path):
        text, image = row.get("text"), row.get("image")
        if not text and not image:
            raise InputError(f"{path}: row {number}: neither a text nor an image to ask with")
        query = str(row.get("id") or text or image)
        name = str(path.parent / str(image)) if image else None
        shown = Shown(text=str(text) if text else None, image=name)
        rows.append((query, shown, _grades(path, query, row.get("relevant"))))
    return rows


def read_rows(path: Path) -> list[tuple[int, Mapping[str, Any]]]:
    """The rows of a table. Raises InputError for one that cannot be read."""
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, row in read_table(path):
        if isinstance(row, TableProblem):
            raise InputError(f"{path}: row {number}: {row.reason}")
        rows.append((number, row))
    return rows


def _grades(path: Path, query: str, value: Any) -> Mapping[str, int]:
    if isinstance(value, list):
        # As the keys of a table: pandas makes 7.0 of a 7 in a column with gaps.
        names = [
            str(int(one) if isinstance(one, float) and one.is_integer() else one) for one in value
        ]
        if len(set(names)) < len(names):
            raise InputError(f"{path}: an item is listed twice for the query {query!r}")
        return dict.fromkeys(names, 1)
    if isinstance(value, Mapping) and all(
        isinstance(grade, int) and not isinstance(grade, bool) for grade in value.values()
    ):
        return {str(item): grade for item, grade in value.items()}
    raise InputError(
        f"{path}: the query {query!r} has no `relevant` items: a list, or item -> whole grade"
    )
