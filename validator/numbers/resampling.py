"""Intervals and tests for any metric: resample what is independent, swap what is compared.

A unit is what is independent of the others: a sample, or the sequence its tokens belong to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.numbers.statistics import Interval, PairedEstimate, identical, normal_quantile

Values = NDArray[np.float64]
#: Sums of one side's components (..., k) → the metric (...); NaN where it is undefined.
Formula = Callable[[Values], Values]


_FEWEST_UNITS = 5  # n = 5 is the first whose expanded 5 % level the n^n resamples can resolve
_CHUNK = 2**21  # drawn elements at a time


@dataclass(frozen=True)
class Resampling:
    """How a bootstrap is drawn: always the same way, so that a report can be reproduced."""

    alpha: float = 0.05
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class PairedScores:
    """Both sides' components (units, k), what the metric is of their sums, and which way is better."""

    baseline: Values
    candidate: Values
    formula: Formula
    higher_is_better: bool = True

    def gain(self, before: Values, after: Values) -> Values:
        """The oriented difference of the metric for sums (..., k) of both sides."""
        gain = self.formula(after) - self.formula(before)
        return np.asarray(gain if self.higher_is_better else -gain)


def paired_bootstrap(sides: PairedScores, resampling: Resampling = Resampling()) -> PairedEstimate:
    """Interval from resampled units (BCa, Efron 1987), p from swapped sides (`swap_test`).

    Both sides of a unit are drawn together, and equal units by one draw (for 0/1 scores: a multinomial of b,
    c and the rest). Levels are expanded for few units as Hesterberg 2015 proposes
    (https://doi.org/10.1080/00031305.2015.1089789); with fewer than five there is no interval. A resample on
    which the metric is undefined is dropped.
    """
    units, width = sides.baseline.shape
    components = np.concatenate([sides.baseline, sides.candidate], axis=1)

    def gain(sums: Values) -> Values:
        return sides.gain(sums[..., :width], sums[..., width:])

    total = components.sum(axis=0)
    delta = float(gain(total))
    if np.array_equal(sides.baseline, sides.candidate):
        return identical(units, resampling.alpha)
    p_worse = swap_test(sides, resampling)
    if units < _FEWEST_UNITS:
        return PairedEstimate(delta, units, None, p_worse, math.nan)
    rows, counts = np.unique(components, axis=0, return_counts=True)
    drawn = np.concatenate([gain(sums) for sums in _draw(rows, counts, resampling)])
    skewness = _skewness(gain(total - rows), counts)
    return _bca(PairedEstimate(delta, units, None, p_worse, math.nan), drawn, skewness, resampling)


def swap_test(sides: PairedScores, resampling: Resampling = Resampling()) -> float:
    """One-sided mid-p that the candidate is worse: had the sides of each unit been swapped by a coin.

    The randomisation test of Noreen 1989, exact for any metric and any number of units; of 0/1 scores it is
    McNemar's mid-p. All swaps where they are few, otherwise random ones.
    """
    moved = sides.candidate - sides.baseline
    moved = moved[np.any(moved != 0, axis=1)]
    units = moved.shape[0]
    before, after = sides.baseline.sum(axis=0), sides.candidate.sum(axis=0)
    delta = float(sides.gain(before, after))
    if units == 0 or not math.isfinite(delta):
        return 0.5
    every = 2**units <= resampling.resamples
    generator = np.random.default_rng(resampling.seed)
    drawn = []
    for size in _sizes(1 if every else resampling.resamples, max(moved.shape)):
        swaps = generator.integers(0, 2, (size, units))
        if every:
            swaps = np.arange(2**units)[:, None] >> np.arange(units) & 1
        change = swaps.astype(np.float64) @ moved
        drawn.append(sides.gain(before + change, after - change))
    return _midp(delta, np.concatenate(drawn), exact=every)


def _sizes(draws: int, width: int) -> list[int]:
    """Bounded numbers of draws of `width` elements, which add up."""
    step = max(_CHUNK // width, 1)
    return [min(step, draws - start) for start in range(0, draws, step)]


def _midp(delta: float, drawn: Values, *, exact: bool) -> float:
    """The share of draws as bad as `delta`, equal ones by half; random draws include the one observed."""
    drawn = drawn[np.isfinite(drawn)]
    near = 1e-9 * max(float(np.max(np.abs(drawn), initial=0.0)), abs(delta))
    below, upto = np.count_nonzero(drawn < delta - near), np.count_nonzero(drawn <= delta + near)
    observed = 0 if exact else 1
    return float((below + upto + observed) / 2 / (drawn.size + observed))


#: The oriented difference of chosen units (indices), some of which have their sides swapped (flags).
UnitDifference = Callable[[NDArray[np.int64], NDArray[np.bool_]], float]


def index_bootstrap(units: int, difference: UnitDifference, resampling: Resampling) -> PairedEstimate:
    """The same for a metric that is only known as a function of whole arrays; bias-corrected (BC).

    A draw on which `difference` raises ValueError or ZeroDivisionError (as AUC's on one class) is dropped.
    """
    everything, unswapped = np.arange(units), np.zeros(units, np.bool_)
    delta = difference(everything, unswapped)
    generator = np.random.default_rng(resampling.seed)
    swapped, drawn = np.full((2, resampling.resamples), np.nan)
    for index in range(resampling.resamples):
        coins, draw = generator.integers(0, 2, units), generator.integers(0, units, units)
        with suppress(ValueError, ZeroDivisionError):
            swapped[index] = difference(everything, coins == 1)
        with suppress(ValueError, ZeroDivisionError):
            drawn[index] = difference(draw, unswapped)
    if delta == 0 and not swapped.any() and not drawn.any():
        return identical(units, resampling.alpha)
    estimate = PairedEstimate(delta, units, None, _midp(delta, swapped, exact=False), math.nan)
    return estimate if units < _FEWEST_UNITS else _bca(estimate, drawn, 0.0, resampling)


def _draw(rows: Values, counts: NDArray[np.intp], resampling: Resampling) -> Iterator[Values]:
    """Row sums of every resample, a bounded number at a time."""
    generator = np.random.default_rng(resampling.seed)
    units, kinds = int(counts.sum()), counts.size
    few = kinds * 8 < units
    kind_of = np.repeat(np.arange(kinds), counts)
    weights: NDArray[Any]
    for size in _sizes(resampling.resamples, max(kinds if few else units, rows.shape[1])):
        if few:
            weights = generator.multinomial(units, counts / units, size=size)
        else:  # one draw a unit is cheaper than one binomial a kind
            kind = kind_of[generator.integers(0, units, (size, units))] + np.arange(size)[:, None] * kinds
            weights = np.bincount(kind.ravel(), minlength=size * kinds).reshape(size, kinds)
        yield weights @ rows


def _skewness(left_out: Values, counts: NDArray[np.intp]) -> float:
    """BCa's acceleration, from the jackknife."""
    finite = np.isfinite(left_out)
    if not finite.all() or counts.sum() < 2:
        return 0.0
    distance = np.average(left_out, weights=counts) - left_out
    squares = float(np.sum(counts * distance**2))
    return float(np.sum(counts * distance**3)) / (6 * squares**1.5) if squares > 0 else 0.0


def _bca(estimate: PairedEstimate, drawn: Values, skewness: float, resampling: Resampling) -> PairedEstimate:
    """The estimate with error and interval, where more than half of the draws are numbers."""
    from scipy import special

    drawn = drawn[np.isfinite(drawn)]
    if drawn.size <= resampling.resamples // 2:
        return estimate
    error, confidence = float(drawn.std(ddof=1)), 1 - 2 * resampling.alpha
    if error == 0:  # every unit moved alike
        interval = Interval(estimate.delta, estimate.delta, confidence, "bootstrap")
        return replace(estimate, interval=interval, error=0.0)
    near = 1e-9 * error
    below = (np.mean(drawn < estimate.delta - near) + np.mean(drawn < estimate.delta + near)) / 2
    bias = normal_quantile(float(np.clip(below, 1 / drawn.size, 1 - 1 / drawn.size)))
    units = estimate.units
    level = float(special.stdtrit(units - 1, resampling.alpha)) * math.sqrt(units / (units - 1))
    ends = []
    for quantile in (level, -level):
        shifted = bias + quantile
        probability = special.ndtr(bias + shifted / (1 - skewness * shifted))
        ends.append(float(np.quantile(drawn, probability)))
    interval = Interval(ends[0], ends[1], confidence, "bootstrap")
    return replace(estimate, interval=interval, error=error)


def influence_estimate(delta: float, influences: Values, alpha: float = 0.05) -> PairedEstimate:
    """Interval and test from each unit's influence on the difference (the infinitesimal jackknife).

    For an AUC these are DeLong's structural components. `influences` have mean 0; Student's t for few units.
    """
    from scipy import special

    units = influences.size
    if units < _FEWEST_UNITS:
        return PairedEstimate(delta, units, None, None, math.nan)
    error = math.sqrt(float(np.sum(influences**2)) / (units * (units - 1)))
    if error == 0:
        return identical(units, alpha) if delta == 0 else PairedEstimate(delta, units, None, None, 0.0)
    half = -float(special.stdtrit(units - 1, alpha)) * error
    interval = Interval(delta - half, delta + half, 1 - 2 * alpha, "influence")
    return PairedEstimate(delta, units, interval, float(special.stdtr(units - 1, delta / error)), error)
