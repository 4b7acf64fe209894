"""Runs jobs in one environment over a live worker, whatever they do to it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from validator.documents import read_json, read_model
from validator.failure import Failure
from validator.matrix import Environment
from validator.runner.captures import (
    Capture,
    EnvironmentFacts,
    Note,
    Response,
    WorkerFailure,
    read_capture,
    read_environment,
)
from validator.runner.process import WorkerProcess, death, resident
from validator.runner.request import Bounds, Job, write_json, write_request
from validator.runner.seals import sealed

_POLL_SECONDS = 0.02
_MEMORY_POLL_SECONDS = 0.25
_MOST_OF_DISK = 0.9  # of what is free as a job begins
_KILL_SECONDS = 10.0  # after which a worker that does not report the end of a killed job is killed too


class StoppedError(Exception):
    """Another thread ended the run."""


class Listener(Protocol):
    """Follows the jobs of a supervisor."""

    def started(self, job: Job) -> None:
        """A job begins."""

    def overdue(self, job: Job) -> Failure | None:
        """Why a job must not go on, where its time is over."""

    def crowded(self, job: Job) -> Failure | None:
        """Why a job must end, where those that run beside each other need more memory than there is."""

    def again(self, job: Job, failure: Failure) -> bool:
        """Whether a lost job runs once more, which the listener sees to. It leaves no result then."""

    def ended(self, job: Job, result: Capture | Failure) -> None:
        """A job ended."""


@dataclass(frozen=True)
class Workplace:
    """What a worker is started with: interpreter, folder, environment, user paths, all its variables."""

    python: Path
    folder: Path
    environment: Environment
    pythonpath: tuple[Path, ...]
    variables: Mapping[str, str]


@dataclass
class _Attempt:
    """A job that the worker was asked for. `failure` is set as it breaks a limit.

    `pid` is None before it began, and where what it left of its process cannot be read.
    """

    job: Job
    began: bool = False
    pid: int | None = None
    since: float = field(default_factory=time.monotonic)
    measured: float = 0.0
    failure: Failure | None = None


class Supervisor:
    """Runs jobs over one worker, which stays until `end`.

    `starts` counts worker processes; `facts` is what they see. `failure`: why this environment runs none (no
    worker came to import Keras).
    """

    def __init__(
        self,
        place: Workplace,
        bounds: Bounds,
        listener: Listener,
        stop: threading.Event,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: a worker that does not come to import Keras costs its job alone."""
        self._place = place
        self._bounds = bounds
        self._listener = listener
        self._stop = stop
        self._patient = patient
        self._worker: WorkerProcess | None = None
        self._is_new = True  # no job of this worker has ended yet
        self._requests = 0
        self._fruitless = 0  # starts in a row that came to no job
        self._room = 0  # bytes that were free on the disk as the last job began
        self.starts = 0
        self.facts: EnvironmentFacts | None = None
        self.failure: Failure | None = None

    def run(self, job: Job) -> None:
        """Run a job, and leave a `response.json` for it.

        A job that dies, hangs or exceeds the memory limit costs itself. When the worker itself ends, the next
        job gets another; when the first ends before it imported Keras, no job runs here any more.
        Results are sealed when this returns: no later job can write to them before.
        `StoppedError` means that the run was ended from outside.
        """
        while True:
            refusal = self.failure or self._listener.overdue(job)
            if refusal is not None:
                self._lose(job, refusal)
                return
            try:
                worker = self._living()
            except OSError as error:
                message = f"{self._place.python} cannot be started: {error.strerror or error}"
                failure = Failure(stage="crash", error=type(error).__name__, message=message)
                self._give_up(failure)
                self._lose(job, failure)
                return
            attempt = _Attempt(job)
            self._ask(worker, job)
            if self._follow(worker, attempt) or self._bury(worker, attempt):
                return

    def end(self) -> None:
        """Kill the worker and everything it started."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _living(self) -> WorkerProcess:
        if self._worker is not None and self._worker.ended():  # it died while it had nothing to do
            self.end()
        if self._worker is None:
            self._place.folder.mkdir(parents=True, exist_ok=True)
            remove(self._place.folder / "environment.json")
            place = self._place
            self._worker = WorkerProcess(place.python, place.folder, place.variables, self._bounds.sandbox)
            self._is_new = True
            self.starts += 1
        return self._worker

    def _ask(self, worker: WorkerProcess, job: Job) -> None:
        self._requests += 1
        name = "request.json" if self._requests == 1 else f"request-{self._requests}.json"
        path = self._place.folder / name
        write_request(path, self._place.environment, [job], self._place.pythonpath, self._bounds)
        worker.send(path)

    def _follow(self, worker: WorkerProcess, attempt: _Attempt) -> bool:
        """Whether the job ended; it did not where the worker died, or must die."""
        while True:
            if self._stop.is_set():
                raise StoppedError
            is_dead = worker.ended()  # asked first: all that a dead worker wrote is in the files below
            self._see_begin(attempt)
            if attempt.job.file("ended").exists():
                self._settle(worker, attempt.job, attempt.failure)
                self._is_new = False
                return True
            if is_dead or self._must_die(worker, attempt):
                return False
            time.sleep(_POLL_SECONDS)

    def _must_die(self, worker: WorkerProcess, attempt: _Attempt) -> bool:
        """Kill a job that breaks a limit; whether that takes the whole worker."""
        if attempt.failure is None:
            attempt.failure = self._violation(attempt)
            if attempt.failure is None:
                return False
            attempt.since = time.monotonic()
            if attempt.pid is None or attempt.failure.stage == "unreached":
                return True  # the time of the run is over: the worker must not begin the next job
            worker.kill_job(attempt.pid)
        return time.monotonic() - attempt.since > _KILL_SECONDS

    def _see_begin(self, attempt: _Attempt) -> None:
        if not attempt.began and attempt.job.file("started").exists():
            self._fruitless = 0
            attempt.began, attempt.pid = True, _number(attempt.job, "started", "pid")
            attempt.since, self._room = time.monotonic(), _free(self._place.folder)
            self.facts = self.facts or read_environment(self._place.folder)
            self._listener.started(attempt.job)

    def _violation(self, attempt: _Attempt) -> Failure | None:
        """The first limit that a job breaks, if any."""
        now = time.monotonic()
        seconds = now - attempt.since
        overdue = self._listener.overdue(attempt.job)
        if overdue is not None:
            return overdue
        if not attempt.began:
            if seconds <= self._bounds.start_seconds:
                return None
            return _timeout(f"no job started within {self._bounds.start_seconds:g} s (limits.start_seconds)")
        if seconds > self._bounds.job_seconds:
            return _timeout(f"not finished after {self._bounds.job_seconds:g} s (limits.seconds)")
        if attempt.pid is None or now - attempt.measured < _MEMORY_POLL_SECONDS:
            return None
        attempt.measured = now
        excess = _excess(resident(attempt.pid), self._bounds.memory)
        return excess or self._listener.crowded(attempt.job) or _fill(self._room, _free(self._place.folder))

    def _bury(self, worker: WorkerProcess, attempt: _Attempt) -> bool:
        """Account for what an ended worker, or one that must end, leaves behind; whether the job is lost.

        One that did not begin is asked for again, of a new worker: each takes a job with it, or ends well.
        """
        job, broken = attempt.job, attempt.failure or worker.crash()
        self.end()
        if attempt.began or job.file("started").exists():
            self._settle(worker, job, broken or death(0))
            return True
        if not self._is_new:
            return False
        facts = read_environment(self._place.folder)
        failure = broken.model_copy(update={"log": worker.log.tail()}) if broken else _silence(facts)
        if facts is not None and facts.failure is not None:
            self.failure = failure
        elif facts is None and self._listener.overdue(job) is None:
            self._give_up(failure)
        self._lose(job, failure)
        return True

    def _give_up(self, failure: Failure) -> None:
        """Let no worker try again where none was seen to run, or two in a row did not come to a job."""
        self._fruitless += 1
        if not self._patient and (self.facts is None or self._fruitless > 1):
            self.failure = failure

    def _settle(self, worker: WorkerProcess, job: Job, failure: Failure | None) -> None:
        """Read what an ended job left; one without a response is lost, for the reason given or its own."""
        if job.file("response.json").exists():
            self._hand_over(job, read_capture(Path(job.folder), job.id))
            return
        self._lose(job, failure or _end(job), worker.log.tail())

    def _lose(self, job: Job, failure: Failure, log: str = "") -> None:
        if self._listener.again(job, failure):
            return
        self._hand_over(job, lose(job, failure.model_copy(update={"log": log or failure.log})))

    def _hand_over(self, job: Job, result: Capture | Failure) -> None:
        self._listener.ended(job, result if isinstance(result, Failure) else sealed(result, self._room))


def _silence(facts: EnvironmentFacts | None) -> Failure:
    """Why a worker that ended well began no job: Keras could not be imported, or it is our fault."""
    if facts is not None and facts.failure is not None:
        return facts.failure.failure()
    return Failure(stage="crash", error="worker", message="the worker ended without running this job")


def lose(job: Job, failure: Failure) -> Capture | Failure:
    """Answer for a job that will not: with its predictions, where it had come to its tasks."""
    lost = WorkerFailure(stage=failure.stage, error=failure.error, message=failure.message, hint=failure.hint)
    try:
        predicted = read_model(job.file("predicted.json"), Response)
    except (OSError, ValueError):  # none, or half of one
        answer = Response(id=job.id, schema=1, failure=lost.model_copy(update={"traceback": failure.log}))
    else:
        message = f"what runs beside the prediction was lost: {failure.error}: {failure.message}"
        tasks = {name: {"failure": lost.model_dump(mode="json")} for name in job.tasks}
        notes = (*predicted.notes, Note(kind="tasks", message=message))
        answer = predicted.model_copy(update={"tasks": tasks, "notes": notes})
    with contextlib.suppress(OSError):  # a full disk, or no folder: the run knows without the file
        write_json(job.file("response.json"), answer.model_dump(mode="json", by_alias=True))
    return answer.failure.failure() if answer.failure else Capture(Path(job.folder), answer)


def _number(job: Job, name: str, key: str) -> int | None:
    """A number in a file that the worker wrote into the job's folder; None where the job spoilt it."""
    with contextlib.suppress(OSError, ValueError):
        value = read_json(job.file(name))
        number = value.get(key) if isinstance(value, dict) else None
        return number if isinstance(number, int) and abs(number) < 1 << 31 else None
    return None


def _end(job: Job) -> Failure:
    """How the process of a job without a response ended."""
    status, number = _number(job, "ended", "exit"), _number(job, "ended", "signal")
    if status is None and number is None:
        message = f"the job spoilt its folder {job.folder}: how it ended cannot be read"
        return Failure(stage="crash", error="worker", message=message)
    return death(-number if number else status or 0)


def remove(path: Path) -> None:
    """Remove what lies at a path, if anything does: a file, or a folder in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def out_of_budget(job: Job) -> Failure:
    """A job that the time limit of its budget ended, or that it never reached."""
    message = f"the time limit shared by the jobs of {job.budget!r} is over"
    return Failure(stage="timeout", error="TimeBudget", message=message)


def _excess(used: int, most: int) -> Failure | None:
    if used <= most:
        return None
    numbers = f"{used / 2**30:.1f} GiB of memory, over the limit of {most / 2**30:.1f} GiB"
    return Failure(stage="crash", error="MemoryLimit", message=f"used {numbers} (limits.memory_gib)")


def _free(folder: Path) -> int:
    """Bytes that are free on the disk of a folder."""
    return shutil.disk_usage(folder).free


def _fill(room: int, free: int) -> Failure | None:
    taken = room - free
    if taken <= _MOST_OF_DISK * room:
        return None
    numbers = f"{taken / 2**30:.1f} GiB of the disk, which had {room / 2**30:.1f} GiB left"
    return Failure(stage="crash", error="DiskLimit", message=f"took {numbers}")


def _timeout(message: str) -> Failure:
    return Failure(stage="timeout", error="TimeLimit", message=message)
