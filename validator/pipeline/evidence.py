"""The captures of a run, and which of them are evidence for which cell. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from validator.checks.protocol import Evidence
from validator.failure import Failure
from validator.matrix import Cell, Plan
from validator.runner import Capture

#: The baseline's evidence and the candidate's.
Pair = tuple[Evidence | Failure, Evidence | Failure]

_MISSING = Failure(stage="crash", error="worker", message="the worker left no response")


@dataclass(frozen=True)
class SecondRound:
    """What a second round records, by the cell that asked for it.

    Attributes:
        own: (cell, check) → ids of the jobs of its baseline and of itself; empty where there is none.
        further: cell → the cells that are run in its place.
    """

    own: Mapping[tuple[Cell, str], tuple[str, str]] = field(default_factory=dict)
    further: Mapping[Cell, tuple[Cell, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Captures:
    """Every capture of a run by the id of its job, each parsed once."""

    plan: Plan
    jobs: Mapping[str, Capture | Failure]
    second: SecondRound = SecondRound()

    def with_second(self, jobs: Mapping[str, Capture | Failure], second: SecondRound) -> Captures:
        """The same with what a second round recorded."""
        return replace(self, jobs={**self.jobs, **jobs}, second=second)

    def of(self, cell: Cell) -> Pair:
        """The evidence for a cell: of its baseline, and of the cell itself."""
        siblings = [
            sibling
            for sibling in self.plan.cells
            if (sibling.model, sibling.environment) == (cell.model, cell.environment) and sibling != cell
        ]
        places = dict.fromkeys((*siblings, *self.second.further.get(cell, ())))
        further = {place: self._pair(place) for place in places}
        baseline, candidate = self._pair(cell, asked_by=cell)
        if isinstance(candidate, Evidence):
            candidate = replace(candidate, further=further)
        return baseline, candidate

    def seconds(self, cell: Cell) -> float | None:
        """What the predictions of a cell took in the worker; None where there are none."""
        capture = self.jobs.get(cell.id)
        return capture.seconds if isinstance(capture, Capture) else None

    def _pair(self, cell: Cell, asked_by: Cell | None = None) -> Pair:
        baseline = self.plan.baseline_of(cell)
        return self._evidence(baseline, asked_by, 0), self._evidence(cell, asked_by, 1)

    def _evidence(self, cell: Cell, asked_by: Cell | None, side: int) -> Evidence | Failure:
        capture = self.jobs.get(cell.id, _MISSING)
        if isinstance(capture, Failure):
            return capture
        own = {
            job.removeprefix(f"{cell.id}/"): result
            for job, result in self.jobs.items()
            if job.startswith(f"{cell.id}/")
        }
        for (place, check), ids in self.second.own.items():
            if place == asked_by and ids[side]:
                own[check] = self.jobs.get(ids[side], _MISSING)
        reference = self.plan.float32_of(cell)
        float32 = self.jobs.get(reference.id, _MISSING) if reference else None
        return Evidence(cell, capture, own, float32)
