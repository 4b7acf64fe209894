"""The worker's one way to add up numbers."""

from __future__ import annotations

import hashlib

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture.numbers import Distance, deviation_of, hash_of, is_same, pairwise

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


ANY = arrays.arrays(
    st.sampled_from(["f2", "f4", "f8", "i4", "?", "c8"]), arrays.array_shapes(min_dims=0, min_side=0)
)


@given(ANY, st.integers(1, 5))
def test_a_hash_is_of_the_bytes_whatever_the_parts(values: np.ndarray, rows: int) -> None:
    parts = [values] if not values.shape else [values[at : at + rows] for at in range(0, len(values), rows)]
    whole = hashlib.blake2b(values.tobytes(), digest_size=16)
    assert hash_of(parts).hexdigest() == hash_of([values]).hexdigest() == whole.hexdigest()
    assert hash_of([values.T]).digest() == hash_of([np.array(values.T, order="C")]).digest()


@given(ANY, st.data())
def test_arrays_are_the_same_if_every_bit_is(values: np.ndarray, data: st.DataObject) -> None:
    assert is_same(values, np.array(values, order="F"))
    if not values.size:
        return
    other = np.array(values, order="C")
    place = data.draw(st.integers(0, other.nbytes - 1))
    other.reshape(-1).view(np.uint8)[place] ^= 1
    assert not is_same(values, other)
    assert not is_same(values, values[None])


def test_what_differs_far_behind_is_seen() -> None:
    values = np.zeros(3_000_000, np.float32)
    other = values.copy()
    other[-1] = -0.0
    assert not is_same(values, other)


@given(arrays.arrays(np.float32, (7, 3), elements=st.floats(-1e3, 1e3, width=32)))
def test_a_deviation_is_that_of_numpy(values: np.ndarray) -> None:
    assert deviation_of(values) == pytest.approx(values.astype(np.float64).std(), rel=1e-9, abs=1e-12)


def test_a_deviation_of_many_values_is_added_up_piece_by_piece() -> None:
    values = np.random.default_rng(5).standard_normal(2_500_000).astype(np.float32) + 100
    assert deviation_of(values) == pytest.approx(values.astype(np.float64).std(), rel=1e-12)


@pytest.mark.parametrize("values", [[1.0, np.nan], [np.inf, 1.0], [1e308, -1e308]])
def test_a_deviation_that_is_no_number_is_none(values: list[float]) -> None:
    assert deviation_of(np.array(values)) is None


def test_nothing_deviates_by_nothing() -> None:
    assert deviation_of(np.zeros((0, 3), np.float32)) == 0.0
