"""The smallest set of changed functions that carries a change of behaviour from one version to another."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from validator.origin.delta import smallest
from validator.origin.difference import Change, Difference
from validator.origin.types import Behaviour, ChangedLines

#: Runs the older tree of a difference with some texts instead of its files.
Observe = Callable[[Mapping[str, str]], Behaviour]
Proof = Literal["sufficient", "necessary", "both"]
_MOST_HUNKS = 3  # of one unit: in more of them, the function says more than its parts


@dataclass
class Direction:
    """From the behaviour of one version to that of another by making changes to the first.

    Attributes:
        difference: from the tree that is changed to the one whose changes are made.
        start, goal: digests of the behaviour of the two.
        reverse: the tree that is changed is the newer one.
    """

    difference: Difference
    observe: Observe
    start: str
    goal: str
    reverse: bool = False
    runs: int = 0
    unresolved: int = 0
    withheld: tuple[Change, ...] = ()
    _known: dict[tuple[frozenset[Change], int], str] = field(default_factory=dict)

    def search(self, pools: int = 4) -> list[Change] | None:
        """A set of changes with the effect, no element of which can be left out; None where there is none.

        `pools` is how many ever larger sets are tried.
        """
        for candidates in self._pools()[:pools]:
            if candidates and self.has_effect(candidates):
                return self._smaller(candidates)
        return None

    def has_effect(self, changes: Sequence[Change]) -> bool:
        """Whether the changed tree behaves as the other one."""
        return self._digest(changes) == self.goal

    def _pools(self) -> list[list[Change]]:
        """Ever larger sets: functions that ran, the rest of classes and modules, everything, removals too."""
        added: list[Change] = []
        if self._digest(()) != self.start:
            # Something new acts by itself. Then new methods and statements are changes like others.
            self.withheld = tuple(self.difference.additions)
            added = list(self.withheld)
        everything = sorted([*added, *self.difference.edits], key=self.difference.rank)
        ranks = [self.difference.rank(change) for change in everything]
        pools = [
            [each for each, rank in zip(everything, ranks, strict=True) if rank <= most] for most in (0, 2, 3)
        ]
        pools.append([*everything, *self.difference.removals])
        return [
            pool for number, pool in enumerate(pools) if number == 0 or len(pool) > len(pools[number - 1])
        ]

    def _smaller(self, changes: list[Change]) -> list[Change]:
        """By file, by unit, then by hunk: edits of one file may depend on each other."""
        files: dict[str, list[Change]] = {}
        for change in changes:
            files.setdefault(change.path, []).append(change)
        kept = smallest(
            list(files.values()), lambda part: self.has_effect([left for file in part for left in file])
        )
        units = smallest([change for file in kept for change in file], self.has_effect)
        return self._hunks(units)

    def _hunks(self, units: list[Change]) -> list[Change]:
        parts: list[Change] = []
        for unit in units:
            hunks = self.difference.hunks(unit) if unit.action == "edit" else []
            parts += hunks if 1 <= len(hunks) <= _MOST_HUNKS else [unit]
        if len(parts) == len(units) or not self.has_effect(parts):
            return units
        return smallest(parts, self.has_effect)

    def _digest(self, changes: Sequence[Change]) -> str:
        """The behaviour of a mixture; empty where it does not run."""
        key = frozenset(changes), len(self.withheld)
        if key not in self._known:
            self._known[key] = self._run(self.difference.sources(changes, self.withheld))
        return self._known[key]

    def _run(self, sources: Mapping[str, str]) -> str:
        self.runs += 1
        try:
            for text in sources.values():
                ast.parse(text)
        except SyntaxError:
            self.unresolved += 1
            return ""
        behaviour = self.observe(sources)
        if behaviour.digest in (self.start, self.goal):
            return behaviour.digest
        self.unresolved += not behaviour.ran
        return behaviour.digest if behaviour.ran else ""


@dataclass
class LinesOutcome:
    """What a search came to so far."""

    lines: ChangedLines | None = None
    complete: bool = False


def find_lines(apply: Direction, revert: Direction, versions: tuple[str, str], outcome: LinesOutcome) -> None:
    """Search for the smallest set both ways: applied to the older version, or taken back in the newer.

    Taking back what ran is tried first: where that holds, it is quick. `outcome` has the best so far when
    OutOfTimeError is raised.
    """
    backward = revert.search(pools=1)
    if backward is not None:
        outcome.lines = _described(backward, revert, apply, versions)
    if backward is None or len(backward) > 1:
        forward = apply.search()
        if forward is not None and (backward is None or len(forward) <= len(backward)):
            outcome.lines = _described(forward, apply, revert, versions)
        elif forward is None and backward is None:
            backward = revert.search()
            outcome.lines = None if backward is None else _described(backward, revert, apply, versions)
    outcome.complete = True


def _described(
    changes: Sequence[Change], of: Direction, other: Direction, versions: tuple[str, str]
) -> ChangedLines:
    """The changes as they lead from the older version to the newer, and what was shown of them."""
    reverse = of.reverse
    alone: Proof = "necessary" if reverse else "sufficient"
    return ChangedLines(
        before=versions[0],
        after=versions[1],
        units=of.difference.units(changes, reverse=reverse),
        proof="both" if _holds(changes, of, other) else alone,
        diff=of.difference.diff(changes, reverse=reverse),
        changed=len(of.difference.edits),
        runs=of.runs + other.runs,
        unresolved=of.unresolved + other.unresolved,
    )


def _holds(changes: Sequence[Change], of: Direction, other: Direction) -> bool:
    """Whether the same changes have the effect from the other side, too."""
    mirrored = [of.difference.mirrored(change, other.difference) for change in changes]
    known = [change for change in mirrored if change is not None]
    return len(known) == len(changes) and other.has_effect(known)
