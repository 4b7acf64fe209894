"""Twins: the same model and weights in a higher precision, found among the captures or run when needed.

A half-precision cell's float32 twin is a cell of the matrix, or came from the worker's task `twin`. A float64
twin is run only for cells that rounding does not explain: it needs a worker of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from validator.compare import compare_tensors, match_outputs
from validator.config.settings import Tolerance
from validator.matrix import Cell
from validator.pipeline.capture import Run, make_job
from validator.pipeline.noise import Floors
from validator.pipeline.second_phase import run_again
from validator.results import Report
from validator.runner import Capture, Job, read_capture
from validator.runner.noise import parse_twin
from validator.tensors import StoredTensor, open_tensors
from validator.text import first_line
from validator.verdict.outputs import OutputEvidence
from validator.verdict.twins import ErrorPair, TwinEvidence

HALF = frozenset({"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
_REFERENCE = "float64"
#: No cell's folder begins with a plus.
_FOLDER = "+float64"


@dataclass(frozen=True)
class Side:
    """One side of a cell: its capture, and its outputs."""

    cell: Cell
    capture: Capture
    outputs: tuple[StoredTensor, ...]


@dataclass(frozen=True)
class _Twin:
    """The twin of one side. `floors` are its noise, which only a baseline has."""

    outputs: tuple[StoredTensor, ...] = ()
    floors: Floors | None = None
    problem: str = ""


def twin_evidence(run: Run, there: Side, here: Side) -> TwinEvidence | None:
    """What is known of the twins of both sides; None where no twin is wanted.

    Args:
        run: the run whose captures are read.
        there: the baseline's side.
        here: the candidate's.

    Raises:
        CannotJudgeError: a file of a capture cannot be read.
    """
    policy = next((one for one in (here.capture.policy, there.capture.policy) if one in HALF), None)
    frozen = here.capture.policy is None  # a SavedModel: only its worker knows
    if policy or frozen:
        precision = "float32"
        twins = _float32(run, there), _float32(run, here)
    else:
        precision = _REFERENCE
        twins = _float64(run, there.cell), _float64(run, here.cell)
    if twins[0] is None or twins[1] is None:
        return None
    model = next(model for model in run.project.settings.models if model.name == here.cell.model)
    shown = policy or here.capture.policy or "half precision"
    problem = f"in the baseline: {twins[0].problem}" if twins[0].problem else twins[1].problem
    if not problem and not match_outputs(twins[0].outputs, twins[1].outputs).complete:
        problem = "its outputs are not the same ones on both sides"
    if problem:
        return TwinEvidence(precision, shown, problem=problem)
    outputs = tuple(_outputs(twins[0], twins[1], model.tolerance))
    return TwinEvidence(precision, shown, outputs, tuple(_errors(twins[0].outputs, there, here)))


def _outputs(base: _Twin, candidate: _Twin, tolerance: Tolerance | None) -> Iterator[OutputEvidence]:
    for pair in match_outputs(base.outputs, candidate.outputs).pairs:
        found = compare_tensors(pair.baseline, pair.candidate, tolerance)
        drift, why = base.floors.drift(pair, found) if base.floors else (None, "it was not measured")
        yield OutputEvidence(pair.baseline.name, found, "", tolerance, drift, why)


def _errors(references: Sequence[StoredTensor], there: Side, here: Side) -> Iterator[ErrorPair]:
    """Both sides against the baseline's twin, for every output that differs at all."""
    outputs = {tensor.name: tensor for tensor in references}
    for pair in match_outputs(there.outputs, here.outputs).pairs:
        reference = outputs.get(pair.baseline.name)
        if reference is None or reference.shape != pair.baseline.shape:
            continue
        apart = compare_tensors(pair.baseline, pair.candidate)
        if not apart.rms:
            continue
        old, new = compare_tensors(reference, pair.baseline), compare_tensors(reference, pair.candidate)
        if old.rms is None or new.rms is None or old.rms_baseline is None:
            continue
        bias = abs(apart.mean_difference or 0.0) / apart.rms
        yield ErrorPair(pair.baseline.name, old.rms, new.rms, old.rms_baseline, bias)


def _float32(run: Run, side: Side) -> _Twin | None:
    folder = run.folder.capture(side.cell)
    sibling = run.project.plan.twin_of(side.cell)
    if sibling is not None:
        return _captured(run.folder.capture(sibling))
    answer = parse_twin(side.capture.tasks.get("twin"))
    if answer is None:
        return None
    if answer.failure is not None:
        return _Twin(problem=first_line(answer.failure.message))
    if answer.policy is None:
        return None
    floors = Floors(answer.noise, folder / "twin", side.capture.deterministic is not False)
    return _Twin(open_tensors(answer.outputs, folder / "twin"), floors)


def _float64(run: Run, cell: Cell) -> _Twin | None:
    return _captured(_folder(run, cell))


def _captured(folder: Path) -> _Twin | None:
    capture = read_capture(folder)
    if capture is None:
        return None
    if capture.failure is not None:
        return _Twin(problem=first_line(capture.failure.message))
    return _Twin(open_tensors(capture.outputs, folder), Floors.of(capture, folder))


def _folder(run: Run, cell: Cell) -> Path:
    return run.folder.captures(cell.environment) / _FOLDER / cell.folder


def run_twins(run: Run, report: Report) -> bool:
    """Run the float64 twins of the cells that rounding does not explain, in the environments as they are.

    Returns:
        Whether any ran: the run is then to be judged again.

    Raises:
        ConfigurationError: files are missing.
    """
    wanted = {cell.cell for model in report.models for cell in model.cells if _unexplained(cell.verdict)}
    ran = False
    missing: dict[str, list[Cell]] = {}
    for cell in run.project.plan.cells:
        if cell.id not in wanted or not _can_be_widened(run, cell):
            continue
        for one in (run.project.plan.baseline_of(cell), cell):
            cells = missing.setdefault(one.environment, [])
            if one not in cells and not (_folder(run, one) / "response.json").exists():
                cells.append(one)
    for environment, cells in missing.items():
        ran = _run(run, environment, cells) or ran
    return ran


def _unexplained(verdict: str) -> bool:
    return verdict in {"suspicious", "changed"}


def _can_be_widened(run: Run, cell: Cell) -> bool:
    """Whether both sides are Keras models in float32 that gave the same every time."""
    for one in (cell, run.project.plan.baseline_of(cell)):
        capture = read_capture(run.folder.capture(one))
        if capture is None or capture.failure is not None or capture.policy != "float32":
            return False
        if capture.deterministic is False:
            return False
    return True


def _run(run: Run, name: str, cells: Sequence[Cell]) -> bool:
    jobs = [_job(make_job(run, cell), run, cell) for cell in cells]
    return run_again(run, name, run.folder.captures(name) / _FOLDER, jobs)


def _job(job: Job, run: Run, cell: Cell) -> Job:
    return replace(
        job,
        id=f"{cell.id} in {_REFERENCE}",
        folder=str(_folder(run, cell)),
        variant={**job.variant, "precision": _REFERENCE},
        evaluate=False,
        tasks={"noise": {}} if cell.environment == run.project.plan.baseline else {},
    )
