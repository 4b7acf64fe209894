"""The whole way: predict, judge against the baseline, measure where bytes differ, explain, and conclude."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from rich.console import Console

from validator import __version__
from validator.checks.protocol import FollowUpRound, Subject
from validator.errors import Exit
from validator.failure import Failure
from validator.matrix import BASE_FILES, Cell, Plan
from validator.origin import Origin
from validator.pipeline.base_files import BaseFiles
from validator.pipeline.bounds import bounds_of, confinement
from validator.pipeline.evidence import Asked, Captures
from validator.pipeline.jobs import JobMaker
from validator.pipeline.origins import Ground, Installed, explained, traced
from validator.pipeline.places import NO_LIMIT, places
from validator.pipeline.project import Project, command_of, display_path
from validator.pipeline.pull_request import actions_job
from validator.pipeline.restoring import Restoring, store_in
from validator.pipeline.rounds import later_round, predictions, tasks_apart
from validator.pipeline.run_folder import RunFolder
from validator.report import html, junit, markdown
from validator.report import json as report_json
from validator.report.terminal import show
from validator.runner import (
    Capture,
    Machine,
    Marks,
    Pool,
    PredictedPiece,
    RunLimit,
    Watcher,
    intact,
    write_text,
)
from validator.storage import recording
from validator.verdict.accepting import with_moves
from validator.verdict.bands import GREEN
from validator.verdict.gate import EXIT_CODES, apply_gate, judge_run, worst_first
from validator.verdict.judge import Judgement, judge_cell
from validator.verdict.results import (
    CellResult,
    EnvironmentResult,
    ModelResult,
    Reason,
    Report,
    WorkflowRun,
)

#: After the predictions: whether they differ beyond noise, then where and why.
ROUNDS: tuple[FollowUpRound, ...] = ("measure", "explain")


@dataclass(frozen=True)
class Run:
    """One run: the project, its folder, how many environments compute at a time, and when it began (UTC).

    `base` are the base commit's files, where models of it are run. `pieces`: cell → what other workers
    predicted of it; `notes`: what they predicted and is not used, and why.
    """

    project: Project
    folder: RunFolder
    jobs: int
    watcher: Watcher
    base: BaseFiles | None = None
    commit: str | None = None
    workflow_run: WorkflowRun | None = None
    cache: Path | None = None
    resume: bool = False
    pieces: Mapping[str, tuple[PredictedPiece, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    limit: RunLimit = NO_LIMIT

    def pool(self) -> Pool:
        """Workers for every environment of the plan; none is started yet."""
        return Pool(
            places(self.project, self.folder, self.base, self.limit),
            bounds_of(self.project, self.folder),
            self.watcher,
            self.jobs,
            self.limit,
        )


def validate(run: Run) -> Report:
    """Run every cell and judge it against its baseline; measure what differs, and explain what moved.

    Raises:
        ConfigurationError: a recording cannot be used.
        KeyboardInterrupt: passed on when every worker is gone.
    """
    maker = JobMaker(run.project, run.folder, run.base)
    run = replace(run, limit=RunLimit.of(run.project.settings.limits.total_seconds))
    with run.pool() as pool:
        marks = Marks(run.folder.ended(), Machine.this(), run.resume)
        restoring = Restoring(pool, run.project, run.folder, marks, store_in(run.cache), run.watcher)
        try:
            maker, judged = _judged(run, maker, restoring)
        except _StaleError:
            restoring.distrust()
            maker, judged = _judged(run, maker, restoring)
        run = replace(run, project=maker.project)
        environments = tuple(_environment(run, pool, name, restoring) for name in _names(run))
        pythons = pool.pythons()
        if restoring.store is not None:
            restoring.store.prune()
    report = conclude(run, judged, environments, restoring=restoring)
    if run.project.settings.origin.seconds and run.limit.left() > 0:
        write(run.folder, report)  # a search that is interrupted must not cost what is known
        origins = _origins(run, maker, judged, Installed(environments, pythons))
        report = conclude(run, judged, environments, origins, restoring)
    if run.limit.left() > 0:
        marks.complete()
    return report


class _StaleError(Exception):
    """What was restored proved stale after others were judged by it, or found nothing to ask."""


def _judged(run: Run, maker: JobMaker, restoring: Restoring) -> tuple[JobMaker, list[Judgement]]:
    """Do all rounds, each with a judgement; with the maker that knows what was joined."""
    jobs = [replace(job, pieces=run.pieces.get(job.id, ())) for job in predictions(maker)]
    run.watcher.planned("predict", jobs)
    predicted = restoring.run(jobs)
    _note_apart(predicted, restoring)
    captures = Captures(run.project.plan, {**predicted, **_refused(maker)})
    maker, captures = _joined(maker, captures)
    judged = judge(maker, captures)
    again = restoring.verify(_doubtful(maker, judged))
    if again:
        captures = captures.with_round(again, Asked())
        judged = judge(maker, captures)
    for follows in ROUNDS:
        later = later_round(maker, judged, follows)
        if follows == "measure":
            later.add(tasks_apart(maker))
        if later.jobs:
            run.watcher.planned(follows, list(later.jobs.values()))
            recorded = restoring.run(list(later.jobs.values()), budgets=later.budgets)
            captures = captures.with_round(recorded, later.asked)
            judged = judge(maker, captures, later.cells(maker.project.plan), before=judged)
            if recorded.keys() > later.jobs.keys() or restoring.verify(_doubtful(maker, judged)):
                raise _StaleError
    return maker, judged


def _note_apart(predicted: Mapping[str, Capture | Failure], restoring: Restoring) -> None:
    """Note every cell whose pieces proved to be others than what this machine predicts."""
    for id_, capture in predicted.items():
        if isinstance(capture, Capture) and capture.response.joined is False:
            note = f"{id_} was predicted again in one piece: what other workers predicted differs here"
            restoring.notes[note] = None


def _doubtful(maker: JobMaker, judged: Sequence[Judgement]) -> set[str]:
    """Cells that moved, and their baselines: what was restored of them must not be why."""
    moved = [judgement.subject.cell for judgement in judged if judgement.result.verdict not in GREEN]
    baselines = {maker.project.plan.baseline_of(cell) for cell in moved}
    return {cell.id for cell in {*moved, *baselines}}


def _refused(maker: JobMaker) -> dict[str, Failure]:
    """The cells that are not run, and why."""
    refusals = {cell.id: maker.refusal(cell) for cell in maker.project.plan.cells}
    return {cell: failure for cell, failure in refusals.items() if failure is not None}


def _joined(maker: JobMaker, captures: Captures) -> tuple[JobMaker, Captures]:
    """The same where new files cannot be run in the baseline's packages: both effects are then one."""
    plan = maker.project.plan
    joined = frozenset(
        (cell.model, cell.variant)
        for cell in plan.cells
        if plan.effect(cell) == "model"
        and any(plan.effect(other) == "packages" for other in plan.cells if other.model == cell.model)
        and captures.failure(cell)
        and not captures.failure(plan.baseline_of(cell))
    )
    plan = replace(plan, joined=joined)
    return replace(maker, project=replace(maker.project, plan=plan)), replace(captures, plan=plan)


def _origins(
    run: Run, maker: JobMaker, judged: Sequence[Judgement], installed: Installed
) -> dict[str, Origin]:
    """Where each cell that moved comes from, as far as the time of `origin.seconds` goes."""
    seconds = min(run.project.settings.origin.seconds, run.limit.left())
    ground = Ground(maker, installed, bounds_of(run.project, run.folder), run.watcher)
    return traced(ground, worst_first([judgement.result for judgement in judged]), seconds)


def judge(
    maker: JobMaker,
    captures: Captures,
    only: Collection[Cell] | None = None,
    before: Sequence[Judgement] = (),
) -> list[Judgement]:
    """Judge every candidate cell of the plan.

    Args:
        maker: knows the project.
        captures: of every cell.
        only: the cells with new evidence; for all others the judgement of `before` stands.
        before: an earlier judgement of the same run.
    """
    plan = maker.project.plan
    known = {judgement.subject.cell: judgement for judgement in before}
    captures = _checked(captures)
    judged = []
    for cell in plan.compared:
        if only is not None and cell not in only:
            judged.append(known[cell])
            continue
        judged.append(
            judge_cell(maker.subject(cell), *captures.of(cell), _label(maker.project, cell, captures))
        )
    return judged


def _checked(captures: Captures) -> Captures:
    """The captures that are still what their jobs left, and why the others are not."""
    checked = {
        job: result if isinstance(result, Failure) else intact(result)
        for job, result in captures.jobs.items()
    }
    return replace(captures, jobs=checked)


def conclude(
    run: Run,
    judged: Sequence[Judgement],
    environments: tuple[EnvironmentResult, ...],
    origins: Mapping[str, Origin] = MappingProxyType({}),
    restoring: Restoring | None = None,
) -> Report:
    """Apply the gate, and put everything into the report. `origins`: by cell id."""
    project = run.project
    environments = with_moves(environments, baseline_of(project.plan), project.settings.upgrade.relevant)
    models = []
    for model in project.settings.models:
        cells = [
            _with_origin(apply_gate(judgement.result, project.settings.gate), origins)
            for judgement in judged
            if judgement.subject.cell.model == model.name
        ]
        if cells:
            made = any(
                _is_synthetic(each.subject) for each in judged if each.subject.cell.model == model.name
            )
            of_base = Path(model.inputs).is_relative_to(run.folder.base_files())
            models.append(
                ModelResult(name=model.name, synthetic=made, inputs_of_base=of_base, cells=tuple(cells))
            )
    settled, notes = project.acceptances.settled(models, environments, run.began.date())
    models = [model.model_copy(update={"cells": worst_first(model.cells)}) for model in settled]
    changes = project.pull_request.detected.reasons if project.pull_request else ()
    verdict, reasons = judge_run(models, changes)
    return Report(
        verdict=verdict,
        reasons=reasons,
        baseline=baseline_of(project.plan),
        upgrade=project.pull_request.detected.upgrade if project.pull_request else None,
        environments=environments,
        models=tuple(models),
        not_compared=tuple(
            cell.cell for model in models for cell in model.cells if cell.verdict == "not-compared"
        ),
        tool=__version__,
        configuration=project.display_path,
        started=run.began.isoformat(timespec="seconds"),
        seconds=round((datetime.now(timezone.utc) - run.began).total_seconds(), 1),
        commit=project.pull_request.commit if project.pull_request else run.commit,
        workflow_run=run.workflow_run,
        fetched=project.fetched,
        sandbox=confinement(project),
        acceptance_file=display_path(project.folder / project.settings.acceptances),
        acceptances=notes,
        restored=restoring.captures if restoring else (),
        cache_notes=(*run.notes, *(restoring.notes if restoring else ())),
    )


def _is_synthetic(subject: Subject) -> bool:
    """Whether all of a model's inputs were made; those of a function are not known."""
    folder = subject.inputs
    return folder is not None and (folder / recording.MANIFEST).is_file() and recording.load(folder).synthetic


def _with_origin(cell: CellResult, origins: Mapping[str, Origin]) -> CellResult:
    origin = origins.get(cell.cell)
    return cell if origin is None else explained(cell, origin)


def bare(reason: Reason, *, event: bool, configuration: str = "") -> Report:
    """The report of a run without a cell, inconclusive for a reason: it replaces that of an earlier run."""
    commit, workflow_run = actions_job() if event else (None, None)
    return Report(
        verdict="inconclusive",
        reasons=(reason,),
        baseline="",
        environments=(),
        models=(),
        tool=__version__,
        configuration=configuration,
        commit=commit,
        workflow_run=workflow_run,
    )


def deliver(folder: RunFolder, report: Report, *, json: bool = False) -> Exit:
    """Write a report in all its forms, print it, and give its exit code."""
    write(folder, report)
    return print_report(report, json=json)


def print_report(report: Report, *, json: bool = False) -> Exit:
    """Print a report, and give its exit code."""
    if json:
        sys.stdout.write(report_json.dump(report))
    else:
        show(report, Console())
    return EXIT_CODES[report.verdict]


def write(folder: RunFolder, report: Report) -> None:
    """Write the report into the folder of its run; report.json last of what stands for the whole.

    The pages come after it: a picture that cannot be drawn costs no result.
    """
    write_text(folder.root / "report.md", markdown.summary(report))
    write_text(folder.root / "junit.xml", junit.dump(report))
    (folder.root / "report.html").unlink(missing_ok=True)
    write_text(folder.report(), report_json.dump(report))
    write_text(folder.root / "report.html", html.page(report))


def _names(run: Run) -> tuple[str, ...]:
    return tuple(environment.name for environment in run.project.plan.environments)


def _environment(run: Run, pool: Pool, name: str, restoring: Restoring) -> EnvironmentResult:
    """One environment as it really ran."""
    own = name == BASE_FILES or name == baseline_of(run.project.plan)
    role: Literal["baseline", "candidate"] = "baseline" if own else "candidate"
    failure = pool.failures().get(name)
    facts = None if failure else restoring.facts(name)
    if facts is None or facts.keras is None:
        return EnvironmentResult(name=name, role=role, failure=failure)
    features = " ".join(facts.cpu.features)
    return EnvironmentResult(
        name=name,
        role=role,
        packages=facts.packages,
        python=facts.python,
        cpu=f"{facts.cpu.model} ({features})",
        keras=f"{facts.keras.module} {facts.keras.version}",
        backend=facts.backend,
        seconds=pool.seconds().get(name),
        failure=failure,
    )


def _label(project: Project, cell: Cell, captures: Captures) -> CellResult:
    """A cell's result before it is judged."""
    return CellResult(
        cell=cell.id,
        environment=cell.environment,
        variant=cell.variant.name,
        verdict="not-compared",
        seconds=captures.seconds(cell),
        reproduce=command_of(project, cell),
        effect=project.plan.effect(cell),
        alone=_alone(project, cell, captures),
    )


def _alone(project: Project, cell: Cell, captures: Captures) -> Failure | None:
    """Why the new files of a cell did not run in the baseline's packages, where that joins both effects."""
    if project.plan.effect(cell) != "both":
        return None
    return captures.failure(replace(cell, environment=project.plan.baseline))


def baseline_of(plan: Plan) -> str:
    """The environment of the report's baseline: of the base's files, where nothing else is compared."""
    effects = {plan.effect(cell) for cell in plan.compared}
    return BASE_FILES if effects and effects <= {"model"} else plan.baseline
