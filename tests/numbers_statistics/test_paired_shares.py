"""Paired 0/1 scores against published tables, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from validator.numbers.statistics import (
    Counts,
    Criterion,
    decide,
    holm,
    mcnemar_midp,
    needed_units,
    paired_estimate,
    paired_interval,
    rule_of_three,
)

flips = st.integers(0, 60)


def counts(samples: int, negative: int, positive: int) -> Counts:
    return Counts(samples, negative, positive)


# Both tables and their results are worked examples of chapter 8 of Fagerland, Lydersen and Laake,
# "Statistical Analysis of Contingency Tables" (2017), as in the R package contingencytables. Two-sided there.
BENTUR = (21, 7, 1)  # airway hyper-responsiveness before and after stem cell transplantation
CAVO = (161, 16, 6)  # complete response before and after consolidation therapy


@pytest.mark.parametrize(("table", "p"), [(BENTUR, 0.0390625), (CAVO, 0.034690)])
def test_midp_is_the_published_one(table: tuple[int, int, int], p: float) -> None:
    assert 2 * mcnemar_midp(table[1], table[2]) == pytest.approx(p, abs=5e-7)


@pytest.mark.parametrize(("table", "low", "high"), [(BENTUR, -0.517, -0.026), (CAVO, -0.1240, -0.0054)])
def test_tango_interval_is_the_published_one(table: tuple[int, int, int], low: float, high: float) -> None:
    interval = paired_interval(counts(*table), alpha=0.025)
    digits = 5e-4 if table is BENTUR else 5e-5
    assert interval.confidence == pytest.approx(0.95)
    assert interval.low == pytest.approx(low, abs=digits)
    assert interval.high == pytest.approx(high, abs=digits)


@given(flips, flips)
def test_midp_agrees_with_statsmodels_exact_test(b: int, c: int) -> None:
    """statsmodels' exact two-sided p is twice the one-sided tail; mid-p takes half the point away."""
    one_sided = mcnemar_midp(b, c)
    point = stats.binom.pmf(b, b + c, 0.5)
    assert one_sided == pytest.approx(stats.binom.sf(b - 1, b + c, 0.5) - point / 2, abs=1e-12)
    if b > c:
        exact = mcnemar([[0, b], [c, 0]], exact=True).pvalue
        assert 2 * one_sided == pytest.approx(exact - point, abs=1e-12)


@given(flips, flips)
def test_midp_of_both_directions_sums_to_one(b: int, c: int) -> None:
    assert mcnemar_midp(b, c) + mcnemar_midp(c, b) == pytest.approx(1)


@pytest.mark.parametrize(("c", "smallest"), [(0, 4), (1, 6), (2, 8), (5, 12), (10, 19)])
def test_smallest_number_of_negative_flips_that_is_significant(c: int, smallest: int) -> None:
    assert mcnemar_midp(smallest, c) < 0.05 <= mcnemar_midp(smallest - 1, c)


@pytest.mark.parametrize("samples", [1, 10, 100, 1000])
def test_rule_of_three_is_clopper_pearson_of_no_case(samples: int) -> None:
    _, upper = proportion_confint(0, samples, alpha=0.1, method="beta")
    assert rule_of_three(samples) == pytest.approx(upper)
    assert samples < 30 or rule_of_three(samples) == pytest.approx(3 / samples, rel=0.06)


@pytest.mark.parametrize(("n", "b", "c"), [(50, 1, 0), (50, 0, 2), (200, 4, 1), (1000, 30, 12), (21, 7, 1)])
def test_interval_inverts_the_score_test(n: int, b: int, c: int) -> None:
    """At each end the constrained maximum likelihood, found by a general optimiser, gives z = 1.645."""
    interval = paired_interval(counts(n, b, c))
    for end, sign in ((interval.low, 1), (interval.high, -1)):

        def loss(p_b: float, end: float = end) -> float:
            p_c = p_b + end
            same = 1 - p_b - p_c
            terms = [(b, p_b), (c, p_c), (n - b - c, same)]
            if any(p < 0 or (k and p <= 0) for k, p in terms):
                return 1e9
            return -sum(k * math.log(p) for k, p in terms if k)

        bounds = (max(0.0, -end) + 1e-12, (1 - end) / 2 - 1e-12)
        p_b = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
        variance = n * (2 * p_b + end - end**2)
        assert sign * (c - b - n * end) / math.sqrt(variance) == pytest.approx(1.6449, abs=2e-3)


@given(flips, flips, st.integers(120, 5000))
def test_interval_holds_the_difference_and_mirrors(b: int, c: int, n: int) -> None:
    interval, mirrored = paired_interval(counts(n, b, c)), paired_interval(counts(n, c, b))
    assert -1 <= interval.low <= (c - b) / n <= interval.high <= 1
    assert interval.low == pytest.approx(-mirrored.high)


@given(st.integers(0, 59), flips, st.integers(120, 5000))
def test_one_more_negative_flip_never_looks_better(b: int, c: int, n: int) -> None:
    fewer, more = paired_estimate(counts(n, b, c)), paired_estimate(counts(n, b + 1, c))
    assert more.p_worse is not None
    assert fewer.p_worse is not None
    assert more.p_worse <= fewer.p_worse  # equal only where both round to 1
    assert fewer.interval is not None
    assert more.interval is not None
    assert more.interval.low < fewer.interval.low + 1e-9


@pytest.mark.parametrize(
    ("table", "decision", "reason"),
    [
        ((200, 0, 0), "not-worse", "none-worse"),
        ((1, 0, 0), "not-worse", "none-worse"),
        ((50, 0, 3), "not-worse", "none-worse"),
        ((1, 1, 0), "inconclusive", "too-few-samples"),
        ((200, 20, 2), "worse", "significant"),
        ((200, 3, 2), "inconclusive", "too-few-samples"),
        ((5000, 12, 10), "not-worse", "within-margin"),
        ((100_000, 600, 300), "not-worse", "within-margin"),  # significant, but below the floor
        ((50, 50, 0), "worse", "significant"),
    ],
)
def test_decision(table: tuple[int, int, int], decision: str, reason: str) -> None:
    answer = decide(paired_estimate(counts(*table)), Criterion(margin=0.01))
    assert (answer.decision, answer.reason) == (decision, reason)


def test_the_cap_on_negative_flips_holds_whatever_the_gain() -> None:
    estimate = paired_estimate(counts(1000, 30, 90))
    assert decide(estimate, Criterion(flip_cap=0.02)).reason == "negative-flips"
    assert decide(estimate, Criterion(flip_cap=0.03)).decision == "not-worse"


@pytest.mark.parametrize("rates", [(0.012, 0.010), (0.03, 0.01), (0.02, 0.02)])
def test_the_needed_number_decides_about_as_often_as_promised(rates: tuple[float, float]) -> None:
    """Simulated: with that many samples of the same kind, 80 % of runs decide."""
    p_b, p_c = rates
    seen = counts(500, round(500 * p_b), round(500 * p_c))
    needed = needed_units(paired_estimate(seen), Criterion(margin=0.01))
    assert needed is not None
    expected = "worse" if p_c - p_b < -0.01 else "not-worse"
    generator = np.random.default_rng(0)
    table = generator.multinomial(needed, [p_b, p_c, 1 - p_b - p_c], size=400)
    right = [
        decide(paired_estimate(counts(needed, int(b), int(c))), Criterion(margin=0.01)).decision == expected
        for b, c, _ in table
    ]
    assert 0.7 < np.mean(right) < 0.9


def test_no_number_is_needed_where_none_would_do() -> None:
    estimate = paired_estimate(counts(100, 1, 0))  # Δ = −margin exactly
    assert needed_units(estimate, Criterion(margin=0.01)) is None


def test_holm_of_the_worked_example() -> None:
    """The example of https://en.wikipedia.org/wiki/Holm–Bonferroni_method: .005 and .01 stay below .05."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """The largest product of a p no larger and how many were left; it rejects until one fails."""
    ordered = sorted(p_values)
    steps = [min(1.0, (len(ordered) - rank) * p) for rank, p in enumerate(ordered)]
    for p, adjusted in zip(p_values, holm(p_values), strict=True):
        last = len(ordered) - 1 - ordered[::-1].index(p)
        assert adjusted == max(steps[: last + 1])
    kept = [p for p, adjusted in zip(p_values, holm(p_values), strict=True) if adjusted < 0.05]
    rejected = 0
    while rejected < len(ordered) and ordered[rejected] * (len(ordered) - rejected) < 0.05:
        rejected += 1
    assert sorted(kept) == ordered[:rejected]
