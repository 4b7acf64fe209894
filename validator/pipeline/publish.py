"""A run inside GitHub Actions: what it tells the job, and how its report reaches the pull request."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from validator.errors import ConfigurationError, Exit, ValidatorError
from validator.github import Context, Options, Published, publish_file, read_context
from validator.github.annotations import annotations_of, commands, escape_data, foreign_output
from validator.github.budget import Render
from validator.github.summary import append_summary, write_outputs
from validator.pipeline.pull_request import persisted_credentials
from validator.pipeline.run import Request, run_matrix
from validator.pipeline.show import read_report
from validator.report import markdown
from validator.report.markdown import SMALLEST_BUDGET, Links
from validator.results import SEVERITY, Report
from validator.text import plain

#: GitHub keeps at most 1 MiB of outputs of a job; the report is in its file.
_OUTPUT_REASONS = 20


def run_in_actions(request: Request) -> Exit:
    """Run as a step of GitHub Actions: job summary, annotations and step outputs beside the report.

    Needs no token and asks GitHub for nothing. What a model or an installer printed cannot speak to the
    runner: the terminal report stands between `stop-commands`.

    Raises:
        ConfigurationError: as `run_matrix`; the job is told before.
    """
    context = read_context(os.environ)
    if persisted_credentials(request.config.resolve()):
        warn(
            "The checkout keeps a token in .git/config, where every model's own code can read it: "
            "give actions/checkout `persist-credentials: false`"
        )
    try:
        with foreign_output(sys.stdout):
            return run_matrix(request)
    finally:
        _tell(request, context)


def publish_run(run: Path, options: Options, environ: Mapping[str, str]) -> tuple[Published, Exit]:
    """Publish a finished run's report: comment, status, check run, issue.

    The report is taken for a stranger's: it was made beside a pull request's own code. What GitHub refuses is
    said, and changes no exit code: the gate is the job that validates.

    Returns:
        What was published, and the exit code: 0, or 3 where the report was refused.

    Raises:
        ConfigurationError: this is no job of GitHub Actions, or GITHUB_API_URL is unusable.
    """
    context = read_context(environ)
    path = run / "report.json" if run.is_dir() else run
    published = publish_file(path, lambda report: render(report, context), context, options)
    return published, Exit.CANNOT_JUDGE if published.refused else Exit.OK


def publish_options(**given: object) -> Options:
    """The options of a publication, checked.

    Raises:
        ConfigurationError: an instance or a name that cannot be used.
    """
    try:
        return Options.model_validate(given)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = "-".join(str(part) for part in wrong["loc"])
        raise ConfigurationError(f"--{name}: {plain(wrong['msg'], 200)}") from None


def render(report: Report, context: Context) -> Render:
    """The comment's text for a budget, without the marker that its author adds."""
    links = Links(run=context.run_url)

    def text(budget: int) -> str:
        body = markdown.comment(report, budget=max(budget, SMALLEST_BUDGET), links=links)
        return body.partition("\n")[2]

    return text


def describe(published: Published) -> str:
    """What was published, in one line for the log."""
    parts = [published.refused] if published.refused else [f"verdict {published.verdict}"]
    if published.pull_request is not None:
        where = f" {published.comment_url}" if published.comment_url else ""
        parts.append(f"comment on #{published.pull_request}: {published.comment}{where}")
    parts += [f"status {published.status_url}"] if published.status_url else []
    parts += [f"check {published.check_url}"] if published.check_url else []
    parts += [f"issue {published.issue}: {published.issue_url}"] if published.issue != "none" else []
    return "; ".join(parts)


def outputs_of(report: Report, path: Path) -> dict[str, str]:
    """The outputs of a step that ran: the verdict, where the report is, and what scripts branch on."""
    counted = Counter(cell.verdict for model in report.models for cell in model.cells)
    counts = {verdict: counted[verdict] for verdict in SEVERITY}
    summary = {
        "verdict": report.verdict,
        "relevant": report.upgrade is None or report.upgrade.relevant,
        "reasons": [plain(reason, 500) for reason in report.reasons[:_OUTPUT_REASONS]],
        "counts": counts,
        "upgrade": [
            {"name": change.name, "old": change.old, "new": change.new}
            for change in (report.upgrade.changes if report.upgrade else ())[:200]
        ],
    }
    return {
        "verdict": report.verdict,
        "relevant": json.dumps(summary["relevant"]),
        "counts": json.dumps(counts),
        "json": json.dumps(summary),
        "report": str(path),
        "folder": str(path.parent),
    }


def warn(message: str) -> None:
    """A warning in the job's log and on its page."""
    sys.stdout.write(f"::warning::{escape_data(message)}\n")
    sys.stdout.flush()


def _tell(request: Request, context: Context) -> None:
    path = request.folder.report()
    try:
        report = read_report(path)
    except ValidatorError:
        return  # interrupted, or a fault of ours that is on its way out
    try:
        if context.step_summary is not None:
            append_summary(context.step_summary, render(report, context))
        if context.output is not None:
            write_outputs(context.output, outputs_of(report, path))
    except OSError as error:
        warn(f"The job summary or the step's outputs cannot be written ({error.strerror})")
    for line in commands(annotations_of(report)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
