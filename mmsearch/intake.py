"""What brings items and vectors into a collection: runs, and moves to another encoder.

One at a time, under the writer's lock; the encoder is loaded when something has to be encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.answers import Answers
from mmsearch.catalog.catalog import Catalog
from mmsearch.catalog.records import EncoderInfo
from mmsearch.errors import UsageError
from mmsearch.layout import Layout
from mmsearch.loading import Encoders, require_device, require_same, settle_precision
from mmsearch.types import (
    Encoder,
    IndexReport,
    OnProgress,
    PreciseEncoder,
    Progress,
    ReindexReport,
    TextEncoder,
    WantedPrecision,
)

if TYPE_CHECKING:
    from mmsearch.ingest.run import Ingest

DEFAULT_MODEL = "mini"


@dataclass(frozen=True)
class How:
    """How a run encodes; what is None is left to the collection and the machine.

    `notes` fills with what the user may want to know. Raises UsageError.
    """

    device: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    precision: WantedPrecision | None = None
    on_progress: OnProgress | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_device(self.device)
        for name in ("batch_size", "workers"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"{name} must be at least 1, not {number}")

    def note(self, message: str) -> None:
        """Add to the notes, and tell `on_progress` at once."""
        self.notes.append(message)
        if self.on_progress:
            self.on_progress(Progress(f"note: {message}"))


class Intake:
    """See the methods of Collection, which have the same names."""

    def __init__(
        self, catalog: Catalog, layout: Layout, encoders: Encoders, answers: Answers
    ) -> None:
        self._catalog = catalog
        self._layout = layout
        self._encoders = encoders
        self._answers = answers

    def index(
        self,
        paths: Sequence[str | Path],
        model: str | None,
        how: How,
        *,
        allow_empty: bool,
        url_hosts: Sequence[str],
    ) -> IndexReport:
        from mmsearch.ingest.attributes import notes_of_mixed
        from mmsearch.ingest.kept import drop_unused_pictures

        with self._ingesting(model, how, url_hosts) as run:
            report = run.run([Path(path) for path in paths], allow_empty=allow_empty)
            if report.added or report.changed:
                for note in notes_of_mixed(self._catalog.attribute_types()).values():
                    how.note(note)
            drop_unused_pictures(run.replaced, self._catalog, self._layout)
            self._answers.save_old_snapshots(how.on_progress)
        return replace(report, notes=tuple(how.notes))

    def upsert(
        self,
        rows: Iterable[Mapping[str, Any]],
        model: str | None,
        how: How,
        *,
        url_hosts: Sequence[str],
    ) -> IndexReport:
        from mmsearch.ingest.kept import drop_unused_pictures
        from mmsearch.ingest.rows import rows_to_items

        with self._ingesting(model, how, url_hosts) as run:
            kept: set[bytes] = set()
            report = run.take(rows_to_items(rows, self._layout, kept))
            drop_unused_pictures(kept | run.replaced, self._catalog, self._layout)
            self._answers.save_old_snapshots(how.on_progress)
        return replace(report, notes=tuple(how.notes))

    def reindex(
        self, own: EncoderInfo, model: str | Encoder, how: How, *, allow_missing: bool
    ) -> ReindexReport:
        self._layout.require_index_settings()  # the new snapshots follow them
        if not isinstance(model, str):
            self._encoders.add(model)
        name = self._encoders.lasting_name(model) if isinstance(model, str) else model.name
        encoder = self._encoders.load(name, how.device, how.batch_size, how.note)
        target = EncoderInfo(name, encoder.fingerprint, encoder.dim)
        if target.fingerprint == own.fingerprint:
            how.note(
                f"the collection is encoded by {own.name} already, and {name} is the same model"
            )
            return ReindexReport(own.name, switched=True, notes=tuple(how.notes))
        self._encoders.keep_towers(encoder)
        self._settled(encoder, how)
        report = self._move(target, lambda: encoder, how, allow_missing)
        if how.precision is not None:
            self._keep_precision(encoder)
        return replace(report, notes=tuple(how.notes))

    def rollback(self, how: How, *, allow_missing: bool) -> ReindexReport:
        target = self._catalog.spaces.previous()
        if target is None:
            raise UsageError(
                "there is no previous model to go back to: none was left, or it was dropped"
            )

        def load() -> Encoder:
            encoder = self._encoders.of(target, how.device, how.batch_size, how.note)
            return self._settled(encoder, how)

        report = self._move(target, load, how, allow_missing)
        return replace(report, notes=tuple(how.notes))

    def _move(
        self, target: EncoderInfo, load: Callable[[], Encoder], how: How, allow_missing: bool
    ) -> ReindexReport:
        from mmsearch.ingest.reindex import Reindex

        with self._layout.changing_spaces():
            run = Reindex(
                self._catalog,
                self._layout,
                target,
                load,
                workers=how.workers,
                on_progress=how.on_progress,
            )
            return run.run(
                allow_missing=allow_missing,
                before_switch=lambda info: self._answers.save_snapshots(how.on_progress, info),
            )

    @contextmanager
    def _ingesting(self, model: str | None, how: How, url_hosts: Sequence[str]) -> Iterator[Ingest]:
        """A run under the writer's lock."""
        from mmsearch.ingest.run import Ingest

        stored = self._catalog.encoder()
        if model is not None:
            model = self._encoders.lasting_name(model)
        if stored and model and model != stored.name:
            # Another name may be the same weights; only the fingerprint decides.
            require_same(stored, self._encoders.load(model, how.device, how.batch_size, how.note))

        def load() -> Encoder:
            own = self._catalog.encoder()
            if own is not None:
                encoder = self._encoders.of(own, how.device, how.batch_size, how.note)
            else:
                name = model or DEFAULT_MODEL
                encoder = self._encoders.load(name, how.device, how.batch_size, how.note)
            self._settled(encoder, how)
            if own is None:
                info = EncoderInfo(encoder.name, encoder.fingerprint, encoder.dim)
                self._catalog.spaces.begin(info)
            self._encoders.keep_towers(encoder)  # the cache may have been emptied since
            return encoder

        def text_tower() -> tuple[EncoderInfo, TextEncoder] | None:
            own = self._catalog.encoder()
            if own is not None:
                tower = self._encoders.kept_text_tower(own)
                return None if tower is None else (own, tower)
            new = self._encoders.own_text_tower(model or DEFAULT_MODEL)
            if new is not None:
                self._catalog.spaces.begin(new[0])
            return new

        # Whoever says how to encode gets the whole encoder, set up like that.
        settled = how.precision is not None or how.device is not None
        with self._layout.writing():
            # The snapshots at the end follow them: nothing is encoded before an error there.
            self._layout.require_index_settings()
            run = Ingest(
                self._catalog,
                self._layout,
                load,
                text_tower=(lambda: None) if settled else text_tower,
                workers=how.workers,
                url_hosts=url_hosts,
                on_progress=how.on_progress,
            )
            yield run
            if how.precision is not None and run.encoder is not None:
                self._keep_precision(run.encoder)

    def _settled(self, encoder: Encoder, how: How) -> Encoder:
        """`encoder` in the precision that is wanted, or in that of its space."""
        own = self._catalog.spaces.precision(encoder.fingerprint)
        return settle_precision(encoder, how.precision, own, how.note)

    def _keep_precision(self, encoder: Encoder) -> None:
        """Later runs, and queries by picture, go on with what somebody chose."""
        if isinstance(encoder, PreciseEncoder) and encoder.precision is not None:
            self._catalog.spaces.set_precision(encoder.fingerprint, encoder.precision)
