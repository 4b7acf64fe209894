from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from validator.config.settings import Tolerance
from validator.errors import ConfigurationError
from validator.numbers.distance import PairProblem, compare_tensors
from validator.numbers.tolerances import tolerance_of
from validator.numbers.values import float8_table
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=40)


def stored(array, name="output", **more):
    return StoredTensor.from_array(name, np.asarray(array), **more)


def compare(a, b, **more):
    return compare_tensors(stored(a), stored(b), **more)


def naive(a, b, rtol, atol, floor):
    """The definition of every number, in float64 and without a thought for speed."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    both = np.isfinite(x) & np.isfinite(y)
    with np.errstate(all="ignore"):
        agree = (x == y) | (np.isnan(x) & np.isnan(y))
        distance = np.abs(y[both] - x[both])
        mismatched = np.count_nonzero(~both & ~agree) + np.count_nonzero(
            distance > atol + rtol * np.abs(x[both])
        )
        relative = distance / np.maximum(np.abs(x[both]), floor)
    found = {
        "mismatched": int(mismatched),
        "nan_baseline": int(np.isnan(x).sum()),
        "nan_candidate": int(np.isnan(y).sum()),
        "inf_baseline": int(np.isinf(x).sum()),
        "inf_candidate": int(np.isinf(y).sum()),
        "nonfinite_mismatched": int(np.count_nonzero(~both & ~agree)),
    }
    if both.any():
        found |= {
            "max_abs": distance.max(),
            "max_rel": relative.max(),
            "rms": math.sqrt((distance**2).mean()),
            "rms_baseline": math.sqrt((x[both] ** 2).mean()),
            "mean_difference": (y[both] - x[both]).mean(),
        }
    return found


def check(result, expected, rows=None, tolerance=1e-5):
    for name, value in expected.items():
        got = getattr(result, name)
        if isinstance(value, int) or value is None:
            assert got == value, name
        else:
            slack = 1e-5 * expected["rms"] if name == "mean_difference" else 0.0
            assert got == pytest.approx(value, rel=tolerance, abs=max(slack, 1e-300)), name


@st.composite
def single_pairs(draw):
    shape = draw(SHAPES)
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    a = (random.standard_normal(shape) * 10.0 ** draw(st.integers(-25, 25))).astype(np.float32)
    kind = draw(st.sampled_from(["rounding", "noise", "other", "few", "specials", "zeros"]))
    noise = random.standard_normal(shape).astype(np.float32)
    b = a.copy()
    if kind == "rounding":
        b = a * (1 + noise * np.float32(1e-6))
    elif kind == "noise":
        b = a + noise * np.float32(10.0 ** draw(st.integers(-8, 2)))
    elif kind == "other":
        b = noise * np.float32(10.0 ** draw(st.integers(-20, 20)))
    elif kind == "few":
        b = np.where(random.random(shape) < 0.05, noise, a).astype(np.float32)
    elif kind == "zeros":
        a = np.where(random.random(shape) < 0.7, np.float32(0), a)
        b = np.where(random.random(shape) < 0.5, -a, a * np.float32(1.001))
    if kind == "specials":
        specials = np.array([np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -0.0], np.float32)
        for side in (a, b):
            where = random.random(shape) < 0.2
            side[where] = random.choice(specials, np.count_nonzero(where))
    return a.astype(np.float32), b.astype(np.float32)


@settings(deadline=None, max_examples=300)
@given(single_pairs(), st.sampled_from([None, (0.0, 0.0), (1e-3, 0.0), (0.0, 1e-4), (0.1, 10.0)]))
def test_float32_agrees_with_the_definition(pair, tolerance):
    a, b = pair
    given_tolerance = None if tolerance is None else Tolerance(rtol=tolerance[0], atol=tolerance[1])
    result = compare(a, b, tolerance=given_tolerance)
    used = given_tolerance or tolerance_of("float32", "float32")
    check(result, naive(a, b, used.rtol, used.atol, result.relative_floor))
    assert result.identical == (a.tobytes() == b.tobytes())
    if a.ndim >= 2 and a.shape[-1] >= 2:
        flips = np.count_nonzero(a.argmax(-1) != b.argmax(-1))
        assert (result.flips, result.rows) == (flips, a.size // a.shape[-1])
    else:
        assert result.flips is None


@settings(deadline=None, max_examples=100)
@given(st.integers(2, 50), st.integers(0, 2**32 - 1), st.floats(1e-7, 2))
def test_flips_of_rows_whose_margin_is_near_the_difference(classes, seed, scale):
    random = np.random.default_rng(seed)
    a = (random.integers(-2, 3, (200, classes)) * scale).astype(np.float32)
    step = random.choice(np.array([-1.0, 0.0, 0.5, 1.0], np.float32), a.shape) * np.float32(scale)
    b = a + step * np.float32(random.choice([0.25, 0.5, 0.5000001, 1.0]))
    assert compare(a, b).flips == np.count_nonzero(a.argmax(1) != b.argmax(1))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["float16", "float64", "int8", "uint8", "int32", "uint16", "bool"]),
    st.sampled_from(["float16", "float64", "int8", "uint8", "int32", "uint16", "bool"]),
    SHAPES,
    st.integers(0, 2**32 - 1),
)
def test_every_dtype_agrees_with_the_definition(one, other, shape, seed):
    random = np.random.default_rng(seed)
    a = (random.standard_normal(shape) * 20).astype(np.int8).astype(one)
    b = np.where(random.random(shape) < 0.3, random.integers(0, 2, shape), a).astype(other)
    result = compare(a, b)
    check(result, naive(a, b, result.tolerance.rtol, result.tolerance.atol, result.relative_floor))
    assert [problem.kind for problem in result.problems] == ([] if one == other else ["dtype"])
    assert result.identical == (one == other and a.tobytes() == b.tobytes())


@pytest.mark.parametrize("shape", [(30, 150_001), (4_200_000,), (430_000, 10), (2000, 100), (1300, 60)])
def test_tensors_of_many_chunks(shape):
    random = np.random.default_rng(5)
    a = random.standard_normal(shape).astype(np.float32)
    b = a + random.standard_normal(shape).astype(np.float32) * np.float32(0.3)
    b.reshape(-1)[-7] += 1000
    b.reshape(-1)[:9] = a.reshape(-1)[:9]
    result = compare(a, b)
    check(result, naive(a, b, 1.3e-6, 1e-5, 1e-5))
    assert result.worst.index == np.unravel_index(a.size - 7, shape)
    assert (result.worst.baseline, result.worst.candidate) == (a.ravel()[-7], b.ravel()[-7])
    if len(shape) == 2:
        assert result.flips == np.count_nonzero(a.argmax(1) != b.argmax(1))
        assert result.rows == shape[0]


def test_long_rows_with_nan_flip_as_numpy_says():
    a = np.random.default_rng(0).standard_normal((4, 140_000)).astype(np.float32)
    b = a.copy()
    b[1, 139_999] = np.nan
    b[2, 5], a[2, 139_000] = np.nan, np.nan
    b[3, 70_000] = 99
    result = compare(a, b)
    assert result.flips == np.count_nonzero(a.argmax(1) != b.argmax(1)) == 3
    assert result.first_nonfinite.index == (1, 139_999)
    assert math.isnan(result.first_nonfinite.candidate)


def test_integers_are_exact_beyond_float64():
    a = np.array([2**53, 2**63 - 1, -(2**63)], np.int64)
    b = np.array([2**53 + 1, 2**63 - 1, 2**63 - 1], np.int64)
    result = compare(a, b)
    assert result.mismatched == 2
    assert result.worst.index == (2,)
    assert result.worst.candidate == 2**63 - 1
    assert result.max_abs == float(2**64 - 1)


def test_unsigned_does_not_wrap():
    result = compare(np.array([1, 200], np.uint8), np.array([2, 3], np.uint8))
    assert (result.max_abs, result.mean_difference) == (197.0, -98.0)


def test_int64_against_uint64_is_a_finding_and_compared():
    result = compare(np.array([1, 2], np.int64), np.array([1, 4], np.uint64))
    assert (result.mismatched, result.max_abs, result.problems[0].kind) == (1, 2.0, "dtype")


def test_signed_zeros_are_equal_but_not_identical():
    result = compare(np.array([0.0, 1.0], np.float32), np.array([-0.0, 1.0], np.float32))
    assert (result.identical, result.mismatched, result.max_abs) == (False, 0, 0.0)


def test_nan_of_other_bits_agrees():
    a = np.array([0x7FC00000, 0], np.uint32).view(np.float32)
    b = np.array([0x7FC00001, 0], np.uint32).view(np.float32)
    result = compare(a, b)
    assert (result.identical, result.mismatched, result.nan_baseline, result.nan_candidate) == (
        False,
        0,
        1,
        1,
    )


def test_identical_nan_and_infinities_are_counted():
    a = np.array([np.nan, np.inf, 1, -np.inf], np.float32)
    result = compare(a, a)
    assert (result.identical, result.nan_baseline, result.inf_candidate) == (True, 1, 2)
    assert (result.max_abs, result.rms_baseline) == (0.0, 1.0)


def test_nothing_finite_has_no_numbers():
    result = compare(np.array([np.nan, 1.0], np.float32), np.array([2.0, np.nan], np.float32))
    assert result.max_abs is result.rms is None
    assert result.mismatched == 2


def test_differences_beyond_the_dtype():
    top = np.finfo(np.float32).max
    assert compare(np.array([top]), np.array([-top])).max_abs == 2.0 * float(top)
    huge = compare(np.array([1.7e308]), np.array([-1.7e308]))
    assert huge.max_abs == np.finfo(np.float64).max
    assert huge.rms is None
    assert huge.mismatched == 1


def test_tiny_values_do_not_vanish():
    a = np.full(1000, 1e-30, np.float32)
    result = compare(a, a * np.float32(2))
    assert result.rms == pytest.approx(1e-30, rel=1e-6, abs=0)


def test_differences_whose_squares_float32_cannot_hold():
    a = np.full(20_000, 1e-30, np.float32)
    a[0] = 1.0
    b = a + np.float32(1e-24)
    assert compare(a, b).rms == pytest.approx(1e-24 * math.sqrt(1 - 1 / a.size), rel=1e-5, abs=0)


@pytest.mark.parametrize(("rtol", "atol"), [(1e-3, 1e-3), (0.0, 0.1), (1.3e-6, 1e-5), (0.01, 0.0)])
def test_elements_at_their_threshold_are_counted_in_float64(rtol, atol):
    random = np.random.default_rng(7)
    a = random.standard_normal(20_000).astype(np.float32)
    edge = (a + (atol + rtol * np.abs(a.astype(np.float64)))).astype(np.float32)
    b = np.nextafter(edge, random.choice(np.array([-np.inf, np.inf], np.float32), a.size))
    expected = naive(a, b, rtol, atol, 1e-5)["mismatched"]
    assert 0 < expected < a.size
    assert compare(a, b, tolerance=Tolerance(rtol=rtol, atol=atol)).mismatched == expected


def test_a_sum_of_many_elements_keeps_its_digits():
    a = np.full(3_000_000, 0.1, np.float32)
    result = compare(a, a + np.float32(0.01))
    assert result.rms_baseline == pytest.approx(float(np.float32(0.1)), rel=1e-6)
    assert result.mean_difference == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ((3, 1), (3,), "shape"),
        ((3, 4), (4, 3), "shape"),
        ((3, 4), (5, 4), "samples"),
        ((), (1,), "shape"),
        ((0, 4), (0, 4), "empty"),
    ],
)
def test_what_cannot_be_paired_is_said(one, other, kind):
    result = compare(np.zeros(one, np.float32), np.zeros(other, np.float32))
    assert not result.compared
    assert not result.identical
    assert result.mismatched == result.size
    assert [problem.kind for problem in result.problems] == [kind]
    assert result.max_abs is None


def test_a_scalar_is_compared():
    result = compare(np.float32(1), np.float32(3))
    assert (result.max_abs, result.worst.index, result.flips) == (2.0, (), None)


def test_per_batch_against_per_sample_is_said():
    a = np.ones((2, 2), np.float32)
    result = compare_tensors(stored(a), stored(a, batched=False))
    assert [problem.kind for problem in result.problems] == ["batched"]
    assert not result.identical


def test_complex_numbers_by_their_distance():
    result = compare(np.array([1 + 1j, 2], np.complex64), np.array([1 + 2j, 2], np.complex64))
    assert (result.max_abs, result.mismatched, result.worst.candidate) == (1.0, 1, (1.0, 2.0))
    assert result.rms == pytest.approx(math.sqrt(0.5))
    nan = compare(np.array([complex(1, np.nan)]), np.array([1 + 0j]))
    assert (nan.nonfinite_mismatched, nan.nan_baseline) == (1, 1)


def test_booleans():
    result = compare(np.array([True, False, True]), np.array([True, True, True]))
    assert (result.mismatched, result.worst.baseline, result.worst.candidate) == (1, False, True)


def test_strings():
    a, b = np.array([["ä", "b"], ["c", ""]]), np.array([["ä", "bb"], ["c", "x"]])
    result = compare(a, b)
    assert (result.mismatched, result.worst.index, result.worst.candidate) == (2, (0, 1), "bb")
    assert compare(a, a).identical
    assert result.max_abs is None
    masked = compare(a, b, mask=np.array([[True, False], [True, True]]))
    assert (masked.mismatched, masked.worst.index, masked.size) == (1, (1, 1), 3)


def test_strings_against_numbers_are_not_compared():
    result = compare(np.array(["1"]), np.array([1.0]))
    assert not result.compared
    assert [problem.kind for problem in result.problems] == ["dtype", "kind"]


@pytest.mark.parametrize("tolerated", [True, False])
def test_bfloat16_bits(tolerated):
    values = np.array([1.0, -2.5, np.inf, 3.0], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    other = bits.copy()
    other[1] += 1 if tolerated else 8
    result = compare_tensors(stored(bits, dtype="bfloat16"), stored(other, dtype="bfloat16"))
    assert result.max_abs == (2**-6 if tolerated else 2**-3)
    assert result.mismatched == (0 if tolerated else 1)
    assert result.worst.baseline == -2.5
    assert (result.inf_baseline, result.inf_candidate) == (1, 1)


@pytest.mark.parametrize(
    ("dtype", "bits", "value"),
    [
        ("float8_e4m3fn", 0x7E, 448.0),
        ("float8_e4m3fn", 0x01, 2.0**-9),
        ("float8_e5m2", 0x7B, 57344.0),
        ("float8_e5m2", 0x7C, math.inf),
        ("float8_e4m3fnuz", 0x7F, 240.0),
        ("float8_e5m2fnuz", 0x7F, 57344.0),
        ("float8_e4m3b11fnuz", 0x7F, 30.0),
    ],
)
def test_float8_values(dtype, bits, value):
    assert float8_table(dtype)[bits] == value


def test_float8_not_a_number():
    assert np.isnan(float8_table("float8_e4m3fn")[[0x7F, 0xFF]]).all()
    assert np.isnan(float8_table("float8_e5m2fnuz")[0x80])
    assert np.count_nonzero(np.isnan(float8_table("float8_e5m2"))) == 6
    a = np.arange(256, dtype=np.uint8)
    result = compare_tensors(stored(a, dtype="float8_e5m2"), stored(a, dtype="float8_e5m2"))
    assert (result.identical, result.nan_baseline, result.inf_baseline) == (True, 6, 2)


def test_bits_without_a_meaning_are_compared_as_bits():
    a = np.array([1, 2], np.uint8)
    result = compare_tensors(stored(a, dtype="int4"), stored(a + 1, dtype="int4"))
    assert (result.mismatched, result.max_abs) == (2, None)
    other = compare_tensors(stored(a, dtype="int4"), stored(a, dtype="uint4"))
    assert not other.compared


def test_a_mask_leaves_padding_out():
    random = np.random.default_rng(1)
    a = random.standard_normal((6, 5, 7)).astype(np.float32)
    b = a.copy()
    mask = random.random((6, 5)) < 0.5
    b[~mask] += 1
    inside, outside = compare(a, b, mask=mask), compare(a, b, mask=~mask)
    assert (inside.identical, inside.size, inside.rows) == (True, 7 * mask.sum(), mask.sum())
    assert outside.mismatched == outside.size == 210 - inside.size
    assert outside.flips == np.count_nonzero((a.argmax(-1) != b.argmax(-1))[~mask])
    assert not mask[outside.worst.index[:2]]
    whole = compare(a, b, mask=np.broadcast_to(mask[..., np.newaxis], a.shape).copy())
    assert (whole.identical, whole.flips) == (True, None)


def test_a_mask_of_nothing_compares_nothing():
    a = np.ones((2, 3), np.float32)
    result = compare(a, a, mask=np.zeros(2, np.bool_))
    assert not result.compared
    assert [problem.kind for problem in result.problems] == ["empty"]


@pytest.mark.parametrize("mask", [np.ones(3, np.bool_), np.ones(2)])
def test_a_mask_that_does_not_fit_is_refused(mask):
    with pytest.raises(ConfigurationError, match="mask"):
        compare(np.ones((2, 3)), np.ones((2, 3)), mask=mask)


def ragged(folder: Path, name: str, splits, values) -> StoredTensor:
    np.save(folder / f"{name}.npy", np.asarray(values, np.float32))
    np.save(folder / f"{name}.splits.npy", np.asarray(splits, np.int64))
    entry = TensorEntry(
        name="output",
        path=f"{name}.npy",
        dtype="float32",
        shape=(len(values),),
        ragged=(f"{name}.splits.npy",),
    )
    return open_tensors([entry], folder)[0]


def test_ragged_values_are_compared_only_under_the_same_splits(tmp_path):
    a = ragged(tmp_path, "a", [0, 2, 3], [1, 2, 3])
    assert a.samples == 2
    same = compare_tensors(a, ragged(tmp_path, "b", [0, 2, 3], [1, 2, 4]))
    assert (same.max_abs, same.mismatched) == (1.0, 1)
    other = compare_tensors(a, ragged(tmp_path, "c", [0, 1, 3], [1, 2, 3]))
    assert not other.compared
    expected = PairProblem(kind="ragged", baseline=2, candidate=1, dimension=0, row=0)
    assert other.problems == (expected,)
    fewer = compare_tensors(a, ragged(tmp_path, "d", [0, 3], [1, 2, 3]))
    assert fewer.problems == (PairProblem(kind="ragged", baseline=2, candidate=1, dimension=0),)
    assert not compare_tensors(a, stored(np.ones(3, np.float32))).compared


def test_files_give_what_arrays_give(tmp_path):
    random = np.random.default_rng(3)
    a = random.standard_normal((3000, 97)).astype(np.float32)
    b = a + np.float32(1e-3)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    entries = [
        TensorEntry(name="output", path=f"{name}.npy", dtype="float32", shape=a.shape) for name in "ab"
    ]
    one, two = open_tensors(entries, tmp_path)
    assert compare_tensors(one, two) == compare(a, b)


@pytest.mark.parametrize("shape", [(700, 1000), (600_001,), (30_000, 20), (3, 200_000)])
@pytest.mark.parametrize("kind", ["noise", "ties", "same pieces", "nan", "tiny", "at the edge"])
def test_pieces_looked_at_together_give_what_each_gives_by_itself(monkeypatch, shape, kind):
    random = np.random.default_rng(11)
    a = random.standard_normal(shape).astype(np.float32)
    b = a + random.standard_normal(shape).astype(np.float32) * np.float32(1e-2)
    flat = a.reshape(-1), b.reshape(-1)
    if kind == "ties":
        flat[1][:] = flat[0] + random.choice(np.float32([-0.5, 0, 0.5]), a.size)
    elif kind == "same pieces":
        flat[1][60_000:280_000] = flat[0][60_000:280_000]
    elif kind == "nan":
        flat[1][[70_000, 500_000]] = np.nan
    elif kind == "tiny":
        flat[0][:140_000] *= np.float32(1e-30)
        flat[1][:140_000] *= np.float32(1e-30)
    elif kind == "at the edge":
        flat[1][:] = flat[0] * np.float32(1 + 1.3e-6) + np.float32(1e-5)
    together = compare(a, b)
    monkeypatch.setattr("validator.numbers.distance._TOGETHER", 1)
    assert repr(together) == repr(compare(a, b))  # NaN is not NaN
    check(together, naive(a, b, 1.3e-6, 1e-5, 1e-5))
