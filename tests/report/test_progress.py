"""What goes on: how much time is left, lines in a log, and the live view."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from validator.failure import Failure
from validator.report.progress import Progress, Schedule
from validator.runner import Job

VARIANT = {"precision": "as-saved", "jit": "as-saved", "attention": "as-saved"}


def job(name: str, *, budget: str = "") -> Job:
    """The job with an id such as `digits@keras-3.5.0` or `digits@keras-3.5.0/layers`."""
    return Job(
        id=name,
        environment=name.partition("@")[2].partition("/")[0],
        folder="",
        artifact=None,
        builder=None,
        builder_arguments={},
        weights=None,
        custom_objects=(),
        safe_mode=True,
        compile=True,
        signature="",
        variant=VARIANT,
        inputs="",
        labels=None,
        batch_size=32,
        evaluate=False,
        budget=budget,
    )


def jobs(*names: str) -> list[Job]:
    return [job(name) for name in names]


class TestTimeLeft:
    def test_nothing_measured_nothing_said(self) -> None:
        schedule = Schedule()
        schedule.plan("predict", jobs("a@x", "b@x"))
        assert schedule.remaining({}) is None
        schedule.ended("a@x", 5.0)
        assert schedule.remaining({}) is None  # another model may take any time

    def test_a_model_takes_what_it_took_elsewhere(self) -> None:
        schedule = Schedule(workers=2)
        schedule.plan("predict", jobs("a@x", "b@x", "a@y", "b@y"))
        schedule.ended("a@x", 10.0)
        schedule.ended("b@x", 30.0)
        assert schedule.remaining({"a@y": 4.0}) == 36.0

    def test_environments_run_side_by_side_as_far_as_there_are_workers(self) -> None:
        names = jobs("a@x", "a@y", "a@z")
        for workers, left in ((2, 10.0), (1, 20.0)):
            schedule = Schedule(workers)
            schedule.plan("predict", names)
            schedule.ended("a@x", 10.0)
            assert schedule.remaining({}) == left

    def test_alike_jobs_stand_for_one_that_never_ran(self) -> None:
        schedule = Schedule()
        schedule.plan("predict", jobs("a@x", "b@x", "c@x", "d@x"))
        for name, took in (("a@x", 10.0), ("b@x", 12.0), ("c@x", 14.0)):
            schedule.ended(name, took)
        assert schedule.remaining({}) == 12.0
        unlike = Schedule()
        unlike.plan("predict", jobs("a@x", "b@x", "c@x", "d@x"))
        for name, took in (("a@x", 1.0), ("b@x", 12.0), ("c@x", 140.0)):
            unlike.ended(name, took)
        assert unlike.remaining({}) is None

    def test_an_estimate_that_was_exceeded_is_withdrawn(self) -> None:
        schedule = Schedule()
        schedule.plan("predict", jobs("a@x", "a@y"))
        schedule.ended("a@x", 10.0)
        assert schedule.remaining({"a@y": 12.0}) == 0.0
        assert schedule.remaining({"a@y": 21.0}) is None

    def test_a_limit_of_time_is_no_estimate(self) -> None:
        schedule = Schedule()
        schedule.plan("explain", [job("a@x"), job("a@y", budget="workarounds")])
        schedule.ended("a@x", 10.0)
        assert schedule.remaining({}) is None

    def test_a_later_round_knows_what_the_first_measured(self) -> None:
        schedule = Schedule()
        schedule.plan("predict", jobs("a@x"))
        schedule.ended("a@x", 10.0)
        schedule.plan("explain", jobs("a@y", "a@y/layers"))
        assert schedule.count("y") == (0, 2)
        assert schedule.remaining({}) is None
        schedule.plan("explain", jobs("a@y"))
        assert schedule.remaining({}) == 10.0


@dataclass
class Log:
    """Progress into a log, with a clock that a test moves."""

    cells: tuple[str, ...]
    now: float = 0.0
    stream: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        console = Console(file=self.stream, width=300)
        self.progress = Progress(console, frozenset(self.cells), live=False, workers=2, clock=self.clock)

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: int) -> None:
        """Let time pass, a second at a time."""
        for _ in range(seconds):
            self.now += 1
            self.progress.print_due()

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


class TestLines:
    def test_a_line_every_30_seconds_while_something_changes(self) -> None:
        names = [f"m{at}@x" for at in range(200)]
        log = Log(tuple(names))
        log.progress.environment("x", "running")
        log.progress.planned("predict", jobs(*names))
        for name in names[:100]:
            log.progress.job_started(name)
            log.wait(1)
            log.progress.job_finished(name, None)
        assert len(log.lines) == 4  # at 1, 31, 61 and 91 s
        assert log.lines[1] == (
            "predicting, 30 of 200 cells predicted · m30@x (1 s) · about 3 min left in this round"
        )

    def test_a_line_every_60_seconds_while_nothing_changes(self) -> None:
        log = Log(("m@x",))
        log.progress.environment("x", "installing")
        log.wait(3600)
        assert len(log.lines) == 60
        assert log.lines[1] == "installing, 0 of 1 cell predicted · x: installing (61 s)"

    def test_failures_count_and_four_environments_at_most_are_named(self) -> None:
        names = [f"m@{at}" for at in "uvwxyz"]
        log = Log(tuple(names))
        log.progress.planned("predict", jobs(*names))
        for name in "uvwxyz":
            log.progress.environment(name, "running")
        log.progress.job_started("m@u")
        log.progress.job_finished("m@u", Failure(stage="load", error="ValueError", message="no"))
        for name in names[1:]:
            log.progress.job_started(name)
        log.wait(1)
        assert log.lines == [
            "predicting, 1 of 6 cells predicted, 1 failed · "
            "m@v (1 s), m@w (1 s), m@x (1 s), m@y (1 s), 1 more"
        ]

    def test_no_time_is_claimed_while_an_environment_is_installed(self) -> None:
        log = Log(("m@x", "m@y"))
        log.progress.planned("predict", jobs("m@x", "m@y"))
        log.progress.environment("x", "running")
        log.progress.environment("y", "installing")
        log.progress.job_started("m@x")
        log.progress.job_finished("m@x", None)
        log.wait(1)
        assert "left" not in log.lines[0]
        log.progress.environment("y", "running")
        log.wait(60)
        assert log.lines[-1].endswith("about 10 s left in this round")

    def test_a_search_is_told_and_hostile_names_are_cleaned(self) -> None:
        log = Log(("m@x",))
        log.progress.environment("x\x1b[2J", "running")
        log.progress.learnt("release 3.4.0 \x1b[31mdiffers")
        log.wait(1)
        assert log.lines == ["searching for the origin: release 3.4.0 differs"]

    def test_a_line_of_its_own_is_told_once(self) -> None:
        log = Log(("m@x",))
        log.progress.environment("x", "running")
        log.progress.noted("one at a \x1b[31mtime")
        log.wait(1)
        assert log.lines == ["one at a time", "0 of 1 cell predicted"]

    def test_a_quiet_console_gets_nothing(self) -> None:
        stream = io.StringIO()
        with Progress(Console(file=stream, quiet=True), frozenset({"m@x"}), live=False) as progress:
            progress.environment("x", "running")
            progress.print_due()
        assert stream.getvalue() == ""


class TestLiveView:
    def shown(self, encoding: str = "utf-8") -> str:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console = Console(file=stream, width=100, height=30, force_terminal=True, color_system=None)
        times = iter(range(1000))
        cells = frozenset({"digits@legacy", "digits@a"})
        with Progress(console, cells, live=True, clock=lambda: float(next(times))) as progress:
            progress.planned("predict", jobs("digits@legacy", "digits@a"))
            progress.environment("legacy", "installing")
            progress.environment("legacy", "running")
            progress.job_started("digits@legacy")
            progress.job_finished("digits@legacy", Failure(stage="load", error="", message=""))
        stream.flush()
        return stream.buffer.getvalue().decode(encoding)

    def test_finished_lines_stay_and_the_cursor_comes_back(self) -> None:
        text = self.shown()
        assert "[1/2] digits@legacy  load" in text
        assert text.count("\x1b[?25h") == 1

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    def test_a_terminal_without_unicode(self, encoding: str) -> None:
        assert "[1/2] digits@legacy  load" in self.shown(encoding)
