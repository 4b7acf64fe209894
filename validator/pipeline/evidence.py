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
class Asked:
    """What later rounds record, by the cell that asked for it.

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
    asked: Asked = Asked()

    def with_round(self, jobs: Mapping[str, Capture | Failure], asked: Asked) -> Captures:
        """The same with what a further round recorded."""
        own, further = {**self.asked.own, **asked.own}, {**self.asked.further, **asked.further}
        return replace(self, jobs={**self.jobs, **jobs}, asked=Asked(own, further))

    def of(self, cell: Cell) -> Pair:
        """The evidence for a cell: of its baseline, and of the cell itself."""
        siblings = [
            sibling
            for sibling in self.plan.cells
            if (sibling.model, sibling.environment) == (cell.model, cell.environment) and sibling != cell
        ]
        places = dict.fromkeys((*siblings, *self.asked.further.get(cell, ())))
        further = {place: self._pair(place) for place in places}
        baseline, candidate = self._pair(cell, asked_by=cell)
        if isinstance(candidate, Evidence):
            candidate = replace(candidate, further=further)
        return baseline, candidate

    def failure(self, cell: Cell) -> Failure | None:
        """Why a cell has no predictions; None where it has some."""
        capture = self.jobs.get(cell.id, _MISSING)
        return capture if isinstance(capture, Failure) else None

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
        for (place, check), ids in self.asked.own.items():
            if place == asked_by and ids[side]:
                own[check] = self.jobs.get(ids[side], _MISSING)
        return Evidence(cell, capture, own)
