"""What is run: every cell, and every check's first question about it, then what the answers ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from validator.checks.protocol import FollowUp, FollowUpRound, Task
from validator.matrix import Cell, Plan
from validator.pipeline.evidence import Asked
from validator.pipeline.jobs import JobMaker
from validator.runner import Job
from validator.verdict.judge import Judgement


def predictions(maker: JobMaker) -> list[Job]:
    """The first round: the predictions of every cell, with the tasks beside them."""
    return [maker.predictions(cell, maker.tasks(cell)) for cell in _cells(maker)]


def tasks_apart(maker: JobMaker) -> dict[Cell, list[Job]]:
    """The tasks of every cell that have jobs of their own. No question waits for their answers."""
    apart = {
        cell: [maker.own(cell, name, task) for name, task in maker.tasks(cell).items() if task.own]
        for cell in _cells(maker)
    }
    return {cell: jobs for cell, jobs in apart.items() if jobs}


def _cells(maker: JobMaker) -> list[Cell]:
    return [cell for cell in maker.project.plan.cells if maker.refusal(cell) is None]


@dataclass
class FollowUpJobs:
    """A later round. `budgets` are wall seconds by name; a job names the budget that it spends."""

    jobs: dict[str, Job] = field(default_factory=dict)
    budgets: dict[str, float] = field(default_factory=dict)
    own: dict[tuple[Cell, str], tuple[str, str]] = field(default_factory=dict)
    further: dict[Cell, tuple[Cell, ...]] = field(default_factory=dict)
    apart: dict[Cell, list[Job]] = field(default_factory=dict)

    def add(self, apart: Mapping[Cell, list[Job]]) -> None:
        """Do jobs that nothing waits for in this round, behind its own."""
        self.apart |= apart
        self.jobs |= {job.id: job for jobs in apart.values() for job in jobs}

    def cells(self, plan: Plan) -> frozenset[Cell]:
        """The cells that get new evidence."""
        fed = {cell for cell in plan.compared if {cell, plan.baseline_of(cell)} & self.apart.keys()}
        return frozenset({cell for cell, _ in self.own} | set(self.further) | fed)

    @property
    def asked(self) -> Asked:
        """Which jobs are evidence for which cell."""
        return Asked(self.own, self.further)


def later_round(maker: JobMaker, judgements: Sequence[Judgement], follows: FollowUpRound) -> FollowUpJobs:
    """What the checks of a round want to know more about, of all cells; jobs that several want are one."""
    later = FollowUpJobs()
    ranked: list[tuple[int, Cell, str]] = []
    for judgement in judgements:
        cell = judgement.subject.cell
        for check, follow in judgement.follow_ups(follows).items():
            if follow.baseline or follow.candidate:
                _add_own(later, maker, cell, (check, follow))
            if follow.cells:
                later.further[cell] = (*later.further.get(cell, ()), *follow.cells)
                later.budgets[check] = max(later.budgets.get(check, 0.0), follow.seconds or 0.0)
                ranked += [(rank, place, check) for rank, place in enumerate(follow.cells)]
    # The first choice of every cell, then the second of every cell …: time may end at any of them.
    for _, place, check in sorted(ranked, key=lambda entry: entry[0]):
        for job in _pair(maker, place, check):
            later.jobs.setdefault(job.id, job)
    return later


def _add_own(later: FollowUpJobs, maker: JobMaker, cell: Cell, follow: tuple[str, FollowUp]) -> None:
    """Jobs of their own for a cell and its baseline."""
    check, follow_up = follow
    baseline = maker.project.plan.baseline_of(cell)
    first = _shared(later, maker, baseline, (check, follow_up.baseline)) if follow_up.baseline else None
    job = None
    if follow_up.candidate:
        # Of a changed model, the same cell may be the baseline of others and record something else for them.
        suffix = "-model" if maker.project.plan.effect(cell) == "model" else ""
        job = maker.own(cell, check, follow_up.candidate, suffix=suffix)
        option = follow_up.candidate.baseline_folder
        if option and first:
            options = _with_folder(job.tasks[check], option, first.folder)
            job = replace(job, needs=(first.id,), tasks={check: options})
        later.jobs[job.id] = job
    later.own[cell, check] = (first.id if first else "", job.id if job else "")


def _with_folder(options: Mapping[str, JsonValue], option: str, folder: str) -> dict[str, JsonValue]:
    """The options with a folder in one of them: `option`, or `part.option` in the options of a part."""
    part, _, name = option.partition(".")
    inner = options.get(part)
    value = {**inner, name: folder} if isinstance(inner, dict) else folder
    return {**options, part: value}


def _shared(later: FollowUpJobs, maker: JobMaker, baseline: Cell, task: tuple[str, Task]) -> Job:
    """The baseline's job: the one that another cell asked for already, where that records the same."""
    check, recorded = task
    for number in range(len(later.jobs) + 1):
        job = maker.own(baseline, check, recorded, suffix=f"-{number}" if number else "")
        known = later.jobs.setdefault(job.id, job)
        if known == job:
            return job
    raise AssertionError("unreachable: fewer jobs than numbers")


def _pair(maker: JobMaker, cell: Cell, budget: str) -> Iterator[Job]:
    """Predictions of a further cell and of its baseline, each unless the plan has it."""
    cells = maker.project.plan.cells
    baseline = maker.project.plan.baseline_of(cell)
    for place in (baseline, cell):
        if place in cells:
            continue
        tasks = {name: task for name, task in maker.tasks(place).items() if name == "outputs"}
        yield replace(maker.predictions(place, tasks, evaluate=False), budget=budget)
