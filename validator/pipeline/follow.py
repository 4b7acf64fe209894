"""Follows a run through its files while Nox works, and shows how far each cell is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from validator.matrix import Cell
from validator.pipeline.capture import Run, Status
from validator.report.terminal import Progress
from validator.runner import read_capture

_POLL_SECONDS = 0.1


def follow(run: Run, ended: Callable[[], bool], *, quiet: bool) -> None:
    """Show progress until `ended`; on stderr, so that stdout stays the report's."""
    plan = run.project.plan
    console = Console(stderr=True, quiet=quiet)
    with Progress(console, len(plan.cells)) as progress:
        watched = _Watched(run, progress, list(plan.cells))
        while not ended():
            watched.look()
            time.sleep(_POLL_SECONDS)
        watched.look()


@dataclass
class _Watched:
    run: Run
    progress: Progress
    left: list[Cell]
    started: dict[str, float] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Tell what changed since the last look."""
        for environment in self.run.project.plan.environments:
            state = self._state(environment.name)
            if state and self.states.get(environment.name) != state:
                self.states[environment.name] = state
                self.progress.environment(environment.name, state)
        for cell in list(self.left):
            folder = self.run.folder.capture(cell)
            if cell.id not in self.started and (folder / "started").exists():
                self.started[cell.id] = time.monotonic()
                self.progress.cell_started(cell.id)
            if (folder / "response.json").exists() and self.states.get(cell.environment):
                capture = read_capture(folder)
                state = capture.failure.stage if capture and capture.failure else "done"
                began = self.started.get(cell.id, time.monotonic())
                self.progress.cell_finished(cell.id, state, time.monotonic() - began)
                self.left.remove(cell)

    def _state(self, environment: str) -> str:
        folder = self.run.folder.captures(environment)
        status = read_status(self.run, environment)
        if status is not None:
            return "failed" if status.failure else "done"
        if self.states.get(environment) == "running" or (folder / "request.json").exists():
            return "running"
        return "installing" if folder.exists() else ""


def read_status(run: Run, environment: str) -> Status | None:
    """The status an environment's capture session left in this run; None where it has not ended in it."""
    path = run.folder.status(environment)
    try:
        status = Status.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return status if status.run == run.id else None
