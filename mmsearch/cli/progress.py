"""Bars on stderr for what takes long; where stderr is no terminal, the notes alone."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from mmsearch.cli import render

if TYPE_CHECKING:
    from mmsearch.training.optimise import Step
    from mmsearch.types import Progress

NOTE = "note: "


class Bar:
    """At most one bar at a time, closed on the way out."""

    def __init__(self) -> None:
        self._bar: Any = None  # a tqdm.tqdm, imported on first use
        self._task = ""
        self._on_terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def note(self, text: str) -> None:
        """Print `text` on stderr, above the bar."""
        line = NOTE + render.visible(text)
        if self._bar is None:
            typer.echo(line, err=True)
        else:
            self._bar.write(line, file=sys.stderr)

    def _open(self, **settings: Any) -> None:
        """A new bar in the place of the one before."""
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        self._bar = tqdm(dynamic_ncols=True, file=sys.stderr, leave=False, **settings)

    def _show(self, task: str, done: int, total: int | None, initial: int = 0) -> None:
        """`done` of `total` on the bar of `task`; `initial` were there before this run."""
        if task != self._task:
            self._task = task
            self._open(desc=task, total=total, initial=initial)
        self._bar.update(done - self._bar.n)


class ProgressBar(Bar):
    """Draws what an indexing run of `doing` reports: one bar from the scan to the last commit."""

    def __init__(self, doing: str = "index") -> None:
        super().__init__()
        self._doing = doing
        self._notes: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        if progress.step.startswith(NOTE):
            self.note(progress.step.removeprefix(NOTE))
        elif self._on_terminal:
            self._draw(progress)

    def note(self, text: str) -> None:
        """Print `text` on stderr, above the bar, once however often it is said."""
        if text not in self._notes:
            self._notes.add(text)
            super().note(text)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            # Nothing but words until there is a total to measure against.
            self._open(unit=" items", bar_format="{desc}")
        if progress.step == "commit":
            if progress.total is not None and progress.total != self._bar.total:
                self._bar.total = progress.total
                self._bar.unpause()  # rate and ETA count from the first item, not from the scan
            self._bar.bar_format = None
            self._bar.set_description(self._doing, refresh=False)
            self._bar.update(progress.done - self._bar.n)
        elif progress.step == "scan" and self._bar.bar_format is not None:  # no commit yet
            self._bar.set_description(f"scan: {progress.done} found")
        elif progress.step == "loading model":
            self._bar.set_description(progress.step)


class TrainBar(Bar):
    """Draws reading, encoding and the optimiser's steps, a bar for each."""

    def __init__(self) -> None:
        super().__init__()
        self._score: float | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.step.startswith(NOTE):
            self.note(progress.step.removeprefix(NOTE))
        elif self._on_terminal:
            # What was there before this run (cached, resumed) must not count as speed.
            self._show(progress.step, progress.done, progress.total, initial=progress.done)

    def step(self, step: Step, total: int) -> None:
        """One optimiser step was made."""
        if not self._on_terminal:
            return
        self._score = self._score if step.score is None else step.score
        self._show("train", step.step, total, initial=step.step)
        recall = {} if self._score is None else {"recall": f"{self._score:.3f}"}
        self._bar.set_postfix(loss=f"{step.loss:.3f}", **recall, refresh=False)


class Steps(Bar):
    """A bar for the step under way, under a `title` that may change."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""

    def __call__(self, progress: Progress) -> None:
        if self._on_terminal and progress.total:
            name = f"{self.title}: {progress.step}" if self.title else progress.step
            self._show(name, progress.done, progress.total)
