"""Annotations on the changed line of the manifest, and the workflow commands that make them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TextIO

from validator.results import SEVERITY, CellResult, CellVerdict, PackageChange, Report
from validator.text import plain

Level = Literal["error", "warning"]
#: GitHub shows this many of a level and step, and drops the others without a word.
PER_STEP = 10
_WORTH_IT: frozenset[CellVerdict] = frozenset(
    {"suspicious", "metric-only", "not-compared", "changed", "failed"}
)


@dataclass(frozen=True)
class Annotation:
    """One remark. `path` is relative to the repository; empty where no line is to blame."""

    level: Level
    title: str
    message: str
    path: str = ""
    line: int = 1


def annotations_of(report: Report) -> tuple[Annotation, ...]:
    """One annotation for each cell that a person should look at, worst first.

    They stand on the line of the manifest that the upgrade changes. An error is what the gate stops; all
    else is a warning.
    """
    path, line = _place(report)
    found: list[Annotation] = []
    if report.verdict == "inconclusive":
        reason = plain(report.reasons[0], 1000) if report.reasons else "nothing was compared"
        found.append(Annotation("error", "Keras upgrade cannot be judged", reason, path, line))
    cells = [
        (model.name, cell) for model in report.models for cell in model.cells if cell.verdict in _WORTH_IT
    ]
    cells.sort(key=lambda item: (not item[1].gated, -SEVERITY.index(item[1].verdict)))
    found.extend(_of_cell(name, cell, path, line) for name, cell in cells)
    return tuple(found)


def commands(annotations: Sequence[Annotation], per_level: int = PER_STEP) -> list[str]:
    """The workflow commands for `annotations`, at most `per_level` errors and as many warnings.

    Where there are more, the last one of its level counts the others.
    """
    lines: list[str] = []
    for level in ("error", "warning"):
        own = [item for item in annotations if item.level == level]
        if len(own) > per_level:
            rest = len(own) - per_level + 1
            own = own[: per_level - 1]
            own.append(
                Annotation(
                    own[0].level, "and more", f"{rest} more are in the job summary", own[0].path, own[0].line
                )
            )
        lines.extend(command(item) for item in own)
    return lines


def command(annotation: Annotation) -> str:
    """One workflow command on one line."""
    properties = {"title": annotation.title}
    if annotation.path:
        properties = {"file": annotation.path, "line": str(annotation.line), **properties}
    listed = ",".join(f"{name}={escape_property(value)}" for name, value in properties.items())
    return f"::{annotation.level} {listed}::{escape_data(annotation.message)}"


def escape_data(value: str) -> str:
    """The text of a workflow command: it can hold several lines and end none."""
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(value: str) -> str:
    """A property of a workflow command: it can neither end itself nor begin another."""
    return escape_data(value).replace(":", "%3A").replace(",", "%2C")


@contextmanager
def foreign_output(stream: TextIO) -> Iterator[TextIO]:
    """While this is open, the runner takes no line of `stream` for a workflow command.

    For what a model, a builder or an installer printed. The word that ends it cannot be guessed.
    """
    word = secrets.token_hex(16)
    stream.write(f"::stop-commands::{word}\n")
    try:
        yield stream
    finally:
        # The text may have ended within a line, where the runner would not see the command.
        stream.write(f"\n::{word}::\n")
        stream.flush()


def inside(path: str) -> bool:
    """Whether `path`, which a report claims, is a plain path within the repository."""
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and path == plain(path, 400)
        and parts[0] != "/"
        and ".." not in parts
        and "\\" not in path
    )


def _place(report: Report) -> tuple[str, int]:
    changes = report.upgrade.changes if report.upgrade else ()
    named = [change for change in changes if change.manifest and inside(change.manifest)]
    named.sort(key=_blame)
    if not named:
        return "", 1
    return named[0].manifest, max(named[0].line or 1, 1)


def _blame(change: PackageChange) -> tuple[bool, bool, bool]:
    """Keras itself first, then what was asked for before what came along; a line is better than none."""
    return change.name not in ("keras", "tf-keras"), not change.direct, change.line is None


def _of_cell(model: str, cell: CellResult, path: str, line: int) -> Annotation:
    title = f"{plain(model, 80)} in {plain(cell.environment, 80)}: {cell.verdict}"
    return Annotation("error" if cell.gated else "warning", title, plain(cell.message, 1000), path, line)
