"""The paired bootstrap against scipy's, and its behaviour at the edges."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from validator.numbers.resampling import (
    PairedScores,
    Resampling,
    Values,
    index_bootstrap,
    influence_estimate,
    paired_bootstrap,
    swap_test,
)
from validator.numbers.statistics import Criterion, decide, identical, mcnemar_midp


def mean(sums: Values) -> Values:
    return np.asarray(sums[..., 0] / sums[..., 1])


def sides(before: Values, after: Values) -> PairedScores:
    ones = np.ones_like(before)
    return PairedScores(np.stack([before, ones], axis=1), np.stack([after, ones], axis=1), mean)


@pytest.mark.parametrize("units", [30, 200])
def test_interval_agrees_with_scipy(units: int) -> None:
    generator = np.random.default_rng(3)
    before = generator.exponential(size=units)
    after = before + generator.exponential(0.3, size=units) - 0.35
    ours = paired_bootstrap(sides(before, after), Resampling(resamples=20_000))
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
    few = paired_bootstrap(sides(before, after), Resampling(resamples=8000))
    noise = np.random.default_rng(0).normal(scale=1e-9, size=200)
    many = paired_bootstrap(sides(before, after + noise), Resampling(resamples=8000))
    assert few.error == pytest.approx(math.sqrt((10 - 4 / 200) / 200**2), rel=0.03)
    assert few.error == pytest.approx(many.error, rel=0.04)
    assert few.p_worse == pytest.approx(many.p_worse, abs=0.03)


def test_the_same_seed_gives_the_same_answer() -> None:
    generator = np.random.default_rng(1)
    pairs = sides(generator.normal(size=40), generator.normal(size=40))
    assert paired_bootstrap(pairs) == paired_bootstrap(pairs)
    assert paired_bootstrap(pairs, Resampling(seed=1)).interval != paired_bootstrap(pairs).interval


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 14), st.integers(0, 14), st.integers(0, 40))
def test_swapped_right_and_wrong_answers_are_mcnemar(b: int, c: int, same: int) -> None:
    if b + c + same == 0:
        return
    before = np.repeat([1.0, 0.0, 1.0], [b, c, same])
    after = np.repeat([0.0, 1.0, 1.0], [b, c, same])
    digits = 1e-9 if 2 ** (b + c) <= 2000 else 0.04
    assert swap_test(sides(before, after)) == pytest.approx(mcnemar_midp(b, c), abs=digits)


@pytest.mark.parametrize("units", [7, 40])
def test_swap_test_agrees_with_scipy(units: int) -> None:
    generator = np.random.default_rng(11)
    before = generator.normal(size=units)
    after = before + generator.normal(-0.3, 1, size=units)
    theirs = stats.permutation_test(
        (after, before),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="less",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    ).pvalue
    observed = 0.5**units / 2 if units < 11 else 0.0  # theirs counts the observed draw in full
    assert swap_test(sides(before, after), Resampling(resamples=20_000)) == pytest.approx(
        theirs - observed, abs=1e-9 if units < 11 else 0.01
    )


@given(st.integers(1, 40), st.integers(0, 2**20))
def test_swapping_both_ways_sums_to_one(units: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    before, after = generator.normal(size=units), generator.normal(size=units)
    forth = swap_test(sides(before, after), Resampling(resamples=300))
    back = swap_test(sides(after, before), Resampling(resamples=300))
    assert forth + back == pytest.approx(1, abs=1e-9 if units <= 8 else 0.2)


def test_lower_is_better_turns_the_question_around() -> None:
    generator = np.random.default_rng(2)
    pairs = sides(generator.normal(size=30), generator.normal(0.5, 1, size=30))
    up, down = paired_bootstrap(pairs), paired_bootstrap(replace(pairs, higher_is_better=False))
    assert down.delta == -up.delta
    assert up.interval is not None
    assert down.interval is not None
    assert down.interval.low == pytest.approx(-up.interval.high, abs=0.1 * up.error)
    assert down.p_worse is not None
    assert down.p_worse < 0.5 < (up.p_worse or 0)


def test_few_units_have_no_interval() -> None:
    estimate = paired_bootstrap(sides(np.zeros(4), np.array([-1.0, -1, -1, 0])))
    assert (estimate.delta, estimate.interval, estimate.p_worse) == (-0.75, None, 1 / 16)
    answer = decide(estimate, Criterion())
    assert (answer.decision, answer.needed) == ("inconclusive", None)


@pytest.mark.parametrize("units", [1, 30])
def test_equal_sides_are_identical(units: int) -> None:
    values = np.random.default_rng(0).normal(size=units)
    assert paired_bootstrap(sides(values, values)) == identical(units)
    assert decide(identical(units), Criterion()).decision == "not-worse"


def test_undefined_resamples_are_dropped_and_mostly_undefined_ones_say_nothing() -> None:
    def where_any(sums: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(sums[..., 1] > 0, mean(sums), np.nan)

    pairs = sides(np.zeros(20), np.linspace(-1, 1.1, 20))
    pairs.baseline[3:, 1] = pairs.candidate[3:, 1] = 0  # 4 % of resamples hold none of the first three
    assert paired_bootstrap(replace(pairs, formula=where_any)).interval is not None
    pairs.baseline[1:, 1] = pairs.candidate[1:, 1] = 0
    nowhere = replace(pairs, formula=lambda sums: np.where(sums[..., 1] == 1, mean(sums), np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        assert paired_bootstrap(nowhere).interval is None


def test_index_bootstrap_agrees_with_sums() -> None:
    generator = np.random.default_rng(2)
    before, after = generator.normal(size=80), generator.normal(size=80)

    def difference(rows: NDArray[np.int64], swapped: NDArray[np.bool_]) -> float:
        gain = (after - before)[rows]
        return float(np.mean(np.where(swapped, -gain, gain)))

    one = index_bootstrap(80, difference, Resampling(resamples=2000))
    other = paired_bootstrap(sides(before, after))
    assert one.delta == pytest.approx(other.delta)
    assert one.error == pytest.approx(other.error, rel=0.08)
    assert one.p_worse == pytest.approx(other.p_worse, abs=0.05)


def test_index_bootstrap_drops_what_the_metric_refuses() -> None:
    values = np.random.default_rng(0).normal(-1, 1, size=31)

    def difference(rows: NDArray[np.int64], swapped: NDArray[np.bool_]) -> float:
        if rows[0] % 3 == 1:
            raise ValueError("one class only")
        return float(np.mean(np.where(swapped, -values[rows], values[rows])))

    estimate = index_bootstrap(31, difference, Resampling(resamples=200))
    assert estimate.interval is not None
    assert estimate.interval.high < 0
    assert estimate.p_worse is not None
    assert estimate.p_worse < 0.05


def test_influences_of_a_mean_are_the_t_interval() -> None:
    gain = np.random.default_rng(5).normal(-0.1, 1, size=25)
    estimate = influence_estimate(float(gain.mean()), gain - gain.mean())
    expected = stats.ttest_1samp(gain, 0, alternative="less")
    assert estimate.p_worse == pytest.approx(expected.pvalue)
    assert estimate.interval is not None
    assert estimate.interval.low == pytest.approx(stats.t.interval(0.9, 24, gain.mean(), stats.sem(gain))[0])
