"""The command line `keras-validator`. The only place where an exception becomes an exit code.

Rooms are imported inside the commands, so that `--help` is fast.
"""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated, NoReturn

import typer

from validator import __version__
from validator.cli import accepting, adopting, publishing, running
from validator.cli.streams import tell
from validator.errors import Exit, ValidatorError

app = typer.Typer(
    name="keras-validator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run your Keras models before and after a dependency upgrade, and see whether the numbers changed.",
)


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


for command in (
    adopting.init,
    adopting.record,
    adopting.doctor,
    adopting.pin,
    running.run,
    running.plan,
    running.origin,
    running.history,
    running.merge,
    running.report,
    publishing.publish,
    running.compare,
    accepting.accept,
    accepting.review,
    adopting.advise,
):
    app.command()(command)
app.command(hidden=True)(running.shard)


def main() -> NoReturn:
    """Run the command line and end the process with the documented exit code."""
    from validator.pipeline.signals import shield
    from validator.pipeline.streams import keep_running

    shield()
    warnings.simplefilter("ignore")  # of libraries: with PYTHONWARNINGS=error they would end a run
    keep_running()
    sys.exit(_guarded())


#: What a wrong option or argument raises. Newer typer brings its own click, older ones use click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def _guarded() -> int:  # noqa: PLR0911 - one exit code a line
    from validator.pipeline.signals import interruptible

    try:
        with interruptible():
            code = int(app(standalone_mode=False) or 0)
            if code == Exit.INTERRUPTED:  # how typer passes Ctrl-C on
                raise KeyboardInterrupt
            return code
    except ValidatorError as error:
        tell(str(error))
        return int(error.exit_code)
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        tell(
            "interrupted; what a run has measured is kept in its directory: `run --resume` goes on from there"
        )
        return int(Exit.INTERRUPTED)
    except OSError as error:
        return _storage(error)
    except _UsageError as error:
        show = getattr(error, "show", None)
        tell(str(error)) if show is None else show()
        return int(Exit.CONFIGURATION)
    except Exception as error:
        circle = error.__context__  # of links: pathlib raises a RuntimeError, up to Python 3.12
        return _storage(circle) if isinstance(circle, OSError) and _in_circle(circle) else _internal(error)


_DISK_ERRORS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
)


def _storage(error: OSError) -> int:
    """Disks that are full or not writable and links in a circle are the caller's; any other is ours."""
    if _in_circle(error):
        tell(f"{error.filename}: its symbolic links lead in a circle; name another path")
        return int(Exit.CONFIGURATION)
    if error.errno not in _DISK_ERRORS:
        return _internal(error)
    where = f"{error.filename}: " if error.filename else ""
    tell(f"{where}{error.strerror}; free some space, or choose another --output")
    return int(Exit.CANNOT_JUDGE)


def _in_circle(error: OSError) -> bool:
    return error.errno == errno.ELOOP


def _internal(error: Exception) -> int:
    import traceback

    traceback.print_exception(error)
    tell("internal error of keras-validator; please report it with the lines above")
    return int(Exit.INTERNAL)
