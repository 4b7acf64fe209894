"""Which run and attempt of a workflow a report is of, so that an older one never replaces a newer one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from validator.errors import CannotJudgeError
from validator.github.context import Context
from validator.github.received import RefusedReportError
from validator.text import plain
from validator.verdict.results import Report

_STAMP = re.compile(r"<!-- keras-validator-run:(\d{1,18})\.(\d{1,6}) -->\n?")


class NoReportError(CannotJudgeError):
    """The attempt that a job publishes left no report. The text is one sentence."""


@dataclass(frozen=True, order=True)
class Attempt:
    """An attempt of a run. Runs are numbered in the order of their start, and a re-run keeps its number."""

    run: int
    number: int

    @property
    def stamp(self) -> str:
        """The hidden line that tells later runs what a comment shows."""
        return f"<!-- keras-validator-run:{self.run}.{self.number} -->"


def attempt_in(body: str) -> Attempt | None:
    """The attempt whose result a comment of ours shows; None where its second line names none."""
    _, _, rest = body.lstrip().replace("\r\n", "\n").partition("\n")
    stamp = _STAMP.match(rest)
    return Attempt(int(stamp[1]), int(stamp[2])) if stamp else None


def without_stamp(body: str) -> str:
    """A comment's text without the attempt that it names."""
    return _STAMP.sub("", body, count=1)


def made_by(report: Report) -> Attempt | None:
    """The attempt that a report names; None where it names none."""
    made = report.workflow_run
    return Attempt(made.id, made.attempt) if made else None


def published_attempt(context: Context) -> Attempt:
    """The attempt whose results this job publishes: of the run that started it, or its own."""
    run = context.event.workflow_run
    return Attempt(run.id, run.run_attempt) if run else Attempt(context.run_id, context.run_attempt)


def check_attempt(report: Report, context: Context) -> None:
    """Refuse a report of another run, or of an attempt that does not count.

    An earlier attempt counts where its job did not have to run again: a later job of the same workflow knows
    that, and after `workflow_run` the whole run must have succeeded.

    Raises:
        RefusedReportError: it is of another run, of a later attempt, or does not say.
        NoReportError: the attempt of this job left none, and the report is of an earlier one.
    """
    expected, attempt = published_attempt(context), made_by(report)
    if attempt is None:
        raise RefusedReportError("The report was refused: it does not say which run of the workflow made it")
    if attempt.run != expected.run:
        raise RefusedReportError(
            f"The report was refused: run {attempt.run} made it, and this job publishes run {expected.run}"
        )
    if attempt > expected:
        raise RefusedReportError(
            f"The report was refused: it claims attempt {attempt.number} of a run that is at attempt "
            f"{expected.number}"
        )
    run = context.event.workflow_run
    if attempt < expected and run is not None and run.conclusion != "success":
        ended = plain(run.conclusion or "unfinished", 40)
        raise NoReportError(
            f"Attempt {expected.number} of the workflow ended as {ended!r} and left no report of its own; "
            f"that of attempt {attempt.number} no longer counts"
        )
