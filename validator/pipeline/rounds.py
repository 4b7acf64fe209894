"""What is run: every check's first question about every cell, then, once, whatever the answers ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from validator.checks.protocol import FollowUp, Task
from validator.matrix import Cell
from validator.pipeline.evidence import SecondRound
from validator.pipeline.jobs import JobMaker
from validator.runner import Job
from validator.verdict.judge import Judgement


def first_round(maker: JobMaker) -> list[Job]:
    """The jobs of every cell: predictions first, then tasks that have jobs of their own."""
    predictions, own = [], []
    for cell in maker.project.plan.cells:
        tasks = maker.tasks(cell)
        predictions.append(maker.predictions(cell, tasks))
        own += [maker.own(cell, name, task) for name, task in tasks.items() if task.own is not None]
    return [*predictions, *own]


@dataclass
class FollowUpJobs:
    """A second round. `budgets` are wall seconds by name; a job names the budget that it spends."""

    jobs: dict[str, Job] = field(default_factory=dict)
    budgets: dict[str, float] = field(default_factory=dict)
    own: dict[tuple[Cell, str], tuple[str, str]] = field(default_factory=dict)
    further: dict[Cell, tuple[Cell, ...]] = field(default_factory=dict)

    @property
    def cells(self) -> frozenset[Cell]:
        """The cells that get new evidence."""
        return frozenset({cell for cell, _ in self.own} | set(self.further))

    @property
    def round(self) -> SecondRound:
        """Which jobs are evidence for which cell."""
        return SecondRound(self.own, self.further)


def second_round(maker: JobMaker, judgements: Sequence[Judgement]) -> FollowUpJobs:
    """What the checks want to know more about, of all cells together; jobs that several want are one."""
    second = FollowUpJobs()
    ranked: list[tuple[int, Cell, str]] = []
    for judgement in judgements:
        cell = judgement.subject.cell
        for check, follow in judgement.follow_ups().items():
            if follow.baseline or follow.candidate:
                _add_own(second, maker, cell, (check, follow))
            if follow.cells:
                second.further[cell] = (*second.further.get(cell, ()), *follow.cells)
                second.budgets[check] = max(second.budgets.get(check, 0.0), follow.seconds or 0.0)
                ranked += [(rank, place, check) for rank, place in enumerate(follow.cells)]
    # The first choice of every cell, then the second of every cell …: time may end at any of them.
    for _, place, check in sorted(ranked, key=lambda entry: entry[0]):
        for job in _pair(maker, place, check):
            second.jobs.setdefault(job.id, job)
    return second


def _add_own(second: FollowUpJobs, maker: JobMaker, cell: Cell, follow: tuple[str, FollowUp]) -> None:
    """Jobs of their own for a cell and its baseline."""
    check, follow_up = follow
    baseline = maker.project.plan.baseline_of(cell)
    first = _shared(second, maker, baseline, (check, follow_up.baseline)) if follow_up.baseline else None
    job = None
    if follow_up.candidate:
        job = maker.own(cell, check, follow_up.candidate)
        option = follow_up.candidate.baseline_folder
        if option and first:
            options = {**job.tasks[check], option: first.folder}
            job = replace(job, needs=(first.id,), tasks={check: options})
        second.jobs[job.id] = job
    second.own[cell, check] = (first.id if first else "", job.id if job else "")


def _shared(second: FollowUpJobs, maker: JobMaker, baseline: Cell, task: tuple[str, Task]) -> Job:
    """The baseline's job: the one that another cell asked for already, where that records the same."""
    check, recorded = task
    for number in range(len(second.jobs) + 1):
        job = maker.own(baseline, check, recorded, suffix=f"-{number}" if number else "")
        known = second.jobs.setdefault(job.id, job)
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
        needs = (baseline.id,) if place != baseline else ()
        yield replace(maker.predictions(place, tasks, evaluate=False), needs=needs, budget=budget)
