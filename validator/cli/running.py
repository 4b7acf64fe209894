"""Commands that run cells, or print what runs left: run, plan, origin, history, report, compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from validator.cli.options import (
    Against,
    Base,
    Baseline,
    Config,
    FromEvent,
    Head,
    HistoryFile,
    Jobs,
    Model,
    Only,
    Output,
    PlanFormat,
    Pre,
    ReportFormat,
    ShardName,
    With,
    option,
)


def run(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: Config = Path("validator.yml"),
    only: Only = None,
    model: Model = None,
    baseline: Baseline = "",
    against: Against = None,
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print report.json to stdout.")] = False,
    jobs: Jobs = None,
    base: Base = None,
    head: Head = None,
    event: FromEvent = False,
    requirement: With = None,
    pre: Pre = False,
    history: HistoryFile = None,
    shard: ShardName = None,
    cache: Annotated[
        Path | None,
        option("cache", "Directory with predictions of earlier runs: what did not change is not run again."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with an interrupted run: what it has measured is not run again."
        ),
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option(
            help="Run on a Dask cluster: the address of its scheduler (`dask://host:8786`), a class such as "
            "`LocalCluster`, or a YAML file that describes one. Default: this machine.",
        ),
    ] = None,
) -> None:
    """Build all environments, run all cells, compare and report. The exit code is 1 if the gate fails.

    With --base or --event, the requirements of both commits become the environments `base` and `head`, before
    those of the matrix. If nothing relevant changed between them, nothing runs.

    With --with or --pre, `base` is what HEAD requires, and `head` the same with these packages moved.
    Everything else stays where it can. With --shard, the exit code is 0 as soon as the shard's results are
    written: `merge` judges.
    """
    from validator.cluster import Executor
    from validator.matrix import AskedMoves, MatrixSelection, Shard
    from validator.pipeline.publish import run_in_actions
    from validator.pipeline.run import Request, run_matrix

    selection = MatrixSelection(tuple(model or ()), baseline, tuple(against or ()))
    moves = AskedMoves(tuple(requirement or ()), pre)
    part = Shard.read(shard) if shard else None
    request = Request(
        config, tuple(only or ()), output, json, jobs, base, head, event, selection, moves, history
    )
    cluster = Executor.read(executor) if executor else None
    request = replace(request, shard=part, cache=cache, resume=resume, executor=cluster)
    raise typer.Exit(int(run_in_actions(request) if event else run_matrix(request)))


def shard(folder: Path, output: Output = None) -> None:
    """Run the shard that standard input describes, in a folder, as long as that is open: for a cluster."""
    import os

    from validator.pipeline.run import run_shard
    from validator.pipeline.shard_request import ShardRequest

    asked = ShardRequest.read()
    os.chdir(folder)
    raise typer.Exit(int(run_shard(asked, output)))


def plan(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: Config = Path("validator.yml"),
    only: Only = None,
    model: Model = None,
    baseline: Baseline = "",
    against: Against = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    base: Base = None,
    head: Head = None,
    event: FromEvent = False,
    requirement: With = None,
    pre: Pre = False,
    form: Annotated[
        PlanFormat,
        typer.Option(
            "--format", "-f", help="`github`: one line of JSON for `strategy.matrix`, a job a shard."
        ),
    ] = PlanFormat.terminal,
    shards: Annotated[
        int | None,
        option(
            "shards",
            "With --format github: so many jobs at most. Default: one an environment.",
            min=1,
            max=256,
        ),
    ] = None,
) -> None:
    """Print the environments and cells of a run without running them."""
    from validator.matrix import AskedMoves, MatrixSelection
    from validator.pipeline.run import Request
    from validator.pipeline.show import show_plan

    selection = MatrixSelection(tuple(model or ()), baseline, tuple(against or ()))
    request = Request(
        config,
        tuple(only or ()),
        json=json,
        base=base,
        head=head,
        event=event,
        selection=selection,
        moves=AskedMoves(tuple(requirement or ()), pre),
    )
    show_plan(request, form.value, shards)


def origin(  # noqa: PLR0913, PLR0917 - one parameter an option
    cell: Annotated[str, typer.Argument(help="Id of a cell that changed, as the report prints it.")],
    config: Config = Path("validator.yml"),
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time limit. Default: `origin.seconds` of validator.yml.")
    ] = None,
    output: Output = None,
    baseline: Baseline = "",
    against: Against = None,
    base: Base = None,
    head: Head = None,
    requirement: With = None,
    pre: Pre = False,
) -> None:
    """Trace a cell that changed to the release, the nightly build and the lines of Keras that changed it.

    Every result is kept, so that the same command goes on where an earlier search stopped. The exit code is 3
    if the cell cannot be traced. What the run compared, as by --base or --with, is named here, too.
    """
    from validator.matrix import AskedMoves, MatrixSelection
    from validator.pipeline.run import Request
    from validator.pipeline.search import search

    selection = MatrixSelection((), baseline, tuple(against or ()))
    moves = AskedMoves(tuple(requirement or ()), pre)
    request = Request(config, (cell,), output, base=base, head=head, selection=selection, moves=moves)
    raise typer.Exit(int(search(request, seconds)))


def history(
    config: Config = Path("validator.yml"),
    file: HistoryFile = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model. Repeatable.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file instead of printing.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the lines themselves.")] = False,
) -> None:
    """Print how drift, accuracy and time went from release to release and run to run, and name the steps.

    Runs with --history, or with `history` in validator.yml, write the file.
    """
    from validator.pipeline.history import HistoryRequest, show

    show(HistoryRequest(config, file, tuple(model or ()), html, json))


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(
            envvar="KERAS_VALIDATOR_PARTS", help="Directory with what `run --shard` wrote. Repeatable."
        ),
    ],
    output: Annotated[
        Path | None, option("output", "Directory of the report. Default: .keras-validator/run.", "-o")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print report.json to stdout.")] = False,
    event: Annotated[
        bool,
        typer.Option("--event", help="Show the result in this GitHub Actions job, as `run --event` does."),
    ] = False,
    history: Annotated[
        Path | None, typer.Option("--history", help="File with a line for each judged run. Default: none.")
    ] = None,
) -> None:
    """Bring the results of all shards together, judge once, and report. The exit code is that of `run`.

    A shard that left no result makes the run inconclusive, and its cells are not compared.
    """
    from validator.pipeline.parts import MergeRequest, run_merge
    from validator.pipeline.publish import merge_in_actions

    request = MergeRequest(tuple(folders), output, json, event, history)
    raise typer.Exit(int(merge_in_actions(request) if event else run_merge(request)))


def report(
    run: Annotated[Path, typer.Argument(help="Directory of a run, or its report.json.")] = Path(
        ".keras-validator/run"
    ),
    form: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="Format to print.")
    ] = ReportFormat.terminal,
    everything: Annotated[
        bool, typer.Option("--all", help="On a terminal, list the cells that hold too.")
    ] = False,
) -> None:
    """Print the report of a finished run in another format."""
    from validator.pipeline.show import show_report

    show_report(run, form.value, everything=everything)


def compare(
    baseline: Annotated[Path, typer.Argument(help="Capture (directory of a cell) or .npz file.")],
    candidate: Annotated[Path, typer.Argument(help="Capture or .npz file to compare with it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two captures or two .npz files, output by output. The exit code is 1 if an output changed."""
    from validator.pipeline.show import show_comparison

    raise typer.Exit(int(show_comparison(baseline, candidate, json)))
