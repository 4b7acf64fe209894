"""Publishes a report where people read it: comment, status, check run, issue, job summary, step outputs.

A failure here is a sentence in the result, and never changes the verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO, TypeVar

from pydantic import Field

from validator.base import Frozen
from validator.github.annotations import Annotation, commands, escape_data
from validator.github.answers import GitHubError
from validator.github.arrival import received_edition
from validator.github.attempts import check_attempt, made_by, published_attempt
from validator.github.client import Client, ClientLimits, Clock
from validator.github.context import Context
from validator.github.edition import COMMENT_BUDGET, COMMENT_LIMIT, Edition, fit
from validator.github.posts import INSTANCE, CommentAction, IssueAction, Posted, Publisher, Thread, Tracker
from validator.github.pulls import Target, resolve
from validator.github.statuses import CommitMark, post_check, post_status
from validator.github.summary import append_summary, write_outputs
from validator.text import fence, markdown_text, plain
from validator.verdict.bands import GREEN
from validator.verdict.results import Report, Verdict

CommentPolicy = Literal["always", "changes", "failures", "never"]
CommentOutcome = Literal[CommentAction, "failed"]
_T = TypeVar("_T")


class PublishOptions(Frozen):
    """What is published. An existing comment is updated under every policy."""

    instance: str = Field(default="default", pattern=f"^{INSTANCE.pattern}$", max_length=80)
    comment: CommentPolicy = "changes"
    summary: bool = False
    status: bool = False
    check: bool = False
    issue: bool = False
    name: str = Field(default="keras-validator", min_length=1, max_length=80)
    author: str | None = None


class PublishProblem(Frozen):
    """What could not be published and why, in one sentence; `yaml` is the block that fixes it."""

    sentence: str
    yaml: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.yaml}" if self.yaml else self.sentence


class Published(Frozen):
    """What was published. `problems` need a person; `notes` are for information."""

    verdict: Verdict
    pull_request: int | None = None
    comment: CommentOutcome = "none"
    comment_url: str = ""
    status_url: str = ""
    check_url: str = ""
    issue: IssueAction = "none"
    issue_url: str = ""
    summary: bool = False
    refused: str = Field(default="", description="Why the report was not used.")
    absent: str = Field(default="", description="Why there is no report to use.")
    problems: tuple[PublishProblem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlet:
    """Where workflow commands are printed, the time, and the limits of requests to GitHub."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    clock: Clock = field(default_factory=Clock)
    limits: ClientLimits = field(default_factory=ClientLimits)


def publish_file(
    path: Path,
    edition_of: Callable[[Report], Edition],
    context: Context,
    options: PublishOptions,
    outlet: Outlet | None = None,
) -> Published:
    """Publish a report that came as a file from a job which ran the pull request's code.

    The report is used only when it is about the commit and of the run that GitHub names. Without one, or
    where it is refused, an existing comment says that nothing was validated, and none is created. When a
    comment fails, the report is in the job summary whatever the options say.

    Raises:
        ConfigurationError: GITHUB_API_URL is unusable.
    """
    edition = received_edition(
        path, edition_of, context.head_sha, context.run_url, lambda report: check_attempt(report, context)
    )
    if edition.unusable:
        options = options.model_copy(update={"comment": "never"})
    return _Publication(edition, context, options, outlet or Outlet()).run()


def creates_comment(policy: CommentPolicy, report: Report) -> bool:
    """Whether `policy` creates a comment for `report`. "changes" is anything not proven unchanged."""
    green = all(cell.verdict in GREEN for model in report.models for cell in model.cells)
    created = {
        "always": True,
        "changes": report.verdict != "pass" or not green,
        "failures": report.verdict in ("fail", "inconclusive"),
        "never": False,
    }
    return created[policy]


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


class _Publication:
    """One publication: the client, and the problems so far."""

    def __init__(self, edition: Edition, context: Context, options: PublishOptions, outlet: Outlet) -> None:
        self.edition, self.context, self.options = edition, context, options
        self.attempt = made_by(edition.report) or published_attempt(context)
        self.stdout = outlet.stdout
        self.client = Client(context.api_url, context.token, outlet.clock, outlet.limits)
        self.publisher = Publisher(self.client, context.repository, options.instance, options.author)
        self.problems = [PublishProblem(sentence=edition.absent)] if edition.absent else []
        self.notes: list[str] = []
        # Nobody asked for a comment, so a weak token matters only if there is one to update.
        self.quiet = options.comment == "never"
        self._token_works = True

    def run(self) -> Published:
        """Everything that needs a token, then the files of the step, and last the workflow commands."""
        context, options = self.context, self.options
        target = self._attempt(lambda: resolve(self.client, context), quiet=self.quiet)
        comment = self._comment(target)
        mark = CommitMark(context.repository, context.head_sha, options.name, context.run_url)
        status = self._attempt(lambda: post_status(self.client, mark, self.edition), options.status)
        check = self._attempt(lambda: self._check(mark), options.check)
        issue = self._attempt(self._issue, options.issue) or Posted[IssueAction]("none")
        summary = self._summarize(comment.action == "failed")
        published = Published(
            verdict=self.edition.report.verdict,
            pull_request=target.number if target else None,
            comment=comment.action,
            comment_url=comment.url,
            status_url=status or "",
            check_url=check or "",
            issue=issue.action,
            issue_url=issue.url,
            summary=summary,
            refused=self.edition.refused,
            absent=self.edition.absent,
            problems=tuple(self.problems),
            notes=tuple(self.notes),
        )
        return self._announce(published)

    def _attempt(self, action: Callable[[], _T], enabled: bool = True, quiet: bool = False) -> _T | None:
        """The result of `action` where it is `enabled`, or None and a problem; `quiet` omits the token's."""
        if not (enabled and self._token_works):
            return None
        try:
            return action()
        except GitHubError as error:
            if error.kind in ("no-token", "bad-token"):
                self._token_works = False  # reported once, and not used again
            if not (quiet and error.kind in ("no-token", "bad-token", "permission")):
                self.problems.append(self._problem(error))
            return None

    def _problem(self, error: GitHubError) -> PublishProblem:
        if error.kind != "permission":
            return PublishProblem(sentence=str(error))
        event, options = self.context.event, self.options
        if event.pull_request is not None and event.pull_request.fork:
            return PublishProblem(
                sentence=f"{error}. The pull request comes from a fork, whose token is always read-only: "
                "publish from a workflow started by `workflow_run`"
            )
        needed = {
            "actions: read": event.workflow_run,
            "checks: write": options.check,
            "issues: write": options.issue,
            "pull-requests: write": event.pull_request or event.workflow_run,
            "statuses: write": options.status,
            error.permission: True,
        }
        # All of them: a block grants nothing else.
        lines = "".join(f"\n  {line}" for line in sorted(needed) if needed[line])
        sentence = f"{error}. Add this block to the job that publishes"
        return PublishProblem(sentence=sentence, yaml=f"permissions:{lines}")

    def _comment(self, target: Target | None) -> Posted[CommentOutcome]:
        failed: Posted[CommentOutcome] = Posted("none" if self.quiet else "failed")
        if target is None:
            return failed
        if target.note:
            self.notes.append(target.note)
        if target.number is None:
            return Posted("none")
        if not target.current:
            return Posted("stale")
        thread = Thread(self.publisher, target.number)
        text = self._text(len(self.publisher.marker) + len(self.attempt.stamp) + 2)
        allowed = creates_comment(self.options.comment, self.edition.report)
        posted = self._attempt(lambda: thread.upsert(text, self.attempt, allowed), quiet=self.quiet)
        if posted is not None and posted.action == "stale":
            self.notes.append(f"The comment on #{target.number} shows a later run or attempt, and stays")
        return posted or failed

    def _text(self, reserved: int) -> str:
        """The report within a comment's limit; a line and a link where it cannot be made to fit."""
        text = fit(self.edition.render, COMMENT_BUDGET, COMMENT_LIMIT - reserved)
        return self._line() if text is None else text

    def _line(self) -> str:
        headline = markdown_text(self.edition.headline, 200)
        return f"**{headline}.** The report is too long to show here; see [the run]({self.context.run_url})."

    def _check(self, mark: CommitMark) -> str:
        identity = f"{self.options.instance}-{self.context.run_id}-{self.context.run_attempt}"
        # 65,535 here, one less than a comment.
        return post_check(self.client, mark, self.edition, self._text(reserved=1), identity)

    def _issue(self) -> Posted[IssueAction]:
        tracker = Tracker(self.publisher)
        if self.edition.report.verdict in ("pass", "warn"):
            return tracker.close()
        title = f"Keras upgrade: {plain(self.edition.headline, 200)}"
        return tracker.upsert(title, self._text(len(self.publisher.marker) + 1))

    def _summarize(self, failed: bool) -> bool:
        """Append the report and the problems to the job summary; whether the report is in it."""
        file, section = self.context.step_summary, _section(self.problems)
        if file is None or not (self.options.summary or failed):
            return False

        def render(budget: int) -> str:
            return self.edition.render(max(budget - len(section), 1)) + section

        try:
            if append_summary(file, render):
                return True
            append_summary(file, lambda _: self._line() + section)
            sentence = "The report does not fit into this job summary"
        except OSError as error:
            sentence = f"The job summary cannot be written ({error.strerror})"
        self.problems.append(PublishProblem(sentence=sentence))
        return False

    def _announce(self, published: Published) -> Published:
        """Write the step's outputs, then print every problem as a warning and every note as a notice."""
        try:
            if self.context.output is not None:
                write_outputs(self.context.output, outputs_of(published))
        except OSError as error:
            sentence = f"The step's outputs cannot be written ({error.strerror})"
            problems = (*published.problems, PublishProblem(sentence=sentence))
            published = published.model_copy(update={"problems": problems})
        warnings = [Annotation("warning", "Not published", str(problem)) for problem in published.problems]
        lines = [*commands(warnings), *(f"::notice::{escape_data(note)}" for note in published.notes)]
        self.stdout.write("".join(f"{line}\n" for line in lines))
        self.stdout.flush()
        return published


def _section(problems: list[PublishProblem]) -> str:
    """The problems as Markdown."""
    parts = ["", "", "### Not published", ""] if problems else []
    for problem in problems:
        parts.append(markdown_text(problem.sentence, 1000))
        parts.append(f"\n{fence(problem.yaml, 1000, 'yaml')}\n" if problem.yaml else "")
    return "\n".join(parts)
