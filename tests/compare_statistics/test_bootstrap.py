"""The paired bootstrap against scipy's, and its behaviour at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from validator.compare.statistics import (
    Resampling,
    Rule,
    Values,
    decide,
    identical,
    index_bootstrap,
    influence_estimate,
    paired_bootstrap,
)


def mean_difference(sums: Values) -> Values:
    return np.asarray((sums[..., 1] - sums[..., 0]) / sums[..., 2])


def components(before: Values, after: Values) -> Values:
    return np.stack([before, after, np.ones_like(before)], axis=1)


@pytest.mark.parametrize("units", [30, 200])
def test_interval_agrees_with_scipy(units: int) -> None:
    generator = np.random.default_rng(3)
    before = generator.exponential(size=units)
    after = before + generator.exponential(0.3, size=units) - 0.35
    ours = paired_bootstrap(components(before, after), mean_difference, Resampling(resamples=20_000))
    # scipy has no correction of the levels for few units: give it ours.
    alpha = stats.norm.cdf(stats.t.ppf(0.05, units - 1) * math.sqrt(units / (units - 1)))
    theirs = stats.bootstrap(
        (before, after),
        lambda x, y, axis: np.mean(y - x, axis=axis),
        paired=True,
        n_resamples=20_000,
        confidence_level=1 - 2 * alpha,
        method="BCa",
        rng=np.random.default_rng(4),
    )
    assert ours.interval is not None
    assert ours.error == pytest.approx(theirs.standard_error, rel=0.03)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.interval.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert ours.interval.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_multinomial_shortcut_and_single_draws_agree() -> None:
    """0/1 scores have three kinds of rows; a grain of noise makes every row its own kind."""
    before = np.repeat([1.0, 0.0, 1.0], [6, 4, 190])
    after = np.repeat([0.0, 1.0, 1.0], [6, 4, 190])
    few = paired_bootstrap(components(before, after), mean_difference, Resampling(resamples=8000))
    noise = np.random.default_rng(0).normal(scale=1e-9, size=200)
    many = paired_bootstrap(components(before, after + noise), mean_difference, Resampling(resamples=8000))
    assert few.error == pytest.approx(math.sqrt((10 - 4 / 200) / 200**2), rel=0.03)
    assert few.error == pytest.approx(many.error, rel=0.04)
    assert few.p_worse == pytest.approx(many.p_worse, abs=0.03)


def test_the_same_seed_gives_the_same_answer() -> None:
    generator = np.random.default_rng(1)
    rows = components(generator.normal(size=40), generator.normal(size=40))
    assert paired_bootstrap(rows, mean_difference) == paired_bootstrap(rows, mean_difference)
    other = paired_bootstrap(rows, mean_difference, Resampling(seed=1))
    assert other.interval != paired_bootstrap(rows, mean_difference).interval


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.floats(-1, 1), st.integers(0, 2**20))
def test_p_and_interval_say_the_same(units: int, shift: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    before = generator.normal(size=units)
    estimate = paired_bootstrap(
        components(before, before + shift + generator.normal(size=units)),
        mean_difference,
        Resampling(resamples=500),
    )
    assert estimate.interval is not None
    assert estimate.p_worse is not None
    if abs(estimate.interval.high) > 0.05 * estimate.error:
        assert (estimate.p_worse < 0.05) == (estimate.interval.high < 0)


def test_few_units_have_no_interval() -> None:
    estimate = paired_bootstrap(components(np.zeros(4), -np.ones(4)), mean_difference)
    assert (estimate.delta, estimate.interval, estimate.p_worse) == (-1.0, None, None)
    answer = decide(estimate, Rule())
    assert (answer.decision, answer.needed) == ("cannot-tell", None)


def test_equal_sides_are_identical() -> None:
    values = np.random.default_rng(0).normal(size=30)
    assert paired_bootstrap(components(values, values), mean_difference) == identical(30)
    assert decide(identical(30), Rule()).decision == "not-worse"


def test_undefined_resamples_are_dropped_and_mostly_undefined_ones_say_nothing() -> None:
    def rarely(sums: Values) -> Values:
        return np.where(sums[..., 2] > 0, mean_difference(sums), np.nan)

    rows = components(np.zeros(20), np.linspace(-1, 1, 20))
    rows[:, 2] = 0
    rows[:3, 2] = 1  # 4 % of resamples hold none of them
    assert paired_bootstrap(rows, rarely).interval is not None
    assert paired_bootstrap(rows, lambda sums: np.full(sums.shape[:-1], np.nan)).interval is None


def test_index_bootstrap_agrees_with_sums() -> None:
    generator = np.random.default_rng(2)
    before, after = generator.normal(size=80), generator.normal(size=80)

    def difference(rows: np.ndarray) -> float:
        return float(np.mean(after[rows] - before[rows]))

    one = index_bootstrap(80, difference, Resampling(resamples=2000))
    other = paired_bootstrap(components(before, after), mean_difference)
    assert one.delta == pytest.approx(other.delta)
    assert one.error == pytest.approx(other.error, rel=0.08)


def test_index_bootstrap_drops_what_the_metric_refuses() -> None:
    def difference(rows: np.ndarray) -> float:
        if rows[0] % 3 == 0 and rows[1] != 1:
            raise ValueError("one class only")
        return float(rows.mean())

    assert (
        index_bootstrap(30, lambda rows: float(rows.mean()), Resampling(resamples=200)).interval is not None
    )
    assert index_bootstrap(31, difference, Resampling(resamples=200)).interval is not None


def test_influences_of_a_mean_are_the_t_interval() -> None:
    gain = np.random.default_rng(5).normal(-0.1, 1, size=25)
    estimate = influence_estimate(float(gain.mean()), gain - gain.mean())
    expected = stats.ttest_1samp(gain, 0, alternative="less")
    assert estimate.p_worse == pytest.approx(expected.pvalue)
    assert estimate.interval is not None
    assert estimate.interval.low == pytest.approx(stats.t.interval(0.9, 24, gain.mean(), stats.sem(gain))[0])
