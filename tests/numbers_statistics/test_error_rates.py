"""Simulated: how often the answers are wrong, and how often they come at all."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from validator.numbers.resampling import PairedScores, Resampling, Values, paired_bootstrap
from validator.numbers.statistics import Counts, Criterion, Decision, decide, mcnemar_midp, paired_estimate

RUNS = 20_000
SIZES = (50, 200, 1000)


@cache
def answer(samples: int, negative: int, positive: int, rule: Criterion) -> Decision:
    return decide(paired_estimate(Counts(samples, negative, positive), rule.alpha), rule).decision


def share(samples: int, rates: tuple[float, float], rule: Criterion, decision: Decision) -> float:
    """How often samples that flip at these rates are answered so."""
    p_b, p_c = rates
    generator = np.random.default_rng(samples)
    tables = generator.multinomial(samples, [p_b, p_c, 1 - p_b - p_c], size=RUNS)
    return float(np.mean([answer(samples, int(b), int(c), rule) == decision for b, c, _ in tables]))


@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize("rate", [0.005, 0.0125, 0.05, 0.15])
def test_equal_sides_are_called_worse_at_most_alpha_of_the_time(samples: int, rate: float) -> None:
    """Even with no practical floor, where the test alone decides. 3 errors of 20 000 runs are .005."""
    assert share(samples, (rate, rate), Criterion(margin=0.0), "worse") < 0.05 + 0.005


@pytest.mark.parametrize("samples", SIZES)
def test_a_bare_rule_on_the_difference_would_alarm_far_more_often(samples: int) -> None:
    """ "Δ below −1 pp" against the test with the same floor, both sides equal, 1.25 % flips each way."""
    generator = np.random.default_rng(samples)
    tables = generator.multinomial(samples, [0.0125, 0.0125, 0.975], size=RUNS)
    bare = float(np.mean((tables[:, 1] - tables[:, 0]) / samples < -0.01))
    ours = share(samples, (0.0125, 0.0125), Criterion(margin=0.01), "worse")
    assert ours < 0.05
    assert ours <= bare
    if samples == 200:
        assert bare == pytest.approx(0.13, abs=0.02)


@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize(("margin", "rate"), [(0.02, 0.02), (0.05, 0.0), (0.05, 0.02), (0.1, 0.05)])
def test_a_loss_of_the_whole_margin_is_rarely_called_not_worse(
    samples: int, margin: float, rate: float
) -> None:
    """What the interval lets pass. "Not one got worse" passes by itself: (1 − p)^N of the runs, no more."""
    passed = share(samples, (margin + rate, rate), Criterion(margin=margin), "not-worse")
    nothing_seen = (1 - margin - rate) ** samples
    assert passed < 0.05 + nothing_seen + 0.01


def test_the_paired_test_sees_what_an_unpaired_one_misses() -> None:
    """N = 400, accuracy .80, 2.5 % lost and .5 % gained: McNemar finds three in four, a z-test none."""
    samples, p_b, p_c, accuracy = 400, 0.025, 0.005, 0.8
    generator = np.random.default_rng(7)
    kept = accuracy - p_b
    tables = generator.multinomial(samples, [p_b, p_c, kept, 1 - kept - p_b - p_c], size=4000)
    b, c, both, _ = tables.T
    before, after = (both + b) / samples, (both + c) / samples
    pooled = (before + after) / 2
    z = (before - after) / np.sqrt(2 * pooled * (1 - pooled) / samples)
    unpaired = np.mean(stats.norm.sf(z) < 0.05)
    paired = np.mean([mcnemar_midp(int(x), int(y)) < 0.05 for x, y in zip(b, c, strict=True)])
    assert paired == pytest.approx(0.77, abs=0.03)
    assert unpaired < 0.01


@pytest.mark.parametrize("samples", SIZES)
def test_power_grows_with_the_samples(samples: int) -> None:
    """10 % lost, 2 % gained: expected from the exact distribution of the flips."""
    found = share(samples, (0.10, 0.02), Criterion(margin=0.0), "worse")
    expected = 0.0
    for flips in range(min(samples, 260) + 1):
        weight = stats.binom.pmf(flips, samples, 0.12)
        if weight > 1e-9:
            worse = [mcnemar_midp(b, flips - b) < 0.05 for b in range(flips + 1)]
            expected += weight * float(
                np.dot(worse, stats.binom.pmf(np.arange(flips + 1), flips, 0.10 / 0.12))
            )
    assert found == pytest.approx(expected, abs=0.015)
    assert found > {50: 0.4, 200: 0.95, 1000: 0.999}[samples]


def _mean(sums: Values) -> Values:
    return np.asarray(sums[..., 0] / sums[..., 1])


@pytest.mark.parametrize("units", [8, 50, 200])
def test_bootstrap_keeps_alpha_where_sequences_are_what_is_independent(units: int) -> None:
    """Tokens of a sequence flip together: evidence to a test of tokens, not to one of sequences."""
    generator = np.random.default_rng(units)
    runs, tokens = 300, 20
    cluster = token = 0
    for _ in range(runs):
        sign = generator.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=units)
        flips = sign * generator.integers(1, tokens // 2, size=units)
        total = np.full(units, float(tokens))
        before = np.stack([np.full(units, 15.0), total], axis=1)
        after = np.stack([15.0 + flips, total], axis=1)
        estimate = paired_bootstrap(PairedScores(before, after, _mean), Resampling(resamples=600))
        cluster += decide(estimate, Criterion(margin=0.0)).decision == "worse"
        b, c = int(-flips[flips < 0].sum()), int(flips[flips > 0].sum())
        token += mcnemar_midp(b, c) < 0.05
    assert cluster / runs < 0.05 + 0.03  # 2.5 standard errors of 300 runs
    assert token / runs > 0.15
