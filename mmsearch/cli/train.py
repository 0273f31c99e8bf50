"""`mmsearch train`: fit a model to pairs of pictures and texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmsearch.cli import render
from mmsearch.cli.options import (
    DEFAULT_MODEL,
    EXIT_SKIPPED,
    CollectionOption,
    DeviceOption,
    JsonOption,
    named,
    named_path,
    open_collection,
)
from mmsearch.cli.progress import TrainBar
from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from mmsearch.adaptation.pairs import Pairs
    from mmsearch.adaptation.report import TrainReport

FAILURES_SHOWN = 20


def train(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="The new model's folder; it is made.", parser=named_path
        ),
    ],
    pairs: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PAIRS]",
            help="A csv, jsonl or parquet file with the columns image and text, and perhaps group "
            "and weight (or clicks); without it, the collection's own items.",
            parser=named_path,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="The model to start from, which stays as it is: any name that `index --model` "
            "takes; by default mini, or the collection's model.",
            parser=named,
        ),
    ] = None,
    tune: Annotated[
        Literal["adapter", "head", "full"],
        typer.Option(
            help="adapter: small maps on the frozen model, minutes on a CPU; head: its last "
            "projections; full: all of it."
        ),
    ] = "adapter",
    features: Annotated[
        Literal["pooled", "embedding"] | None,
        typer.Option(
            help="What an adapter reads of a picture: pooled knows more; with embedding, stored "
            "vectors are adapted without their pictures. By default pooled where there is such."
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the pictures kept to measure on.")
    ] = 0.1,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at most.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pairs in a step.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    keep: Annotated[
        float | None,
        typer.Option(help="Pull towards the base's vectors: more forgets less and learns less."),
    ] = None,
    early_stop: Annotated[
        bool,
        typer.Option(
            help="Keep the step that did best on the held-out pairs, or the last one: for pairs "
            "that the base model was itself trained on."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: DeviceOption = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the base's features here, for further runs.",
            parser=named_path,
        ),
    ] = None,
    as_json: JsonOption = False,
    collection: CollectionOption = None,
) -> None:
    """Fit a model to pairs of pictures and texts; the result is a folder for `index --model`.

    A part of the pairs is held out: no picture is on both sides, nor any group or text where that
    can be had. The step that answers them best is kept. A run that was interrupted goes on when
    the same command is run again.

    \b
    Example:
      mmsearch train pairs.csv --out my-model
      mmsearch train clicks.parquet --from best --out my-model --held-out 0.2
      mmsearch --collection shop.mmsearch train --out shop-model
    """
    from mmsearch.adaptation.train import TrainOptions
    from mmsearch.adaptation.train import train as run

    found, own_model = _pairs(ctx, pairs, collection)
    options = TrainOptions(
        base=base or own_model or DEFAULT_MODEL,
        out=out,
        tune=tune,
        features=features,
        held_out=held_out,
        steps=steps,
        batch=batch,
        rate=rate,
        keep=keep,
        early_stop=early_stop,
        seed=seed,
        device=device,
        cache=cache,
    )
    with TrainBar() as bar:
        report = run(found, options, on_progress=bar, on_step=bar.step)
    typer.echo(render.to_json(report.as_json()) if as_json else _lines(report))
    if report.best_step == 0:
        typer.echo(
            "note: no step was better than the base on the held-out pairs: the model equals it. "
            "More pairs, or another --tune, may help",
            err=True,
        )
    if report.failures:
        raise typer.Exit(EXIT_SKIPPED)


def _pairs(
    ctx: typer.Context, table: Path | None, collection: Path | None
) -> tuple[Pairs, str | None]:
    """The pairs, and the model of the collection that they come from."""
    from mmsearch.adaptation.pairs import collection_pairs, read_pairs

    if table is not None and collection is not None:
        raise UsageError("train from PAIRS or from --collection: leave one of them out")
    if table is not None:
        return read_pairs(table), None
    with open_collection(ctx, collection) as opened:
        return collection_pairs(opened), opened.status().model


def _lines(report: TrainReport) -> str:
    from mmsearch.adaptation.report import RULES, table

    rows = table(report)
    width = max(len(title) for title, _, _ in rows)
    lines = [f"{'held-out pairs':<{width}}  before  after"]
    lines += [f"{title:<{width}}  {before:>6.3f}  {after:>5.3f}" for title, before, after in rows]
    stopped = ", stopped early" if report.stopped_early else ""
    lines += [
        f"trained on {report.train_pairs} pairs, held out {report.held_out_pairs} "
        f"{RULES[report.rule]}",
        f"the cosine between two texts changed by {report.text_geometry_change:.3f} on average",
        f"{report.steps} steps in {report.seconds:.1f} s, best after step {report.best_step}"
        f"{stopped}",
    ]
    lines += [
        f"  skipped {render.visible(failure.key)}: {render.visible(failure.reason)}"
        for failure in report.failures[:FAILURES_SHOWN]
    ]
    if len(report.failures) > FAILURES_SHOWN:
        lines.append(f"  … and {len(report.failures) - FAILURES_SHOWN} more: --json lists all")
    lines.append(f"model: {render.visible(str(report.out))} ({report.fingerprint})")
    return "\n".join(lines)
