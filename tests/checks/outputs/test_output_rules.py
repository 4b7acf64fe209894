"""Which rule decides an output's verdict, and with which numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.outputs.output_cases import OLD, drift, judged, output, own
from validator.checks.outputs.types import OutputNumbers
from validator.config.settings import Tolerance
from validator.numbers.floor import GRAINS, Grain
from validator.numbers.places import Places
from validator.runner.captures import SelfDifference
from validator.verdict.bands import BANDS, SEVERITY

MOVED = OLD + np.float32(1e-5)


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize(
    ("share", "verdict"), [(0, "rounding"), (1, "suspicious"), (2, "suspicious"), (3, "changed")]
)
def test_the_bands_of_every_grain(grain: Grain, share: int, verdict: str) -> None:
    band = BANDS.outputs.grains[grain]
    ratio = (band.rounding - 0.01, band.rounding, band.changed, band.changed + 0.01)[share]
    result = judged(output(MOVED, ratio=ratio, grain=grain))
    assert (result.verdict, result.rule, result.band) == (verdict, "noise", (band.rounding, band.changed))
    assert result.grain is not None
    assert result.grain.grain == grain


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.sampled_from(GRAINS))
def test_more_drift_is_never_judged_milder(left: float, right: float, grain: Grain) -> None:
    low, high = (
        SEVERITY.index(judged(output(MOVED, ratio=ratio, grain=grain)).verdict or "identical")
        for ratio in sorted((left, right))
    )
    assert low <= high


def test_every_byte_equal_is_identical_whatever_the_noise() -> None:
    assert judged(output(OLD, ratio=0.0)).verdict == "identical"


def test_nonfinite_values_at_other_places_are_a_change() -> None:
    new = OLD.copy()
    new[2, 1] = np.nan
    still = Places(size=40, moved=1, flips=0, novel=1, reach=0)
    # Nothing measured; measured, without members; measured, and no member makes or loses a NaN.
    for numbers in (output(new), output(new, ratio=0.5), output(new, ratio=0.5, places=still)):
        result = judged(numbers)
        assert (result.verdict, result.rule) == ("changed", "nonfinite")


@pytest.mark.parametrize(
    ("novel", "reach", "verdict"),
    [(0, 0, "rounding"), (3, 2, "rounding"), (2, 0, "suspicious"), (8, 2, "suspicious"), (3, 0, "changed")],
)
def test_other_places_are_held_against_what_rounding_flips(novel: int, reach: int, verdict: str) -> None:
    places = Places(size=40, moved=9, flips=9, novel=novel, reach=reach)
    new = OLD.copy()
    new[2, 1] = np.nan
    by_pattern = judged(output(new, ratio=0.5, places=places))
    assert (by_pattern.verdict, by_pattern.rule) == (
        verdict,
        "noise" if novel == 0 else "nonfinite" if verdict != "rounding" else "noise",
    )
    integers = np.zeros((4, 2), np.int32)
    by_value = judged(output(integers + 1, old=integers, places=places))
    assert (by_value.verdict, by_value.rule) == (verdict, "places")


@pytest.mark.parametrize(
    ("moved", "flips", "verdict"),
    [(13, 9, "rounding"), (14, 9, "suspicious"), (30, 9, "changed"), (2, 0, "suspicious")],
)
def test_where_everything_ties_more_flips_than_rounding_gives_are_no_ties(
    moved: int, flips: int, verdict: str
) -> None:
    integers = np.zeros((4, 10), np.int32)
    places = Places(size=40, moved=moved, flips=flips, novel=0, reach=0)
    assert judged(output(integers + 1, old=integers, places=places)).verdict == verdict


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nothing_but_nan_compares_nothing(sign: float) -> None:
    old = np.full((4, 2), np.nan, np.float32)
    result = judged(output(np.copysign(old, sign), old=old, ratio=0.0))
    assert (result.verdict, result.rule) == ("not-compared", "not-a-number")


@pytest.mark.parametrize("step", [0.0, 1e-7])
def test_more_than_half_nan_is_suspicious_at_best(step: float) -> None:
    old = OLD.copy()
    old[:6] = np.nan
    result = judged(output(old + np.float32(step), old=old, ratio=0.1))
    assert (result.verdict, result.rule) == ("suspicious", "mostly-nan")


@pytest.mark.parametrize(
    ("chaos", "column", "verdict"),
    [(0.49, 0.9, "rounding"), (0.51, 0.6, "suspicious"), (0.1, 1.1, "suspicious")],
)
def test_a_floor_as_large_as_the_output_is_no_pass(chaos: float, column: float, verdict: str) -> None:
    noise = drift(0.9, chaos=chaos, column_chaos=column)
    result = judged(output(MOVED, drift=noise))
    assert (result.verdict, result.rule) == (verdict, "noise" if verdict == "rounding" else "chaos")
    assert judged(output(MOVED, drift=drift(9.0, chaos=chaos))).verdict == "changed"


@pytest.mark.parametrize(
    ("new", "ratio", "expected"),
    [
        (MOVED, 0.5, ("rounding", "units")),
        (MOVED, 2.0, ("suspicious", "units")),
        (MOVED, 9.0, ("changed", "units")),
        (OLD + np.float32(1e-4), 0.5, ("suspicious", "dtype-tolerance")),
    ],
)
def test_without_noise_units_decide_and_the_tolerance_of_the_dtype(
    new: np.ndarray, ratio: float, expected: tuple[str, str]
) -> None:
    result = judged(output(new, drift=drift(ratio, method="none"), gap="no-members"))
    assert (result.verdict, result.rule) == expected


def test_nan_at_the_same_padded_place_is_none() -> None:
    old, new = OLD.copy(), MOVED.copy()
    old[5], new[5] = np.nan, np.nan
    assert judged(output(new, old=old, ratio=0.5)).verdict == "rounding"


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_integers_are_exact(dtype: str) -> None:
    old = np.zeros((4, 2), dtype)
    new = old.copy()
    new[1, 1] = 1
    result = judged(output(new, old=old))
    assert result.verdict == "changed"
    assert result.rule == "exact"


@pytest.mark.parametrize("new", [OLD.astype(np.float64), OLD[:5], OLD.reshape(5, 8)])
def test_another_dtype_or_shape_is_a_change(new: np.ndarray) -> None:
    assert judged(output(new, ratio=0.0)).verdict == "changed"


def test_an_empty_output_is_not_compared() -> None:
    assert judged(output(OLD[:0], old=OLD[:0])).verdict == "not-compared"


def test_a_missing_output_is_a_change() -> None:
    for fields, rule in (
        ({"only_in": "baseline"}, "missing"),
        ({"only_in": "candidate"}, "extra"),
        ({"only_in": "baseline", "renamed_to": "scores"}, "renamed"),
    ):
        result = judged(OutputNumbers(name="logits", **fields))
        assert (result.verdict, result.rule) == ("changed", rule)


def test_without_a_run_the_tolerance_of_the_dtype_decides() -> None:
    result = judged(output(OLD + np.float32(1e-7)))
    assert (result.verdict, result.rule) == ("rounding", "dtype-tolerance")
    assert judged(output(OLD + 1)).verdict == "changed"


LOOSE, STRICT = Tolerance(rtol=0, atol=1e-3), Tolerance(rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("tolerance", "ratio", "verdict", "by_noise"),
    [
        (LOOSE, 50.0, "rounding", "changed"),
        (STRICT, 0.5, "changed", "rounding"),
        (LOOSE, 0.5, "rounding", "rounding"),
        (STRICT, 50.0, "changed", "changed"),
    ],
)
def test_a_configured_tolerance_decides_and_says_how_it_stands_to_noise(
    tolerance: Tolerance, ratio: float, verdict: str, by_noise: str
) -> None:
    result = judged(output(MOVED, ratio=ratio, tolerance=tolerance))
    assert result.verdict == verdict
    assert (result.rule, result.by_noise) == ("tolerance", by_noise)


def test_a_random_baseline_compares_nothing_unless_the_candidate_is_further_away() -> None:
    rng = np.random.default_rng(0)
    new = OLD + rng.choice([-0.5, 0.5], OLD.shape).astype(np.float32)
    result = judged(output(new, unsteady={"baseline": own(0.5)}))
    assert (result.verdict, result.rule) == ("not-compared", "unsteady")
    assert judged(output(OLD + np.float32(1e-7), unsteady={"baseline": own(1e-9)})).verdict == "not-compared"


@pytest.mark.parametrize(
    "self_difference",
    [own(0.05), own(0.5, 2), own(None)],  # much less; two values waver and all differ; no number
)
def test_a_difference_above_the_self_difference_is_a_change(self_difference: SelfDifference) -> None:
    result = judged(output(OLD + np.float32(0.5), unsteady={"baseline": self_difference}))
    assert result.verdict == "changed"


def test_a_random_candidate_of_a_steady_baseline_is_changed() -> None:
    result = judged(output(OLD + np.float32(0.5), ratio=1e5, unsteady={"candidate": own(0.5)}))
    assert (result.verdict, result.rule) == ("changed", "noise")


def test_chance_excuses_no_nan() -> None:
    new = OLD.copy()
    new[0, 0] = np.nan
    assert judged(output(new, unsteady={"baseline": own(0.5)})).verdict == "changed"


def test_wavering_strings_are_nondeterministic() -> None:
    old, new = np.array([["a"], ["b"], ["c"]]), np.array([["a"], ["x"], ["c"]])
    assert judged(output(new, old=old, unsteady={"baseline": own(None, 1)})).verdict == "not-compared"
    assert judged(output(new, old=old)).verdict == "changed"
