"""The environments of a run beside each other, each with its worker, for as many rounds as the run has."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from validator.failure import Failure
from validator.matrix import Environment
from validator.runner.captures import WORKER_FOLDER, Capture, EnvironmentFacts
from validator.runner.crowd import Crowd
from validator.runner.request import Bounds, Job
from validator.runner.supervise import (
    StoppedError,
    Supervisor,
    Workplace,
    lose,
    out_of_budget,
    remove,
)
from validator.runner.turns import ComputingTurns

EnvironmentState = Literal["installing", "running", "done", "failed"]
_LEFT_BEHIND = ("started", "ended", "predicted.json", "response.json")
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02
Result = Capture | Failure


@dataclass(frozen=True)
class Watcher:
    """Whom to tell about progress, from any thread: environments by name, jobs by id, a line of a search.

    `planned`: the name of a round, and its jobs, before the first of them starts. `noted`: any line, once.
    """

    environment: Callable[[str, EnvironmentState], None] = lambda _name, _state: None
    started: Callable[[str], None] = lambda _job: None
    finished: Callable[[str, Failure | None], None] = lambda _job, _failure: None
    learnt: Callable[[str], None] = lambda _line: None
    planned: Callable[[str, Sequence[Job]], None] = lambda _round, _jobs: None
    noted: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True)
class Place:
    """One environment of a run, its folder, and the paths of the user's modules.

    `prepare` builds the environment and gives its interpreter; called once, in the place's own thread.
    """

    environment: Environment
    folder: Path
    pythonpath: tuple[Path, ...]
    prepare: Callable[[], Path | Failure]


@dataclass(frozen=True)
class RunLimit:
    """The time limit of a whole run in seconds, and when it ends on the clock `time.monotonic`."""

    seconds: float = math.inf
    ends: float = math.inf

    @classmethod
    def of(cls, seconds: float | None) -> RunLimit:
        """A limit that begins now; None for none."""
        return cls() if seconds is None else cls(seconds, time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    def failure(self) -> Failure:
        """What became of a job that the limit did not let begin or end."""
        message = f"the time limit of this run is over (limits.total_seconds: {self.seconds:g})"
        return Failure(stage="unreached", error="", message=message)


_Variables = tuple[tuple[str, str], ...]


@dataclass
class _Site:
    """What became of a place so far; `python` is None before it is installed; `began`: that it is being so.

    `supervisors`: variables of jobs → who runs them. The worker of jobs without any stays between rounds.
    `jobs`, `computed`: how many have run, and their seconds together.
    """

    place: Place
    began: bool = False
    python: Path | Failure | None = None
    supervisors: dict[_Variables, Supervisor] = field(default_factory=dict)
    seconds: float = 0.0
    jobs: int = 0
    computed: float = 0.0

    def seconds_left(self, jobs: int) -> float:
        """What so many jobs will take if they are like those before. The first one comes before any other."""
        return jobs * self.computed / self.jobs if self.jobs else math.inf

    @property
    def failure(self) -> Failure | None:
        """Why nothing runs in this environment."""
        if isinstance(self.python, Failure):
            return self.python
        return self.supervisors[()].failure if () in self.supervisors else None


class Pool:
    """Runs jobs in several environments. A context manager: when it is left, every worker is gone."""

    def __init__(
        self,
        places: Sequence[Place],
        bounds: Bounds,
        watcher: Watcher,
        jobs: int,
        limit: RunLimit = RunLimit(),
    ) -> None:
        """`jobs` is how many workers compute at a time; `limit` is that of all rounds together."""
        self._sites = {place.environment.name: _Site(place) for place in places}
        self._bounds = bounds
        self._limit = limit
        self._watcher = watcher
        self._turns = ComputingTurns(max(1, jobs))
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._results: dict[str, Result] = {}
        self._ended: Callable[[Job, Result], None] = lambda _job, _result: None
        self._budgets: Mapping[str, float] = {}
        self._budget_ends: dict[str, float] = {}
        self._errors: list[BaseException] = []
        self._crowd = Crowd(bounds.share_left)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for site in self._sites.values():
            for supervisor in site.supervisors.values():
                supervisor.end()

    def pythons(self) -> dict[str, Path]:
        """Environments that are installed, and their interpreters."""
        return {name: site.python for name, site in self._sites.items() if isinstance(site.python, Path)}

    @property
    def starts(self) -> dict[str, int]:
        """Environment → worker processes started in it so far, without those for jobs with own variables."""
        lasting = {name: site.supervisors.get(()) for name, site in self._sites.items()}
        return {name: supervisor.starts for name, supervisor in lasting.items() if supervisor}

    def facts(self) -> dict[str, EnvironmentFacts]:
        """Environments in which a job began, and what their workers see."""
        lasting = {name: site.supervisors.get(()) for name, site in self._sites.items()}
        return {name: each.facts for name, each in lasting.items() if each is not None and each.facts}

    def failures(self) -> dict[str, Failure]:
        """Environments in which nothing runs, and why: not installed, or Keras not imported."""
        return {name: site.failure for name, site in self._sites.items() if site.failure is not None}

    def seconds(self) -> dict[str, float]:
        """Wall time of each environment so far: installation, jobs, and waiting for its turn."""
        return {name: round(site.seconds, 3) for name, site in self._sites.items()}

    def run(
        self,
        jobs: Sequence[Job],
        budgets: Mapping[str, float] = MappingProxyType({}),
        ended: Callable[[Job, Result], None] = lambda _job, _result: None,
    ) -> dict[str, Result]:
        """Run jobs, in their order within each environment, those with variables of their own last.

        A job that waits for others lets those behind it go first.

        A budget is wall seconds of all its jobs together, from the start of the first. Whatever is left in
        the folder of a job by an earlier run is replaced. `ended` is called as each job ends, in its
        environment's thread.

        Returns:
            Job id → what `read_capture` gives, or why the job was lost.

        Raises:
            ValueError: a job is for no environment of the pool, needs an unknown job, or waits for itself.
            KeyboardInterrupt, Exception: of any thread; every worker is gone then.
        """
        queues = {
            name: deque(sorted((job for job in jobs if job.environment == name), key=_variables))
            for name in self._sites
        }
        self._check(jobs, queues)
        for job in jobs:
            self._results.pop(job.id, None)
            _clear(job)
        self._budgets, self._budget_ends, self._ended = budgets, {}, ended
        threads = [
            threading.Thread(target=self._guarded, args=(self._sites[name], queue), daemon=True)
            for name, queue in queues.items()
            if queue
        ]
        self._run_threads(threads)
        return {job.id: self._results[job.id] for job in jobs}

    def _run_threads(self, threads: Sequence[threading.Thread]) -> None:
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if self._errors:
                raise self._errors[0]
        except BaseException:
            self._stop_all()
            until = time.monotonic() + _END_SECONDS
            while self._is_supervising(threads) and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
            self.__exit__()
            raise

    def _is_supervising(self, threads: Sequence[threading.Thread]) -> bool:
        """Whether a thread other than those that install still runs: an installation ends with the tool."""
        installing = sum(site.python is None and site.began for site in self._sites.values())
        return sum(thread.is_alive() for thread in threads) > installing

    def _check(self, jobs: Sequence[Job], queues: Mapping[str, deque[Job]]) -> None:
        """Play the run through: every job must come up, after those that it needs."""
        lost = [job.id for job in jobs if job.environment not in queues]
        if lost:
            raise ValueError(f"jobs for environments that this pool does not have: {', '.join(lost)}")
        done = set(self._results) - {job.id for job in jobs}
        left = [queue.copy() for queue in queues.values() if queue]
        while left:
            ready = [(queue, number) for queue in left if (number := _due(queue, done)) is not None]
            if not ready:
                names = ", ".join(job.id for queue in left for job in queue)
                raise ValueError(f"jobs that need unknown ones, or wait for each other: {names}")
            for queue, number in ready:
                done.add(queue[number].id)
                del queue[number]
            left = [queue for queue in left if queue]

    def _guarded(self, site: _Site, queue: deque[Job]) -> None:
        began = time.monotonic()
        try:
            self._work(site, queue)
        except StoppedError:
            pass
        except BaseException as error:  # it is raised again in the thread that called `run`
            self._errors.append(error)
            self._stop_all()
        finally:
            site.seconds += time.monotonic() - began

    def _stop_all(self) -> None:
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def _work(self, site: _Site, queue: deque[Job]) -> None:
        """All jobs of one environment."""
        name = site.place.environment.name
        if site.python is None:
            self._watcher.environment(name, "installing")
            site.began = True
            site.python = self._limit.failure() if self._limit.left() <= 0 else site.place.prepare()
            if isinstance(site.python, Failure) and self._limit.left() <= 0:
                site.python = self._limit.failure()
        if isinstance(site.python, Path):
            self._watcher.environment(name, "running")
            self._by_turns(site, site.python, queue)
        else:
            for job in queue:
                self.ended(job, lose(job, site.python))
        for variables, supervisor in site.supervisors.items():
            if variables:
                supervisor.end()
        self._watcher.environment(name, "done" if site.failure is None else "failed")

    def _by_turns(self, site: _Site, python: Path, queue: deque[Job]) -> None:
        """Run jobs, each when it can start and it is this environment's turn."""
        has_turn = False
        try:
            while queue:
                if has_turn and not self._goes_on(site, queue):
                    self._turns.give()
                    has_turn = False
                job = self._next(queue)
                supervisor = self._supervisor(site, python, job)
                if not has_turn:
                    self._turns.take(site.seconds_left(len(queue) + 1))
                    has_turn = True
                began = time.monotonic()
                self._compute(supervisor, job)
                if self._crowd.takes_back(job.id):
                    _clear(job)
                    queue.appendleft(job)
                    self._turns.give()
                    has_turn = False
                    continue
                site.jobs, site.computed = site.jobs + 1, site.computed + time.monotonic() - began
        finally:
            if has_turn:
                self._turns.give()

    def _next(self, queue: deque[Job]) -> Job:
        """Wait until the next job can start, and take it."""
        with self._changed:
            ended = self._results.keys()
            self._changed.wait_for(lambda: self._stop.is_set() or _due(queue, ended) is not None)
            number = _due(queue, ended)
            if self._stop.is_set() or number is None:
                raise StoppedError
            job = queue[number]
            del queue[number]
            return job

    def _goes_on(self, site: _Site, queue: deque[Job]) -> bool:
        """Whether an environment keeps its turn: its next job can start, and no other has more left to do."""
        with self._changed:
            can_start = _due(queue, self._results.keys()) is not None
        return can_start and self._turns.keeps(site.seconds_left(len(queue)))

    def _supervisor(self, site: _Site, python: Path, job: Job) -> Supervisor:
        variables, place = _variables(job), site.place
        if variables not in site.supervisors:
            # A worker with further variables writes another environment.json, so it has a folder of its own.
            folder = place.folder / (f"+variables-{len(site.supervisors)}" if variables else WORKER_FOLDER)
            known = {**dict(place.environment.variables), **job.variables}
            workplace = Workplace(python, folder, place.environment, place.pythonpath, known)
            site.supervisors[variables] = Supervisor(workplace, self._bounds, self, self._stop)
        return site.supervisors[variables]

    def _compute(self, supervisor: Supervisor, job: Job) -> None:
        """Run a job if it can run."""
        if self._stop.is_set():
            raise StoppedError
        refusal = self._refusal(job)
        if refusal is not None:
            self.ended(job, lose(job, refusal))
            return
        with self._crowd.among(job.id):
            supervisor.run(job)

    def _refusal(self, job: Job) -> Failure | None:
        """Why a job that is due cannot start."""
        for needed in job.needs:
            result = self._results[needed]
            if isinstance(result, Failure):
                message = f"it needs {needed}, which failed: {result.error}: {result.message}"
                return Failure(stage=result.stage, error="NeededJob", message=message)
        return self.overdue(job)

    def started(self, job: Job) -> None:
        """A job begins, and with it perhaps its budget."""
        if job.budget in self._budgets:
            self._budget_ends.setdefault(job.budget, time.monotonic() + self._budgets[job.budget])
        self._watcher.started(job.id)

    def overdue(self, job: Job) -> Failure | None:
        """Why a job must not go on or begin: the time of the run, or that of its budget, is over."""
        if self._limit.left() <= 0:
            return self._limit.failure()
        ends = self._budget_ends.get(job.budget, math.inf)
        return out_of_budget(job) if time.monotonic() > ends else None

    def crowded(self, job: Job) -> Failure | None:
        """Why a job must end early: memory does not hold all that run beside each other."""
        return self._crowd.excess(job.id)

    def again(self, job: Job, failure: Failure) -> bool:
        """A job that memory ended beside another runs once more; from here on one computes at a time."""
        repeats = self._crowd.repeats(job.id, failure)
        if repeats and self._turns.narrow():
            self._watcher.noted("models beside each other took all memory: from here on, one runs at a time")
        return repeats

    def ended(self, job: Job, result: Result) -> None:
        """A job ended. Those that need it may be due now."""
        self._ended(job, result)
        with self._changed:
            self._results[job.id] = result
            self._changed.notify_all()
        self._watcher.finished(job.id, result if isinstance(result, Failure) else None)


def _clear(job: Job) -> None:
    """Remove what an earlier run of a job says of it."""
    for name in _LEFT_BEHIND:
        remove(job.file(name))


def _variables(job: Job) -> _Variables:
    return tuple(sorted(job.variables.items()))


def _due(queue: deque[Job], ended: AbstractSet[str]) -> int | None:
    """The place of the first job that can start: every job that it needs has ended.

    None with a budget goes before one without that waits: its time runs on, and that of the run does not.
    """
    waits = False
    for number, job in enumerate(queue):
        if set(job.needs) <= ended and not (job.budget and waits):
            return number
        waits |= not job.budget
    return None
