"""The noise of every element of an output, from an ensemble, and differences in its unit at four grains.

Arrays are float64 of (rows, columns): samples, and everything behind the sample axis in one. An ensemble has
M members; n is how far one of them is from the baseline. What is not finite is 0 in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
#: Member k → n of it, read anew each time: all members at once would not fit into the memory.
Members = Callable[[int], Double]
Grain = Literal["all", "row", "column", "element"]

GRAINS: tuple[Grain, ...] = ("all", "row", "column", "element")
#: What each grain may reach whatever the members do: an element, two units in its last place.
LEAST_REACH = np.array([1.0, 1.0, 1.0, 2.0])
#: Baseline values that a column needs to be a grain; with fewer each of its elements stands for itself.
_DISTINCT = 4
#: Samples from which the spread of a column is known.
_SPREAD = 8
_ROUNDS = 6  # of alternating means
_AGAIN = 2  # the same from the fit of all members, of which one was taken away
_TOGETHER = 1 << 16  # elements that are raised together
_TINY = 1e-300  # keeps a variance of nothing from dividing by zero


@dataclass(frozen=True)
class Extremes:
    """The largest root mean squares of differences ÷ noise: `times` by grain, and where they are.

    `all` weighs each element with one over the count of its value in its column: padding counts once.
    """

    times: Double
    row: int
    column: int
    element: tuple[int, int]

    def place(self, grain: Grain) -> tuple[int, ...]:
        """Row, column, or both, of what a grain names; nothing for `all`."""
        places: dict[Grain, tuple[int, ...]] = {"row": (self.row,), "column": (self.column,)}
        return self.element if grain == "element" else places.get(grain, ())


class Values:
    """Baseline values, and how often each stands in its column."""

    def __init__(self, values: Double) -> None:
        self.values = values
        order = np.argsort(values, axis=0, kind="stable")
        self._ordered = np.take_along_axis(values, order, 0)
        fresh = np.ones(values.shape, np.bool_)
        fresh[1:] = self._ordered[1:] != self._ordered[:-1]
        group = np.cumsum(fresh, axis=0) - 1
        self.distinct = group[-1] + 1
        counts = np.bincount(
            (group + np.arange(values.shape[1]) * len(values)).ravel(), minlength=values.size
        )
        weights = 1.0 / counts[group + np.arange(values.shape[1]) * len(values)]
        self.weights = np.empty(values.shape)
        np.put_along_axis(self.weights, order, weights, 0)
        self.eligible = self.distinct >= min(_DISTINCT, len(values))

    @cached_property
    def spread(self) -> Double:
        """Half the range between the quantiles .16 and .84 of each column: one standard deviation."""
        low, high = (_quantile(self._ordered, share) for share in (0.16, 0.84))
        return np.asarray((high - low) / 2)

    def extremes(self, squares: Double, variance: Double) -> Extremes:
        """The four grains of a difference in units of the noise; its `squares` are used up."""
        squares /= variance
        rows, columns = squares.mean(1), np.where(self.eligible, squares.mean(0), 0.0)
        everything = np.vdot(self.weights, squares) / self.weights.sum()
        row, column, worst = int(rows.argmax()), int(columns.argmax()), int(squares.argmax())
        element = divmod(worst, squares.shape[1])
        times = np.sqrt([everything, rows[row], columns[column], squares[element]])
        return Extremes(times, row, column, element)


@dataclass(frozen=True)
class Floor:
    """The noise of some samples of an output.

    Attributes:
        variance: σ² of every element, max(v, fit, least): v is the mean n², `fit` its fit row × column,
            `least` the square of one unit roundoff of the baseline.
        loudest: σ² of each column in the row where the fit is largest.
        reach: by grain, the most that a member comes to against the others, at least `LEAST_REACH`.
        moved: √v, what the ensemble itself moved.
    """

    variance: Double
    loudest: Double
    reach: Double
    moved: Double


def measure_floor(values: Values, members: Members, count: int, least: Double) -> Floor:
    """The floor from `count` members (2 or more); every member is held against the others for the reach."""
    total = np.zeros_like(least)
    for member in range(count):
        total += members(member) ** 2
    variance = np.maximum(total / count, least)
    rows, columns = _separable(variance, np.ones(len(least)), _ROUNDS)
    _raise(variance, rows, columns)
    reach = LEAST_REACH
    for member in range(count):
        own = members(member) ** 2
        others = total - own
        others /= count - 1
        np.maximum(others, least, out=others)
        _raise(others, *_separable(others, rows, _AGAIN))
        reach = np.maximum(reach, values.extremes(own, others).times)
    return Floor(variance, rows.max() * columns, reach, np.sqrt(total / count))


def unit_floor(least: Double, units: float) -> Floor:
    """The floor where nothing was measured: so many units in the last place."""
    return Floor(least, least.max(0), LEAST_REACH * units, np.zeros_like(least))


def least_variance(values: Double, unit: float, smallest: float) -> Double:
    """What storing a number costs: the square of its unit roundoff, or of the smallest normal number."""
    return np.asarray(np.maximum((unit * values) ** 2, max(smallest, _TINY**0.5) ** 2))


@dataclass(frozen=True)
class Chaos:
    """Noise as a share of what the outputs vary by: the median of all, and of the worst column."""

    share: float
    column_share: float = 0.0
    column: int = 0


def chaos_of(values: Values, floor: Floor) -> Chaos:
    """√v ÷ max(spread of the column, |baseline| / 10), without columns that have no spread.

    Of few samples the spread is not known: there the baseline's magnitude stands for it.
    """
    magnitude = np.abs(values.values)
    if len(magnitude) < _SPREAD:
        varied = magnitude > 0
        return Chaos(_median(floor.moved[varied] / magnitude[varied]))
    kept = np.flatnonzero(values.spread > 0)
    if not kept.size:
        return Chaos(0.0)
    shares = floor.moved[:, kept] / np.maximum(values.spread[kept], magnitude[:, kept] / 10)
    columns = np.median(shares, axis=0)
    worst = int(columns.argmax())
    return Chaos(_median(shares), float(columns[worst]), int(kept[worst]))


def _separable(variance: Double, rows: Double, rounds: int) -> tuple[Double, Double]:
    """Rank-1 fit row × column by alternating means (iterative proportional fitting), from given rows."""
    count, width = variance.shape
    for _ in range(rounds):
        columns = np.maximum((1 / rows) @ variance / count, _TINY)
        rows = np.maximum(variance @ (1 / columns) / width, _TINY)
    return rows, columns


def _raise(variance: Double, rows: Double, columns: Double) -> None:
    """Raise every element to the fit, some rows at a time: no copy of the whole."""
    step = max(1, _TOGETHER // columns.size)
    for low in range(0, rows.size, step):
        part = variance[low : low + step]
        np.maximum(part, np.outer(rows[low : low + step], columns), out=part)


def _quantile(ordered: Double, share: float) -> Double:
    """A quantile of every ordered column, interpolated as NumPy does."""
    low, part = divmod(share * (len(ordered) - 1), 1)
    high = min(int(low) + 1, len(ordered) - 1)
    between: Double = ordered[int(low)] * (1 - part) + ordered[high] * part
    return between


def _median(values: Sequence[float] | Double) -> float:
    return float(np.median(values)) if len(values) else 0.0
