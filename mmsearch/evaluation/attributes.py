"""Tasks from attributes: an item is relevant when it has the values that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mmsearch.errors import UsageError
from mmsearch.evaluation.dataset import Dataset, Entry
from mmsearch.evaluation.task import Shown, Task
from mmsearch.evaluation.tasks import Direction, make_task, pictures_in, shown_picture


def attribute_tasks(
    dataset: Dataset,
    columns: Sequence[str],
    directions: Sequence[Direction],
    template: str | None = None,
) -> list[Task]:
    """Tasks in which an item is relevant when it has the asked values in all of `columns`.

    `text-to-image`: one query per combination of values that occurs, such as "red women's kurta".
    `image-to-image`: a picture asks for others with its values. `mixed-to-image`: a picture and
    another value of the last column ask for items with that value and the picture's other ones.
    `template` puts a query into words: "{baseColour} {articleType} for {gender}".
    """
    tasks = []
    complete = [e for e in pictures_in(dataset) if all(c in e.attributes for c in columns)]
    known = sorted({name for entry in dataset.entries for name in entry.attributes})
    for column in columns:
        if column not in known:
            raise UsageError(
                f"{dataset.name}: has no column {column!r}; it has {', '.join(known) or 'none'}"
            )
    if not complete:
        raise UsageError(f"{dataset.name}: no item has values in all of {', '.join(columns)}")
    for direction in directions:
        if direction == "text-to-image":
            tasks.append(_attribute_queries(dataset, complete, columns, template))
        elif direction == "image-to-image":
            tasks.append(alike(dataset, complete, lambda entry: values_of(entry, columns)))
        elif direction == "mixed-to-image":
            tasks.append(_changed_value(dataset, complete, columns))
        else:
            raise UsageError(f"--relevance asks for pictures: it has no direction {direction}")
    return tasks


def values_of(entry: Entry, columns: Sequence[str]) -> tuple[str, ...]:
    """The entry's values in `columns`, as text."""
    return tuple(entry.value(column) for column in columns)


def _id_of(parts: Iterable[str], mark: str) -> str:
    """`parts` as one id, which no other parts have: a mark inside of one is escaped."""
    return mark.join(part.replace("\\", "\\\\").replace(mark, f"\\{mark}") for part in parts)


def phrase(columns: Sequence[str], values: Sequence[str], template: str | None = None) -> str:
    """Values in words, as a shopper would type them: colour first, whose it is, then the rest."""
    if template is not None:
        try:
            return template.format(**dict(zip(columns, values, strict=True)))
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise UsageError(
                f"the template {template!r} does not fit: it may name "
                f"{', '.join('{' + column + '}' for column in columns)}"
            ) from error
    order = {"colour": 0, "color": 0, "gender": 1}

    def place(pair: tuple[str, str]) -> int:
        return next((rank for word, rank in order.items() if word in pair[0].lower()), 2)

    words = []
    for column, value in sorted(zip(columns, values, strict=True), key=place):
        possessive = "gender" in column.lower() and value.lower() in ("men", "women")
        possessive = possessive or value.lower() in ("boys", "girls")
        ending = ("'" if value.lower().endswith("s") else "'s") if possessive else ""
        words.append(value.lower() + ending)
    return " ".join(words)


def _attribute_queries(
    dataset: Dataset, entries: Sequence[Entry], columns: Sequence[str], template: str | None
) -> Task:
    qrels: dict[str, dict[str, int]] = {}
    words: dict[str, Shown] = {}
    for entry in entries:
        values = values_of(entry, columns)
        query = _id_of(values, "/")
        qrels.setdefault(query, {})[entry.id] = 1
        words[query] = Shown(text=phrase(columns, values, template))
    asked = dict(sorted(words.items()))
    items = {entry.id: shown_picture(entry) for entry in pictures_in(dataset)}
    warnings = _left_out(dataset, entries, columns)
    return make_task(dataset, "text to image", asked, items, qrels, warnings=warnings)


def _changed_value(dataset: Dataset, entries: Sequence[Entry], columns: Sequence[str]) -> Task:
    by_values: dict[tuple[str, ...], list[str]] = {}
    choices: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        *kept, last = values_of(entry, columns)
        by_values.setdefault((*kept, last), []).append(entry.id)
        if last not in choices.setdefault(tuple(kept), []):
            choices[tuple(kept)].append(last)
    asked: dict[str, Shown] = {}
    qrels: dict[str, dict[str, int]] = {}
    for entry in entries:
        *kept, last = values_of(entry, columns)
        others = sorted(choices[tuple(kept)])
        if len(others) < 2:
            continue
        # The next value in alphabetical order: the same on every machine and in every run.
        wanted = others[(others.index(last) + 1) % len(others)]
        query = _id_of((entry.id, wanted), "+")
        asked[query] = Shown(text=wanted.lower(), image=entry.image)
        qrels[query] = dict.fromkeys(by_values[(*kept, wanted)], 1)
    if not asked:
        raise UsageError(f"{dataset.name}: {columns[-1]} never differs where the rest is equal")
    items = {entry.id: shown_picture(entry) for entry in pictures_in(dataset)}
    return make_task(dataset, "mixed to image", asked, items, qrels)


def alike(
    dataset: Dataset, entries: Sequence[Entry], values: Callable[[Entry], tuple[str, ...]]
) -> Task:
    """Image to image: entries with equal `values` are relevant to each other."""
    members: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        members.setdefault(values(entry), []).append(entry.id)
    asked = {e.id: Shown(image=e.image) for e in entries if len(members[values(e)]) > 1}
    if not asked:
        raise UsageError(f"{dataset.name}: no two pictures belong together")
    qrels = {
        entry.id: {other: 1 for other in members[values(entry)] if other != entry.id}
        for entry in entries
        if entry.id in asked
    }
    lonely = len(entries) - len(asked)
    warnings = (f"{lonely} pictures have no other like them and are not asked",) if lonely else ()
    items = {entry.id: shown_picture(entry) for entry in pictures_in(dataset)}
    return make_task(dataset, "image to image", asked, items, qrels, warnings=warnings)


def _left_out(
    dataset: Dataset, entries: Sequence[Entry], columns: Sequence[str]
) -> tuple[str, ...]:
    missing = len(pictures_in(dataset)) - len(entries)
    if not missing:
        return ()
    return (f"{missing} items lack a value in {', '.join(columns)}: relevant to no query",)
