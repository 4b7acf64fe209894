"""Which rule speaks for an output, and that it says so with its numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdict.cases import OLD, output
from validator.compare.drift import Drift, NoiseFloor
from validator.config.settings import Tolerance
from validator.results import SEVERITY
from validator.verdict import OutputEvidence
from validator.verdict.bands import OVERALL, SAMPLE, SPLIT, by_noise, with_split
from validator.verdict.outputs import SelfNoise, judge_output

MOVED = OLD + np.float32(1e-5)


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.0, "rounding"), (1.99, "rounding"), (2.0, "suspicious"), (4.0, "suspicious"), (4.01, "changed")],
)
def test_the_bands(ratio: float, verdict: str) -> None:
    result = judge_output(output(MOVED, ratio=ratio))
    assert result.verdict == verdict
    assert result.noise_ratio == ratio
    assert f"{ratio:.2f}×" in result.rule
    assert "rounding below 2, changed above 4" in result.rule


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [(SAMPLE.rounding - 0.1, "rounding"), (SAMPLE.rounding, "suspicious"), (99, "changed")],
)
def test_the_worst_sample_speaks_where_all_together_are_quiet(sample: float, verdict: str) -> None:
    result = judge_output(output(MOVED, ratio=1.0, sample=sample))
    assert result.verdict == verdict
    assert (result.worst_sample, result.worst_sample_ratio) == (3, sample)
    if verdict != "rounding":
        assert result.rule.startswith("noise of a sample: sample 3")
        assert "sample 3" in result.message


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_more_drift_is_never_judged_milder(one: float, other: float) -> None:
    low, high = (
        SEVERITY.index(by_noise(Drift(1.0, 1.0, ratio, 0, 1.0, 1.0, ratio)).verdict)
        for ratio in sorted((one, other))
    )
    assert low <= high
    assert OVERALL.changed < SAMPLE.changed


def test_every_byte_equal_is_identical_whatever_the_noise() -> None:
    assert judge_output(output(OLD, ratio=0.0)).verdict == "identical"


@pytest.mark.parametrize("ratio", [0.1, None])
def test_nonfinite_values_at_other_places_are_a_change(ratio: float | None) -> None:
    new = OLD.copy()
    new[2, 1] = np.nan
    result = judge_output(output(new, ratio=ratio))
    assert result.verdict == "changed"
    assert "[2, 1]" in result.message


def test_nan_at_the_same_padded_place_is_none() -> None:
    old, new = OLD.copy(), MOVED.copy()
    old[5], new[5] = np.nan, np.nan
    assert judge_output(output(new, old=old, ratio=0.5)).verdict == "rounding"


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_integers_are_exact(dtype: str) -> None:
    old = np.zeros((4, 2), dtype)
    new = old.copy()
    new[1, 1] = 1
    result = judge_output(output(new, old=old))
    assert result.verdict == "changed"
    assert result.rule == "integers, booleans and strings must be equal"


@pytest.mark.parametrize("new", [OLD.astype(np.float64), OLD[:5], OLD.reshape(5, 8)])
def test_another_dtype_or_shape_is_a_change(new: np.ndarray) -> None:
    assert judge_output(output(new, ratio=0.0)).verdict == "changed"


def test_an_empty_output_is_not_compared() -> None:
    assert judge_output(output(OLD[:0], old=OLD[:0])).verdict == "not-compared"


def test_a_missing_output_is_a_change() -> None:
    result = judge_output(OutputEvidence("logits", None, "is missing"))
    assert (result.verdict, result.message) == ("changed", "output `logits` is missing")


def test_without_noise_the_tolerance_of_the_dtype_speaks_and_says_why() -> None:
    result = judge_output(output(OLD + np.float32(1e-7), noiseless="the model has no weights"))
    assert result.verdict == "rounding"
    assert "float32 tolerance" in result.rule
    assert "less confidence" in result.rule
    assert "the model has no weights" in result.rule
    assert result.noise_ratio is None
    assert judge_output(output(OLD + 1)).verdict == "changed"


LOOSE, STRICT = Tolerance(rtol=0, atol=1e-3), Tolerance(rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("tolerance", "ratio", "verdict", "words"),
    [
        (LOOSE, 50.0, "rounding", "looser than noise: drift is 50×"),
        (STRICT, 0.5, "changed", "stricter than noise: drift is 0.50×"),
        (LOOSE, 0.5, "rounding", "agrees"),
        (STRICT, 50.0, "changed", "agrees"),
    ],
)
def test_a_configured_tolerance_decides_and_says_how_it_stands_to_noise(
    tolerance: Tolerance, ratio: float, verdict: str, words: str
) -> None:
    result = judge_output(output(MOVED, ratio=ratio, tolerance=tolerance))
    assert result.verdict == verdict
    assert result.rule.startswith("configured tolerance")
    assert words in result.rule


def test_both_sides_no_further_apart_than_one_from_itself_are_neither_equal_nor_changed() -> None:
    rng = np.random.default_rng(0)
    new = OLD + rng.choice([-0.5, 0.5], OLD.shape).astype(np.float32)
    own = SelfNoise("here", OLD.size, 0.5)
    result = judge_output(output(new, ratio=1e5, unstable=(own,)))
    assert result.verdict == "suspicious"
    assert result.rule.startswith("nondeterministic: two runs here differ by 0.5 at most, both sides by 0.5")


@pytest.mark.parametrize(
    "own",
    [
        SelfNoise("here", OLD.size, 0.05),  # much less than the difference
        SelfNoise("here", 2, 0.5),  # two values waver, all differ
        SelfNoise("here", OLD.size, None),
    ],
)
def test_a_difference_above_the_self_difference_is_a_change(own: SelfNoise) -> None:
    result = judge_output(output(OLD + np.float32(0.5), ratio=1e5, unstable=(own,)))
    assert result.verdict == "changed"


def test_chance_excuses_no_nan() -> None:
    new = OLD.copy()
    new[0, 0] = np.nan
    own = SelfNoise("here", OLD.size, 0.5)
    assert judge_output(output(new, unstable=(own,))).verdict == "changed"


def test_wavering_strings_are_nondeterministic() -> None:
    old, new = np.array([["a"], ["b"], ["c"]]), np.array([["a"], ["x"], ["c"]])
    own = SelfNoise("in the baseline", 1, None)
    assert judge_output(output(new, old=old, unstable=(own,))).verdict == "suspicious"
    assert judge_output(output(new, old=old)).verdict == "changed"


@pytest.mark.parametrize(
    ("split", "rms"), [(None, 1.0), (0.5, 1.0), (3.0, 3.0), (SPLIT, SPLIT), (SPLIT + 0.1, 1.0), (1e6, 1.0)]
)
def test_another_batch_size_raises_the_floor_only_where_it_is_plausible(
    split: float | None, rms: float
) -> None:
    floor = with_split(NoiseFloor(1.0, np.ones(3)), split)
    assert floor.rms == rms
    assert floor.rows is not None
    assert floor.rows.tolist() == [rms] * 3
