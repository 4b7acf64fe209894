"""The search for a way out: cells that moved are run again under other settings, on both sides."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from validator.compare import TensorComparison, compare_tensors, match_outputs
from validator.diagnose.parity import Moved, Trial, Tried, findings, placed, trials, ways_out
from validator.matrix import Cell
from validator.pipeline.capture import Run, make_job
from validator.pipeline.judge import judge_alone
from validator.pipeline.second_phase import run_again
from validator.results import CellResult, ModelResult, Report
from validator.runner import Capture, Job, read_capture
from validator.tensors import open_tensors
from validator.text import first_line, plain

#: Verdicts that ask for a way out.
MOVED = frozenset({"changed", "suspicious"})
#: No cell's folder begins with a plus.
_FOLDER = "+parity"
#: What the baseline's worker may take of the time, so that some is left for the other side.
_SHARE = 0.5


@dataclass(frozen=True)
class _Search:
    """A cell that moved, and what is tried for it."""

    cell: Cell
    trials: tuple[Trial, ...]


def search_parity(run: Run, report: Report) -> Report:
    """The report with the settings that bring parity back: each was run on both sides, and they agree.

    What the matrix holds already costs nothing. For the rest one worker is started in the baseline's
    environment and one in each environment with cells that moved; what time does not reach is said so.
    No verdict changes.

    Raises:
        CannotJudgeError, ConfigurationError: what a worker left cannot be read.
    """
    results = {cell.cell: cell for model in report.models for cell in model.cells}
    searches = _searches(run, results)
    if not searches:
        return report
    _run_trials(run, searches)
    tried = {search.cell: [_tried(run, search.cell, trial) for trial in search.trials] for search in searches}
    found = placed({cell: ways_out(results[cell.id], outcome) for cell, outcome in tried.items()})
    cells = dict(results)
    for cell, ways in found.items():
        said = (*results[cell.id].findings, *findings(ways, tried[cell]))
        cells[cell.id] = results[cell.id].model_copy(update={"ways_out": ways, "findings": said})
    return report.model_copy(update={"models": tuple(_replaced(model, cells) for model in report.models)})


def _replaced(model: ModelResult, cells: dict[str, CellResult]) -> ModelResult:
    return model.model_copy(update={"cells": tuple(cells[cell.cell] for cell in model.cells)})


def _searches(run: Run, results: dict[str, CellResult]) -> list[_Search]:
    settings, plan = run.project.settings, run.project.plan
    if not settings.parity.search:
        return []
    models = {model.name: model for model in settings.models}
    verdicts = {name: result.verdict for name, result in results.items()}
    found = []
    for cell in plan.cells:
        result = results.get(cell.id)
        if result is None or result.verdict not in MOVED:
            continue
        capture = _capture(run, plan.baseline_of(cell))
        if capture is None:
            continue
        jit = capture.jit if isinstance(capture.jit, bool) else None
        moved = Moved(cell, models[cell.model], capture.policy, jit)
        chosen = trials(moved, settings.parity, plan, verdicts)
        if chosen:
            found.append(_Search(cell, chosen))
    return found


def _run_trials(run: Run, searches: Sequence[_Search]) -> None:
    """Run what the matrix does not hold: the baseline first, then only what worked there."""
    plan, seconds = run.project.plan, run.project.settings.parity.seconds
    began = time.monotonic()
    wanted = [trial.cell for trial in _by_rank(searches)]
    missing = [base for base in map(plan.baseline_of, wanted) if base not in plan.cells]
    _run_in(run, plan.baseline, missing, seconds * _SHARE)
    usable: dict[str, list[Cell]] = defaultdict(list)
    for cell in wanted:
        if cell not in plan.cells and _capture(run, plan.baseline_of(cell)) is not None:
            usable[cell.environment].append(cell)
    for place, (environment, cells) in enumerate(usable.items()):
        left = max(seconds - (time.monotonic() - began), 0.0)
        _run_in(run, environment, cells, left / (len(usable) - place))


def _by_rank(searches: Sequence[_Search]) -> Iterable[Trial]:
    """The first trial of every cell, then the second of every cell …: time may end at any of them."""
    longest = max(len(search.trials) for search in searches)
    for rank in range(longest):
        yield from (search.trials[rank] for search in searches if rank < len(search.trials))


def _run_in(run: Run, environment: str, cells: Iterable[Cell], seconds: float) -> None:
    jobs = [_job(run, cell) for cell in dict.fromkeys(cells)]
    if seconds > 0:
        run_again(run, environment, run.folder.captures(environment) / _FOLDER, jobs, seconds)


def _job(run: Run, cell: Cell) -> Job:
    """Predictions alone, and the noise that says which difference is rounding."""
    is_baseline = cell.environment == run.project.plan.baseline
    return replace(make_job(run, cell), evaluate=False, tasks={"noise": {}} if is_baseline else {})


def _capture(run: Run, cell: Cell) -> Capture | None:
    capture = read_capture(run.folder.capture(cell))
    return capture if capture is not None and capture.failure is None else None


def _tried(run: Run, cell: Cell, trial: Trial) -> Tried:
    """What a trial came to, read from the captures of both sides."""
    base = run.project.plan.baseline_of(trial.cell)
    for one, where in ((base, "in the baseline"), (trial.cell, "here")):
        capture = read_capture(run.folder.capture(one))
        if capture is None or (capture.failure is not None and capture.failure.stage == "timeout"):
            return Tried(trial, reason=f"it ran out of time {where}: parity.seconds, limits.seconds")
        if capture.failure is not None:
            said = plain(first_line(capture.failure.message), 120)
            return Tried(trial, reason=f"{where} {capture.failure.stage} failed: {said}")
    return Tried(trial, judge_alone(run, trial.cell), effect=_effect(run, cell, base))


def _effect(run: Run, cell: Cell, base: Cell) -> tuple[TensorComparison, ...]:
    """The baseline as the cell has it against the baseline under the setting."""
    plain_base = run.project.plan.baseline_of(cell)
    captures = _capture(run, plain_base), _capture(run, base)
    if captures[0] is None or captures[1] is None:
        return ()
    old = open_tensors(captures[0].outputs, run.folder.capture(plain_base))
    new = open_tensors(captures[1].outputs, run.folder.capture(base))
    return tuple(compare_tensors(pair.baseline, pair.candidate) for pair in match_outputs(old, new).pairs)
