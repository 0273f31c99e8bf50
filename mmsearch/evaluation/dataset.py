"""A dataset for evaluation: pictures with their captions and attributes, recognised by content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.files import read_json
from mmsearch.evaluation.pictures import members, name_in_tar
from mmsearch.evaluation.task import some


@dataclass(frozen=True)
class Entry:
    """One thing of a dataset. `image` is a picture's name as `pictures.read` takes it."""

    id: str
    image: str | None = None
    captions: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    group: str | None = None
    split: str | None = None
    names: tuple[str, ...] = ()  # other names that judgements may use, such as the picture's
    disputed: frozenset[str] = frozenset()  # attributes in which its rows differ

    def value(self, column: str) -> str:
        """The attribute in words. Raises InputError where the rows of this entry differ in it."""
        if column in self.disputed:
            raise InputError(
                f"{self.id!r}: its rows differ in {column!r}, so that none of them can be asked "
                "for; make them equal, or give each row a key"
            )
        return str(self.attributes[column]).strip()


@dataclass(frozen=True)
class Dataset:
    """The entries of one split. `kind` says as what the file was recognised."""

    name: str
    kind: str
    split: str | None
    entries: tuple[Entry, ...]
    warnings: tuple[str, ...] = ()


class Pictures:
    """Finds the pictures of a dataset below folders, or in a tar shard."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places

    def find(self, names: Iterable[str]) -> str | None:
        """The first of these relative names that is there, as `pictures.read` takes it."""
        for name in names:
            for place in self._places:
                if place.suffix == ".tar":
                    if name in members(place):
                        return name_in_tar(place, name)
                elif (place / name).is_file():
                    return str(place / name)
        return None

    def __str__(self) -> str:
        return ", ".join(str(place) for place in self._places)


# Where the pictures of published sets usually lie, seen from their annotations.
_USUAL_FOLDERS = (
    *(".", "images", "Images", "photos", "flickr30k-images", "flickr8k-images"),
    *("Flicker8k_Dataset", "Flickr8k_Dataset", "train2014", "val2014", "val2017"),
    *("..", "../images"),
)


def pictures_of(annotations: Path, images: Path | None) -> Pictures:
    """Where to look for the pictures of an annotation file. Raises UsageError."""
    if images is not None:
        if not images.exists():
            raise UsageError(f"--images {images}: there is no such folder or tar file")
        return Pictures([images])
    shard = annotations.with_suffix(".tar")
    places = [shard] if shard.is_file() else []
    return Pictures([*places, *(annotations.parent / folder for folder in _USUAL_FOLDERS)])


def located(entries: Iterable[Entry], pictures: Pictures) -> Iterator[Entry]:
    """Entries with their `image` found; one that is not there keeps its plain name, and fails
    when it is read, which the evaluation counts as not found."""
    for entry in entries:
        if entry.image is None:
            yield entry
            continue
        found = pictures.find((entry.image, Path(entry.image).name))
        yield replace(entry, image=found or entry.image, names=(entry.image,))


def read_dataset(path: Path, *, images: Path | None = None, split: str | None = None) -> Dataset:
    """What `path` holds: a caption file, a table, a tar shard, or a folder with one of them.

    Raises InputError for what cannot be recognised or read, UsageError for an unknown split.
    """
    if path.is_dir():
        return _read_folder(path, images, split)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file or folder; check the name")
    if path.suffix == ".tar":
        table = path.with_suffix(".jsonl")
        if not table.is_file():
            raise InputError(f"{path}: its captions are missing; put {table.name} beside it")
        path = table
    reader = _reader_of(path)
    if reader is None:
        raise InputError(
            f"{path}: not a dataset that is known here: a Karpathy or COCO captions JSON, a JSON "
            "object of picture -> caption, a Flickr token file, or a .csv, .jsonl or .parquet "
            "table with an image column"
        )
    name, kind, read = reader
    entries = tuple(located(read(), pictures_of(path, images)))
    entries = _check(path, entries)
    chosen, taken = choose_split(path, entries, split)
    return Dataset(name, kind, taken, chosen)


def choose_split(
    path: Path, entries: Sequence[Entry], split: str | None
) -> tuple[tuple[Entry, ...], str | None]:
    """The entries of `split`, by default of "test" where there are splits. Raises UsageError."""
    splits = sorted({entry.split for entry in entries if entry.split is not None})
    if not splits:
        if split is not None:
            raise UsageError(f"{path}: tells of no splits, so --split {split} means nothing")
        return tuple(entries), None
    if split is None and len(splits) == 1:
        split = splits[0]
    elif split is None and "test" in splits:
        split = "test"
    if split not in splits:
        raise UsageError(
            f"{path}: choose a split with --split: {', '.join(splits)}"
            + ("" if split is None else f" (there is no {split!r})")
        )
    return tuple(entry for entry in entries if entry.split == split), split


def _check(path: Path, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if not entries:
        raise InputError(f"{path}: there is nothing in it")
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise InputError(f"{path}: {entry.id!r} is there twice: ids must be unique")
        seen.add(entry.id)
    return entries


_Reader = tuple[str, str, Callable[[], Iterator[Entry]]]


def _reader_of(path: Path) -> _Reader | None:
    """Name, kind and reader for an annotation file, or None if it is none."""
    from mmsearch.evaluation import formats, tabular
    from mmsearch.tables.files import is_table_name

    if is_table_name(path):
        return path.stem, "table", lambda: tabular.table_entries(path)
    if path.suffix == ".json":
        return formats.json_reader(path, read_json(path))
    if path.suffix in (".txt", ".token"):
        return formats.text_reader(path)
    return None


_ANNOTATIONS = (".json", ".txt", ".token", ".csv", ".jsonl", ".parquet")
# A folder may hold several descriptions of the same pictures: the more specific form is taken.
_PREFERENCE = ("Karpathy split", "COCO captions", "Flickr tokens", "captions", "table")


def _read_folder(folder: Path, images: Path | None, split: str | None) -> Dataset:
    from mmsearch.evaluation import formats

    found: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix in _ANNOTATIONS and path.is_file():
            # A damaged one is an error: others in its place would be figures of another set.
            reader = _reader_of(path)
            if reader is not None:
                found.append((reader[1], path))
    found.sort(key=lambda one: _PREFERENCE.index(one[0]))
    if not found:
        entries = _check(folder, tuple(formats.sidecar_entries(images or folder)))
        chosen, taken = choose_split(folder, entries, split)
        return Dataset(folder.resolve().name, "captions beside pictures", taken, chosen)
    best = [path for kind, path in found if kind == found[0][0]]
    if len(best) > 1:
        raise UsageError(
            f"{folder}: holds several datasets ({some([path.name for path in best])}): name one"
        )
    dataset = read_dataset(best[0], images=images, split=split)
    if dataset.name != best[0].stem:  # the file says itself which published set it is
        return dataset
    return replace(dataset, name=f"{folder.resolve().name}/{best[0].name}")
