"""A report that came as an artifact: written by whoever opened the pull request, until proven otherwise.

Nothing in it says where it is posted. It is read once, within limits, against the schema; and it must be
about the commit that GitHub names.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from validator.errors import CannotJudgeError
from validator.results import Report
from validator.text import plain

REPORT_LIMIT = 5 * 1024 * 1024
DEPTH_LIMIT = 32
_INTEGER_DIGITS = 18


class RefusedReportError(CannotJudgeError):
    """The report is not one of ours, or about another commit. The text is one sentence."""


def read_report(path: Path, head_sha: str) -> Report:
    """The report in the file `path`, about the commit `head_sha`.

    Raises RefusedReportError for anything else: no file, a link, too large, no JSON, keys twice, numbers
    that are not finite, another schema, another commit.
    """
    try:
        if path.is_symlink() or not path.is_file():
            _refuse("there is no such file")
        with path.open("rb") as file:
            content = file.read(REPORT_LIMIT + 1)
    except OSError as error:
        raise RefusedReportError(f"The report was refused: it cannot be read ({error.strerror})") from error
    return parse_report(content, head_sha)


def parse_report(content: bytes, head_sha: str) -> Report:
    """Like `read_report`, for what is already in memory."""
    if len(content) > REPORT_LIMIT:
        _refuse(f"it is larger than {REPORT_LIMIT // 1024 // 1024} MiB")
    _check_json(content)
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
    return report


def _check_json(content: bytes) -> None:
    """What JSON allows and a report does not. Of two equal keys, parsers differ in which they keep."""
    try:
        text = content.decode("utf-8")
        parsed = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer)
    except UnicodeDecodeError:
        _refuse("it is not UTF-8")
    except RecursionError:
        _refuse(f"it is nested more than {DEPTH_LIMIT} deep")
    except json.JSONDecodeError as error:
        _refuse(f"it is no JSON (line {error.lineno}, column {error.colno})")
    level = [parsed]
    for _ in range(DEPTH_LIMIT):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    _refuse(f"it is nested more than {DEPTH_LIMIT} deep")


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        _refuse(f"it has the key {plain(twice, 60)!r} twice")
    return found


def _constant(name: str) -> NoReturn:
    _refuse(f"it holds {name}, which is no finite number")


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _INTEGER_DIGITS:
        _refuse(f"it holds a whole number of {len(digits)} digits")
    return int(digits)


def _refuse(reason: str) -> NoReturn:
    raise RefusedReportError(f"The report was refused: {reason}; it must be the one this very run uploaded")
