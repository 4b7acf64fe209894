"""Which package of a group moves the numbers, from partial upgrades of which some cannot be installed."""

from __future__ import annotations

from validator.origin.packages import Corner, Group, find_packages
from validator.origin.types import Behaviour, Packages

GROUP = Group.between(
    {"keras": "3.5.0", "tensorflow-cpu": "2.17.1", "numpy": "1.26.4", "protobuf": "4.25.0", "six": "1.16"},
    {"keras": "3.15.1", "tensorflow-cpu": "2.21.0", "numpy": "2.4.6", "protobuf": "6.0.0", "six": "1.16"},
)
TENSORFLOW = "tensorflow-cpu"


def outcome(behaviours: dict[frozenset[str], str]) -> Packages:
    def observe(corner: Corner) -> Behaviour | None:
        return Behaviour(digest=behaviours[corner]) if corner in behaviours else None

    return find_packages(GROUP, observe)


def corner(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_a_group_is_what_was_asked_for_and_the_rest_rides_along() -> None:
    assert [package.name for package in GROUP.packages] == ["keras", "numpy", TENSORFLOW]
    assert [package.name for package in GROUP.riders] == ["protobuf"]
    assert GROUP.is_searched


def test_one_package_alone() -> None:
    names = ["keras", "numpy", TENSORFLOW]
    every = {frozenset(names[at] for at in range(3) if bits >> at & 1): "" for bits in range(8)}
    answer = outcome({part: "B" if TENSORFLOW in part else "A" for part in every})
    assert answer.alone == (TENSORFLOW,)
    assert answer.together == ()
    assert answer.unmoved == ("keras", "numpy")
    assert (answer.corners, answer.impossible) == (8, 0)


def test_a_chain_names_the_package_at_which_the_numbers_move() -> None:
    chain = {
        corner(): "A",
        corner("keras"): "A",
        corner("keras", TENSORFLOW): "B",
        corner("keras", TENSORFLOW, "numpy"): "B",
    }
    answer = outcome(chain)
    assert answer.alone == (TENSORFLOW,)
    assert answer.unmoved == ("keras", "numpy")
    assert answer.impossible == 4


def test_two_that_move_the_numbers_only_together() -> None:
    pairs = {
        corner(): "A",
        corner("keras"): "A",
        corner("numpy"): "A",
        corner("keras", "numpy"): "B",
        corner("keras", "numpy", TENSORFLOW): "B",
    }
    answer = outcome(pairs)
    assert answer.alone == ()
    assert answer.together == (("keras", "numpy"),)
    assert answer.unmoved == (TENSORFLOW,)


def test_a_combination_that_could_not_be_taken_apart_is_named_as_a_whole() -> None:
    answer = outcome({corner(): "A", corner("keras", "numpy", TENSORFLOW): "B"})
    assert answer.alone == ()
    assert answer.together == (("keras", "numpy", TENSORFLOW),)
    assert answer.impossible == 6


def test_nothing_moves() -> None:
    answer = outcome({corner(): "A", corner("keras"): "A", corner("keras", TENSORFLOW): "A"})
    assert (answer.alone, answer.together) == ((), ())
