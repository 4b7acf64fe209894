"""The pull-request comment and the job summary: one story, told as fully as the budget allows.

Templates emit only `Markdown` values and integers as they are; any other string is escaped on its way out, so
forgetting to escape is safe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from validator.errors import ConfigurationError
from validator.report.blocks import TEXT, Markdown
from validator.report.sections import Detail, Links, View
from validator.results import Report
from validator.text import markdown_text

__all__ = ["LADDER", "SMALLEST_BUDGET", "Detail", "Links", "comment", "summary"]

SMALLEST_BUDGET = 4000
SUMMARY_BYTES = 1_000_000  # GitHub drops a summary of more than 1 MiB, and fails the step

LADDER = (
    Detail(),
    Detail(passing=False, outputs=100, log=2000, insides=6),
    Detail(passing=False, rows=100, outputs=40, log=1000, items=20, insides=3),
    Detail(passing=False, rows=40, outputs=0, log=500, items=10, insides=2),
    Detail(passing=False, rows=15, outputs=0, log=0, items=6, insides=1, layers=6),
    Detail(passing=False, rows=5, outputs=0, log=0, items=2, insides=0),
    Detail(passing=False, rows=0, outputs=0, log=0, items=0, insides=0, counts_only=True),
)


def comment(
    report: Report, *, budget: int = 60_000, instance: str = "default", links: Links | None = None
) -> str:
    """The comment, its hidden marker first, in at most `budget` UTF-16 units (what GitHub may count).

    It is shortened in whole steps and never cut: passing rows go first, then all but the worst, then
    everything but the counts.

    Raises:
        ConfigurationError: the instance cannot stand in a marker, or the budget is below `SMALLEST_BUDGET`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", instance):
        raise ConfigurationError(
            f"instance {instance!r}: use letters, digits, '.', '_' and '-' only, 80 at most; "
            "it tells the comments of several workflows apart"
        )
    if budget < SMALLEST_BUDGET:
        raise ConfigurationError(
            f"budget {budget}: a comment needs {SMALLEST_BUDGET:,} characters; GitHub allows 65,536"
        )
    marker = f"<!-- keras-validator:{instance} -->\n"
    # How long it took differs each time, and a comment that says the same is not to be written again.
    report = report.model_copy(update={"seconds": None})
    body = _fullest(report, links or Links(), budget - len(marker), _utf16_units)
    return marker + body


def summary(report: Report, *, budget: int = SUMMARY_BYTES, links: Links | None = None) -> str:
    """The job summary: the same story without a marker, in at most `budget` bytes of UTF-8."""
    return _fullest(report, links or Links(), budget, lambda body: len(body.encode()))


def _utf16_units(body: str) -> int:
    return len(body) + sum(letter > "\uffff" for letter in body)


def _fullest(report: Report, links: Links, budget: int, size: Callable[[str], int]) -> str:
    for detail in LADDER:
        body = _render(report, detail, links)
        if size(body) <= budget:
            return body
    raise ConfigurationError(f"budget {budget}: a report needs {SMALLEST_BUDGET:,} characters")


def _render(report: Report, detail: Detail, links: Links) -> str:
    view = View(report, detail, _checked(links))
    body = _template().render(view=view, report=report, detail=detail)
    return re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("validator.report"),
        autoescape=False,  # noqa: S701 - `_escaped` escapes for Markdown, which HTML's rules would break
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("comment.md.j2")


def _escaped(shown: object) -> object:
    return shown if isinstance(shown, Markdown | int) else markdown_text(str(shown), TEXT)


def _checked(links: Links) -> Links:
    def usable(url: str) -> str:
        return url if re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./~%?=&#+:@,-]*)?", url, re.ASCII) else ""

    return replace(links, report=usable(links.report), run=usable(links.run))
