"""A report that came as an artifact: whoever opened the pull request may have written it.

Nothing in it decides where it is posted. It is read once, within limits, against the schema; it must be about
the commit that GitHub names, and agree with itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from validator.documents import check_json
from validator.errors import CannotJudgeError
from validator.github.plausible import contradiction, too_long, with_own_commands
from validator.text import plain
from validator.verdict.results import Report

REPORT_LIMIT = 5 * 1024 * 1024


class RefusedReportError(CannotJudgeError):
    """The report is not of this tool, or about another commit. The text is one sentence."""


def read_report(path: Path, head_sha: str) -> Report:
    """The report in the file `path`, about the commit `head_sha`. Raises RefusedReportError for all else."""
    try:
        if path.is_symlink() or not path.is_file():
            _refuse("the file does not exist")
        with path.open("rb") as file:
            content = file.read(REPORT_LIMIT + 1)
    except OSError as error:
        raise RefusedReportError(f"The report was refused: it cannot be read ({error.strerror})") from error
    return parse_report(content, head_sha)


def parse_report(content: bytes, head_sha: str) -> Report:
    """Like `read_report`, for what is already in memory."""
    if len(content) > REPORT_LIMIT:
        _refuse(f"it is larger than {REPORT_LIMIT // 1024 // 1024} MiB")
    try:
        document = check_json(content)
    except ValueError as error:
        _refuse(str(error))
    where = too_long(document)
    if where:
        _refuse(f"the text of {plain(where, 120)} is longer than any that a run writes")
    try:
        report = Report.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "its top"
        _refuse(f"it does not follow the schema at {plain(place, 120)} ({plain(first['msg'], 120)})")
    if report.commit is None:
        _refuse("it does not say which commit it is about")
    if report.commit != head_sha:
        _refuse(f"it is about commit {plain(report.commit, 12)}, and the head is {head_sha[:9]}")
    wrong = contradiction(report)
    if wrong:
        _refuse(f"it contradicts itself: {wrong}")
    try:
        return with_own_commands(report)
    except ValueError as error:
        _refuse(str(error))


def _refuse(reason: str) -> NoReturn:
    raise RefusedReportError(
        f"The report was refused: {reason}; pass the file that the validating job of this run uploaded"
    )
