"""The largest of numbers that pass by, against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.numbers.largest import Largest


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 20), st.integers(1, 9))
def test_the_first_of_a_stable_order_are_kept(values: list[int], most: int, step: int) -> None:
    numbers = np.asarray(values, np.float64)
    largest = Largest(most)
    for low in range(0, numbers.size, step):
        largest.add(numbers[low : low + step], low)
    every = np.argsort(-numbers, kind="stable")
    assert largest.places == [place for place in every.tolist() if numbers[place] > 0][:most]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_what_is_not_positive_is_not_kept(value: float) -> None:
    largest = Largest(3)
    largest.add(np.asarray([value, 2.0, float("inf"), value]), 10)
    assert largest.places == [12, 11]
