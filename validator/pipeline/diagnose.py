"""Looks into the cells of a judged run: the structure of all, the layers of those that moved."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from validator.compare.alignment import align
from validator.compare.architecture import Difference, compare_architecture
from validator.compare.layers import LayerDrift, Sides, free_running
from validator.diagnose import Evidence, localise, suspects
from validator.errors import CannotJudgeError, ConfigurationError
from validator.matrix import Cell
from validator.pipeline.capture import Run, make_job
from validator.pipeline.second_phase import run_again
from validator.results import CellResult, Failure, Finding, ModelResult, Report
from validator.runner import Capture, Job, read_capture
from validator.runner.layers import GoldenAnswer, golden_answer, layers_answer, read_layers
from validator.text import first_line

#: Verdicts that ask where it starts.
MOVED = frozenset({"suspicious", "changed"})
_TOLD = 3  # differences of structure in words


@dataclass(frozen=True)
class _Looked:
    """One cell, and what its layers and the baseline's have shown so far."""

    cell: Cell
    sides: Sides
    differences: tuple[Difference, ...]
    drifts: tuple[LayerDrift, ...] = ()


def diagnose(run: Run, report: Report) -> Report:
    """The report with first differences, causes and layers filled in.

    One worker is started for each environment with cells that moved. Whatever cannot be found out is said as
    a finding; no verdict changes here.

    Raises:
        CannotJudgeError: a worker's response cannot be read.
    """
    cells = {cell.id: cell for cell in run.project.plan.cells}
    judged = [cell for model in report.models for cell in model.cells]
    looked: dict[str, _Looked] = {}
    updated: dict[str, CellResult] = {}
    for result in judged:
        seen = _look_safely(run, cells[result.cell], result)
        if isinstance(seen, Finding):
            updated[result.cell] = _with(result, (seen,))
        elif seen is not None:
            looked[result.cell] = seen
    moved = [looked[cell.cell] for cell in judged if cell.cell in looked and cell.verdict in MOVED]
    fed = _feed(run, moved)
    for result in judged:
        if result.cell in looked:
            updated[result.cell] = _explained(result, looked[result.cell], fed.get(result.cell))
    return report.model_copy(update={"models": tuple(_replaced(model, updated) for model in report.models)})


def _look_safely(run: Run, cell: Cell, result: CellResult) -> _Looked | Finding | None:
    """What cannot be read is no reason to lose a report whose numbers stand."""
    try:
        return _look(run, cell, result)
    except (CannotJudgeError, ConfigurationError) as error:
        return Finding(kind="layers", message=f"the layers could not be compared: {error}")


def _look(run: Run, cell: Cell, result: CellResult) -> _Looked | Finding | None:
    """Compare the structure, and where the cell moved the layers as they ran."""
    base = run.project.plan.baseline_of(cell)
    folders = run.folder.capture(base), run.folder.capture(cell)
    captures = [read_capture(folder) for folder in folders]
    if any(capture is None or capture.failure for capture in captures):
        return None
    read = [
        read_layers(capture, folder) if capture else None
        for capture, folder in zip(captures, folders, strict=True)
    ]
    if read[0] is None or read[1] is None:
        return _unseen(captures) if result.verdict in MOVED else None
    sides = Sides(align(read[0], read[1]), *folders)
    drifts = free_running(sides) if result.verdict in MOVED else ()
    return _Looked(cell, sides, compare_architecture(sides.alignment), drifts)


def _unseen(captures: Sequence[Capture | None]) -> Finding | None:
    """Why the layers of a cell that moved cannot be looked into."""
    for where, capture in zip(("the baseline", "the candidate"), captures, strict=True):
        answer = layers_answer(capture) if capture else None
        if answer is not None and answer.failure is not None:
            reason = f"{answer.failure.error}: {first_line(answer.failure.message)}"
            return Finding(kind="layers", message=f"the layers of {where} were not recorded: {reason}")
        if answer is not None and answer.reason:
            return Finding(kind="layers", message=f"the layers of {where} were not recorded: {answer.reason}")
    return None


def _feed(run: Run, moved: Sequence[_Looked]) -> dict[str, GoldenAnswer | Failure]:
    """Feed the layers of the cells that moved, one worker for each environment."""
    by_environment: dict[str, list[_Looked]] = defaultdict(list)
    for looked in moved:
        by_environment[looked.cell.environment].append(looked)
    found: dict[str, GoldenAnswer | Failure] = {}
    for name, cells in by_environment.items():
        found.update(_feed_environment(run, name, cells))
    return found


def _feed_environment(run: Run, name: str, cells: Sequence[_Looked]) -> dict[str, GoldenAnswer | Failure]:
    folder = run.folder.root / "diagnosis" / name
    jobs = [_job(make_job(run, looked.cell), folder, looked) for looked in cells]
    ran = run_again(run, name, folder, jobs)
    return {job.id: _answer(Path(job.folder)) for job in jobs} if ran else {}


def _job(usual: Job, folder: Path, looked: _Looked) -> Job:
    pairs = suspects(looked.sides.alignment, looked.drifts)
    fed: list[JsonValue] = [[*pair] for pair in pairs]
    options: dict[str, JsonValue] = {"baseline": str(looked.sides.baseline), "pairs": fed}
    return dataclasses.replace(
        usual,
        folder=str(folder / looked.cell.folder),
        predict=False,
        evaluate=False,
        tasks={"golden": options},
    )


def _answer(folder: Path) -> GoldenAnswer | Failure:
    capture = read_capture(folder)
    if capture is None:
        return Failure(stage="crash", error="worker", message="it left no response")
    if capture.failure is not None:
        return capture.failure.failure()
    answer = golden_answer(capture)
    if answer is None:
        return Failure(stage="crash", error="worker", message="it left no answer")
    return answer.failure.failure() if answer.failure else answer


def _explained(result: CellResult, looked: _Looked, fed: GoldenAnswer | Failure | None) -> CellResult:
    """A cell with what was found. Where nothing moved, differences of structure are findings alone."""
    alignment = looked.sides.alignment
    if result.verdict not in MOVED:
        return _with(result, tuple(_structural(looked.differences)))
    answered = fed if isinstance(fed, GoldenAnswer) else None
    found = localise(
        Evidence(alignment, looked.differences, looked.drifts, answered.fed if answered else None)
    )
    findings = list(found.findings)
    if isinstance(fed, Failure):
        message = f"feeding the layers failed: {fed.error}: {first_line(fed.message)}"
        findings.append(Finding(kind="layers", message=message))
    elif answered is not None and answered.left:
        findings.append(Finding(kind="layers", message=f"no time to feed {answered.left} of the layers"))
    if found.first is None and not any(drift.differs for drift in looked.drifts):
        rows = len(alignment.baseline.rows)
        message = f"on the {rows} samples whose layers were recorded, no layer differs"
        findings.append(Finding(kind="layers", message=message))
    updated = result.model_copy(update={"first_difference": found.first, "layers": found.layers})
    return _with(updated, tuple(findings))


def _structural(differences: Sequence[Difference]) -> list[Finding]:
    own = [difference for difference in differences if difference.cause]
    found = [Finding(kind="structure", message=difference.message) for difference in own[:_TOLD]]
    if len(own) > _TOLD:
        message = f"{len(own) - _TOLD} more differences of structure"
        found.append(Finding(kind="structure", message=message))
    return found


def _with(result: CellResult, findings: tuple[Finding, ...]) -> CellResult:
    return result.model_copy(update={"findings": (*result.findings, *findings)})


def _replaced(model: ModelResult, updated: dict[str, CellResult]) -> ModelResult:
    cells = tuple(updated.get(cell.cell, cell) for cell in model.cells)
    return model.model_copy(update={"cells": cells})
