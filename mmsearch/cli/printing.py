"""An answer to `mmsearch query`, printed for whoever asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmsearch.cli import render
from mmsearch.keys import path_of
from mmsearch.types import MODALITIES, Answer, Hit, Target

if TYPE_CHECKING:
    from mmsearch.cli.options import Caller
    from mmsearch.collection import Collection


@dataclass(frozen=True)
class Output:
    """How the answers are printed."""

    as_json: bool
    as_paths: bool
    nul: bool
    preview: bool
    pages: bool  # whether to say how to go on
    judged: bool  # whether "no match" is an answer rather than a note


@dataclass(frozen=True)
class Printer:
    """Prints the answers of `collection`, whose keys are paths relative to `base`."""

    caller: Caller
    output: Output
    collection: Collection
    base: Path

    def answer(self, answer: Answer, kind: Target | None, *, after_another: bool) -> None:
        """The hits on stdout; what is said about them on stderr, or with --json as last lines."""
        if self.output.as_json:
            self._json(answer)
        else:
            self._text(answer, kind, after_another=after_another)
        self.caller.out.flush()
        self.caller.err.flush()

    def lines(self, *lines: str, err: bool = False) -> None:
        """Each on a line of its own."""
        stream = self.caller.err if err else self.caller.out
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()

    def file_of(self, hit: Hit) -> Path | None:
        """The file that `hit` was found in: its picture or its text; None for a row of a table."""
        if hit.path is not None:
            return path_of(hit.path, self.base)
        file = path_of(hit.key, self.base)
        return file if file.is_file() else None

    def _json(self, answer: Answer) -> None:
        self.lines(*map(render.hit_json, answer.hits))
        pages, judged = self.output.pages, self.output.judged
        self.lines(*render.answer_json(answer, pages=pages, judged=judged))
        self._note_no_match(answer)

    def _text(self, answer: Answer, kind: Target | None, *, after_another: bool) -> None:
        if self.output.as_paths:
            render.write_paths(
                [self.file_of(hit) for hit in answer.hits],
                b"\0" if self.output.nul else b"\n",
                out=self.caller.out,
                err=self.caller.err,
                folder=str(self.caller.folder),
            )
        else:
            if after_another:
                self.lines("")
            self._table(answer.hits, kind)
            for facet in answer.facets:
                self.lines("", render.facet_table(facet))
        self.lines(*map(render.visible, answer.explain), err=True)
        self._note_no_match(answer)
        if answer.cursor is not None and self.output.pages:
            self.lines(f"more: --cursor {answer.cursor}", err=True)

    def _note_no_match(self, answer: Answer) -> None:
        if answer.no_match is not None and answer.no_match not in answer.explain:
            self.lines(answer.no_match, err=True)

    def _table(self, hits: Sequence[Hit], kind: Target | None) -> None:
        kinds = {hit.modality for hit in hits}
        table = render.hits_table(
            hits,
            [self.file_of(hit) for hit in hits],
            title=kind if kind in MODALITIES else kinds.pop() if len(kinds) == 1 else "item",
            width=self.caller.width,
            folder=str(self.caller.folder),
        )
        if self.output.preview:
            from mmsearch.cli import preview

            preview.show(self.collection, list(hits), table)
        else:
            self.lines(table)
