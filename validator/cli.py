"""The command line: `keras-validator`. The only place where an exception becomes an exit code.

Rooms are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
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

Config = Annotated[Path, typer.Option("--config", "-c", help="The validator.yml.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Run this cell (with its baseline) alone; `plan` lists the ids. Repeatable."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder of the run; default .keras-validator/run by the config."),
]


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
def run(
    config: Config = Path("validator.yml"),
    only: Only = None,
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print report.json on stdout.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Environments at the same time.")] = 1,
) -> None:
    """Build every environment, run every cell, compare, report. Exit code: 0, or 1 where the gate fails."""
    from validator.pipeline.run import Request, run_matrix

    raise typer.Exit(int(run_matrix(Request(config, tuple(only or ()), output, json, jobs))))


@app.command()
def plan(
    config: Config = Path("validator.yml"),
    only: Only = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Print the environments and cells of a run, and run nothing."""
    from validator.pipeline.show import show_plan

    show_plan(config, tuple(only or ()), json)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or its report.json.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="What to print.")] = Format.terminal,
) -> None:
    """Print the report of a finished run in another form."""
    from validator.pipeline.show import show_report

    show_report(run, form.value)


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
    sys.exit(_guarded())


#: What a wrong option or argument raises. Newer typer brings its own click, older ones use click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _guarded() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
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
        getattr(error, "show", lambda: _say(str(error)))()
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
