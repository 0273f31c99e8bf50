"""`mmsearch evaluate`: how well a model finds what it should, on a dataset or on one's own."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmsearch.cli import render
from mmsearch.cli.evaluate_outcome import Gate, Outputs, finish, tell
from mmsearch.cli.options import (
    DEFAULT_MODEL,
    EXIT_INTERRUPTED,
    CollectionOption,
    JsonOption,
    named_path,
    open_collection,
)
from mmsearch.cli.progress import Steps
from mmsearch.errors import UsageError

if TYPE_CHECKING:
    from mmsearch.collection import Collection
    from mmsearch.evaluation.ground_truth import IndexCurve
    from mmsearch.evaluation.measure import Measured
    from mmsearch.evaluation.request import Request
    from mmsearch.evaluation.task import Task

DEFAULT_DEPTH = 1000  # of an exported run, as is usual at TREC
SELF_QUERIES = 1000  # of an index curve

# What only a dataset can be asked, and what means nothing where no rankings are judged.
OF_DATASET = (
    *("--run", "--model", "--images", "--split"),
    *("--relevance", "--queries", "--labels", "--template"),
)
OF_JUDGEMENTS = ("--direction", "--measures", "--baseline", "--fail-below", "--export-run")


@dataclass(frozen=True)
class Machine:
    """How models are run."""

    device: str | None
    batch_size: int | None
    workers: int | None
    cache: bool


def evaluate(
    ctx: typer.Context,
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATASET]",
            help="A folder, caption file, table or tar shard; TREC qrels with --run; "
            "nothing: the collection's own captions.",
            parser=named_path,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Repeat it to compare models side by side."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="FILE",
            help="Judge this TREC run instead of a model.",
            parser=named_path,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="DIR",
            help="Where the pictures are: a folder or a tar.",
            parser=named_path,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help='Part of the dataset; "test" where there is one.')
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(
            "--direction",
            metavar="A-to-B",
            help="A: text, image or mixed; B: image or text. Repeat it for several.",
        ),
    ] = None,
    relevance: Annotated[
        str | None,
        typer.Option(
            "--relevance",
            metavar="COLUMNS",
            help="Right is what has equal values in these columns.",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            metavar="FILE",
            help="Queries with their judgements, .jsonl or .json.",
            parser=named_path,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="COLUMN", help="Zero-shot: classify into its values."),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            metavar="TEXT",
            help='Wording of labels ("a photo of {}", repeatable; "ensemble": those that suit the '
            "model) or of --relevance queries.",
        ),
    ] = None,
    measures: Annotated[
        str | None,
        typer.Option("--measures", metavar="LIST", help="For example hit@1,mAP@10,nDCG@10,MRR."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=1, help="Ask only N queries, drawn at random."),
    ] = None,
    index: Annotated[
        bool,
        typer.Option("--index", help="Measure index kinds on the collection: recall and latency."),
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="FILE", help="Compare with saved figures.", parser=named_path
        ),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(
            "--fail-below",
            metavar="DROP",
            min=0.0,
            help="Exit code 1 if a figure falls more than DROP below the baseline.",
        ),
    ] = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="FILE",
            help="Keep all of it as JSON, every query too.",
            parser=named_path,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write a report with plots and pictures.",
            parser=named_path,
        ),
    ] = None,
    export_run: Annotated[
        Path | None,
        typer.Option(
            "--export-run",
            metavar="FILE",
            help="Write the rankings as a TREC run (.qrels beside).",
            parser=named_path,
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option("--depth", min=1, help="Items per query in an exported run.")
    ] = DEFAULT_DEPTH,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; the best one there by default.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pictures encoded at a time.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode pictures.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither use nor keep embeddings of earlier runs.")
    ] = False,
    collection: CollectionOption = None,
) -> None:
    """Measure how well a model finds what it should, with intervals, against known answers.

    Embeddings are kept, so that a run that was stopped goes on where it was.

    \b
    Example:
      mmsearch evaluate ~/Pictures/captioned
      mmsearch evaluate dataset_flickr30k.json --images flickr30k-images --model ViT-B-32/openai
      mmsearch evaluate shop.csv --relevance gender,articleType,baseColour --model mini --model best
      mmsearch evaluate fruit.jsonl --labels label --template "a photo of {}, a fruit"
      mmsearch evaluate qrels.txt --run other-tool.run
      mmsearch evaluate --index
    """
    outputs = Outputs(as_json, markdown, save, html, export_run, depth)
    machine = Machine(device, batch_size, workers, not no_cache)
    _check(dataset, _given(ctx), len(model or ()))
    from mmsearch.evaluation.gate import read_evaluations
    from mmsearch.evaluation.tasks import parse_direction

    directions = tuple(dict.fromkeys(parse_direction(name) for name in direction or ()))
    columns = tuple(name.strip() for name in (relevance or "").split(",") if name.strip())
    chosen = _measures(measures)
    # Before anything is written: --save may name the same file.
    gate = None if baseline is None else Gate(baseline, read_evaluations(baseline), fail_below)
    if dataset is None:
        with open_collection(ctx, collection) as opened:
            if index:
                _index_curve(opened, outputs, sample or SELF_QUERIES)
                return
            from mmsearch.evaluation.stored import DIRECTIONS, measure_collection

            measured = measure_collection(
                opened, directions or DIRECTIONS, measures=chosen, sample=sample
            )
        if export_run is not None:
            _require_exportable([one.task for one in measured])
        finish(measured, [one.evaluation for one in measured], outputs, gate)
        return
    from mmsearch.evaluation.request import Request, measure_run_file

    request = Request(
        dataset,
        images=images,
        split=split,
        directions=directions,
        relevance=columns,
        queries=queries,
        labels=labels,
        templates=tuple(template or ()),
        sample=sample,
        measures=chosen,
    )
    if run is not None:
        finish([], [measure_run_file(request, run)], outputs, gate)
        return
    tasks = request.tasks()  # before any model is loaded: most mistakes are in the dataset
    if export_run is not None:
        _require_exportable(tasks)
    try:
        measured = _measure_models(request, tasks, model or [DEFAULT_MODEL], machine)
        finish(measured, [one.evaluation for one in measured], outputs, gate)
    except KeyboardInterrupt as error:
        if machine.cache:
            raise
        typer.echo("interrupted: with --no-cache no embeddings are kept", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from error


def _given(ctx: typer.Context) -> set[str]:
    """The options that were typed."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {
        f"--{name.removeprefix('as_').replace('_', '-')}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    }


def _check(dataset: Path | None, given: Set[str], models: int) -> None:
    """Raises UsageError for options that exclude each other or have nothing to say here."""
    if {"--json", "--markdown"} <= given:
        raise UsageError("--json and --markdown are two ways to print: choose one")
    if {"--run", "--model"} <= given:
        raise UsageError("--run judges a file and --model a model: choose one")
    if "--index" in given:
        if dataset is not None:
            raise UsageError("--index measures the collection: leave DATASET out")
        for option in (*OF_DATASET, *OF_JUDGEMENTS):
            if option in given:
                raise UsageError(
                    f"{option} goes with judgements, and --index measures without any: leave it out"
                )
    for option in OF_DATASET:
        if dataset is None and option in given:
            raise UsageError(
                f"{option} goes with a DATASET: name a DATASET; without one the collection judges "
                "its own model by its own captions"
            )
    if {"--labels", "--measures"} <= given and "--run" not in given:
        raise UsageError("--labels has measures of its own: leave --measures out")
    if {"--export-run", "--run"} <= given:
        raise UsageError("--export-run writes what a model ranked: there is no model here")
    if "--export-run" in given and models > 1:
        raise UsageError("--export-run writes the rankings of one model: give one --model")
    if "--fail-below" in given and "--baseline" not in given:
        raise UsageError("--fail-below compares with a --baseline FILE: name one")


def _measures(names: str | None) -> Any:
    from mmsearch.evaluation.measures import DEFAULT_MEASURES, parse_measure

    if names is None:
        return DEFAULT_MEASURES
    return tuple(dict.fromkeys(parse_measure(name) for name in names.split(",")))


def _require_exportable(tasks: list[Task]) -> None:
    from mmsearch.evaluation.measure import require_exportable

    require_exportable(tasks)


def _measure_models(
    request: Request, tasks: list[Task], models: list[str], machine: Machine
) -> list[Measured]:
    from mmsearch.encoders.open_clip_encoder import load_encoder
    from mmsearch.evaluation.cache import default_folder
    from mmsearch.evaluation.request import measure

    measured = []
    with Steps() as steps:
        for name in dict.fromkeys(models):
            steps.title = name if len(models) > 1 else ""
            encoder = load_encoder(
                name, device=machine.device, batch_size=machine.batch_size, on_note=steps.note
            )
            measured += measure(
                request,
                tasks,
                encoder,
                cache=default_folder() if machine.cache else None,
                workers=machine.workers,
                on_progress=steps,
            )
    return measured


def _index_curve(collection: Collection, outputs: Outputs, queries: int) -> None:
    from mmsearch.evaluation.files import write_file
    from mmsearch.evaluation.ground_truth import measure_index
    from mmsearch.evaluation.stored import index_queries

    gallery, asked, kind = index_queries(collection, queries)
    with Steps() as steps:
        curve: IndexCurve = measure_index(gallery, asked, on_progress=steps)
    if outputs.as_json:
        typer.echo(render.to_json(curve.to_json()))
    else:
        typer.echo(curve.markdown() if outputs.markdown else curve.table())
        typer.echo(f"queries: {kind} of the collection", err=True)
    if outputs.save is not None:
        write_file(outputs.save, (render.to_json(curve.to_json()) + "\n").encode())
        tell(outputs.save)
    if outputs.html is not None:
        from mmsearch.evaluation.report_html import render_report

        write_file(outputs.html, render_report([], curve).encode())
        tell(outputs.html)
