"""A query's own picture in the gallery, which would be a find for nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from mmsearch.errors import InputError
from mmsearch.evaluation.task import Task, asking, some


def without_own(task: Task, identity: Callable[[str], Hashable]) -> Task:
    """`task` in which no query ranks, or is judged by, the picture that it asks with.

    Several items may show one picture: all those whose picture has the `identity` of the query's
    are left out (None: not known, so equal to no other). A query to which nothing else is relevant
    cannot be answered, and is not asked. Raises InputError where that leaves no query.
    """
    asked = {query: task.shown_queries[query].image for query in task.queries}
    if not any(asked.values()):
        return task
    showing: dict[Hashable, list[str]] = {}
    for item in task.items:
        if image := task.shown_items[item].image:
            showing.setdefault(identity(image), []).append(item)
    showing.pop(None, None)
    if not showing:
        return task
    same = {query: showing.get(identity(image), []) for query, image in asked.items() if image}
    own = {
        query: tuple(dict.fromkeys((*task.own.get(query, ()), *mine)))
        for query, mine in same.items()
        if mine
    }
    judged = [
        (query, item)
        for query, mine in same.items()
        for item in mine
        if item in task.qrels.get(query, {})
    ]
    task = replace(task, own={**task.own, **own})
    return _without_judged(task, judged) if judged else task


def _without_judged(task: Task, judged: list[tuple[str, str]]) -> Task:
    qrels = {query: dict(graded) for query, graded in task.qrels.items()}
    emptied = []
    for query, item in judged:
        if qrels[query].pop(item) >= 1 and not any(g >= 1 for g in qrels[query].values()):
            emptied.append(query)
    gone = set(emptied)
    rows = [row for row, query in enumerate(task.queries) if query not in gone]
    if not rows:
        raise InputError(
            f"{task.dataset}: nothing is relevant to a picture but the same picture "
            f"({some([item for _, item in judged])}): there is nothing to find"
        )
    notes = [
        f"{len(judged)} judged items show the very picture that asks for them "
        f"({some([item for _, item in judged])}): left out"
    ]
    if emptied:
        notes.append(
            f"{len(emptied)} queries have no other relevant item ({some(emptied)}): not asked"
        )
    task = replace(task, qrels=qrels, warnings=(*task.warnings, *notes))
    return asking(task, rows)
