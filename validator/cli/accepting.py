"""Commands about known changes of a finished run: accept, review."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from validator.cli.options import Config

Run = Annotated[
    Path | None,
    typer.Option("--run", help="Directory of a run, or its report.json. Default: the last one."),
]
Until = Annotated[str, typer.Option(help="Last day on which it holds, as 2027-02-28. Default: no end.")]
By = Annotated[str, typer.Option(help="Who accepts. Default: the user.name of git.")]


def accept(  # noqa: PLR0913, PLR0917 - one parameter an option
    cell: Annotated[str, typer.Argument(help="Id of a cell, as the report prints it.")],
    reason: Annotated[str, typer.Option(help="Why the change is right.")],
    until: Until = "",
    by: By = "",
    run: Run = None,
    config: Config = Path("validator.yml"),
) -> None:
    """Accept a known change of the last run: the gate no longer fails on it in this upgrade.

    Writes an entry into keras-acceptances.yml (`acceptances:` of validator.yml); review and commit it.
    It covers no worse result, no other finding and no other upgrade.
    """
    from validator.pipeline.accepting import Ledger, People, accept_cell

    accept_cell(Ledger.open(config, run), cell, People(reason, until, by), typer.echo)


def review(  # noqa: PLR0913, PLR0917 - one parameter an option
    cells: Annotated[list[str] | None, typer.Argument(help="Ids of cells. Default: all, one by one.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Accept all that is pending; asks nothing.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead of accepting.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Print the ids of what is pending.")] = False,
    reason: Annotated[str, typer.Option(help="Why the changes are right.")] = "",
    until: Until = "",
    by: By = "",
    run: Run = None,
    config: Config = Path("validator.yml"),
) -> None:
    """Go through the changes of the last run that could be accepted: accept, reject or skip each.

    With ids or --all it asks nothing, and needs --reason. What is rejected stays out until the next run.
    """
    from validator.errors import ConfigurationError
    from validator.pipeline.accepting import (
        Dialogue,
        Ledger,
        People,
        list_pending,
        review_all,
        review_named,
    )

    if cells and every:
        raise ConfigurationError("review takes ids of cells or --all, not both")
    asked = bool(cells) or every
    if reject and not asked:
        raise ConfigurationError("--reject needs ids of cells, or --all")
    if asked and not reject and not reason:
        raise ConfigurationError("review needs --reason with ids or --all: why are the changes right?")
    if not (asked or listed or sys.stdin.isatty()):
        raise ConfigurationError(
            "review has questions, and no terminal to ask on: pass ids or --all with --reason, or --list"
        )
    ledger, people = Ledger.open(config, run), People(reason, until, by)
    if listed:
        list_pending(ledger, typer.echo)
    elif asked:
        review_named(ledger, tuple(cells or ()), None if reject else people, typer.echo)
    else:
        review_all(ledger, people, Dialogue(lambda question: str(input(question)), typer.echo))
