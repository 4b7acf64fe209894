"""A run inside GitHub Actions: what the job shows, and how its report reaches the pull request."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from validator.errors import ConfigurationError, Exit, ValidatorError
from validator.github import Context, Edition, Published, PublishOptions, publish_file, read_context
from validator.github.annotations import annotations_of, commands, escape_data, foreign_output
from validator.github.arrival import received_edition
from validator.github.publish import creates_comment
from validator.github.statuses import DESCRIPTION_LIMIT
from validator.github.summary import append_summary, write_outputs
from validator.gitlab import PostedNote, publish_note, read_job
from validator.pipeline.parts import MergeRequest, run_merge
from validator.pipeline.pull_request import persisted_credentials
from validator.pipeline.run import Request, run_matrix
from validator.pipeline.show import read_report
from validator.report.content import Content
from validator.report.json import worded
from validator.report.markdown import SMALLEST_BUDGET, Links, comment
from validator.report.reproduce import CodeSource
from validator.report.words import registered_words
from validator.report.words.titles import run_title
from validator.text import plain
from validator.verdict.bands import GREEN, SEVERITY
from validator.verdict.gate import overall
from validator.verdict.results import Report

#: GitHub keeps at most 1 MiB of outputs of a job; the report is in its file.
_OUTPUT_REASONS, _OUTPUT_CHANGES = 20, 200


def run_in_actions(request: Request) -> Exit:
    """Run as a step of GitHub Actions: job summary, annotations and step outputs beside the report.

    Needs no token and sends no request to GitHub. Output of models and installers cannot issue workflow
    commands: the terminal report stands between `stop-commands`. Raises as `run_matrix` does.
    """
    context = read_context(os.environ)
    if persisted_credentials(request.config.resolve()):
        _show(
            "::warning::The checkout keeps a token in .git/config, where the code of every model can read "
            "it: set `persist-credentials: false` for actions/checkout"
        )
    path = request.folder.report()
    if request.shard is None:
        # A later value replaces it: a run that is killed leaves a report that says so.
        _output(context, {"report": str(path)})
    try:
        with foreign_output(sys.stdout):
            return run_matrix(request)
    finally:
        if request.shard is None:
            _hand_over(path, context)
        elif request.part.is_file():
            _output(context, {"part": str(request.part)})


def merge_in_actions(request: MergeRequest) -> Exit:
    """Merge as a step of GitHub Actions, shown as `run_in_actions` does. Raises as `run_merge` does."""
    context = read_context(os.environ)
    path = request.folder.report()
    try:
        with foreign_output(sys.stdout):
            return run_merge(request)
    finally:
        _hand_over(path, context)


def publish_run(run: Path, options: PublishOptions, environ: Mapping[str, str]) -> tuple[Published, Exit]:
    """Publish the report of a finished run: comment, status, check run, issue.

    The report is untrusted: it was made next to the code of a pull request. What GitHub refuses is reported
    and changes no exit code: the gate is the job that validates. The code is 3 where the report was refused.

    Raises:
        ConfigurationError: this is no job of GitHub Actions, or GITHUB_API_URL is unusable.
    """
    context = read_context(environ)
    path = run / "report.json" if run.is_dir() else run
    published = publish_file(path, lambda report: edition(report, context), context, options)
    return published, Exit.CANNOT_JUDGE if published.refused else Exit.OK


def publish_on_gitlab(
    run: Path, options: PublishOptions, environ: Mapping[str, str]
) -> tuple[PostedNote, Exit]:
    """Publish the report of a finished run as a note on the merge request of this job of GitLab CI.

    Raises:
        ConfigurationError: this is no job of GitLab CI, python-gitlab is not installed, or an option has no
            meaning there.
    """
    only_github = [name for name in ("status", "check", "issue", "summary") if getattr(options, name)]
    if only_github:
        raise ConfigurationError(f"--{', --'.join(only_github)}: on GitLab, only a note is published")
    job = read_job(environ)
    path = run / "report.json" if run.is_dir() else run
    made = received_edition(
        path, lambda report: _edition(report, Links(run=job.pipeline_url)), job.commit, job.pipeline_url
    )
    allowed = not made.unusable and creates_comment(options.comment, made.report)
    note = publish_note(made, job, options.instance, allowed)
    return replace(note, problem=note.problem or made.absent), (
        Exit.CANNOT_JUDGE if made.refused else Exit.OK
    )


def publish_options(**given: object) -> PublishOptions:
    """Checked options of a publication. Raises ConfigurationError for an instance or a name of no use."""
    try:
        return PublishOptions.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ConfigurationError(f"--{wrong['loc'][0]}: {plain(wrong['msg'], 200)}") from None


def edition(report: Report, context: Context) -> Edition:
    """The report with its sentences made anew, and the comment without the marker that its publisher adds."""
    pull = context.event.pull_request
    source = CodeSource(context.server_url, context.repository, pull.number if pull else 0)
    return _edition(report, Links(run=context.run_url, source=source))


def _edition(report: Report, links: Links) -> Edition:
    report = worded(report)
    title = run_title(Content(report, registered_words()), DESCRIPTION_LIMIT)

    def render(budget: int) -> str:
        return comment(report, budget=max(budget, SMALLEST_BUDGET), links=links).partition("\n")[2]

    return Edition(report, render, title)


def describe(published: Published) -> str:
    """What was published, on one line for the log."""
    comment = f"comment on #{published.pull_request}: {published.comment} {published.comment_url}".rstrip()
    parts = {
        published.refused or published.absent or f"verdict {published.verdict}": True,
        comment: published.pull_request is not None,
        f"status {published.status_url}": published.status_url,
        f"check {published.check_url}": published.check_url,
        f"issue {published.issue}: {published.issue_url}": published.issue != "none",
    }
    return "; ".join(part for part, made in parts.items() if made)


def outputs_of(report: Report, path: Path) -> dict[str, str]:
    """The outputs of a step that ran: the verdict, where the report is, and what scripts branch on."""
    verdicts = Counter(cell.verdict for model in report.models for cell in model.cells)
    changes = report.upgrade.changes[:_OUTPUT_CHANGES] if report.upgrade else ()
    summary = {
        "verdict": report.verdict,
        "relevant": report.upgrade is None or report.upgrade.relevant,
        "reasons": [plain(reason.message, 500) for reason in report.reasons[:_OUTPUT_REASONS]],
        "counts": {verdict: verdicts[verdict] for verdict in SEVERITY},
        "upgrade": [change.model_dump(include={"name", "old", "new"}) for change in changes],
    }
    return {
        "verdict": report.verdict,
        "relevant": json.dumps(summary["relevant"]),
        "unchanged": json.dumps(unchanged(report)),
        "counts": json.dumps(summary["counts"]),
        "json": json.dumps(summary),
        "report": str(path),
        "folder": str(path.parent),
    }


def unchanged(report: Report) -> bool:
    """Whether every model was compared and holds: nothing is left for a person to look at."""
    cells = [cell for model in report.models for cell in model.cells]
    return report.verdict == "pass" and bool(cells) and all(overall(cell) in GREEN for cell in cells)


def _hand_over(path: Path, context: Context) -> None:
    """Show a run's report in the job: summary, step outputs and annotations."""
    try:
        made = edition(read_report(path), context)
    except ValidatorError:
        return  # interrupted, or another error is on its way out
    try:
        if context.step_summary is not None:
            append_summary(context.step_summary, made.render)
    except OSError as error:
        _show(f"::warning::The job summary cannot be written ({escape_data(str(error.strerror))})")
    _output(context, outputs_of(made.report, path))
    _show(*commands(annotations_of(made)))


def _output(context: Context, outputs: Mapping[str, str]) -> None:
    """Write outputs of this step; a warning where they cannot be written, which costs no result."""
    try:
        if context.output is not None:
            write_outputs(context.output, outputs)
    except OSError as error:
        _show(f"::warning::The step's outputs cannot be written ({escape_data(str(error.strerror))})")


def _show(*lines: str) -> None:
    """Print workflow commands."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
