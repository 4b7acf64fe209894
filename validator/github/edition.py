"""A report as it is published: its texts, and how one is made to fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from validator.verdict.results import Report

#: Characters → a text that says as much as fits into so many.
Render = Callable[[int], str]

#: Characters a comment or a check run's summary is rendered for, and those GitHub takes.
COMMENT_BUDGET = 60_000
COMMENT_LIMIT = 65_536
_UNPOSTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Edition:
    """One report with the texts that the report room made of it.

    `render` gives the Markdown without a marker; `headline` is the verdict and its first reason, on one line
    of any length; `refused` says why a received report was not used, `absent` why there was none.
    """

    report: Report
    render: Render
    headline: str
    refused: str = ""
    absent: str = ""

    @property
    def unusable(self) -> bool:
        """Whether there is no report that counts: an older comment is replaced, and none is created."""
        return bool(self.refused or self.absent)


def characters(text: str) -> int:
    """UTF-16 units: never fewer than the characters GitHub counts, whichever way it counts them."""
    return len(text) + sum(1 for letter in text if letter > "\uffff")


def fit(render: Render, budget: int, limit: int, size: Callable[[str], int] = characters) -> str | None:
    """What `render` returns within `limit`, measured by `size`; None when nothing fits. Nothing is cut.

    A rendering for `budget` characters that measures too much is replaced by one for proportionally fewer.
    Control characters and lone surrogates, which no API takes, are removed.
    """
    for _ in range(4):
        if budget < 1:
            return None
        text = _UNPOSTABLE.sub("", render(budget))
        measured = size(text)
        if measured <= limit:
            return text
        budget = min(budget - 1, int(budget * limit / measured * 0.9))
    return None
