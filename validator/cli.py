"""The command line `keras-validator`. The only place where an exception becomes an exit code.

Rooms are imported inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import errno
import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from validator import __version__
from validator.errors import Exit, ValidatorError

app = typer.Typer(
    name="keras-validator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run your Keras models before and after a dependency upgrade, and see whether the numbers changed.",
)


def _option(name: str, text: str, *flags: str, **more: Any) -> Any:
    """An option that an environment variable can set, which is how the actions pass their inputs."""
    return typer.Option(f"--{name}", *flags, envvar=f"KERAS_VALIDATOR_{name.upper()}", help=text, **more)


Config = Annotated[Path, _option("config", "Path of the validator.yml.", "-c")]
Only = Annotated[
    list[str] | None,
    _option("only", "Run only this cell and its baseline; `plan` lists the ids. Repeatable."),
]
Output = Annotated[
    Path | None,
    _option("output", "Directory of the run. Default: .keras-validator/run next to the config.", "-o"),
]
Base = Annotated[
    str | None, _option("base", "Compare HEAD with the commit where it branched off this revision.")
]
Head = Annotated[str | None, typer.Option(help="With --base: compare exactly these two revisions.")]
FromEvent = Annotated[
    bool,
    typer.Option("--event", help="Compare the commits of the event that started this GitHub Actions job."),
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
    _option(
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


def _version(asked: bool) -> None:
    if asked:
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
    json: Annotated[bool, typer.Option("--json", help="Print report.json to stdout.")] = False,
    jobs: Jobs = None,
    base: Base = None,
    head: Head = None,
    event: FromEvent = False,
) -> None:
    """Build all environments, run all cells, compare and report. The exit code is 1 if the gate fails.

    With --base or --event, the requirements of both commits become the environments `base` and `head`, before
    those of the matrix. If nothing relevant changed between them, nothing runs.
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
    event: FromEvent = False,
) -> None:
    """Print the environments and cells of a run without running them."""
    from validator.pipeline.run import Request
    from validator.pipeline.show import show_plan

    show_plan(Request(config, tuple(only or ()), None, json, base=base, head=head, event=event))


@app.command()
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


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Directory of a run, or its report.json.")],
    form: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="Format to print.")
    ] = ReportFormat.terminal,
) -> None:
    """Print the report of a finished run in another format."""
    from validator.pipeline.show import show_report

    show_report(run, form.value)


@app.command()
def publish(  # noqa: PLR0913, PLR0917 - one parameter an option
    run: Annotated[
        Path,
        typer.Argument(envvar="KERAS_VALIDATOR_REPORT", help="Directory of a run, or its report.json."),
    ],
    instance: Annotated[
        str, _option("instance", "Name that separates the comments of several validations.")
    ] = "default",
    comment: Annotated[
        CommentChoice, _option("comment", "When to create a comment. An existing comment is always updated.")
    ] = CommentChoice.always,
    status: Annotated[bool, _option("status", "Set a commit status.")] = False,
    check: Annotated[bool, _option("check", "Create a check run.")] = False,
    issue: Annotated[bool, _option("issue", "Keep an issue open while the verdict is red.")] = False,
    summary: Annotated[bool, _option("summary", "Also append the report to this job's summary.")] = False,
    name: Annotated[str, _option("name", "Name of the commit status and the check run.")] = "keras-validator",
    author: Annotated[
        str | None, _option("author", "Login that the token of a GitHub App writes as.")
    ] = None,
) -> None:
    """Publish the report of a finished run from a GitHub Actions job: comment, status, check run, issue.

    The token is GITHUB_TOKEN. The exit code is 0 for every verdict and whatever GitHub refuses, or 3 if the
    report is not about the head of this pull request.
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
        name=name,
        author=author,
    )
    published, code = publish_run(run, options, os.environ)
    _print(describe(published))
    raise typer.Exit(int(code))


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(help="Capture (directory of a cell) or .npz file.")],
    candidate: Annotated[Path, typer.Argument(help="Capture or .npz file to compare with it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two captures or two .npz files, output by output. The exit code is 1 if an output changed."""
    from validator.pipeline.show import show_comparison

    raise typer.Exit(int(show_comparison(baseline, candidate, json)))


@app.command()
def advise(  # noqa: PLR0913, PLR0917 - one parameter an option
    model: Annotated[
        Path, typer.Argument(help="A .keras or .h5 file, a SavedModel, or the Python file of a builder.")
    ],
    since: Annotated[
        str | None, typer.Option("--from", help="Release before. Default: what saved the model.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Release after. Default: the newest of the catalogue.")
    ] = None,
    backend: Annotated[str, typer.Option(help="tensorflow, jax or torch.")] = "tensorflow",
    inputs: Annotated[
        Path | None, typer.Option(help="Recorded inputs: which changes can they not show?")
    ] = None,
    batch: Annotated[int, typer.Option("--batch-size", min=1, help="Samples predicted at once.")] = 32,
    source: Annotated[
        list[Path] | None, typer.Option(help="Python file with the model's own code. Repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the known changes between two Keras releases that can reach a model. Nothing is loaded or run."""
    from validator.pipeline.advise import Question, show_advice

    sources = tuple(source or ())
    show_advice(Question(model, since, until, backend, inputs, batch, sources, json))


def main() -> NoReturn:
    """Run the command line and end the process with the documented exit code."""
    from validator.pipeline.signals import end_as_interrupted
    from validator.pipeline.streams import keep_running

    end_as_interrupted()
    warnings.simplefilter("ignore")  # of libraries: with PYTHONWARNINGS=error they would end a run
    keep_running()
    sys.exit(_guarded())


#: What a wrong option or argument raises. Newer typer brings its own click, older ones use click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _guarded() -> int:  # noqa: PLR0911 - one exit code a line
    try:
        code = int(app(standalone_mode=False) or 0)
        if code == Exit.INTERRUPTED:  # how typer passes Ctrl-C on
            raise KeyboardInterrupt
        return code
    except ValidatorError as error:
        _print(str(error))
        return int(error.exit_code)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _print("interrupted; finished cells are kept in the directory of the run")
        return int(Exit.INTERRUPTED)
    except OSError as error:
        return _storage(error)
    except _UsageError as error:
        show = getattr(error, "show", None)
        _print(str(error)) if show is None else show()
        return int(Exit.CONFIGURATION)
    except Exception as error:
        return _internal(error)


_DISK_ERRORS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
)


def _storage(error: OSError) -> int:
    """A full or unwritable disk is the caller's to fix; any other OSError is an error of ours."""
    if error.errno not in _DISK_ERRORS:
        return _internal(error)
    where = f"{error.filename}: " if error.filename else ""
    _print(f"{where}{error.strerror}; free some space, or choose another --output")
    return int(Exit.CANNOT_JUDGE)


def _internal(error: Exception) -> int:
    import traceback

    traceback.print_exception(error)
    _print("internal error of keras-validator; please report it with the lines above")
    return int(Exit.INTERNAL)


def _print(message: str) -> None:
    from validator.text import plain

    for line in message.splitlines():
        print(f"keras-validator: {plain(line, 2000)}", file=sys.stderr)  # noqa: T201
