"""The nightly builds of Keras between two releases, and the two nights between which a behaviour begins.

They are ordered by the date in their version. The label before it says nothing: `3.3.3.dev20240625` has the
code of 3.4.0, and labels move up to two and a half months before the release.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from validator.environments import Wheel
from validator.origin.types import Behaviour, Nights

Look = Callable[[Wheel], Behaviour]
_HISTORY = "https://github.com/keras-team/keras/commits/master"
_BEFORE, _AFTER = timedelta(hours=2), timedelta(hours=1)  # a wheel is built some time after its commits
_HOLE_DAYS = 3.0
_WIDEN = 7  # nights at a time: patch releases are cut on a branch beside the nights
_MOST_WIDENED = 6
_MOST_BROKEN = 8  # nights tried around one that does not run


def history(path: str, before: datetime, after: datetime) -> str:
    """The commits between two nights on GitHub, of one file where it is known (UTC)."""
    window = {"since": _stamp(before - _BEFORE), "until": _stamp(after + _AFTER)}
    return (
        f"{_HISTORY}/{path}?{urlencode(window, safe=':')}"
        if path
        else f"{_HISTORY}?{urlencode(window, safe=':')}"
    )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class NightSearch:
    """A search among nights. `good` is the digest of the older release, `bad` that of the newer.

    Attributes:
        nights: by date.
        look: runs a night.
    """

    nights: Sequence[Wheel]
    look: Look
    good: str
    bad: str
    seen: dict[int, Behaviour] = field(default_factory=dict)

    def between(self, low: int, high: int) -> list[tuple[int, int]]:
        """The neighbours where another behaviour begins, from the places of the two releases.

        None where the nights around the releases do not behave as these do: the change was made on a branch.
        More than one where a third behaviour lies in between.
        """
        first = self._anchored(low, self.good, -1)
        last = self._anchored(high, self.bad, +1)
        if first is None or last is None or first >= last:
            return []
        pairs = [self._narrowed(first, last)]
        while self.digest(pairs[-1][1]) != self.bad:
            pairs.append(self._narrowed(pairs[-1][1], last))
        return pairs

    def _anchored(self, place: int, digest: str, step: int) -> int | None:
        """The nearest night that behaves as a release: outwards, by a night if broken, else a week."""
        for _ in range(_MOST_WIDENED):
            if not 0 <= place < len(self.nights):
                return None
            behaviour = self._look(place)
            if behaviour.digest == digest:
                return place
            place += step * (1 if not behaviour.ran else _WIDEN)
        return None

    def _narrowed(self, low: int, high: int) -> tuple[int, int]:
        """Bisect for the last night that behaves as the lower; what runs otherwise has begun."""
        good = self.digest(low)
        while high - low > 1:
            middle = self._running(low, high)
            if middle is None:
                break
            if self._look(middle).digest == good:
                low = middle
            else:
                high = middle
        return low, high

    def _running(self, low: int, high: int) -> int | None:
        """A night near the middle that runs, or fails as the goal does."""
        centre = (low + high) // 2
        order = sorted(range(low + 1, high), key=lambda place: abs(place - centre))
        for place in order[:_MOST_BROKEN]:
            behaviour = self._look(place)
            if behaviour.ran or behaviour.digest in (self.good, self.bad):
                return place
        return None

    def broken(self, low: int, high: int) -> tuple[str, ...]:
        """The nights strictly between two that were tried and did not run."""
        attempted = sorted(place for place in self.seen if low < place < high)
        return tuple(self.nights[place].version for place in attempted if not self.seen[place].ran)

    def _look(self, place: int) -> Behaviour:
        if place not in self.seen:
            self.seen[place] = self.look(self.nights[place])
        return self.seen[place]

    def digest(self, place: int) -> str:
        """How a night behaves that was run."""
        return self.seen[place].digest


def result(search: NightSearch, low: int, high: int) -> Nights:
    """The two nights as the report has them; likeness, link and commits are added by whoever knows them."""
    before, after = search.nights[low], search.nights[high]
    days = (_moment(after) - _moment(before)).total_seconds() / 86400
    return Nights(
        before=before.version,
        after=after.version,
        days=round(days, 2),
        hole=high - low == 1 and days > _HOLE_DAYS,
        broken=search.broken(low, high),
        link=history("", _moment(before), _moment(after)),
        runs=len(search.seen),
    )


def with_path(nights: Nights, path: str) -> Nights:
    """The same with a link to the commits that touch one file."""
    moments = (_moment(Wheel("keras-nightly", version)) for version in (nights.before, nights.after))
    return nights.model_copy(update={"link": history(path, *moments)})


def _moment(night: Wheel) -> datetime:
    moment = night.stamp
    if moment is None:
        raise ValueError(f"{night} carries no date")
    return moment


def candidates(nights: Sequence[Wheel], uploads: Iterable[datetime]) -> list[int]:
    """The nights around some moments: before and after each."""
    stamps = [_moment(night) for night in nights]
    places = (bisect_left(stamps, moment) for moment in uploads)
    around = {place for middle in places for place in (middle - 1, middle)}
    return sorted(place for place in around if 0 <= place < len(nights))


def nearest(release: Path, folders: Iterable[tuple[int, Path]]) -> int | None:
    """The place of the night with the fewest files that differ from a release; None without any."""
    own = digests(release)
    ranked = [(_differing(own, digests(folder)), place) for place, folder in folders]
    return min(ranked)[1] if ranked else None


def digests(folder: Path) -> dict[str, str]:
    """Relative path → digest of every module of Keras in a folder."""
    root = folder / "keras" / "src"
    files = (
        file
        for file in root.rglob("*.py")
        if not file.name.endswith("_test.py") and file.name != "version.py"
    )
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _differing(left: dict[str, str], other: dict[str, str]) -> int:
    return sum(left.get(path) != other.get(path) for path in left.keys() | other.keys())
