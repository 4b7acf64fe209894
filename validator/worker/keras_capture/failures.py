"""Failures of the user's environment and model, as values.

Whatever is raised within a `stage` becomes its failure: no caller tells one kind of error from another.
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

_MESSAGE_CHARACTERS = 4000
_TRACEBACK_CHARACTERS = 20000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR_NAME = re.compile(r"\A[\w.]*(?:Error|Exception): ")
#: How frameworks wrap an error: AutoGraph, a layer's call, the reconstruction of a saved object, a graph.
_WRAPPINGS = (
    re.compile(r"in user code:\n\n .*?\n\n(?P<cause>    \S.*)\Z", re.DOTALL),
    re.compile(
        r"Exception encountered when calling (?P<where>[^\n]+?)\.\n\s*\n(?P<cause>.+?)"
        r"\n\s*\n\s*(?P<rest>(?:Call a|A)rguments received.*)\Z",
        re.DOTALL,
    ),
    re.compile(r"(?P<rest>.*)\n\nException encountered: (?P<cause>.+)\Z", re.DOTALL),
    re.compile(r"(?P<rest>Graph execution error:.*\n)(?P<cause>[^\n]+)\n\s*\[\[\{\{", re.DOTALL),
)


#: What is known about errors of frameworks, by their words; the first that fits (docs/protocol.md).
_HINTS = {
    "python": r"marshal data|unknown opcode|code expected at (least|most)",
    "safe-mode": r"safe_mode|unsafe_deserialization",
    "custom-objects": r"Unknown (layer|object|function|loss|metric|activation|initializer)|custom_objects"
    r"|Could not locate (class|function)|register_keras_serializable",
    "ragged": r"[Rr]agged",
    "sandbox": r"\[Errno 13\]|Permission denied",
    "weights-file": r"\.weights\.h5|(Layer|Weight) count mismatch|saved weights|axes don't match"
    r"|expected \d+ (layers|variables|weights)|weight file containing",
    "builder": r"Unrecognized keyword|unexpected keyword|deserializ|positional argument",
}


class UnusableError(Exception):
    """The worker's own sentence on what cannot be done and why; it needs no traceback."""


class InputsError(UnusableError):
    """The recording does not fit the model."""


class OutputsError(UnusableError):
    """The model's outputs cannot be stored as one tensor each."""


class UnfilledError(UnusableError):
    """Variables that a file should fill keep their initial values. `weights`: as the protocol writes it."""

    def __init__(self, weights: dict) -> None:
        left, file = weights["unfilled_count"], weights["file"]
        names = ", ".join(weights["unfilled"] or weights["stale"])
        text = (
            f"{left} of {weights['variables']} variables are not in {file}"
            if left
            else f"{file} is not used by"
        )
        super().__init__(f"{text}: {names}")
        self.weights = weights


class StageError(Exception):
    """A stage of a job (`load`, `build`, `inputs`, `predict`, …) ended in an error."""

    def __init__(self, stage: str, cause: BaseException, where: str = "") -> None:
        super().__init__(stage)
        self.stage = stage
        self.cause = cause
        self.where = where
        self.artifact_failure: Optional[dict] = None  # why a builder had to be tried at all

    def as_dict(self) -> dict:
        """The failure as the protocol writes it."""
        message = _message(self.cause)
        if self.where and Path(self.where).name not in message:
            message = f"{message} ({self.where})"
        return {
            "stage": self.stage,
            "error": type(self.cause).__name__,
            "message": _shorten(message, _MESSAGE_CHARACTERS),
            "traceback": _traceback(self.cause),
            "hint": self._hint(),
            "weights": self.cause.weights if isinstance(self.cause, UnfilledError) else None,
        }

    def _hint(self) -> Optional[str]:
        """What to do, in a word, where that is known."""
        if self.stage == "compile":
            return "compilation"
        text = "" if isinstance(self.cause, UnusableError) else _message(self.cause)
        known = dict(_HINTS) if self.stage in ("load", "build", "predict") else {}
        if self.where.endswith((".weights.h5", ".keras")):
            known.pop("weights-file", None)  # it is one already
        return next((hint for hint, pattern in known.items() if re.search(pattern, text)), None)


@contextlib.contextmanager
def stage(name: str, where: str = "") -> Iterator[None]:
    """Turn whatever the user's code raises into `StageError`; only Ctrl-C passes.

    `where` names the file or function at fault and is added to messages that do not name it.
    """
    try:
        yield
    except (StageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit() and the like in user code must not end the worker
        raise StageError(name, error, where) from error


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the model's code called sys.exit({error.code!r})"
    if isinstance(error, KeyboardInterrupt):
        return "the model's code raised KeyboardInterrupt"
    try:
        text = _plainly(str(error))
    except Exception as broken:
        text = f"(its message cannot be shown: {type(broken).__name__})"
    if text:
        return text
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"{type(error).__name__} without a message"


def _plainly(text: str) -> str:
    """Without colours, and with the cause first: tables show the first line, frameworks begin elsewhere."""
    text = _COLOUR.sub("", text).strip()
    for wrapping in _WRAPPINGS:
        match = wrapping.match(text)
        if match is not None:
            parts = match.groupdict()
            cause = _ERROR_NAME.sub("", textwrap.dedent(parts["cause"]))
            where = f" (in {parts['where']})" if parts.get("where") else ""
            rest = f"\n\n{parts['rest'].strip()}" if parts.get("rest") else ""
            return f"{_plainly(cause)}{where}{rest}"
    return text


def _traceback(error: BaseException) -> str:
    if isinstance(error, UnusableError):
        return ""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return _shorten(_COLOUR.sub("", "".join(lines)))
    except Exception as broken:
        return f"(the traceback cannot be shown: {type(broken).__name__})"


def _shorten(text: str, limit: int = _TRACEBACK_CHARACTERS) -> str:
    """Keep both ends: an error begins with what happened and ends with why."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
