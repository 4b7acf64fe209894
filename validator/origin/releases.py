"""Releases by behaviour: every transition between two neighbours, found without running them all.

A bisect for good and bad would miss what comes and goes: between two releases that agree lies, for the llama
of the examples, a stretch of two that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from packaging.version import Version

from validator.origin.types import PASSING, Behaviour, Likeness, ReleaseClass, Releases, Transition

#: Runs some releases and gives what each did, in their order.
Run = Callable[[Sequence[Version]], Sequence[Behaviour]]


def coarse(releases: Sequence[Version], always: Sequence[Version]) -> list[Version]:
    """The last patch of each minor, and those that must be run."""
    last: dict[tuple[int, int], Version] = {}
    for version in sorted(releases):
        last[version.major, version.minor] = version
    return sorted({*last.values(), *always})


class Sweep:
    """What was seen of the releases so far. It stays useful when the time ends in the middle."""

    def __init__(self, releases: Sequence[Version], run: Run, width: int = 1) -> None:
        """`width` is how many are run at a time."""
        self.releases = sorted(releases)
        self.seen: dict[Version, Behaviour] = {}
        self.unknown: list[Version] = []
        self._run = run
        self._width = width

    def look(self, versions: Sequence[Version]) -> None:
        """Run those that were not run yet, some at a time."""
        due = [each for each in versions if each not in self.seen and each not in self.unknown]
        for start in range(0, len(due), self._width):
            part = due[start : start + self._width]
            for version, behaviour in zip(part, self._run(part), strict=True):
                if behaviour.error in PASSING or behaviour.stage in ("resolve", "install"):
                    self.unknown.append(version)
                    self.releases.remove(version)
                else:
                    self.seen[version] = behaviour

    def refine(self) -> None:
        """Search between neighbours of different behaviour until no release lies between any two."""
        while gaps := [middle for pair in pairwise(sorted(self.seen)) if (middle := self._middle(*pair))]:
            self.look(gaps)

    def _middle(self, before: Version, after: Version) -> Version | None:
        if self.seen[before].digest == self.seen[after].digest:
            return None
        between = [version for version in self.releases if before < version < after]
        return between[len(between) // 2] if between else None

    def transitions(self, likeness: Callable[[Behaviour], Likeness]) -> tuple[Transition, ...]:
        """Neighbours of different behaviour among those that were run, oldest first."""
        return tuple(
            Transition(
                before=str(before),
                after=str(after),
                like=likeness(self.seen[after]),
                error=self.seen[after].error,
            )
            for before, after in pairwise(sorted(self.seen))
            if self.seen[before].digest != self.seen[after].digest
        )

    def summary(
        self, likeness: Callable[[Behaviour], Likeness], baseline: Version, candidate: Version
    ) -> Releases:
        """Where the candidate's behaviour begins and ends, in the stretch around the candidate.

        Where the candidate is the older of the two, `gone` is the transition towards the baseline.
        """
        seen = sorted(self.seen)
        transitions = self.transitions(likeness)
        older = [each for each in transitions if Version(each.after) <= candidate]
        newer = [each for each in transitions if Version(each.before) >= candidate]
        return Releases(
            first=str(seen[0]),
            last=str(seen[-1]),
            transitions=transitions,
            since=older[-1] if older else None,
            gone=newer[0] if newer else None,
            traced="since" if baseline <= candidate else "gone",
            unknown=tuple(map(str, sorted(self.unknown))),
            runs=len(seen),
            ran=self.classes(likeness),
        )

    def classes(self, likeness: Callable[[Behaviour], Likeness]) -> tuple[ReleaseClass, ...]:
        """Every release that was run, oldest first; classes of behaviour are A, B, … in that order."""
        digests = list(dict.fromkeys(self.seen[version].digest for version in sorted(self.seen)))
        letters = {digest: chr(ord("A") + min(at, 25)) for at, digest in enumerate(digests)}
        return tuple(
            ReleaseClass(
                version=str(version),
                like=likeness(self.seen[version]),
                behaviour=letters[self.seen[version].digest],
            )
            for version in sorted(self.seen)
        )
