"""Options that several commands have. Environment variables set those that the actions have as inputs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


def option(name: str, text: str, *flags: str, **more: Any) -> Any:
    """An option that an environment variable can set, which is how the actions pass their inputs."""
    return typer.Option(f"--{name}", *flags, envvar=f"KERAS_VALIDATOR_{name.upper()}", help=text, **more)


Config = Annotated[Path, option("config", "Path of the validator.yml.", "-c")]
Only = Annotated[
    list[str] | None,
    option("only", "Run only this cell and its baseline; `plan` lists the ids. Repeatable."),
]
Model = Annotated[list[str] | None, typer.Option(help="Run only this model. Repeatable.")]
Baseline = Annotated[
    str,
    typer.Option(
        help="Compare with this instead: an environment, a version of Keras, `legacy`, or `current`, the "
        "Python that runs the validator."
    ),
]
Against = Annotated[
    list[str] | None, typer.Option(help="Compare only this with the baseline; as --baseline. Repeatable.")
]
Output = Annotated[
    Path | None,
    option("output", "Directory of the run. Default: .keras-validator/run next to the config.", "-o"),
]
Base = Annotated[
    str | None, option("base", "Compare HEAD with the commit where it branched off this revision.")
]
Head = Annotated[str | None, typer.Option(help="With --base: compare exactly these two revisions.")]
FromEvent = Annotated[
    bool,
    typer.Option("--event", help="Compare the commits of the event that started this GitHub Actions job."),
]
With = Annotated[
    list[str] | None,
    option(
        "with",
        "Compare HEAD with itself under this requirement: `keras==3.13.0`, `keras-nightly`. Repeatable.",
        metavar="REQUIREMENT",
    ),
]
Pre = Annotated[
    bool,
    option("pre", "The newest version that --with allows may be a pre-release; without --with, of keras."),
]
HistoryFile = Annotated[
    Path | None,
    typer.Option(
        "--history", help="File with a line for each judged run. Default: `history` of validator.yml."
    ),
]


def _jobs(value: str) -> int | None:
    """The number of parallel environments; None for `auto`."""
    if value == "auto":
        return None
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise typer.BadParameter(f"{value!r} is neither a positive number nor `auto`")
    return int(value)


Jobs = Annotated[
    int | None,
    option(
        "jobs",
        "Environments to build and run in parallel; `auto` is one per core.",
        "-j",
        parser=_jobs,
        metavar="N|auto",
        show_default="auto",
    ),
]


class CommentChoice(str, Enum):
    """When a comment is created. An existing comment is always updated."""

    always = "always"
    changes = "changes"
    failures = "failures"
    never = "never"


class ReportFormat(str, Enum):
    """Formats of a report."""

    markdown = "markdown"
    html = "html"
    json = "json"
    junit = "junit"
    terminal = "terminal"


class PlanFormat(str, Enum):
    """Formats of a plan."""

    terminal = "terminal"
    json = "json"
    github = "github"


ShardName = Annotated[
    str | None,
    option(
        "shard",
        "Run this shard of the plan alone, such as 1/3, and write its results for `merge`.",
        metavar="I/N",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, and take every default.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
