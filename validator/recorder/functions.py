"""`python -m validator.recorder module:function folder`: what a function returns, as a recording.

It runs where the function's own packages are installed; nothing of the validator but this folder is needed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

from . import Recorder, record
from .rows import RecordingError
from .sources import kind_of, unpacked

#: As in validator.errors: a configuration that cannot be used.
_CONFIGURATION = 2


def main(arguments: list[str]) -> int:
    """Run the command; its exit code. What went wrong is one line on stderr."""
    options = _parser().parse_args(arguments)
    sys.path.insert(0, "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _record(options)
    except RecordingError as error:
        sys.stderr.write(f"{error}\n")
        return _CONFIGURATION
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m validator.recorder", description=__doc__.split("\n")[0])
    parser.add_argument("function", help="package.module:function, which takes no arguments")
    parser.add_argument("folder", help="where to write the recording")
    parser.add_argument("--samples", type=int, default=512, help="the most to keep")
    parser.add_argument("--megabytes", type=float, default=256, help="the most to keep")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of samples")
    parser.add_argument("--redact", help="package.module:function, inputs of a sample → the same, redacted")
    return parser


def _record(options: argparse.Namespace) -> None:
    redact = function(options.redact) if options.redact else None
    recorder = record(
        None,
        options.folder,
        samples=options.samples,
        megabytes=options.megabytes,
        seed=options.seed,
        redact=redact,
    )
    called = function(options.function)
    try:
        returned = called()
        feed(recorder, returned)
    except RecordingError:
        raise
    except Exception as error:
        raise RecordingError(
            f"{options.function} raised {type(error).__name__}: {error}; correct the function"
        ) from error
    recorder.save()
    if recorder.failure or not recorder.folder.exists():
        raise RecordingError(f"{options.function}: {recorder.failure or 'it returned no samples'}")


def feed(recorder: Recorder, returned: Any) -> None:
    """Record inputs, `(inputs, labels)`, `(inputs, labels, weights)`, or batches of any of these."""
    kind = kind_of(returned)
    if kind == "arrays":
        recorder.add(*(unpacked(returned) if isinstance(returned, tuple) else (returned,)))
        return
    batches = range(len(returned)) if kind == "sequence" else returned
    for item in batches:
        recorder.add(*unpacked(returned[item] if kind == "sequence" else item))


def function(reference: str) -> Callable[..., Any]:
    """The function of `package.module:function`."""
    module, separator, name = reference.partition(":")
    if not separator:
        raise RecordingError(f"{reference!r} is no package.module:function")
    try:
        source = importlib.import_module(module)
    except ImportError as error:
        raise RecordingError(
            f"{module} cannot be imported ({error}); run this with the Python that has its packages"
        ) from error
    except Exception as error:
        raise RecordingError(f"{module} raised {type(error).__name__} on import: {error}") from error
    called = getattr(source, name, None)
    if not callable(called):
        raise RecordingError(f"{module} has no function {name!r}; name a function that takes no arguments")
    result: Callable[..., Any] = called
    return result
