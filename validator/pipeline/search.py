"""`keras-validator origin`: trace one cell, going on where a run or an earlier search stopped."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from validator.errors import CannotJudgeError, ConfigurationError, Exit
from validator.failure import Failure
from validator.matrix import Cell
from validator.origin import Budget, Origin
from validator.pipeline.bounds import bounds_of
from validator.pipeline.jobs import JobMaker
from validator.pipeline.origins import Ground, Installed, aspect_of, explained, trace_cell
from validator.pipeline.places import places
from validator.pipeline.project import Project
from validator.pipeline.pull_request import PullRequest
from validator.pipeline.run import Request, find_upgrade, opened, run_cells
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.pipeline.show import read_report
from validator.pipeline.supply import supplied, tell
from validator.pipeline.validate import write
from validator.report.terminal import show_origin
from validator.runner import Watcher
from validator.verdict.results import CellResult, Report


def search(request: Request, seconds: float | None = None) -> Exit:
    """Trace the only cell of a request and print what was found; the report of its run then has it, too.

    The cell is taken from the last run of the project, and run first where that does not have it. `seconds`:
    None for those of validator.yml.

    Raises:
        ConfigurationError: there is no such cell, or the configuration cannot be used.
        CannotJudgeError: the cell did not move, or an environment cannot be installed.
    """
    (asked,) = request.only
    change = find_upgrade(request)
    project = supplied(opened(request, change))
    folder, report = _report(request, change)
    result = _find(report, asked)
    if result is None:
        raise ConfigurationError(f"{asked} is the baseline of the run; name a cell that is compared with it")
    if result.effect not in (None, "packages"):
        raise CannotJudgeError(
            f"{asked} compares the model's files of the base commit with those of the head: the pull "
            "request changed the model, and no release of a package explains that"
        )
    if aspect_of(result, anything=True) is None:
        raise CannotJudgeError(
            f"{asked} is {result.verdict}: nothing in it changed, so there is nothing to trace"
        )
    cell = next(cell for cell in project.plan.cells if cell.id == asked)
    limit = project.settings.origin.seconds if seconds is None else seconds
    with locked(folder.root, "the run"):
        maker = JobMaker(project, folder)
        installed = Installed(report.environments, _pythons(project, folder, cell))
        ground = Ground(maker, installed, bounds_of(project, folder), Watcher(learnt=tell))
        origin = trace_cell(ground, cell, result, Budget(limit or 180))
        write(folder, _with(report, asked, origin))
    show_origin(asked, origin, Console())
    return Exit.OK if origin.refused is None else Exit.CANNOT_JUDGE


def _report(request: Request, change: PullRequest | None) -> tuple[RunFolder, Report]:
    """The last report that has the cell; the cell is run where none has."""
    root = request.config.resolve().parent / WORK
    folders = [request.output] if request.output else [root / "run", root / "only"]
    for path in folders:
        folder = RunFolder(path.resolve())
        try:
            report = read_report(folder.root)
        except ConfigurationError:
            continue
        if _find(report, request.only[0]) is not None:
            return folder, report
    return request.folder, run_cells(request, change)


def _find(report: Report, cell: str) -> CellResult | None:
    cells = (each for model in report.models for each in model.cells)
    return next((each for each in cells if each.cell == cell), None)


def _pythons(project: Project, folder: RunFolder, cell: Cell) -> dict[str, Path]:
    """The interpreters of the cell's environments, built where they are gone."""
    pythons = {}
    for place in places(project, folder):
        name = place.environment.name
        if name in (project.plan.baseline, cell.environment):
            built = place.prepare()
            if isinstance(built, Failure):
                raise CannotJudgeError(f"{name} cannot be installed: {built.message}")
            pythons[name] = built
    return pythons


def _with(report: Report, cell: str, origin: Origin) -> Report:
    models = []
    for model in report.models:
        cells = (explained(each, origin) if each.cell == cell else each for each in model.cells)
        models.append(model.model_copy(update={"cells": tuple(cells)}))
    return report.model_copy(update={"models": tuple(models)})
