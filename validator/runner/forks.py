"""Runs jobs that bring a Keras of their own: one process imports the backend, and forks for each of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from validator.failure import Failure
from validator.runner.captures import Capture, EnvironmentFacts
from validator.runner.pool import Place
from validator.runner.request import Bounds, Job
from validator.runner.supervise import StoppedError, Supervisor, Workplace, out_of_budget

_END_SECONDS = 10.0
_POLL_SECONDS = 0.05


class _Lane:
    """One worker with a backend and no Keras. It does one job after the other."""

    def __init__(self, place: Place, python: Path, number: int, control: Forks) -> None:
        folder = place.folder / f"+worker-{number}"
        variables = dict(place.environment.variables)
        workplace = Workplace(python, folder, place.environment, place.pythonpath, variables)
        self._control = control
        self._began = math.inf
        self.results: dict[str, Capture | Failure] = {}
        self.seconds: dict[str, float] = {}
        self.supervisor = Supervisor(workplace, control.bounds, self, control.stop, patient=True)

    def run(self, job: Job) -> Capture | Failure:
        """Do one job."""
        self._began = math.inf
        self.supervisor.run(job)
        return self.results.pop(job.id)

    def started(self, job: Job) -> None:
        """A job begins."""
        self._began = time.monotonic()

    def overdue(self, job: Job) -> Failure | None:
        """Why it must not go on, where its time is over."""
        return out_of_budget(job) if time.monotonic() > self._began + self._control.job_seconds else None

    def crowded(self, _job: Job) -> Failure | None:
        """The lanes of a search share no memory beyond their own limits."""
        return None

    def again(self, _job: Job, _failure: Failure) -> bool:
        """What is lost is the answer."""
        return False

    def ended(self, job: Job, result: Capture | Failure) -> None:
        """It ended."""
        self.results[job.id] = result
        self.seconds[job.id] = max(0.0, time.monotonic() - self._began)


class Forks:
    """Workers with a backend and no Keras, which do jobs with overlays. A context manager.

    `job_seconds` is the limit of one job, and may change between two calls of `run`.
    """

    def __init__(self, place: Place, python: Path, bounds: Bounds, lanes: int = 1) -> None:
        """`python` is the interpreter of the place, which is not prepared again."""
        self.bounds = bounds
        self.stop = threading.Event()
        self.job_seconds = bounds.job_seconds
        self._lanes = [_Lane(place, python, number, self) for number in range(max(1, lanes))]
        self._errors: list[BaseException] = []

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for lane in self._lanes:
            lane.supervisor.end()

    @property
    def facts(self) -> EnvironmentFacts | None:
        """What the first worker saw; None before a job began."""
        return self._lanes[0].supervisor.facts

    def seconds(self, job: str) -> float:
        """What a job took that ended, without its waiting."""
        return max((lane.seconds.get(job, 0.0) for lane in self._lanes), default=0.0)

    @property
    def lanes(self) -> int:
        """How many jobs run at a time."""
        return len(self._lanes)

    def run(self, jobs: Sequence[Job]) -> list[Capture | Failure]:
        """Do some jobs, and give what each left, in their order.

        Raises:
            KeyboardInterrupt, Exception: of any thread; every worker is gone then.
        """
        queue = _Queue(jobs)
        lanes = self._lanes[: len(jobs)]
        threads = [threading.Thread(target=self._work, args=(lane, queue), daemon=True) for lane in lanes]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
            if self._errors:
                raise self._errors[0]
        except BaseException:
            self.stop.set()
            until = time.monotonic() + _END_SECONDS
            while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
            self.__exit__()
            raise
        return [queue.done[number] for number in range(len(jobs))]

    def _work(self, lane: _Lane, queue: _Queue) -> None:
        try:
            while not self.stop.is_set() and (taken := queue.take()) is not None:
                number, job = taken
                queue.done[number] = lane.run(job)
        except StoppedError:
            pass
        except BaseException as error:  # it is raised again in the thread that called `run`
            self._errors.append(error)
            self.stop.set()


class _Queue:
    """Jobs that lanes take one after the other, and what became of each."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting = list(enumerate(jobs))
        self._lock = threading.Lock()
        self.done: dict[int, Capture | Failure] = {}

    def take(self) -> tuple[int, Job] | None:
        """The next job and its number; None when all are taken."""
        with self._lock:
            return self._waiting.pop(0) if self._waiting else None
