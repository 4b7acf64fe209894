"""Annotations on the changed line of the manifest, and the workflow commands that make them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal, TextIO

from validator.github.edition import Edition
from validator.text import plain
from validator.upgrade.types import PackageChange
from validator.verdict.bands import GREEN, SEVERITY
from validator.verdict.gate import overall
from validator.verdict.results import Report

Level = Literal["error", "warning"]
#: Characters of the title of an annotation, and of the output of a check run.
TITLE_LIMIT = 255
#: GitHub shows this many of a level and step, and drops the others silently.
_PER_STEP = 10


@dataclass(frozen=True)
class Annotation:
    """One annotation. `path` is relative to the repository; empty where no line is to blame."""

    level: Level
    title: str
    message: str
    path: str = ""
    line: int = 1


def annotations_of(edition: Edition) -> tuple[Annotation, ...]:
    """An annotation for each cell that a person should look at, worst first.

    They stand on the line of the manifest that the upgrade changes. What the gate stops is an error,
    everything else a warning.
    """
    report = edition.report
    place = _place(report)
    cells = [
        (model.name, cell) for model in report.models for cell in model.cells if overall(cell) not in GREEN
    ]
    cells.sort(key=lambda item: (not item[1].gated, -SEVERITY.index(overall(item[1]))))
    annotations = []
    if report.verdict == "inconclusive":
        headline = plain(edition.headline, 1000)
        annotations.append(Annotation("error", "Keras upgrade: inconclusive", headline, *place))
    for model, cell in cells:
        bare = f"{plain(model, 80)} in {plain(cell.environment, 80)}: {overall(cell)}"
        title = plain(cell.title, TITLE_LIMIT) or bare
        level: Level = "error" if cell.gated else "warning"
        annotations.append(Annotation(level, title, plain(cell.message, 1000), *place))
    return tuple(annotations)


def commands(annotations: Sequence[Annotation]) -> list[str]:
    """The workflow commands for `annotations`. The last one of a level counts those that are too many."""
    lines: list[str] = []
    for level in ("error", "warning"):
        own = [item for item in annotations if item.level == level]
        if len(own) > _PER_STEP:
            rest = f"{len(own) - _PER_STEP + 1} more are in the job summary"
            own = [*own[: _PER_STEP - 1], replace(own[0], title="and more", message=rest)]
        lines.extend(command(item) for item in own)
    return lines


def command(annotation: Annotation) -> str:
    """One workflow command on one line."""
    place = {"file": annotation.path, "line": str(annotation.line)} if annotation.path else {}
    # A property can neither end itself nor begin another.
    properties = ",".join(
        f"{name}={escape_data(value).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in {**place, "title": annotation.title}.items()
    )
    return f"::{annotation.level} {properties}::{escape_data(annotation.message)}"


def escape_data(value: str) -> str:
    """The text of a workflow command: it can hold several lines and end none."""
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@contextmanager
def foreign_output(stream: TextIO) -> Iterator[TextIO]:
    """While this is open, the runner interprets no line of `stream` as a workflow command.

    For output of models, builders and installers. The word that ends it cannot be guessed.
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
    pure = PurePosixPath(path)
    relative = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
    return relative and "\\" not in path and path == plain(path, 400)


def _place(report: Report) -> tuple[str, int]:
    changes = report.upgrade.changes if report.upgrade else ()
    first = min((change for change in changes if inside(change.manifest)), key=_blame, default=None)
    return ("", 1) if first is None else (first.manifest, max(first.line or 1, 1))


def _blame(change: PackageChange) -> tuple[bool, bool, bool]:
    """Keras itself first, then direct before transitive requirements; a known line before an unknown one."""
    return change.name not in ("keras", "tf-keras"), not change.direct, change.line is None
