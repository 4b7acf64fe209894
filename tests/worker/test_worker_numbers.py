"""The worker's one way to add up distances."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture.numbers import Distance, pairwise

FINITE = st.floats(-1e3, 1e3)
PAIRS = st.integers(1, 9).flatmap(
    lambda size: st.tuples(*[arrays.arrays(np.float64, (size, 3), elements=FINITE)] * 2)
)


@given(PAIRS)
def test_every_way_gives_the_root_mean_square(pair: tuple[np.ndarray, np.ndarray]) -> None:
    old, new = pair
    flat, summed = Distance(), Distance(squares=pairwise)
    flat.add(old, new, block=4)
    summed.add(old, new)
    expected = np.sqrt(np.mean((new - old) ** 2))
    for distance in (flat, summed):
        assert distance.rms == pytest.approx(expected, rel=1e-12, abs=1e-300)
        assert distance.max_abs == np.abs(new - old).max()
        assert (distance.count, distance.nonfinite, distance.torn) == (old.size, 0, 0)


def test_nan_and_infinity_agree_with_themselves_only() -> None:
    old = np.array([np.nan, np.inf, -np.inf, 1.0, np.nan, np.inf])
    new = np.array([np.nan, np.inf, np.inf, np.nan, 2.0, np.inf])
    distance = Distance()
    distance.add(old, new)
    assert (distance.nonfinite, distance.count, distance.rms) == (3, 0, None)


def test_shapes_that_differ_leave_nothing_to_say() -> None:
    distance = Distance()
    distance.add(np.zeros(3), np.zeros(3))
    distance.add(np.zeros(3), np.zeros(4))
    assert (distance.torn, distance.rms) == (1, None)


def test_a_distance_that_overflows_is_no_number() -> None:
    distance = Distance()
    distance.add(np.array([1e308]), np.array([-1e308]))
    assert (distance.count, distance.rms, distance.max_abs) == (1, None, None)


def test_complex_numbers_of_one_magnitude_are_apart() -> None:
    distance = Distance()
    distance.add(np.array([1 + 0j], np.complex64), np.array([0 + 1j], np.complex64))
    assert distance.rms == pytest.approx(2**0.5)


def test_empty_arrays_add_nothing() -> None:
    distance = Distance()
    distance.add(np.zeros((0, 2)), np.zeros((0, 2)))
    assert (distance.count, distance.rms, distance.max_abs) == (0, None, 0.0)
