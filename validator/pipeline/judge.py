"""Reads the captures of a run, collects the evidence for each cell, and has it judged."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from validator import __version__
from validator.compare import compare_structure, compare_tensors
from validator.compare.structure import OutputMatch, SideFacts
from validator.config.settings import ModelSettings, Tolerance
from validator.errors import ConfigurationError
from validator.matrix import Cell
from validator.matrix.variants import own_setting
from validator.pipeline.accuracy import metric_results
from validator.pipeline.capture import Run
from validator.pipeline.decode import decode_findings, decode_result
from validator.pipeline.follow import read_status
from validator.pipeline.noise import Floors, self_noise
from validator.pipeline.training import with_training
from validator.pipeline.twins import Side, twin_evidence
from validator.results import (
    CellResult,
    EnvironmentResult,
    Failure,
    Finding,
    MetricResult,
    ModelResult,
    Report,
)
from validator.runner import Capture, read_capture, read_environment
from validator.tensors import StoredTensor, open_tensors
from validator.text import first_line, plain
from validator.verdict import CellEvidence, OutputEvidence, apply_gate, judge_cell, judge_run, worst_first
from validator.verdict.gate import LOST


def judge(run: Run) -> Report:
    """The report of a run whose capture sessions have ended.

    Raises:
        CannotJudgeError: a capture cannot be read.
    """
    plan, settings = run.project.plan, run.project.settings
    environments = tuple(_environment(run, environment.name) for environment in plan.environments)
    models = []
    for model in settings.models:
        cells = [
            apply_gate(
                with_training(run.project, run.folder, cell, judge_cell(_evidence(run, model, cell))),
                settings.gate,
            )
            for cell in plan.cells
            if cell.model == model.name and cell.environment != plan.baseline
        ]
        if cells:
            models.append(ModelResult(name=model.name, cells=worst_first(cells)))
    verdict, reasons = judge_run(models)
    return Report(
        verdict=verdict,
        reasons=reasons,
        baseline=plan.baseline,
        upgrade=run.project.found.detected.upgrade if run.project.found else None,
        environments=environments,
        models=tuple(models),
        not_compared=tuple(
            cell.cell for model in models for cell in model.cells if cell.verdict == "not-compared"
        ),
        tool=__version__,
        configuration=run.project.shown_path,
        started=run.began.isoformat(timespec="seconds"),
        seconds=round((datetime.now(timezone.utc) - run.began).total_seconds(), 1),
        commit=run.project.found.commit if run.project.found else None,
    )


def judge_alone(run: Run, cell: Cell) -> CellResult:
    """One captured cell against its baseline, in the plan or not; the gate has no say.

    Raises:
        CannotJudgeError: as for `judge`.
    """
    model = next(model for model in run.project.settings.models if model.name == cell.model)
    return judge_cell(_evidence(run, model, cell))


def _environment(run: Run, name: str) -> EnvironmentResult:
    """One environment as it really ran."""
    role: Literal["baseline", "candidate"] = "baseline" if name == run.project.plan.baseline else "candidate"
    failure = _environment_failure(run, name)
    status = read_status(run, name)
    facts = read_environment(run.folder.captures(name)) if status else None
    if facts is None or facts.keras is None:
        return EnvironmentResult(name=name, role=role, failure=failure)
    features = " ".join(facts.cpu.features) if facts.cpu else ""
    return EnvironmentResult(
        name=name,
        role=role,
        packages=facts.packages,
        python=facts.python,
        cpu=f"{facts.cpu.model} ({features})" if facts.cpu else "",
        keras=f"{facts.keras.module} {facts.keras.version}",
        backend=facts.backend,
        seconds=status.seconds if status else None,
        failure=failure,
    )


def _environment_failure(run: Run, name: str) -> Failure | None:
    """Why an environment has no captures of this run."""
    status = read_status(run, name)
    if status is not None:
        return status.failure
    python = run.project.plan.environment(name).python
    return Failure(
        stage="install",
        error="nox",
        message=f"the session capture({name}) left no captures in this run; is Python {python} available? "
        "Nox's own output says why",
    )


def _evidence(run: Run, model: ModelSettings, cell: Cell) -> CellEvidence:
    """Everything known about one cell."""
    label = CellResult(
        cell=cell.id,
        environment=cell.environment,
        variant=cell.variant.name,
        verdict="not-compared",
        message="",
        reproduce=_command(run, cell),
    )
    base = run.project.plan.baseline_of(cell)
    here, there = _side(run, cell), _side(run, base)
    failure = here if isinstance(here, Failure) else None
    if isinstance(there, Failure):
        findings = () if isinstance(here, Failure) else _findings(here)
        return CellEvidence(label, failure=failure, baseline_failure=there, findings=findings)
    if isinstance(here, Failure):
        return CellEvidence(label, failure=here)
    label = label.model_copy(update={"seconds": round(sum(here.seconds.values()), 3)})
    sides = _Sides(there, here, Floors.of(there, run.folder.capture(base)))
    theirs, ours = (
        open_tensors(there.outputs, run.folder.capture(base)),
        open_tensors(here.outputs, run.folder.capture(cell)),
    )
    structure = compare_structure(_facts(there, theirs), _facts(here, ours))
    fed = "; ".join(
        problem for problem in structure.problems if problem.split()[0] not in {"output", "neither"}
    )
    decode = None if fed else decode_result(run, cell, there, here)
    metrics, unscored = ((), "") if fed else _metrics(run, model, structure.outputs, sides)
    return CellEvidence(
        label.model_copy(update={"decode": decode}),
        incomparable=f"not compared: {fed}" if fed else "",
        outputs=() if fed else tuple(_outputs(structure.outputs, model.tolerance, sides)),
        metrics=metrics,
        unscored=unscored,
        reported=() if fed else tuple(_reported(there, here)),
        twin=None if fed else twin_evidence(run, Side(base, there, theirs), Side(cell, here, ours)),
        findings=(
            *_built_by(model, cell),
            *_findings(here),
            *_baseline_findings(there),
            *decode_findings(decode),
        ),
    )


def _side(run: Run, cell: Cell) -> Capture | Failure:
    failure = _environment_failure(run, cell.environment)
    if failure is not None:
        return failure
    capture = read_capture(run.folder.capture(cell))
    if capture is None:
        return Failure(stage="crash", error="worker", message=f"{cell.id} left no response")
    return capture.failure.failure() if capture.failure else capture


def _facts(capture: Capture, outputs: tuple[StoredTensor, ...]) -> SideFacts:
    return SideFacts(capture.samples, capture.batch_size, capture.inputs_digest, outputs)


@dataclass(frozen=True)
class _Sides:
    """The captures of both sides, and the noise of the baseline's."""

    there: Capture
    here: Capture
    floors: Floors


def _metrics(
    run: Run, model: ModelSettings, outputs: OutputMatch, sides: _Sides
) -> tuple[tuple[MetricResult, ...], str]:
    """The metrics, or why they cannot be scored: by now that must not cost what was captured."""
    try:
        return metric_results(run, model, outputs, sides.floors.largest()), ""
    except ConfigurationError as error:
        return (), str(error)


def _outputs(match: OutputMatch, tolerance: Tolerance | None, sides: _Sides) -> Iterator[OutputEvidence]:
    for pair in match.pairs:
        name = pair.baseline.name
        comparison = compare_tensors(pair.baseline, pair.candidate, tolerance)
        drift, noiseless = sides.floors.drift(pair, comparison)
        unstable = self_noise(name, sides.here, sides.there)
        yield OutputEvidence(name, comparison, "", tolerance, drift, noiseless, unstable)
    for tensor in match.missing:
        yield OutputEvidence(tensor.name, None, "is missing")
    for tensor in match.extra:
        yield OutputEvidence(tensor.name, None, "is new: the baseline does not have it")
    for pair in match.renamed:
        yield OutputEvidence(
            pair.baseline.name,
            None,
            f"is missing; `{pair.candidate.name}` has its shape and dtype and looks like it under a new name",
        )


def _reported(there: Capture, here: Capture) -> Iterator[tuple[str, float | None, float | None]]:
    old, new = there.reported or {}, here.reported or {}
    for name in dict.fromkeys((*old, *new)):
        yield name, old.get(name), new.get(name)


def _findings(side: Capture) -> tuple[Finding, ...]:
    """What a candidate's capture says beside its numbers."""
    found = [Finding(kind=note.kind, message=note.message) for note in side.notes]
    if side.artifact_failure is not None:
        failure = side.artifact_failure
        reason = plain(f"{failure.error}: {first_line(failure.message)}", 140)
        message = f"the artifact does not load here ({reason}); the builder with its weights was used"
        found.append(Finding(kind="artifact", message=message))
    if side.reported_failure is not None:
        failure = side.reported_failure
        message = f"the framework's evaluate failed: {failure.error}: {first_line(failure.message)}"
        found.append(Finding(kind="evaluate", message=message))
    found += _unstable(side, "here")
    return tuple(found)


def _built_by(model: ModelSettings, cell: Cell) -> tuple[Finding, ...]:
    """That a setting has arguments for the builder, where the model would have come from its artifact."""
    own = own_setting(model, cell.variant)
    if not own.builder_arguments or model.artifact is None:
        return ()
    arguments = ", ".join(f"{name}: {value}" for name, value in own.builder_arguments.items())
    message = (
        f"`{cell.variant.setting}` is `{arguments}` for the builder: the model was built by "
        f"`{model.builder}` with its weights, since an artifact is ready-made"
    )
    return (Finding(kind="setting", message=message),)


def _baseline_findings(side: Capture) -> tuple[Finding, ...]:
    found = _unstable(side, "in the baseline")
    found += [
        Finding(kind=note.kind, message=f"in the baseline, {note.message}")
        for note in side.notes
        if note.kind == LOST
    ]
    if side.loaded_from == "builder" and side.artifact_failure is not None:
        message = (
            f"the artifact does not load in the baseline ({side.artifact_failure.error}); its builder ran"
        )
        found.append(Finding(kind="artifact", message=message))
    return tuple(found)


def _unstable(side: Capture, where: str) -> list[Finding]:
    if side.deterministic is not False:
        return []
    sizes = ", ".join(
        f"`{part.output}` by {part.max_abs:.2g} at most" if part.max_abs is not None else f"`{part.output}`"
        for part in side.self_difference
    )
    message = f"two predictions {where}, one after the other, differ: {sizes}"
    return [Finding(kind="nondeterministic", message=message)]


def _command(run: Run, cell: Cell) -> str:
    found = run.project.found
    base = f" --base {found.detected.revisions.base[:12]}" if found else ""
    config = shlex.quote(run.project.shown_path)
    return f"keras-validator run --config {config}{base} --only {shlex.quote(cell.id)}"
