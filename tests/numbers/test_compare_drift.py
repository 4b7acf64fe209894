"""Drift over noise: against the definition, in every dtype, for long samples and what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from validator.numbers.distance import compare_tensors
from validator.numbers.drift import Drift, NoiseFloor, measure_drift
from validator.numbers.stream import CHUNK
from validator.numbers.tolerances import UNIT_ROUNDOFF
from validator.storage.tensors import StoredTensor

QUIET = 0.5


def drift(
    a: NDArray, b: NDArray, rms: float, rows: NDArray | None = None, *, dtype: str = "", batched: bool = True
) -> Drift | None:
    baseline, candidate = (
        StoredTensor.from_array("output", side, dtype=dtype, batched=batched) for side in (a, b)
    )
    comparison = compare_tensors(baseline, candidate)
    return measure_drift(baseline, candidate, comparison, NoiseFloor(rms, rows), QUIET)


def bfloat16(values: NDArray) -> NDArray:
    """The upper half of a float32, as bits."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["float16", "float32", "float64"]),
    st.sampled_from([(1,), (7,), (5, 3), (40, 2, 6), (3, CHUNK + 5), (2 * CHUNK // 9 + 3, 9)]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_it_agrees_with_the_definition(dtype: str, shape: tuple, seed: int, holed: bool) -> None:
    random = np.random.default_rng(seed)
    a = random.standard_normal(shape).astype(dtype)
    b = (a + random.standard_normal(shape) * 1e-2).astype(dtype)
    if holed:
        a.flat[random.integers(0, a.size, 3)] = np.nan
        b.flat[random.integers(0, a.size, 3)] = np.inf
    measured = int(random.integers(1, shape[0] + 1))
    rows = random.random(measured) * 0.01
    floor = 0.005
    found = drift(a, b, floor, rows)
    wide_a, wide_b = a.astype(np.float64).reshape(shape[0], -1), b.astype(np.float64).reshape(shape[0], -1)
    finite = np.isfinite(wide_a) & np.isfinite(wide_b)
    if not finite.any():
        assert found is None
        return
    difference = np.where(finite, np.where(finite, wide_b, 0) - np.where(finite, wide_a, 0), 0)
    own = UNIT_ROUNDOFF[dtype] / 2
    noise = max(floor, own * np.sqrt(np.mean(np.square(wide_a[finite]))))
    assert found is not None
    assert found.noise_rms == pytest.approx(noise)
    assert found.ratio == pytest.approx(np.sqrt(np.mean(np.square(difference[finite]))) / noise, rel=1e-6)
    count = np.maximum(finite.sum(1), 1)
    by_sample = np.sqrt(np.square(difference).sum(1) / count)
    size = np.sqrt(np.square(np.where(finite, wide_a, 0)).sum(1) / count)
    known = np.concatenate([rows, np.full(shape[0] - measured, rows.max())])
    least = np.maximum.reduce([known, np.full(shape[0], QUIET * floor), own * size])
    assert found.sample == np.argmax(by_sample / least)
    assert found.sample_ratio == pytest.approx((by_sample / least).max(), rel=1e-6)
    assert found.sample_rms == pytest.approx(by_sample[found.sample], rel=1e-6)


def test_a_global_root_mean_square_dilutes_what_happens_to_one_row() -> None:
    a = np.random.default_rng(0).standard_normal((10_000, 8)).astype(np.float32)
    b = a.copy()
    b[77] += 1e-4
    found = drift(a, b, 1e-6, np.full(10_000, 1e-6))
    assert found is not None
    assert found.ratio < 2
    assert found.sample == 77
    assert found.sample_ratio == pytest.approx(100, rel=0.01)


def test_a_quiet_sample_is_not_taken_at_its_word() -> None:
    """Three members say little about one number: a sample that lay still has half the noise of all."""
    a = np.zeros((100, 1), np.float32)
    b = a.copy()
    b[5] = 1e-6
    found = drift(a, b, 1e-6, np.where(np.arange(100) == 5, 0, 1e-6))
    assert found is not None
    assert found.sample_noise == QUIET * 1e-6
    assert found.sample_ratio == pytest.approx(1 / QUIET)


def test_samples_behind_the_measured_ones_count_with_the_noisiest() -> None:
    a = np.zeros((10, 1), np.float32)
    found = drift(a, a + np.float32(1e-6), 1e-6, np.array([1e-6, 4e-6]))
    assert found is not None
    assert (found.sample, found.sample_ratio) == (0, pytest.approx(1))


@pytest.mark.parametrize(("dtype", "step"), [("float32", 2**-23), ("float64", 2**-52), ("float16", 2**-10)])
def test_one_unit_in_the_last_place_is_rounding_whatever_the_ensemble_says(dtype: str, step: float) -> None:
    a = np.ones((4, 3), dtype)
    b = a.copy()
    b[0, 0] += step
    found = drift(a, b, 1e-30, np.full(4, 1e-30))
    assert found is not None
    assert found.ratio < 2
    assert found.sample_ratio < 4


def test_bfloat16_is_read_as_what_it_means() -> None:
    values = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    found = drift(bfloat16(values), bfloat16(values * 1.1), 0.01, np.full(50, 0.01), dtype="bfloat16")
    assert found is not None
    assert found.ratio == pytest.approx(10, rel=0.2)


def test_what_has_no_samples_is_judged_as_a_whole() -> None:
    a = np.zeros((3, 4), np.float32)
    found = drift(a, a + np.float32(1), 0.5, np.ones(3), batched=False)
    assert found is not None
    assert (found.ratio, found.sample) == (2, None)


def test_nothing_finite_has_no_drift() -> None:
    a = np.full((3, 4), np.nan, np.float32)
    assert drift(a, a + 1, 1.0) is None
