"""The sweep finds every transition between neighbours, and runs few releases for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from packaging.version import Version

from validator.origin.budget import Budget, OutOfTimeError
from validator.origin.releases import Sweep, coarse
from validator.origin.types import Behaviour, Likeness

RELEASES = [
    Version(text)
    for text in [
        "3.3.0",
        "3.3.1",
        "3.3.2",
        "3.3.3",
        "3.4.0",
        "3.4.1",
        "3.5.0",
        "3.6.0",
        "3.7.0",
        "3.8.0",
        "3.9.0",
        "3.9.1",
        "3.9.2",
        "3.10.0",
        "3.11.0",
        "3.11.1",
        "3.11.2",
        "3.11.3",
        "3.12.0",
        "3.12.1",
    ]
]
BASELINE, CANDIDATE = Version("3.3.3"), Version("3.5.0")


class Releases:
    """Releases that behave as a table says: from which release on which letter; `!` stands for a failure."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = {Version(since): letter for since, letter in table.items()}
        self.asked: list[Version] = []

    def run(self, versions: Sequence[Version]) -> list[Behaviour]:
        self.asked += versions
        return [self.behaviour(version) for version in versions]

    def behaviour(self, version: Version) -> Behaviour:
        letter = self.table[max(since for since in self.table if since <= version)]
        return Behaviour(digest=letter, error=letter[1:] if letter.startswith("!") else "")


def likeness(outcome: Behaviour) -> Likeness:
    known: dict[str, Likeness] = {"A": "baseline", "B": "candidate"}
    return known.get(outcome.digest, "failure" if outcome.error else "other")


def swept(table: dict[str, str]) -> tuple[Releases, Sweep]:
    releases = Releases(table)
    sweep = Sweep([version for version in RELEASES if version >= BASELINE], releases.run, width=2)
    sweep.look(coarse(sweep.releases, [BASELINE, CANDIDATE]))
    sweep.refine()
    return releases, sweep


def test_it_finds_where_a_behaviour_begins_and_where_it_is_gone() -> None:
    releases, sweep = swept({"3.3.0": "A", "3.5.0": "B", "3.10.0": "A"})
    outcome = sweep.summary(likeness, BASELINE, CANDIDATE)
    assert outcome.since is not None
    assert (outcome.since.before, outcome.since.after) == ("3.4.1", "3.5.0")
    assert outcome.gone is not None
    assert (outcome.gone.before, outcome.gone.after, outcome.gone.like) == ("3.9.2", "3.10.0", "baseline")
    assert len(outcome.transitions) == 2
    assert len(releases.asked) == len(set(releases.asked)) == outcome.runs <= 14


def test_a_transition_inside_the_patches_of_a_minor_is_found() -> None:
    _, sweep = swept({"3.3.0": "A", "3.4.0": "B", "3.11.2": "C"})
    outcome = sweep.summary(likeness, BASELINE, CANDIDATE)
    assert [(each.before, each.after) for each in outcome.transitions] == [
        ("3.3.3", "3.4.0"),
        ("3.11.1", "3.11.2"),
    ]


def test_a_third_behaviour_and_a_failure_are_transitions_of_their_own() -> None:
    _, sweep = swept({"3.3.0": "A", "3.4.0": "C", "3.5.0": "B", "3.7.0": "!ValueError", "3.9.0": "B"})
    outcome = sweep.summary(likeness, BASELINE, CANDIDATE)
    assert [each.like for each in outcome.transitions] == ["other", "candidate", "failure", "candidate"]
    assert outcome.since is not None
    assert outcome.since.after == "3.5.0"
    assert outcome.gone is not None
    assert outcome.gone.error == "ValueError"


def test_a_release_that_did_not_end_in_time_is_no_transition() -> None:
    _, sweep = swept({"3.3.0": "A", "3.5.0": "B", "3.8.0": "!TimeLimit", "3.9.0": "B"})
    outcome = sweep.summary(likeness, BASELINE, CANDIDATE)
    assert [each.after for each in outcome.transitions] == ["3.5.0"]
    assert outcome.unknown == ("3.8.0",)


def test_what_was_seen_stands_when_the_time_ends() -> None:
    releases = Releases({"3.3.0": "A", "3.5.0": "B"})
    clock = iter(range(100))
    budget = Budget(4, lambda: float(next(clock)))

    def run(versions: Sequence[Version]) -> list[Behaviour]:
        budget.check()
        return releases.run(versions)

    sweep = Sweep([version for version in RELEASES if version >= BASELINE], run)
    with pytest.raises(OutOfTimeError):
        sweep.look(coarse(sweep.releases, [BASELINE, CANDIDATE]))
    outcome = sweep.summary(likeness, BASELINE, CANDIDATE)
    assert outcome.since is not None
    assert outcome.since.after == "3.5.0"
    assert outcome.runs == 3
