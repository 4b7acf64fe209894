"""Commands that run cells, or print what runs left: run, plan, origin, history, report, compare."""

from __future__ import annotations

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
    Pre,
    ReportFormat,
    With,
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
) -> None:
    """Build all environments, run all cells, compare and report. The exit code is 1 if the gate fails.

    With --base or --event, the requirements of both commits become the environments `base` and `head`, before
    those of the matrix. If nothing relevant changed between them, nothing runs.

    With --with or --pre, `base` is what HEAD requires, and `head` the same with these packages moved.
    Everything else stays where it can.
    """
    from validator.matrix import AskedMoves, MatrixSelection
    from validator.pipeline.publish import run_in_actions
    from validator.pipeline.run import Request, run_matrix

    selection = MatrixSelection(tuple(model or ()), baseline, tuple(against or ()))
    moves = AskedMoves(tuple(requirement or ()), pre)
    request = Request(
        config, tuple(only or ()), output, json, jobs, base, head, event, selection, moves, history
    )
    raise typer.Exit(int(run_in_actions(request) if event else run_matrix(request)))


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
) -> None:
    """Print the environments and cells of a run without running them."""
    from validator.matrix import AskedMoves, MatrixSelection
    from validator.pipeline.run import Request
    from validator.pipeline.show import show_plan

    selection = MatrixSelection(tuple(model or ()), baseline, tuple(against or ()))
    moves = AskedMoves(tuple(requirement or ()), pre)
    show_plan(Request(config, tuple(only or ()), None, json, None, base, head, event, selection, moves))


def origin(  # noqa: PLR0913, PLR0917 - one parameter an option
    cell: Annotated[str, typer.Argument(help="Id of a cell that changed, as the report prints it.")],
    config: Config = Path("validator.yml"),
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time limit. Default: `origin.seconds` of validator.yml.")
    ] = None,
    output: Output = None,
    base: Base = None,
    head: Head = None,
) -> None:
    """Trace a cell that changed to the release, the nightly build and the lines of Keras that changed it.

    Every result is kept, so that the same command goes on where an earlier search stopped. The exit code is 3
    if the cell cannot be traced.
    """
    from validator.pipeline.search import OriginRequest, search

    raise typer.Exit(int(search(OriginRequest(cell, config, seconds, output, base, head))))


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
