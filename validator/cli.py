"""The command line: `keras-validator`. The only place where an exception becomes an exit code.

Rooms are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from validator import __version__
from validator.errors import Exit, ValidatorError

app = typer.Typer(
    name="keras-validator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run your Keras models before and after a dependency upgrade, and see whether the numbers moved.",
)

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="KERAS_VALIDATOR_CONFIG", help="The validator.yml.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        envvar="KERAS_VALIDATOR_ONLY",
        help="Run this cell (with its baseline) alone; `plan` lists the ids. Repeatable.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        envvar="KERAS_VALIDATOR_OUTPUT",
        help="Folder of the run; default .keras-validator/run by the config.",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        envvar="KERAS_VALIDATOR_BASE",
        help="Compare the requirements of HEAD with those where it branched off this revision.",
    ),
]
Head = Annotated[str | None, typer.Option(help="With --base: compare exactly these two revisions.")]
Event = Annotated[
    bool, typer.Option("--event", help="Inside GitHub Actions: compare what the job's event changes.")
]


class Policy(str, Enum):
    """When a comment is created. An existing one is always brought up to date."""

    always = "always"
    changes = "changes"
    failures = "failures"
    never = "never"


class Format(str, Enum):
    """Forms of a report."""

    markdown = "markdown"
    html = "html"
    json = "json"
    junit = "junit"
    terminal = "terminal"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keras-validator {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: Config = Path("validator.yml"),
    only: Only = None,
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print report.json on stdout.")] = False,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", envvar="KERAS_VALIDATOR_JOBS", min=1, help="Environments at the same time."
        ),
    ] = 1,
    base: Base = None,
    head: Head = None,
    event: Event = False,
) -> None:
    """Build every environment, run every cell, compare, report. Exit code: 0, or 1 where the gate fails.

    With --base or --event, the project's own requirements on both sides become the environments `base` and
    `head`, before those of the matrix. Nothing relevant changed between them: nothing is run.
    """
    from validator.pipeline.publish import run_in_actions
    from validator.pipeline.run import Request, run_matrix

    request = Request(config, tuple(only or ()), output, json, jobs, base, head, event)
    raise typer.Exit(int(run_in_actions(request) if event else run_matrix(request)))


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: Config = Path("validator.yml"),
    only: Only = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    base: Base = None,
    head: Head = None,
    event: Event = False,
) -> None:
    """Print the environments and cells of a run, and run nothing."""
    from validator.pipeline.run import Request
    from validator.pipeline.show import show_plan

    show_plan(Request(config, tuple(only or ()), None, json, base=base, head=head, event=event))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or its report.json.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="What to print.")] = Format.terminal,
) -> None:
    """Print the report of a finished run in another form."""
    from validator.pipeline.show import show_report

    show_report(run, form.value)


@app.command()
def publish(  # noqa: PLR0913, PLR0917 - one parameter an option
    run: Annotated[
        Path,
        typer.Argument(envvar="KERAS_VALIDATOR_REPORT", help="The folder of a run, or its report.json."),
    ],
    instance: Annotated[
        str,
        typer.Option(
            envvar="KERAS_VALIDATOR_INSTANCE", help="Tells the comments of several validations apart."
        ),
    ] = "default",
    comment: Annotated[
        Policy,
        typer.Option(
            envvar="KERAS_VALIDATOR_COMMENT",
            help="When a comment is created. An existing one is always brought up to date.",
        ),
    ] = Policy.always,
    status: Annotated[
        bool, typer.Option("--status", envvar="KERAS_VALIDATOR_STATUS", help="Set a commit status.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", envvar="KERAS_VALIDATOR_CHECK", help="Create a check run.")
    ] = False,
    issue: Annotated[
        bool,
        typer.Option(
            "--issue", envvar="KERAS_VALIDATOR_ISSUE", help="Keep one issue open while the verdict is red."
        ),
    ] = False,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary", envvar="KERAS_VALIDATOR_SUMMARY", help="Append the report to this job's summary too."
        ),
    ] = False,
    name: Annotated[
        str, typer.Option(envvar="KERAS_VALIDATOR_NAME", help="Name of the status and the check run.")
    ] = "keras-validator",
    author: Annotated[
        str | None,
        typer.Option(envvar="KERAS_VALIDATOR_AUTHOR", help="The login that an app's token writes as."),
    ] = None,
) -> None:
    """Publish the report of a finished run, inside GitHub Actions: comment, status, check run, issue.

    The token is GITHUB_TOKEN. Exit code: 0 whatever the verdict and whatever GitHub refuses, or 3 where the
    report is not one of this pull request's head.
    """
    import os

    from validator.pipeline.publish import describe, publish_options, publish_run

    options = publish_options(
        instance=instance,
        comment=comment.value,
        status=status,
        check=check,
        issue=issue,
        summary=summary,
        annotations=False,
        name=name,
        author=author,
    )
    published, code = publish_run(run, options, os.environ)
    _say(describe(published))
    raise typer.Exit(int(code))


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(help="A capture (a cell's folder) or an .npz file.")],
    candidate: Annotated[Path, typer.Argument(help="The other one.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two captures or two .npz files, output by output. Exit code 1 where something changed."""
    from validator.pipeline.show import show_comparison

    raise typer.Exit(int(show_comparison(baseline, candidate, json)))


def main() -> NoReturn:
    """Run the command line and end the process with the documented exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_guarded())


def _terminated(*_: object) -> NoReturn:
    """What a CI sends when a job is cancelled ends a run as Ctrl-C does: no process is left behind."""
    raise KeyboardInterrupt


#: What a wrong option or argument raises. Newer typer brings its own click, older ones use click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _guarded() -> int:  # noqa: PLR0911 - one exit code a line
    try:
        code = int(app(standalone_mode=False) or 0)
        if code == Exit.INTERRUPTED:  # how typer passes Ctrl-C on
            raise KeyboardInterrupt
        return code
    except ValidatorError as error:
        _say(str(error))
        return int(error.exit_code)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _say("interrupted; finished cells are kept in the folder of the run")
        return int(Exit.INTERRUPTED)
    except OSError as error:
        return _storage(error)
    except _UsageError as error:
        show = getattr(error, "show", None)
        _say(str(error)) if show is None else show()
        return int(Exit.CONFIGURATION)
    except Exception as error:
        return _internal(error)


def _storage(error: OSError) -> int:
    """A full or unwritable disk is the caller's to mend; any other OSError is ours."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
        return _internal(error)
    where = f"{error.filename}: " if error.filename else ""
    _say(f"{where}{error.strerror}; free some space or choose another --output")
    return int(Exit.CANNOT_JUDGE)


def _internal(error: Exception) -> int:
    import traceback

    traceback.print_exception(error)
    _say("this is a fault of keras-validator itself; please report it with the lines above")
    return int(Exit.INTERNAL)


def _say(message: str) -> None:
    from validator.text import plain

    for line in message.splitlines():
        print(f"keras-validator: {plain(line, 2000)}", file=sys.stderr)  # noqa: T201
