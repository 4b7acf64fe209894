"""The commits of a local clone between two nights, with the pull requests that their subjects name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from validator.environments import Wheel
from validator.errors import ConfigurationError
from validator.origin.types import Commit, Nights
from validator.upgrade.git import GitError, Repository

_NUMBER = re.compile(r"\(#(\d+)\)\s*$")
_MOST = 20


def commits(clone: Path, path: str, nights: Nights) -> tuple[Commit, ...] | None:
    """What changed a file between two nights, newest first; None where the clone cannot tell."""
    before, after = (Wheel("keras-nightly", version).stamp for version in (nights.before, nights.after))
    if before is None or after is None:
        return None
    window = f"{(before - timedelta(hours=2)).isoformat()}", f"{(after + timedelta(hours=1)).isoformat()}"
    try:
        lines = Repository(clone).log(path, window, _MOST)
    except (ConfigurationError, GitError):
        return None
    outcome = []
    for line in lines:
        commit, _, subject = line.partition(" ")
        number = _NUMBER.search(subject)
        outcome.append(
            Commit(hash=commit, subject=subject[:200], pull_request=int(number[1]) if number else None)
        )
    return tuple(outcome)
