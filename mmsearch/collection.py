"""A collection on disk: the one door to indexing and searching."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mmsearch import check as checks
from mmsearch import status as statuses
from mmsearch.answers import Answers
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo, StoredItem, Write
from mmsearch.catalog.rows import live_rows
from mmsearch.check import CheckReport
from mmsearch.errors import (
    ItemNotFoundError,
    MmsearchError,
    NoCollectionError,
    StorageError,
    UsageError,
)
from mmsearch.intake import How, Intake
from mmsearch.layout import CATALOG, DIRECTORY, Layout, find_collection
from mmsearch.loading import CACHED_TEXTS, Encoders
from mmsearch.search.defaults import Defaults
from mmsearch.search.request import as_query, require_list
from mmsearch.status import Status
from mmsearch.stored_vectors import StoredVectors
from mmsearch.types import (
    Answer,
    Encoder,
    Hit,
    IndexReport,
    Modality,
    OnProgress,
    Query,
    ReindexReport,
    Target,
    Term,
    UpdateReport,
    WantedPrecision,
)

if TYPE_CHECKING:
    from PIL import Image

    from mmsearch.ranking.rocchio import Concept
    from mmsearch.types import Vectors

__all__ = ["CheckReport", "Collection", "Status", "find_collection", "open"]


def open(
    path: str | Path | None = None,
    *,
    create: bool = False,
    encoder: Encoder | Sequence[Encoder] | None = None,
    cached_texts: int = CACHED_TEXTS,
) -> Collection:
    """The collection at `path`, or the one found upwards from the working directory.

    `path` is the collection's own directory, or the folder that holds its `.mmsearch`.
    With `create` an absent one is made. `encoder` takes the place of the models that are loaded
    by name: any object that keeps the Encoder protocol, or several, of which the one with the
    collection's fingerprint is used. The `cached_texts` texts that queries used last are kept
    encoded. Raises NoCollectionError, SchemaError, StorageError.
    """
    if path is None:
        found = find_collection(Path.cwd())
        if found is None and not create:
            raise NoCollectionError(
                f"no collection in {Path.cwd()} or above it: make one with `mmsearch index PATH`, "
                "or name one with --collection"
            )
        return Collection(
            found or Path.cwd() / DIRECTORY,
            create=create,
            encoder=encoder,
            cached_texts=cached_texts,
        )
    path = Path(path).absolute()
    if not (path / CATALOG).is_file():
        inside = path / DIRECTORY
        if (inside / CATALOG).is_file() or (path.is_dir() and path.name != DIRECTORY and create):
            path = inside
        elif not create:
            raise NoCollectionError(
                f"{path} is no collection: make it with `mmsearch index PATH --collection {path}`"
            )
    return Collection(path, create=create, encoder=encoder, cached_texts=cached_texts)


class Collection:
    """Items, their vectors and their indexes in one directory. Use it as a context manager.

    Reading never waits for a writer; there is one writer at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = False,
        encoder: Encoder | Sequence[Encoder] | None = None,
        cached_texts: int = CACHED_TEXTS,
    ) -> None:
        self.path = path
        self.base = path.parent
        if create:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"cannot create {path}: {error.strerror}; choose another place with "
                    "--collection"
                ) from error
        self._layout = Layout(path)
        self._catalog = Catalog(self._layout.catalog, create=create)
        given = () if encoder is None else encoder if isinstance(encoder, Sequence) else (encoder,)
        self._encoders = Encoders(given, cached_texts)
        self._answers = Answers(self._catalog, self._layout, self._encoders)
        self._intake = Intake(self._catalog, self._layout, self._encoders, self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._catalog.close()

    # ---- writing

    def index(
        self,
        paths: Sequence[str | Path],
        *,
        model: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        precision: WantedPrecision | None = None,
        allow_empty: bool = False,
        url_hosts: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Bring the collection up to date with folders, pictures, texts and tables.

        `model` None: the collection's own, or `mini` for a new one. `precision` None: the one that
        a run before was given, else fp32 (bf16 on CUDA); see docs/speed.md. `url_hosts`
        (cdn.example.com, *.example.com, example.com:8080) are those from which tables may have
        pictures fetched; the collection keeps them. Raises RootError, EncoderMismatchError,
        LockedError, ModelError, StorageError, UsageError; a bad file is a line in the report, not
        an error.
        """
        if isinstance(paths, str | Path):
            paths = [paths]
        if not paths:
            raise UsageError("nothing to index: name at least one folder or file")
        how = How(device, batch_size, workers, precision, on_progress)
        return self._intake.index(paths, model, how, allow_empty=allow_empty, url_hosts=url_hosts)

    def upsert(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        model: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        url_hosts: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> IndexReport:
        """Add items, or replace those whose key is known; only what changed is encoded.

        A row has a `key`, a `text` (or `title` and `description`), an `image` (a path, relative to
        the collection's folder, or bytes, which the collection keeps, or a web address whose host
        is one of `url_hosts`), or both, a `group`, and `attributes` (a mapping; any other column is
        one too), under the names that tables use. `images` may list several pictures of the item:
        those behind the first become items KEY#2, KEY#3, ... of its group and follow it.

        A row that fails is a line in the report and leaves its item as it was. No later `index`
        misses these items: only `remove` forgets them. Raises as `index` does.
        """
        if isinstance(rows, Mapping):
            raise UsageError("rows: give a list of rows, as [{...}], not one row alone")
        require_list("rows", rows)
        how = How(device, batch_size, workers, on_progress=on_progress)
        return self._intake.upsert(rows, model, how, url_hosts=url_hosts)

    def update(self, attributes: Mapping[str, Mapping[str, Any]]) -> UpdateReport:
        """Set attributes of items by key, and remove those whose new value is None.

        Nothing is encoded, and attributes that are not named stay. A key that cannot be updated
        is a line in the report. The next `index` of a table leaves them as they are, but for the
        columns in which a row says something new. Raises LockedError, StorageError.
        """
        from mmsearch.ingest.attributes import update_attributes

        if not isinstance(attributes, Mapping):
            raise UsageError('attributes: give them by key, as {"P001": {"price": 9.5}}')
        with self._layout.writing():
            return update_attributes(self._catalog, attributes)

    def remove(self, keys: Sequence[str]) -> int:
        """Forget items by key, with all their pictures; files are not touched.

        Returns how many items that were. Raises ItemNotFoundError, LockedError, StorageError.
        """
        from mmsearch.ingest.kept import drop_unused_pictures

        require_list("keys", keys)
        with self._layout.writing():
            found = self._catalog.by_key(keys)
            for key in keys:
                if key not in found:
                    raise ItemNotFoundError(f"no item has the key {key!r}: nothing was removed")
            further = self._catalog.further_pictures(found)
            gone = [*found.values(), *(one for some in further.values() for one in some)]
            if gone:
                self._catalog.commit(Write(states={"removed": [item.id for item in gone]}))
            digests = {item.image_digest for item in gone if item.image_digest}
            drop_unused_pictures(digests, self._catalog, self._layout)
        return len(found)

    # ---- moving to another encoder

    def reindex(
        self,
        model: str | Encoder,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        precision: WantedPrecision | None = None,
        allow_missing: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ReindexReport:
        """Encode everything with another model, then answer queries with that one.

        Queries, and other runs, go on meanwhile; an interrupted run goes on where it was. While
        an item cannot be encoded (its file is gone, say) the collection stays with its model, and
        the report says why; with `allow_missing` it moves, and such an item is found again only
        after an `index` run that sees its file. The old vectors are kept for `rollback`.
        `precision` as in `index`.

        Raises NoCollectionError, ModelError, LockedError, StorageError.
        """
        how = How(device, batch_size, workers, precision, on_progress)
        return self._intake.reindex(self._info(), model, how, allow_missing=allow_missing)

    def rollback(
        self,
        *,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        allow_missing: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ReindexReport:
        """Answer queries with the model before the last `reindex` again; its vectors are there.

        Only items that came in since are encoded. Raises UsageError when no previous model is
        kept, ModelError when such items are there and it cannot be loaded, and LockedError.
        """
        how = How(device, batch_size, workers, on_progress=on_progress)
        return self._intake.rollback(how, allow_missing=allow_missing)

    def drop_old(self) -> tuple[list[str], int]:
        """Delete the vectors of all models but the current one; `rollback` is over then.

        An unfinished `reindex` counts as old. Returns the models and how many bytes that frees.
        Raises LockedError.
        """
        with self._layout.changing_spaces(), self._layout.writing():
            old = [space.encoder for space in self._catalog.spaces.all()][1:]
            self._catalog.spaces.drop([encoder.fingerprint for encoder in old])
            freed = self._layout.delete_vectors_except(self._info())
        return [encoder.name for encoder in old], freed

    # ---- reading

    def search(
        self,
        query: str | Path | Image.Image | Query,
        *,
        to: Target | None = None,
        k: int | None = None,
        **options: Any,
    ) -> list[Hit]:
        """The best items for one query, best first.

        A string is always text; a Path or a Pillow image is a picture. `to` None leaves it to the
        collection: pictures for a folder of photos, both of each item and its words for a shop.
        `k` defaults to 10. `options` are other fields of Query, as in `answer`.
        Raises UsageError, FilterError, ImageError, ItemNotFoundError, ModelError.
        """
        return self._answers.search([as_query(query, to, k, options)])[0]

    def answer(
        self,
        query: str | Path | Image.Image | Query,
        *,
        to: Target | None = None,
        k: int | None = None,
        **options: Any,
    ) -> Answer:
        """`search` with all that belongs to an answer: relevance, facets, a cursor, explanations.

        `options` are fields of Query: `answer("red shoes", where="price < 50", group=True)`.
        Raises as `search` does.
        """
        return self._answers.answer(as_query(query, to, k, options))

    def answer_many(self, queries: Sequence[Query]) -> list[Answer | MmsearchError]:
        """`answer` for many queries at once: each one's answer, or the error that it would raise.

        Their texts go through the encoder in one batch, and queries without a filter through the
        index in one: what a server wants that has many users. Raises CollectionError and
        ModelError, which concern all of them.
        """
        return self._answers.answer_many(queries)

    def more_like(self, key: str, *, k: int | None = None, **options: Any) -> Answer:
        """What is like a stored item, without the item itself. Raises as `search` does."""
        options["exclude"] = (key, *options.get("exclude", ()))
        return self.answer(Query((Term(item=key),)), k=k, **options)

    def search_many(
        self,
        queries: Sequence[str | Path | Image.Image | Query],
        *,
        to: Target | None = None,
        k: int | None = None,
    ) -> list[list[Hit]]:
        """`search` for many queries at once.

        Those that only ask for the nearest vectors go through encoder and index in one batch.
        """
        require_list("queries", queries)
        return self._answers.search([as_query(query, to, k, {}) for query in queries])

    def suggest(self, prefix: str, *, k: int = 10) -> list[tuple[str, int]]:
        """Titles, tags and other texts that start with `prefix`, with how many items have each.

        The most frequent first; accents and case do not matter. Raises UsageError for a k below 1.
        """
        if k < 1:
            raise UsageError(f"k is {k}: ask for at least 1")
        return self._answers.suggest(prefix, k)

    def defaults(self) -> Defaults | None:
        """What queries are answered with where they leave it open; None before the first index."""
        return self._answers.defaults()

    def index_seq(self) -> int | None:
        """The number of the last change that all indexes in memory hold; None: there is none.

        Their next query catches up with the catalog.
        """
        return self._answers.reached()

    def load_image_tower(self) -> None:
        """Load now what the first query by a picture would load, which takes seconds.

        The one method for another thread than the collection's own: its queries go on meanwhile.
        Raises ModelError, EncoderMismatchError, StorageError.
        """
        self._answers.load_image_tower()

    def keep_image_tower(self, on_note: Callable[[str], None] = lambda _: None) -> bool:
        """Write what answers queries by picture without torch in processes to come.

        To the user's cache, once for each model, which takes seconds; `on_note` hears of it before
        it begins. False: no query has needed torch for a picture, the model has no such form, or
        disk or memory have no room for it.
        """
        return self._answers.keep_image_tower(on_note)

    # ---- concepts

    def save_concept(self, name: str, query: str | Query) -> None:
        """Keep what a query looks for under a name, for terms and conditions of other queries.

        Its items must be there. Replaces a concept of that name. Raises UsageError,
        ItemNotFoundError, LockedError, StorageError.
        """
        from mmsearch.search.concepts import concept_of

        concept = concept_of(name, as_query(query, None, None, {}))
        keys = [term.item for term in concept.terms if term.item is not None]
        keys += [*concept.liked, *concept.disliked]
        known = self._catalog.by_key(keys)
        for key in keys:
            if key not in known:
                raise ItemNotFoundError(f"no item has the key {key!r}: {name!r} was not saved")
        with self._layout.writing():
            self._answers.concepts.save(concept)

    def concepts(self) -> dict[str, Concept]:
        """The saved concepts by name."""
        return self._answers.concepts.all()

    def remove_concept(self, name: str) -> None:
        """Raises ItemNotFoundError, LockedError, StorageError."""
        with self._layout.writing():
            self._answers.concepts.remove(name)

    def has_item(self, key: str) -> bool:
        """Whether a live item has this key."""
        item = self._catalog.item(key)
        return item is not None and item.live

    def image_file(self, key: str) -> Path:
        """Where the picture of an item lies on disk. Raises ItemNotFoundError."""
        from mmsearch.scan import path_of

        item = self._catalog.item(key)
        if item is None or item.path is None:
            raise ItemNotFoundError(f"no item with a picture has the key {key!r}")
        return path_of(item.path, self.base)

    def vectors(self, modality: Modality) -> tuple[list[StoredItem], Vectors]:
        """The items that have a vector of this modality, by age, and (n, d) float32 unit rows.

        Raises NoCollectionError where nothing was ever indexed, CorruptionError.
        """
        stored = self.stored_vectors(modality)
        ids = stored.ids.tolist()
        items = self._catalog.items(ids)
        there = np.fromiter((item in items for item in ids), np.bool_, len(ids))
        return [items[item] for item in ids if item in items], stored.read(np.flatnonzero(there))

    def stored_vectors(self, modality: Modality) -> StoredVectors:
        """The ids of the items that have a vector of this modality, and what reads the vectors.

        For who needs no more of the items, or not all of the vectors. Raises NoCollectionError.
        """
        info = self._info()
        ids, rows = live_rows(self._catalog, info.fingerprint, modality)
        return StoredVectors(self._layout.vector_file(info), ids, rows)

    def sharing_vectors(self, modality: Modality) -> list[StoredItem]:
        """The items whose vector of this modality is also another one's, by age.

        Equal files, or equal texts, have one vector; it is not read. Raises NoCollectionError.
        """
        stored = self.stored_vectors(modality)
        _, row, count = np.unique(stored.rows, return_inverse=True, return_counts=True)
        shared = stored.ids[count[row] > 1].tolist()
        items = self._catalog.items(shared)
        return [items[item] for item in shared if item in items]

    def status(self) -> Status:
        """Counts, sizes, and the encoders whose vectors are kept."""
        return statuses.status(self._catalog, self._layout)

    def check(self, repair: bool = False) -> CheckReport:
        """Compare catalog, vectors and index; with `repair`, mend what can be mended.

        Damaged vectors are forgotten and their files encoded again by the next `index`.
        """
        if not repair:
            return checks.check(self._catalog, self._layout)
        with self._layout.writing():
            self._answers.start_afresh()
            return checks.repair(self._catalog, self._layout, self._answers.save_snapshots)

    # ---- inside

    def _info(self) -> EncoderInfo:
        info = self._catalog.encoder()
        if info is None:
            raise NoCollectionError(f"{self.path} holds nothing yet: run `mmsearch index PATH`")
        return info
