"""What is published of a report that another job handed over, or should have handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from validator import __version__
from validator.errors import ValidatorError
from validator.github.attempts import NoReportError
from validator.github.edition import Edition
from validator.github.received import RefusedReportError, read_report
from validator.text import markdown_text
from validator.verdict.results import Reason, Report


def received_edition(
    path: Path,
    edition_of: Callable[[Report], Edition],
    head_sha: str,
    run_url: str,
    check: Callable[[Report], None] = lambda _: None,
) -> Edition:
    """The edition of the report in `path`; where none counts, one that says that nothing was validated.

    Args:
        path: of the report, which is used only when it is about `head_sha`.
        edition_of: words a report.
        head_sha: the commit that the host of the repository names.
        run_url: where a person reads the log.
        check: raises RefusedReportError or NoReportError for a report that does not count.
    """
    try:
        if not (path.exists() or path.is_symlink()):
            raise NoReportError(f"The job that validates commit {head_sha[:7]} ended without a report")
        report = read_report(path, head_sha)
        check(report)
        return edition_of(report)
    except (RefusedReportError, NoReportError) as error:
        edition = _not_validated(error, edition_of, run_url)
        if isinstance(error, RefusedReportError):
            return replace(edition, refused=str(error))
        return replace(edition, absent=str(error))


def _not_validated(error: ValidatorError, edition_of: Callable[[Report], Edition], run_url: str) -> Edition:
    report = Report(
        verdict="inconclusive",
        reasons=(Reason(kind="error", error=str(error)),),
        baseline="",
        environments=(),
        models=(),
        tool=__version__,
    )
    text = (
        f"### ❓ Not validated\n\n{markdown_text(str(error), 600)}. Nothing is known about this upgrade, "
        f"so do not merge it yet: see the log of [the run]({run_url}), and run the job again."
    )
    return replace(edition_of(report), render=lambda _: text)
