"""`keras-validator origin`: trace one cell, going on where a run or an earlier search stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from validator.environments import Uv, prepare
from validator.errors import CannotJudgeError, ConfigurationError, Exit
from validator.failure import Failure
from validator.matrix import Cell
from validator.origin import Budget, Origin
from validator.pipeline.bounds import bounds_of
from validator.pipeline.jobs import JobMaker
from validator.pipeline.origins import Ground, Installed, aspect_of, explained, trace_cell
from validator.pipeline.project import Project, open_project
from validator.pipeline.pull_request import PullRequest
from validator.pipeline.references import placed
from validator.pipeline.run import Request, find_upgrade, run_cells
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.pipeline.show import read_report
from validator.pipeline.supply import supplied
from validator.pipeline.validate import write
from validator.report.terminal import show_origin
from validator.runner import Watcher
from validator.verdict.results import CellResult, Report


@dataclass(frozen=True)
class OriginRequest:
    """What the command line asks for; None for `seconds` takes those of validator.yml."""

    cell: str
    config: Path
    seconds: float | None = None
    output: Path | None = None
    base: str | None = None
    head: str | None = None


def search(asked: OriginRequest) -> Exit:
    """Trace a cell and print what was found; the report of its run then has it, too.

    The cell is taken from the last run of the project, and run first where that does not have it.

    Raises:
        ConfigurationError: there is no such cell, or the configuration cannot be used.
        CannotJudgeError: the cell did not move, or an environment cannot be installed.
    """
    request = Request(asked.config, (asked.cell,), asked.output, base=asked.base, head=asked.head)
    change = find_upgrade(request)
    project = supplied(open_project(asked.config, (asked.cell,), change))
    folder, report = _report(asked, request, change)
    result = _cell(report, asked.cell)
    if result.effect not in (None, "packages"):
        raise CannotJudgeError(
            f"{asked.cell} compares the model's files of the base commit with those of the head: the pull "
            "request changed the model, and no release of a package explains that"
        )
    if aspect_of(result, anything=True) is None:
        raise CannotJudgeError(
            f"{asked.cell} is {result.verdict}: nothing in it changed, so there is nothing to trace"
        )
    console = Console(stderr=True)
    cell = next(cell for cell in project.plan.cells if cell.id == asked.cell)
    seconds = project.settings.origin.seconds if asked.seconds is None else asked.seconds
    with locked(folder.root, "the run"):
        watcher = Watcher(
            learnt=lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False)
        )
        maker = JobMaker(project, folder)
        installed = Installed(report.environments, _pythons(project, cell))
        ground = Ground(maker, installed, bounds_of(project, folder), watcher)
        origin = trace_cell(ground, cell, result, Budget(seconds or 180))
        write(folder, _with(report, asked.cell, origin))
    show_origin(asked.cell, origin, Console())
    return Exit.OK if origin.refused is None else Exit.CANNOT_JUDGE


def _report(asked: OriginRequest, request: Request, change: PullRequest | None) -> tuple[RunFolder, Report]:
    """The last report that has the cell; the cell is run where none has."""
    root = asked.config.resolve().parent / WORK
    folders = [asked.output] if asked.output else [root / "run", root / "only"]
    for path in folders:
        folder = RunFolder(path.resolve())
        try:
            report = read_report(folder.root)
        except ConfigurationError:
            continue
        if _find(report, asked.cell) is not None:
            return folder, report
    return request.folder, run_cells(request, change)


def _find(report: Report, cell: str) -> CellResult | None:
    cells = (each for model in report.models for each in model.cells)
    return next((each for each in cells if each.cell == cell), None)


def _cell(report: Report, cell: str) -> CellResult:
    outcome = _find(report, cell)
    if outcome is None:
        raise ConfigurationError(f"{cell} is the baseline of the run; name a cell that is compared with it")
    return outcome


def _pythons(project: Project, cell: Cell) -> dict[str, Path]:
    """The interpreters of the cell's environments, built where they are gone."""
    pythons = {}
    for name in dict.fromkeys((project.plan.baseline, cell.environment)):
        asked = project.plan.environment(name)
        if asked.interpreter:
            pythons[name] = Path(asked.interpreter)
            continue
        environment = placed(project, asked)
        if isinstance(environment, Failure):
            raise CannotJudgeError(f"{name} cannot be installed: {environment.message}")
        root, locks = project.work / "environments", project.locks_of(name)
        uv = Uv.bundled(os.environ, project.install.variables)
        built = prepare(environment, project.install_of(name), root, locks, uv)
        if isinstance(built, Failure):
            raise CannotJudgeError(f"{name} cannot be installed: {built.message}")
        pythons[name] = built.python
    return pythons


def _with(report: Report, cell: str, origin: Origin) -> Report:
    models = []
    for model in report.models:
        cells = (explained(each, origin) if each.cell == cell else each for each in model.cells)
        models.append(model.model_copy(update={"cells": tuple(cells)}))
    return report.model_copy(update={"models": tuple(models)})
