"""Runs the jobs of one environment in as few worker processes as their deaths allow."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from validator.results import Failure
from validator.runner.captures import read_capture, read_environment
from validator.runner.process import WorkerProcess
from validator.runner.request import Job, write_json

_POLL_SECONDS = 0.05
_MEMORY_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Bounds:
    """Limits of a worker: seconds for the import, seconds of one job, bytes of resident memory."""

    start_seconds: float
    job_seconds: float
    memory: int


@dataclass(frozen=True)
class Watcher:
    """Whom to tell about progress: a job's id as it starts, and with its failure or None as it ends."""

    started: Callable[[str], None]
    finished: Callable[[str, Failure | None], None]


@dataclass(frozen=True)
class Supervisor:
    """Runs workers in one environment.

    Attributes:
        python: the environment's interpreter.
        folder: the environment's captures, with a written `request.json` in it.
        variables: variables of the worker besides the allowed ones of the caller.
        bounds: limits in seconds and bytes.
        watcher: told about each job as it starts and finishes.
    """

    python: Path
    folder: Path
    variables: Mapping[str, str]
    bounds: Bounds
    watcher: Watcher

    def run(self, jobs: Sequence[Job]) -> None:
        """Run every job of the request, and leave a `response.json` for each.

        A worker that dies, hangs or eats the machine's memory loses the job it was at; the next worker goes
        on with the rest. When it dies before any job starts, every job left is lost with it.

        Jobs that need variables of their own get a worker of their own, after all others.

        Raises:
            KeyboardInterrupt: passed on when the worker and its children are gone; finished jobs are kept.
        """
        # A worker does every job whose variables it has: those with fewer come first, or they would run in
        # a process that has more.
        for variables, alike in sorted(_by_variables(jobs).items(), key=lambda one: len(one[0])):
            with self._facts_kept(bool(variables)):
                self._run_alike(alike, dict(variables))
        shutil.rmtree(self.folder / "home", ignore_errors=True)

    @contextlib.contextmanager
    def _facts_kept(self, wanted: bool) -> Iterator[None]:
        """Keep `environment.json` what it is: a worker with further variables says something else there."""
        path = self.folder / "environment.json"
        before = path.read_bytes() if wanted and path.exists() else None
        try:
            yield
        finally:
            if before is not None:
                path.write_bytes(before)

    def _run_alike(self, jobs: Sequence[Job], variables: Mapping[str, str]) -> None:
        left = list(jobs)
        while left:
            death = self._one_worker(left, variables)
            left = [job for job in left if not _response(job).exists()]
            begun = [job for job in left if _started(job).exists()]
            lost = begun or left
            failure = death or (_vanished() if begun else self._silence())
            for job in lost:
                self._lose(job, failure)
            left = [job for job in left if job not in lost]

    def _one_worker(self, jobs: Sequence[Job], variables: Mapping[str, str]) -> Failure | None:
        """Start one worker and watch it until it ends. Returns why it did not end well, if so."""
        try:
            worker = WorkerProcess(self.python, self.folder, {**self.variables, **variables})
        except OSError as error:
            message = f"{self.python} cannot be started: {error.strerror or error}"
            return Failure(stage="crash", error=type(error).__name__, message=message)
        with worker:
            broken = self._watch(worker, jobs)
        death = broken or worker.crash()
        return death and death.model_copy(update={"log": worker.log_tail()})

    def _watch(self, worker: WorkerProcess, jobs: Sequence[Job]) -> Failure | None:
        """Wait for the worker's end, or for the first bound it breaks."""
        queue = list(jobs)
        since, running, looked = time.monotonic(), False, 0.0
        while True:
            ended = worker.ended()
            while queue:  # several short jobs may have passed since the last look
                if not running and _started(queue[0]).exists():
                    since, running = time.monotonic(), True
                    self.watcher.started(queue[0].id)
                if not running or not _response(queue[0]).exists():
                    break
                self._report(queue.pop(0))
                since, running = time.monotonic(), False
            if ended:
                return None
            now = time.monotonic()
            broken = self._overtime(now - since, running) if queue else None
            if broken is None and now - looked > _MEMORY_POLL_SECONDS:
                looked, broken = now, self._overweight(worker.resident())
            if broken:
                return broken
            time.sleep(_POLL_SECONDS)

    def _overtime(self, seconds: float, running: bool) -> Failure | None:
        if running and seconds > self.bounds.job_seconds:
            message = f"not finished after {self.bounds.job_seconds:g} s (limits.seconds)"
        elif not running and seconds > self.bounds.start_seconds:
            message = f"no job started within {self.bounds.start_seconds:g} s (limits.start_seconds)"
        else:
            return None
        return Failure(stage="timeout", error="TimeLimit", message=message)

    def _overweight(self, used: int) -> Failure | None:
        if used <= self.bounds.memory:
            return None
        message = (
            f"used {used / 2**30:.1f} GiB of memory, over the limit of "
            f"{self.bounds.memory / 2**30:.1f} GiB (limits.memory_gib)"
        )
        return Failure(stage="crash", error="MemoryLimit", message=message)

    def _silence(self) -> Failure:
        """Why a worker that ended well left jobs undone: Keras could not be imported, or it is our fault."""
        facts = read_environment(self.folder)
        if facts is not None and facts.failure is not None:
            return facts.failure.failure()
        return Failure(stage="crash", error="worker", message="the worker ended without running this job")

    def _lose(self, job: Job, failure: Failure) -> None:
        """Answer for a job whose worker is gone: with its predictions, where it had come to its tasks."""
        lost = {"stage": failure.stage, "error": failure.error, "message": failure.message}
        predicted = Path(job.folder, "predicted.json")
        if predicted.exists():
            answer = json.loads(predicted.read_bytes())
            answer["tasks"] = {name: {"failure": lost} for name in job.tasks}
            message = f"what runs beside the prediction was lost: {failure.error}: {failure.message}"
            answer["notes"].append({"kind": "tasks", "message": message})
            write_json(_response(job), answer)
            self._report(job)
            return
        write_json(_response(job), {"schema": 1, "id": job.id, "failure": {**lost, "traceback": failure.log}})
        self.watcher.finished(job.id, failure)

    def _report(self, job: Job) -> None:
        capture = read_capture(Path(job.folder))
        failure = capture.failure.failure() if capture and capture.failure else None
        self.watcher.finished(job.id, failure)


def _by_variables(jobs: Sequence[Job]) -> dict[tuple[tuple[str, str], ...], list[Job]]:
    found: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        found.setdefault(tuple(sorted(job.variables.items())), []).append(job)
    return found


def _vanished() -> Failure:
    message = "the worker ended with exit code 0 without finishing this job, as after os._exit(0)"
    return Failure(stage="crash", error="exit 0", message=message)


def default_memory() -> int:
    """90 % of the machine's memory, in bytes."""
    return int(psutil.virtual_memory().total * 0.9)


def _started(job: Job) -> Path:
    return Path(job.folder, "started")


def _response(job: Job) -> Path:
    return Path(job.folder, "response.json")
