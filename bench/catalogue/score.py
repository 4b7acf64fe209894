"""Runs the cases of the corpus and the silent fixes, and counts how often the right known change is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.corpus.benign import benign_pairs
from bench.corpus.case import Case
from bench.corpus.harness import CORPUS, Ran, releases, run_cases
from bench.corpus.history import silent_fixes
from bench.corpus.known import known_changes
from validator.catalogue.entries import changes
from validator.checks.known.types import KnownChangeFinding

#: What the facts list twice: the end of one change under the number of the next.
_SAME = {"K39": "K07"}


@dataclass(frozen=True)
class Named:
    """One case: the change that it is known to be, if the catalogue has it, and what was named."""

    case: Case
    expected: str | None
    named: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the first that is named is the one."""
        return self.expected is not None and self.named[:1] == (self.expected,)

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is named although the case is something else."""
        if self.expected is None:
            return self.named
        return () if self.expected in self.named else self.named


def expected(case: Case) -> str | None:
    """The entry of a case, by its number or its pull request; None for edits and benign pairs."""
    if case.change is None:
        return None
    known = {change.id for change in changes()}
    number = re.match(r"K\d+", case.source)
    if number is not None:
        entry = _SAME.get(number[0], number[0])
        return entry if entry in known else None
    thread = re.match(r"keras#(\d+)", case.source)
    if thread is None:
        return None
    found = (each.id for each in changes() if any(link.endswith(f"/{thread[1]}") for link in each.links))
    return next(found, None)


def named(ran: Ran) -> Named:
    """What was named of a case that ran."""
    found = [each.known.change for each in ran.result.findings if isinstance(each, KnownChangeFinding)]
    return Named(ran.case, expected(ran.case), tuple(found))


def crosses(case: Case) -> bool:
    """Whether a case compares two releases of Keras; within one, no change of Keras is looked for."""
    return case.pair.candidate not in CORPUS.variables


def print_score(only: Sequence[str], jobs: int, *, kept: bool = False) -> int:
    """Run the cases whose id holds one of some words, and print both numbers.

    `kept`: name again what the captures of an earlier run show, and run nothing.
    """

    def chosen(cases: Sequence[Case]) -> list[Case]:
        return [
            case for case in cases if crosses(case) and (not only or any(word in case.id for word in only))
        ]

    ran = run_cases(chosen([*known_changes(), *benign_pairs()]), jobs, kept=kept)
    for series, cases in releases(chosen(silent_fixes())):
        ran += run_cases(cases, jobs, series, kept=kept)
    recorded = [one for one in ran if (one.baseline / "response.json").is_file()]
    if len(recorded) < len(ran):
        print(f"  {len(ran) - len(recorded)} cases were not recorded, and are left out")
    outcomes = [named(one) for one in recorded]
    for one in outcomes:
        if one.wrong or (one.expected is not None and not one.right):
            name = ", ".join(one.named) or "none"
            print(f"  {one.case.id} ({one.case.source}): expected {one.expected}, named {name}")
    known = [one for one in outcomes if one.expected is not None]
    right, wrong = sum(one.right for one in known), sum(bool(one.wrong) for one in outcomes)
    share = f" ({100 * right / len(known):.0f} %)" if known else ""
    print(f"\nnamed right: {right} of {len(known)}{share}; named wrongly: {wrong} of {len(outcomes)}")
    return 0 if not wrong else 1
