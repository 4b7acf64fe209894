"""Paired statistics: two sides scored the same samples, so only what changed between them is evidence.

Everything here is oriented: a difference is candidate − baseline of something where more is better, and every
test asks for *worse*. An interval has two one-sided errors of alpha (confidence 1 − 2 alpha), so that it lies
above −margin exactly when the answer is "not worse" (two one-sided tests, Schuirmann 1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Method = Literal["score", "rule-of-three", "bootstrap", "influence", "identical"]
Decision = Literal["worse", "not-worse", "inconclusive"]
#: What decided: a significant loss, the cap on negative flips, predictions lost to NaN, an error, the bound
#: above the margin, not one sample worse; or why nothing could be said.
Reason = Literal[
    "significant",
    "negative-flips",
    "lost",
    "raised",
    "within-margin",
    "none-worse",
    "too-few-samples",
    "not-scored",
]

_POWER = 0.8


@dataclass(frozen=True)
class Criterion:
    """What counts as worse.

    `margin` is δ in the metric's unit, the smallest loss worth failing for; `flip_cap` bounds the share of
    negative flips.
    """

    margin: float = 0.01
    alpha: float = 0.05
    flip_cap: float | None = None


@dataclass(frozen=True)
class Interval:
    """A confidence interval; each end alone errs with probability (1 − confidence) / 2."""

    low: float
    high: float
    confidence: float
    method: Method


@dataclass(frozen=True)
class Counts:
    """Paired 0/1 scores: `negative` were right before and are wrong after, `positive` the reverse."""

    samples: int
    negative: int
    positive: int

    @property
    def delta(self) -> float:
        """Difference of the shares that are right."""
        return (self.positive - self.negative) / self.samples


@dataclass(frozen=True)
class PairedEstimate:
    """An oriented difference with what is known about it.

    `units` is how many independent things were compared (samples, or sequences of tokens); `interval` and
    `p_worse` are None where there are too few. `worsened` is false if no unit got worse. `negative_rate` is
    the negative flip rate of Yan et al. 2021, "Positive-Congruent Training", https://arxiv.org/abs/2011.09161.
    """

    delta: float
    units: int
    interval: Interval | None
    p_worse: float | None
    error: float
    worsened: bool = True
    negative_rate: float | None = None


@dataclass(frozen=True)
class Ruling:
    """A decision, why, and about how many samples would decide it (None where none would, or not needed)."""

    decision: Decision
    reason: Reason
    needed: int | None = None


def normal_quantile(probability: float) -> float:
    """The standard normal's quantile."""
    from scipy import special

    return float(special.ndtri(probability))


def mcnemar_midp(negative: int, positive: int) -> float:
    """One-sided mid-p that the candidate is worse: P(X > b) + ½ P(X = b), X ~ Binomial(b + c, ½).

    Fagerland, Lydersen and Laake 2013, https://doi.org/10.1186/1471-2288-13-91. Without a flip it is ½.
    """
    from scipy import special

    at_least_and_above = special.bdtrc([negative - 1, negative], negative + positive, 0.5)
    return float(at_least_and_above.mean())


def rule_of_three(samples: int, alpha: float = 0.05) -> float:
    """The largest share that `samples` without a single case leave possible: 1 − alpha^(1/N), about 3/N."""
    return -math.expm1(math.log(alpha) / samples)


def paired_interval(counts: Counts, alpha: float = 0.05) -> Interval:
    """Tango's score interval of Δ (Statistics in Medicine 17:891–908, 1998), confidence 1 − 2 alpha.

    It keeps its level for few flips and small N, where Wald's bound accepts a real loss of the margin up to
    13 % of the time (Fagerland, Lydersen and Laake 2014, https://doi.org/10.1002/sim.6148). Without any flip
    the ends are those of the rule of three, which is exact.
    """
    confidence = 1 - 2 * alpha
    if counts.negative == counts.positive == 0:
        most = rule_of_three(counts.samples, alpha)
        return Interval(-most, most, confidence, "rule-of-three")
    low = _score_bound(counts, alpha)
    high = -_score_bound(Counts(counts.samples, counts.positive, counts.negative), alpha)
    return Interval(low, high, confidence, "score")


def paired_estimate(counts: Counts, alpha: float = 0.05) -> PairedEstimate:
    """What paired 0/1 scores of independent samples say."""
    b, c, samples = counts.negative, counts.positive, counts.samples
    interval, p_worse = paired_interval(counts, alpha), mcnemar_midp(b, c)
    error = math.sqrt(max(b + c - (c - b) ** 2 / samples, 0.0)) / samples
    return PairedEstimate(counts.delta, samples, interval, p_worse, error, b > 0, b / samples)


def _score_bound(counts: Counts, alpha: float) -> float:
    """The Δ below the estimate whose score statistic is the normal quantile, by bisection."""
    limit = normal_quantile(1 - alpha)
    low, high = -1.0, counts.delta
    for _ in range(60):
        middle = (low + high) / 2
        if _score(counts, middle) > limit:
            low = middle
        else:
            high = middle
    return low


def _score(counts: Counts, delta: float) -> float:
    """Tango's statistic of H0: Δ = delta, the nuisance at its maximum likelihood under H0."""
    b, c, n = counts.negative, counts.positive, counts.samples
    linear = -b - c + (2 * n - c + b) * delta
    constant = -b * delta * (1 - delta)
    share = (math.sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    distance = c - b - n * delta
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def identical(units: int, alpha: float = 0.05) -> PairedEstimate:
    """Every unit scored the same on both sides."""
    return PairedEstimate(
        0.0, units, Interval(0.0, 0.0, 1 - 2 * alpha, "identical"), 0.5, 0.0, worsened=False
    )


def decide(estimate: PairedEstimate, criterion: Criterion) -> Ruling:
    """Worse, not worse within the margin, or inconclusive.

    Worse: p < alpha and the loss is beyond the margin, or too many negative flips. Not worse: the lower end
    of the interval lies above −margin, or no unit got worse (the interval says what cannot be ruled out).
    """
    p_worse = estimate.p_worse
    if criterion.flip_cap is not None and (estimate.negative_rate or 0.0) > criterion.flip_cap:
        return Ruling("worse", "negative-flips")
    if p_worse is not None and p_worse < criterion.alpha and estimate.delta < -criterion.margin:
        return Ruling("worse", "significant")
    if not estimate.worsened:
        return Ruling("not-worse", "none-worse")
    if estimate.interval is not None and estimate.interval.low > -criterion.margin:
        return Ruling("not-worse", "within-margin")
    return Ruling("inconclusive", "too-few-samples", needed_units(estimate, criterion))


def needed_units(estimate: PairedEstimate, criterion: Criterion) -> int | None:
    """About how many units decide in 80 % of cases, if further units behave as those seen.

    Inverted from the normal bound: N = n · ((z_alpha + z_power) · error / distance)², where the distance is
    Δ + margin to be found not worse, or |Δ| to be found worse. None where no number would.
    """
    if not math.isfinite(estimate.error) or estimate.error <= 0:
        return None
    worse = estimate.delta < -criterion.margin
    distance = -estimate.delta if worse else estimate.delta + criterion.margin
    if distance <= 0:
        return None
    quantiles = normal_quantile(1 - criterion.alpha) + normal_quantile(_POWER)
    units = estimate.units * (quantiles * estimate.error / distance) ** 2
    return max(math.ceil(units), estimate.units + 1) if units < 1e12 else None


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values, in the order given (Scand. J. Statist. 6:65–70, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(np.arange(order.size, 0, -1) * np.take(p_values, order), 1.0)
    adjusted = np.empty(order.size)
    adjusted[order] = np.maximum.accumulate(steps)
    return tuple(adjusted.tolist())
