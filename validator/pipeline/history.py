"""A run's line in the history, and `keras-validator history`: what the lines come to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from validator import config
from validator.errors import ConfigurationError
from validator.history import HistoryRun, append, check_place, dump, entry_of, read
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.supply import tell
from validator.report import html
from validator.report.terminal import show_history
from validator.report.words import history as wording
from validator.runner import write_text
from validator.text import plain
from validator.upgrade import GitError, Repository
from validator.verdict.results import Report


@dataclass(frozen=True)
class HistoryRequest:
    """What the command line asks for. `file`: None for that of the configuration."""

    config: Path
    file: Path | None = None
    models: tuple[str, ...] = ()
    html: Path | None = None
    json: bool = False


def place_of(path: Path, chosen: Path | None) -> Path | None:
    """The file of a project's history: the chosen one, or `history` of the validator.yml; None without.

    Raises:
        ConfigurationError: no line can be appended to it.
    """
    named = None if chosen else config.load(path.resolve()).history
    place = chosen or (path.resolve().parent / named if named else None)
    if place is not None:
        check_place(place)
    return place


@dataclass(frozen=True)
class CodePlace:
    """What is checked out: its commit, and its validator.yml from the root, the same wherever it is run."""

    commit: str | None
    configuration: str

    @classmethod
    def of(cls, project: Path) -> CodePlace:
        """That of a validator.yml, an absolute path."""
        try:
            repository = Repository(project.parent)
            inside = project.is_relative_to(repository.root)
            place = project.relative_to(repository.root).as_posix() if inside else project.name
            return cls(repository.commit("HEAD"), place)
        except (ConfigurationError, GitError):
            return cls(None, project.name)


def remember(folder: RunFolder, report: Report, code: CodePlace, place: Path | None) -> None:
    """Record a run, and show the trend of its models in its page."""
    runs = record(folder, report, code, place)
    if runs:
        write_text(folder.root / "report.html", html.page(report, history=runs))


def record(folder: RunFolder, report: Report, code: CodePlace, place: Path | None) -> tuple[HistoryRun, ...]:
    """Write a run's line into its folder and append it to the history; return the configuration's runs.

    Nothing is written of a run that judged nothing. A history that cannot be written or read costs no result:
    what is wrong is told on stderr.
    """
    folder.history().unlink(missing_ok=True)
    entry = entry_of(report.model_copy(update={"configuration": code.configuration}), code.commit)
    if entry is None:
        return ()
    write_text(folder.history(), dump(entry))
    if place is None:
        return ()
    try:
        append(place, entry)
    except OSError as error:
        tell(f"history {place}: {error.strerror}; this run is not in it, but in {folder.history()}")
        return ()
    try:
        history = read(place)
    except ConfigurationError as error:
        tell(str(error))
        return ()
    for line in history.skipped:
        tell(wording.skipped(place.name, line))
    return tuple(each for each in history.entries if each.configuration == code.configuration)


def show(asked: HistoryRequest) -> None:
    """Print the history of some models, or of all: as tables, as the lines themselves, or as a page.

    Raises:
        ConfigurationError: there is no history, it has no entry, or none of a model.
    """
    place = asked.file or place_of(asked.config, None)
    if place is None:
        raise ConfigurationError(
            f"{asked.config} names no `history`; name the file with --history, or set it for the next runs"
        )
    history = read(place)
    for line in history.skipped:
        tell(wording.skipped(place.name, line))
    entries = _of_models(history.entries, asked.models, place)
    if asked.html is not None:
        write_text(asked.html, html.history_page(entries, plain(place.name, 80)))
        tell(f"history: {asked.html}")
    elif asked.json:
        sys.stdout.write("".join(map(dump, entries)))
    else:
        show_history(entries, Console())


def _of_models(entries: Sequence[HistoryRun], models: Sequence[str], place: Path) -> tuple[HistoryRun, ...]:
    """The entries with the cells of these models alone; all of them where none is named."""
    known = sorted({cell.model for entry in entries for cell in entry.cells})
    for model in models:
        if model not in known:
            raise ConfigurationError(
                f"{place}: no run of a model called {model!r}; it has {', '.join(known)}"
            )
    chosen = set(models or known)
    kept = (
        entry.model_copy(update={"cells": tuple(cell for cell in entry.cells if cell.model in chosen)})
        for entry in entries
    )
    return tuple(entry for entry in kept if entry.cells)
