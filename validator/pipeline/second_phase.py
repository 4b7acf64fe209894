"""Starts another worker in an environment that has been captured, where the judge wants to know more."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from validator.pipeline.capture import Run, bounds_of
from validator.results import Failure
from validator.runner import Job, Supervisor, Watcher, read_environment, write_request


class _OutOfTimeError(Exception):
    """Ends a supervisor, and its worker with it, between two jobs."""


def run_again(
    run: Run, environment: str, folder: Path, jobs: Sequence[Job], seconds: float | None = None
) -> bool:
    """Run jobs in an environment as it is installed. Each leaves a response in its own folder.

    Args:
        run: whose environment.
        environment: its name in the plan.
        folder: takes the request and the log; never that of the captures, whose own they would replace.
        jobs: what to run, the most wanted first.
        seconds: wall time of all of them; a job it does not reach leaves no response.

    Returns:
        Whether any ran: False where there is nothing to run, or Keras was never imported there.

    Raises:
        CannotJudgeError: what the first worker left cannot be read.
    """
    facts = read_environment(run.folder.captures(environment))
    if not jobs or facts is None or not facts.executable:
        return False
    for job in jobs:  # what an earlier judgement of the same run left
        for left in ("started", "predicted.json", "response.json"):
            Path(job.folder, left).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    place = run.project.plan.environment(environment)
    write_request(folder, place, jobs, [run.project.folder])
    bounds = bounds_of(run.project.settings.limits)
    if seconds is not None:
        bounds = replace(bounds, job_seconds=min(bounds.job_seconds, seconds))
    watcher = _until(None if seconds is None else time.monotonic() + seconds)
    with contextlib.suppress(_OutOfTimeError):
        Supervisor(Path(facts.executable), folder, dict(place.variables), bounds, watcher).run(jobs)
    return True


def _until(deadline: float | None) -> Watcher:
    def finished(job: str, failure: Failure | None) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise _OutOfTimeError

    return Watcher(lambda job: None, finished)
