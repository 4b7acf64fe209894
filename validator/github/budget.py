"""Texts that must fit: rendered again for less room, and never cut."""

from __future__ import annotations

import re
from collections.abc import Callable

#: Given a budget in characters, returns a text that says as much as fits into it.
Render = Callable[[int], str]

#: Characters a comment or a check run's summary is rendered for, and those GitHub takes.
COMMENT_BUDGET = 60_000
COMMENT_LIMIT = 65_536
_UNPOSTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def characters(text: str) -> int:
    """UTF-16 units: never fewer than the characters GitHub counts, whichever way it counts them."""
    return len(text) + sum(1 for letter in text if letter > "\uffff")


def octets(text: str) -> int:
    """Bytes in UTF-8."""
    return len(text.encode("utf-8"))


def fit(render: Render, budget: int, limit: int, size: Callable[[str], int] = characters) -> str | None:
    """What `render` says within `limit`, measured by `size`; None when it cannot say anything in so little.

    `budget` is tried first. A rendering that is larger than it was asked to be, in this measure, is asked
    for a smaller one in proportion. Control characters and lone surrogates, which no API takes, are gone.
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
