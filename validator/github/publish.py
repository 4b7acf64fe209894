"""A report, brought to where people read it.

Whatever goes wrong here is a sentence, and never changes the verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO, TypeVar

from pydantic import Field

from validator import __version__
from validator.base import Frozen
from validator.github import comments, issues
from validator.github.annotations import Annotation, annotations_of, commands, escape_data
from validator.github.budget import COMMENT_BUDGET, COMMENT_LIMIT, Render, characters, fit
from validator.github.client import Bounds, Client, Clock
from validator.github.context import Context
from validator.github.errors import BadTokenError, GitHubError, MissingPermissionError, NoTokenError
from validator.github.pulls import Target, resolve
from validator.github.received import RefusedReportError, read_report
from validator.github.statuses import Check, Commit, describe, post_check, post_status
from validator.github.summary import append_summary, write_outputs
from validator.results import CellVerdict, Report, Verdict
from validator.text import fence, markdown_text, plain

Policy = Literal["always", "changes", "failures", "never"]
CommentAction = Literal["created", "updated", "unchanged", "none", "stale", "failed"]
_QUIET: frozenset[CellVerdict] = frozenset({"identical", "rounding"})
Done = TypeVar("Done")


class Options(Frozen):
    """What is published. An existing comment is brought up to date under every policy."""

    instance: str = Field(
        default="default",
        pattern=f"^{comments.INSTANCE.pattern}$",
        max_length=80,
        description="Tells the comments and issues of several validations of one repository apart.",
    )
    comment: Policy = Field(
        default="always",
        description="When a comment is created: always, when something moved, when the gate fails, or never.",
    )
    summary: bool = Field(default=True, description="Append the report to the job summary.")
    annotations: bool = Field(default=True, description="Annotate the changed line of the manifest.")
    status: bool = Field(default=False, description="Set a commit status.")
    check: bool = Field(default=False, description="Create a check run.")
    issue: bool = Field(default=False, description="Keep one issue open while the verdict is red.")
    name: str = Field(
        default="keras-validator", min_length=1, max_length=80, description="Of status and check."
    )
    author: str | None = Field(
        default=None, description="The login an app's token writes as; GitHub Actions' own is known."
    )


class Problem(Frozen):
    """What could not be published and why, in one sentence; `yaml` is the block that mends it."""

    sentence: str
    yaml: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.yaml}" if self.yaml else self.sentence


class Published(Frozen):
    """What was published. `problems` are for a person to mend; `notes` are how things are."""

    verdict: Verdict
    pull_request: int | None = None
    comment: CommentAction = "none"
    comment_url: str = ""
    status_url: str = ""
    check_url: str = ""
    issue: issues.Action = "none"
    issue_url: str = ""
    summary: bool = False
    refused: str = Field(default="", description="Why a received report was not used.")
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlet:
    """The world outside: where workflow commands are printed, the time, and how long GitHub may take."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Clock = field(default_factory=Clock)
    bounds: Bounds = field(default_factory=Bounds)


def publish(
    report: Report, render: Render, context: Context, options: Options, outlet: Outlet | None = None
) -> Published:
    """Publish a report this very job made: comment, status, check run, issue, summary, annotations, outputs.

    `render(budget)` gives the report's Markdown in at most `budget` characters. What GitHub or a file refuses
    is a problem in the result, and the others are still published; when a comment fails, the report is in the
    job summary whatever the options say. Raises ConfigurationError for an unusable GITHUB_API_URL only.
    """
    return _publish(_Edition(report, render), context, options, outlet or Outlet())


def publish_file(
    path: Path,
    render_of: Callable[[Report], Render],
    context: Context,
    options: Options,
    outlet: Outlet | None = None,
) -> Published:
    """Publish a report that came as a file from another job, which ran the pull request's code.

    The report is used only when it is about the commit GitHub names. A refused one is reported as such: an
    existing comment then says so, and none is created for it.
    """
    try:
        report = read_report(path, context.head_sha)
    except RefusedReportError as error:
        reason = str(error)
        report = Report(
            verdict="inconclusive",
            reasons=(reason,),
            baseline="",
            environments=(),
            models=(),
            tool=__version__,
        )
        text = f"**Keras upgrade cannot be judged.** {markdown_text(reason, 600)}"
        quiet = options.model_copy(update={"comment": "never"})
        return _publish(_Edition(report, lambda _: text, reason), context, quiet, outlet or Outlet())
    return _publish(_Edition(report, render_of(report)), context, options, outlet or Outlet())


def wanted(policy: Policy, report: Report) -> bool:
    """Whether `policy` creates a comment for `report`. "changes" is anything not proven unmoved."""
    if policy == "changes":
        cells = [cell for model in report.models for cell in model.cells]
        return report.verdict != "pass" or any(cell.verdict not in _QUIET for cell in cells)
    if policy == "failures":
        return report.verdict in ("fail", "inconclusive")
    return policy == "always"


def permissions_of(context: Context, options: Options) -> tuple[str, ...]:
    """The lines of the `permissions:` block that `options` need, all of them: a block grants nothing else."""
    pull = context.event.pull_request is not None or context.event.workflow_run is not None
    lines = [
        ("actions: read", context.event.workflow_run is not None),
        ("checks: write", options.check),
        ("issues: write", options.issue),
        ("pull-requests: write", pull),
        ("statuses: write", options.status),
    ]
    return tuple(line for line, needed in lines if needed)


@dataclass(frozen=True)
class _Edition:
    report: Report
    render: Render
    refused: str = ""


class _Desk:
    """One publication: the client, and the problems so far."""

    def __init__(self, context: Context, options: Options, outlet: Outlet) -> None:
        self.context, self.options = context, options
        self.client = Client(context.api_url, context.token, outlet.clock, outlet.bounds)
        self.problems: list[Problem] = []
        self._token_works = True

    def attempt(self, action: Callable[[], Done], quiet: bool = False) -> Done | None:
        """The result of `action`, or None and a problem. `quiet` is for what nobody asked for."""
        if not self._token_works:
            return None
        try:
            return action()
        except GitHubError as error:
            if isinstance(error, NoTokenError | BadTokenError):
                self._token_works = False  # said once, and not tried again
            if not (quiet and isinstance(error, NoTokenError | BadTokenError | MissingPermissionError)):
                self.problems.append(self._problem(error))
            return None

    def _problem(self, error: GitHubError) -> Problem:
        if not isinstance(error, MissingPermissionError):
            return Problem(sentence=str(error))
        event = self.context.event.pull_request
        if event is not None and event.fork:
            return Problem(
                sentence=f"{error}. The pull request comes from a fork, whose token is read-only whatever "
                "the workflow says: publish from a workflow started by `workflow_run`"
            )
        lines = sorted({*permissions_of(self.context, self.options), error.permission})
        return Problem(
            sentence=f"{error}. Give the job that publishes this block",
            yaml="permissions:\n" + "\n".join(f"  {line}" for line in lines),
        )


def _publish(edition: _Edition, context: Context, options: Options, outlet: Outlet) -> Published:
    desk = _Desk(context, options, outlet)
    report = edition.report
    target = _target(desk)
    action, comment_url = _comment(desk, target, edition)
    commit = Commit(context.repository, context.head_sha, options.name, context.run_url)
    status_url = desk.attempt(lambda: post_status(desk.client, commit, report)) if options.status else None
    check_url = desk.attempt(lambda: _check(desk, commit, edition)) if options.check else None
    issue = desk.attempt(lambda: _issue(desk, edition)) if options.issue else None
    published = Published(
        verdict=report.verdict,
        pull_request=target.number if target else None,
        comment=action,
        comment_url=comment_url,
        status_url=status_url or "",
        check_url=check_url or "",
        issue=issue.action if issue else "none",
        issue_url=issue.url if issue else "",
        refused=edition.refused,
        problems=tuple(desk.problems),
        notes=(target.note,) if target and target.note else (),
    )
    return _finish(edition, published, desk, outlet.stdout)


def _target(desk: _Desk) -> Target | None:
    """The pull request, if the event can have one. Where no comment is wanted, a weak token is no news."""
    event = desk.context.event
    if event.pull_request is None and event.workflow_run is None:
        return resolve(desk.client, desk.context)
    return desk.attempt(lambda: resolve(desk.client, desk.context), quiet=_unasked(desk.options))


def _unasked(options: Options) -> bool:
    return options.comment == "never"


def _comment(desk: _Desk, target: Target | None, edition: _Edition) -> tuple[CommentAction, str]:
    if target is None:
        return "none" if _unasked(desk.options) else "failed", ""
    if target.number is None:
        return "none", ""
    if not target.current:
        return "stale", ""
    thread = comments.Thread(
        desk.context.repository, target.number, desk.options.instance, desk.options.author
    )
    text = _text(desk, edition, reserved=len(thread.marker) + 1)
    create = wanted(desk.options.comment, edition.report)
    outcome = desk.attempt(
        lambda: comments.upsert(desk.client, thread, text, create), quiet=_unasked(desk.options)
    )
    if outcome is None:
        return "none" if _unasked(desk.options) else "failed", ""
    return outcome.action, outcome.url


def _text(desk: _Desk, edition: _Edition, reserved: int) -> str:
    """The report within a comment's limit; a line and a link where it cannot be made to fit."""
    text = fit(edition.render, COMMENT_BUDGET, COMMENT_LIMIT - reserved, characters)
    return _line(desk, edition) if text is None else text


def _line(desk: _Desk, edition: _Edition) -> str:
    said = markdown_text(describe(edition.report), 200)
    return f"**{said}.** The report is too long for this place; it is with [the run]({desk.context.run_url})."


def _check(desk: _Desk, commit: Commit, edition: _Edition) -> str:
    context = desk.context
    identity = f"{desk.options.instance}-{context.run_id}-{context.run_attempt}"
    # 65,535 here, one less than a comment.
    text = _text(desk, edition, reserved=1)
    check = Check(edition.report, text, annotations_of(edition.report), identity)
    return post_check(desk.client, commit, check)


def _issue(desk: _Desk, edition: _Edition) -> issues.Outcome:
    tracker = issues.Tracker(desk.context.repository, desk.options.instance, desk.options.author)
    green = edition.report.verdict in ("pass", "warn")
    text = _text(desk, edition, reserved=len(comments.marker(tracker.instance)) + 1)
    news = issues.News(green, f"Keras upgrade: {plain(describe(edition.report), 200)}", text)
    return issues.track(desk.client, tracker, news)


def _finish(edition: _Edition, published: Published, desk: _Desk, stdout: TextIO) -> Published:
    """What needs no token: summary, outputs, and last the workflow commands, which name every problem."""
    summary = _summarize(edition, published, desk)
    published = published.model_copy(update={"summary": summary, "problems": tuple(desk.problems)})
    if desk.context.output is not None:
        try:
            write_outputs(desk.context.output, outputs_of(published))
        except OSError as error:
            desk.problems.append(Problem(sentence=f"The step's outputs cannot be written ({error.strerror})"))
            published = published.model_copy(update={"problems": tuple(desk.problems)})
    _print(edition.report, published, desk.options, stdout)
    return published


def _summarize(edition: _Edition, published: Published, desk: _Desk) -> bool:
    """Append the report and the problems to the job summary; whether the report is in it."""
    file = desk.context.step_summary
    if file is None or not (desk.options.summary or published.comment == "failed"):
        return False
    section = _section(desk.problems)
    try:
        if append_summary(file, lambda budget: edition.render(max(budget - len(section), 1)) + section):
            return True
        line = _line(desk, edition)
        append_summary(file, lambda _: line + section)
        desk.problems.append(Problem(sentence="The report does not fit what is left of this job summary"))
    except OSError as error:
        desk.problems.append(Problem(sentence=f"The job summary cannot be written ({error.strerror})"))
    return False


def outputs_of(published: Published) -> dict[str, str]:
    """The step's outputs by name."""
    return {
        "verdict": published.verdict,
        "pull-request": str(published.pull_request or ""),
        "comment": published.comment,
        "comment-url": published.comment_url,
        "issue-url": published.issue_url,
        "problems": str(len(published.problems)),
    }


def _section(problems: list[Problem]) -> str:
    """The problems as Markdown."""
    if not problems:
        return ""
    parts = ["", "", "### Not published", ""]
    for problem in problems:
        parts.append(markdown_text(problem.sentence, 1000))
        parts.extend([f"\n{fence(problem.yaml, 1000, 'yaml')}\n"] if problem.yaml else [""])
    return "\n".join(parts)


def _print(report: Report, published: Published, options: Options, stdout: TextIO) -> None:
    own = [Annotation("warning", "Not published", str(problem)) for problem in published.problems]
    found = annotations_of(report) if options.annotations else ()
    lines = [*commands([*own, *found]), *(f"::notice::{escape_data(note)}" for note in published.notes)]
    stdout.write("".join(f"{line}\n" for line in lines))
    stdout.flush()
