"""Delta debugging finds a set from which nothing can be left out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from validator.origin.delta import smallest


@given(st.sets(st.integers(0, 40), min_size=1, max_size=5), st.integers(41, 60))
def test_it_finds_exactly_what_is_needed_together(needed: set[int], count: int) -> None:
    assert set(smallest(range(count), lambda part: needed <= set(part))) == needed


@given(st.integers(2, 50), st.data())
def test_of_several_causes_it_keeps_one(count: int, data: st.DataObject) -> None:
    causes = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    assert len(smallest(range(count), lambda part: bool(causes & set(part)))) == 1


def test_parts_that_do_not_run_have_no_effect() -> None:
    """7 carries the change, and runs only beside 6."""
    asked: list[Sequence[int]] = []

    def has_effect(part: Sequence[int]) -> bool:
        asked.append(part)
        return 7 in part and 6 in part

    assert smallest(range(20), has_effect) == [6, 7]
    assert len(asked) < 60


def test_a_single_element_is_not_asked_about() -> None:
    assert smallest([1], lambda _: False) == [1]
