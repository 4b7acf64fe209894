"""What goes on while a run lasts: a live view on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from validator.failure import Failure
from validator.report.figures import seconds
from validator.report.phrases import plural
from validator.report.terminal import encoded
from validator.runner import Job
from validator.text import plain

#: Between two plain lines: at least so long, and at most while nothing changes.
PAUSE, SILENCE = 30.0, 60.0
_TICK = 0.5
#: The rounds of a run.
_ROUNDS = {"predict": "predicting", "measure": "measuring", "explain": "explaining"}
#: Jobs that must have ended before their mean stands for one that never ran, and how unlike they may be.
_ENOUGH, _ALIKE = 3, 4.0
#: Times its estimate from which on a job, and with it the estimate, was misjudged.
_OVERDUE = 2.0


@dataclass
class _Lane:
    """One environment: its state, the job that it does, when either began, and how many jobs it has done."""

    state: str = ""
    job: str = ""
    since: float = 0.0
    done: int = 0

    def work(self) -> str:
        """What it does now; empty where it waits or is done."""
        return self.job or (self.state if self.state not in ("running", "done", "failed") else "")


@dataclass
class Schedule:
    """The jobs of a round, how long those took that ended, and how long the others may take.

    `workers` compute at a time. All times are on one clock, in seconds.
    """

    workers: int = 1
    round: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)
    _known: dict[str, list[float]] = field(default_factory=dict)

    def plan(self, name: str, jobs: Iterable[Job]) -> None:
        """A round begins. What was measured of a job's kind in another environment stays."""
        self.round, self.jobs, self._ended = name, {job.id: job for job in jobs}, {}

    def ended(self, job: str, took: float) -> None:
        """A job ended."""
        if job in self.jobs:
            self._ended[job] = took
            self._known.setdefault(_kind(self.jobs[job]), []).append(took)

    def count(self, environment: str) -> tuple[int, int]:
        """How many jobs of an environment ended in this round, and how many it has."""
        own = [job.id for job in self.jobs.values() if job.environment == environment]
        return sum(job in self._ended for job in own), len(own)

    def remaining(self, running: dict[str, float]) -> float | None:
        """Seconds until the round ends; None where too little is known.

        Args:
            running: id of a job → for how long it has run.
        """
        lanes: dict[str, float] = {}
        for job in self.jobs.values():
            if job.id in self._ended:
                continue
            estimate, spent = self._estimate(job), running.get(job.id, 0.0)
            if estimate is None or spent > _OVERDUE * max(estimate, 1.0):
                return None
            lanes[job.environment] = lanes.get(job.environment, 0.0) + max(0.0, estimate - spent)
        if not lanes:
            return None
        return max(*lanes.values(), sum(lanes.values()) / self.workers)

    def _estimate(self, job: Job) -> float | None:
        """What a job may take: as elsewhere, or as the others of its round where those are alike."""
        if job.budget:  # its end is a limit of time that several jobs share
            return None
        measured = self._known.get(_kind(job))
        if measured:
            return median(measured)
        times = list(self._ended.values())
        alike = len(times) >= _ENOUGH and max(times) <= _ALIKE * max(min(times), 0.1)
        return sum(times) / len(times) if alike else None


def _kind(job: Job) -> str:
    """What a job is in any environment: model, variant and check."""
    return job.id.replace(f"@{job.environment}", "", 1)


class Progress:
    """What is going on. Use it as a context manager around the run; events may come from any thread.

    On a terminal (`live`) a view that is redrawn, with a line above it for each job that ended. Elsewhere a
    line at most every 30 s, and at least every 60 s. The remaining time is that of a round: the later rounds
    depend on what it finds.
    """

    def __init__(
        self,
        console: Console,
        cells: frozenset[str],
        *,
        live: bool,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cells`: the ids that count; a run does other jobs too. `workers`: how many compute at a time."""
        self._console, self._cells, self._clock = console, cells, clock
        self._schedule = Schedule(workers)
        self._lanes: dict[str, _Lane] = {}
        self._running: dict[str, float] = {}
        self._finished: dict[str, bool] = {}  # cell → whether it failed
        self._search = ""
        self._lock = threading.RLock()
        self._printed = -math.inf
        self._state: tuple[str, ...] = ()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._live: Live | None = None
        if live:
            self._live = Live(
                console=console, get_renderable=self._view, refresh_per_second=4, transient=True
            )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        elif not self._console.quiet:
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()
        elif self._ticker.is_alive():
            self._ticker.join()

    def planned(self, name: str, jobs: Iterable[Job]) -> None:
        """A round begins."""
        with self._lock:
            self._schedule.plan(name, jobs)

    def environment(self, name: str, state: str) -> None:
        """An environment is `installing`, `running`, `done` or `failed`."""
        with self._lock:
            self._lanes[name] = _Lane(state, since=self._clock())
        if state == "failed":
            self._above(f"{plain(name, 80)}: failed")

    def job_started(self, job: str) -> None:
        """A job runs."""
        with self._lock:
            self._running[job] = self._clock()
            if (lane := self._lane(job)) is not None:
                lane.job, lane.since = job, self._running[job]

    def job_finished(self, job: str, failure: Failure | None) -> None:
        """A job is done, or failed at a stage."""
        with self._lock:
            took = self._clock() - self._running.pop(job, self._clock())
            if failure is None:
                self._schedule.ended(job, took)
            if (lane := self._lane(job)) is not None:
                lane.job, lane.since = "", self._clock()
            if job in self._cells:
                self._finished[job] = failure is not None
            total = len(self._cells)
            count = f"[{len(self._finished):>{len(str(total))}}/{total}]" if job in self._cells else ""
        state = failure.stage if failure else "done"
        self._above(f"{count:{2 * len(str(total)) + 3}} {plain(job, 160)}  {state}  {seconds(took)}")

    def learnt(self, line: str) -> None:
        """A search goes on."""
        with self._lock:
            self._search = plain(line, 200)
        self._above(self._search)

    def noted(self, line: str) -> None:
        """Something that happens once, whatever the run does."""
        self._print(plain(line, 200))

    def print_due(self) -> None:
        """Print a line, unless the last is too fresh, or says the same and is not old."""
        with self._lock:
            now, line = self._clock(), self._line()
            state = (line, *(lane.work() for lane in self._lanes.values()))
            waited = now - self._printed
            if not line or waited < PAUSE or (waited < SILENCE and state == self._state):
                return
            self._printed, self._state = now, state
            elapsed = self._doing(now)
        self._print(" · ".join(part for part in (line, elapsed, self._left()) if part))

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            self.print_due()

    def _lane(self, job: str) -> _Lane | None:
        planned = self._schedule.jobs.get(job)
        return self._lanes.get(planned.environment) if planned else None

    def _line(self) -> str:
        """How far the run is, without anything that only time changes."""
        if self._search:
            return f"searching for the origin: {self._search}"
        if not self._lanes:
            return ""
        begins = all(lane.state == "installing" for lane in self._lanes.values())
        phase = "installing" if begins else _ROUNDS.get(self._schedule.round, "")
        return ", ".join(filter(None, (phase, self._counted())))

    def _counted(self) -> str:
        failed = sum(self._finished.values())
        failures = f", {failed:,} failed" if failed else ""
        return f"{len(self._finished):,} of {plural(len(self._cells), 'cell')} predicted{failures}"

    def _doing(self, now: float) -> str:
        """What every environment does, and for how long."""
        if self._search:
            return ""
        busy = [(name, lane) for name, lane in self._lanes.items() if lane.work()]
        parts = [
            f"{plain(lane.job or f'{name}: {lane.state}', 80)} ({_elapsed(now - lane.since)})"
            for name, lane in busy[:4]
        ]
        return ", ".join([*parts, *([f"{len(busy) - 4} more"] if busy[4:] else [])])

    def _left(self) -> str:
        """The remaining time of the round; empty where it is not known."""
        with self._lock:
            now = self._clock()
            if self._search or any(lane.state == "installing" for lane in self._lanes.values()):
                return ""
            left = self._schedule.remaining({job: now - began for job, began in self._running.items()})
        return "" if left is None else f"about {_rounded(left)} left in this round"

    def _view(self) -> RenderableType:
        """The live view: how far the run is, and a row for each environment."""
        with self._lock:
            now = self._clock()
            head = " · ".join(part for part in (self._line() or "starting", self._left()) if part)
            table = Table.grid(
                Column(), Column(overflow="ellipsis"), Column(justify="right"), Column(justify="right")
            )
            table.padding = (0, 2, 0, 0)
            room = max(3, self._console.height - 4)
            lanes = sorted(self._lanes.items(), key=lambda item: not item[1].work())
            for name, lane in lanes[:room]:
                done, total = self._schedule.count(name)
                spent = _elapsed(now - lane.since) if lane.work() else ""
                row = (
                    plain(name, 40),
                    plain(lane.work() or lane.state, 60),
                    spent,
                    f"{done}/{total}" if total else "",
                )
                table.add_row(*(Text(encoded(entry, self._console)) for entry in row))
        return Group(
            Spinner(
                "dots" if self._console.encoding.startswith("utf") else "line", encoded(head, self._console)
            ),
            table,
        )

    def _above(self, line: str) -> None:
        """A line above the live view."""
        if self._live is not None:
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(Text(encoded(line, self._console)), soft_wrap=True)


def _elapsed(spent: float) -> str:
    """Whole seconds: they run."""
    return f"{spent:.0f} s" if spent < 100 else seconds(spent)


def _rounded(left: float) -> str:
    """A time that claims no more than it knows: to 10 s, then to minutes."""
    if left < 10:
        return "10 s"
    return f"{round(left, -1):.0f} s" if left < 95 else f"{round(left / 60):,} min"
