"""Nights by date: holes, broken nights, third behaviours, releases that were cut on a branch."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from validator.environments import Wheel, is_night
from validator.origin import nights
from validator.origin.types import Behaviour


def night(day: str, label: str = "3.4.0") -> Wheel:
    return Wheel("keras-nightly", f"{label}.dev{day.replace('-', '')}03")


DAYS = [f"2024-06-{day:02}" for day in range(1, 31)]


def search(letters: str, good: str = "A", bad: str = "B") -> nights.NightSearch:
    """One night a letter, from the first of June; `!` is one that does not run."""
    listed = [night(day) for day in DAYS[: len(letters)]]

    def look(wheel: Wheel) -> Behaviour:
        letter = letters[listed.index(wheel)]
        return Behaviour(digest=letter, error="ImportError" if letter == "!" else "")

    return nights.NightSearch(listed, look, good, bad)


def test_it_finds_the_two_nights() -> None:
    asked = search("AAAAAAAAAAAAAAAAABBBBBBBBBBBBB")
    assert asked.between(0, 29) == [(16, 17)]
    assert len(asked.seen) <= 8


def test_broken_nights_widen_the_interval_and_are_named() -> None:
    asked = search("AAAAAAAA!!!BBBBBB")
    [(low, high)] = asked.between(0, 16)
    assert (low, high) == (7, 11)
    outcome = nights.result(asked, low, high)
    assert len(outcome.broken) == 3
    assert not outcome.hole
    assert outcome.days == 4


def test_a_third_behaviour_gives_two_pairs() -> None:
    assert search("AAAACCCCCCBBBB").between(0, 13) == [(3, 4), (9, 10)]


def test_an_end_that_was_cut_on_a_branch_is_looked_for_further_out() -> None:
    assert search("AAAAAAAAAABBBBBBBBBBBB").between(11, 14) == [(9, 10)]


def test_where_no_night_behaves_as_a_release_there_is_no_answer() -> None:
    assert search("AAAAAAAAAAAAAAAAAAAA").between(5, 10) == []


def test_a_hole_is_said() -> None:
    listed = [night("2025-03-20"), night("2025-04-23")]
    asked = nights.NightSearch(listed, lambda wheel: Behaviour(digest="AB"[listed.index(wheel)]), "A", "B")
    [(low, high)] = asked.between(0, 1)
    outcome = nights.result(asked, low, high)
    assert outcome.hole
    assert outcome.days == 34


def test_the_link_names_the_file_and_a_window_around_the_nights() -> None:
    link = nights.history(
        "keras/src/layers/layer.py",
        datetime(2024, 6, 28, 3, tzinfo=timezone.utc),
        datetime(2024, 6, 29, 3, tzinfo=timezone.utc),
    )
    assert link == (
        "https://github.com/keras-team/keras/commits/master/keras/src/layers/layer.py"
        "?since=2024-06-28T01:00:00Z&until=2024-06-29T04:00:00Z"
    )


def test_a_label_that_is_no_date_is_no_night() -> None:
    assert is_night("3.4.0.dev2024062803")
    assert not is_night("3.4.0.dev0")
    assert not is_night("2.16.0.dev2023070307")
    assert not is_night("3.4.0.dev2024139903")


def test_a_release_stands_beside_the_night_with_the_fewest_other_files(tmp_path: Path) -> None:
    def tree(name: str, **files: str) -> Path:
        for file, text in files.items():
            path = tmp_path / name / "keras" / "src" / f"{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    release = tree("release", a="1", b="2", version="3.5.0")
    folders = [
        (4, tree("n4", a="1", b="1")),
        (5, tree("n5", a="1", b="2", version="dev")),
        (6, tree("n6", a="0")),
    ]
    assert nights.nearest(release, folders) == 5
    assert nights.nearest(release, []) is None
