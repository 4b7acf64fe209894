"""Which rule decides an output's verdict, and with which numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checks.outputs.output_cases import OLD, judged, output, own
from validator.checks.outputs.find import by_drift
from validator.checks.outputs.recording import with_split
from validator.checks.outputs.types import OutputNumbers
from validator.config.settings import Tolerance
from validator.numbers.drift import Drift, NoiseFloor
from validator.runner.captures import SelfDifference
from validator.verdict.bands import BANDS, SEVERITY

SAMPLE, SPLIT = BANDS.outputs.sample, BANDS.outputs.batches
MOVED = OLD + np.float32(1e-5)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.0, "rounding"), (1.99, "rounding"), (2.0, "suspicious"), (4.0, "suspicious"), (4.01, "changed")],
)
def test_the_bands(ratio: float, verdict: str) -> None:
    result = judged(output(MOVED, ratio=ratio))
    assert result.verdict == verdict
    assert (result.rule, result.band) == ("noise", (2, 4))


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [(SAMPLE.rounding - 0.1, "rounding"), (SAMPLE.rounding, "suspicious"), (99, "changed")],
)
def test_the_worst_sample_speaks_where_all_together_are_quiet(sample: float, verdict: str) -> None:
    result = judged(output(MOVED, ratio=1.0, sample=sample))
    assert result.verdict == verdict
    assert result.rule == ("noise" if verdict == "rounding" else "sample-noise")
    assert result.band == ((2, 4) if verdict == "rounding" else (8, 16))


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_more_drift_is_never_judged_milder(one: float, other: float) -> None:
    low, high = (
        SEVERITY.index(
            by_drift(Drift(rms=1, noise_rms=1, ratio=ratio, sample=0, sample_ratio=ratio), BANDS)[0]
        )
        for ratio in sorted((one, other))
    )
    assert low <= high
    assert BANDS.outputs.overall.changed < SAMPLE.changed


def test_every_byte_equal_is_identical_whatever_the_noise() -> None:
    assert judged(output(OLD, ratio=0.0)).verdict == "identical"


@pytest.mark.parametrize("ratio", [0.1, None])
def test_nonfinite_values_at_other_places_are_a_change(ratio: float | None) -> None:
    new = OLD.copy()
    new[2, 1] = np.nan
    result = judged(output(new, ratio=ratio))
    assert result.verdict == "changed"
    assert result.rule == "nonfinite"


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


def test_without_noise_the_tolerance_of_the_dtype_decides() -> None:
    result = judged(output(OLD + np.float32(1e-7), gap="no-weights"))
    assert (result.verdict, result.rule, result.numbers.gap) == ("rounding", "dtype-tolerance", "no-weights")
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


def test_both_sides_no_further_apart_than_one_from_itself_are_neither_equal_nor_changed() -> None:
    rng = np.random.default_rng(0)
    new = OLD + rng.choice([-0.5, 0.5], OLD.shape).astype(np.float32)
    result = judged(output(new, ratio=1e5, unsteady={"candidate": own(0.5)}))
    assert result.verdict == "suspicious"
    assert (result.rule, result.unsteady_side) == ("unsteady", "candidate")


@pytest.mark.parametrize(
    "self_difference",
    [own(0.05), own(0.5, 2), own(None)],  # much less; two values waver and all differ; no number
)
def test_a_difference_above_the_self_difference_is_a_change(self_difference: SelfDifference) -> None:
    result = judged(output(OLD + np.float32(0.5), ratio=1e5, unsteady={"candidate": self_difference}))
    assert result.verdict == "changed"


def test_chance_excuses_no_nan() -> None:
    new = OLD.copy()
    new[0, 0] = np.nan
    assert judged(output(new, unsteady={"candidate": own(0.5)})).verdict == "changed"


def test_wavering_strings_are_nondeterministic() -> None:
    old, new = np.array([["a"], ["b"], ["c"]]), np.array([["a"], ["x"], ["c"]])
    assert judged(output(new, old=old, unsteady={"baseline": own(None, 1)})).verdict == "suspicious"
    assert judged(output(new, old=old)).verdict == "changed"


@pytest.mark.parametrize(
    ("split", "rms"), [(None, 1.0), (0.5, 1.0), (3.0, 3.0), (SPLIT, SPLIT), (SPLIT + 0.1, 1.0), (1e6, 1.0)]
)
def test_another_batch_size_raises_the_floor_only_where_it_is_plausible(
    split: float | None, rms: float
) -> None:
    floor = with_split(NoiseFloor(1.0, np.ones(3)), split, SPLIT)
    assert floor.rms == rms
    assert floor.rows is not None
    assert floor.rows.tolist() == [rms] * 3
