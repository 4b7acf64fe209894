"""Drift against noise: how far two sides are apart, in units of what rounding alone does to the baseline.

At four grains (everything, a sample, a column, an element): a root mean square over everything hides what
happens to one of them. What a grain may come to is known from the ensemble itself, whose members are held
against each other in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from validator.base import Finite, Frozen
from validator.numbers.ensembles import Ensemble, NoiseMethod, Rows, blocks, read_rows, width_of
from validator.numbers.floor import (
    GRAINS,
    Chaos,
    Double,
    Extremes,
    Floor,
    Grain,
    Values,
    chaos_of,
    least_variance,
    measure_floor,
    unit_floor,
)
from validator.numbers.tolerances import unit_of
from validator.storage.tensors import StoredTensor

#: Elements that are judged together; of more, each block of columns is judged for itself. 0.6 GB.
_TOGETHER = 6_000_000
_HUGE = 1e140  # float64 beyond it, and below its inverse, is scaled: squares would leave float64


class GrainDrift(Frozen):
    """The largest drift at one grain.

    `times` is the root mean square of drift ÷ noise, `reach` the most that a member of the ensemble comes to,
    and `ratio` = times ÷ reach is what the bands judge. `size` is the drift itself, root mean square.
    `index`: the row, the place behind the first axis, or the whole place in the tensor.
    """

    grain: Grain
    ratio: Finite
    times: Finite
    reach: Finite
    size: Finite
    index: tuple[int, ...] = ()


class Drift(Frozen):
    """Drift over noise, at every grain. `ratio` is the largest of the grains' ratios.

    `members` were predicted for `rows` of the recorded samples; the others are held against the noise of the
    columns in the noisiest of those. `chaos`: the noise as a share of what the outputs vary by, median;
    `column_chaos` that of the column `chaos_index`.
    """

    method: NoiseMethod
    members: int
    rows: int
    ratio: Finite
    grains: tuple[GrainDrift, ...]
    chaos: Finite = 0.0
    column_chaos: Finite = 0.0
    chaos_index: tuple[int, ...] = ()


@dataclass(frozen=True)
class MeasuredDrift:
    """A drift, and the furthest that an element moved in the ensemble, in the output's unit."""

    drift: Drift
    noise_max_abs: float


def measure_drift(
    baseline: StoredTensor, candidate: StoredTensor, ensemble: Ensemble, units: float
) -> MeasuredDrift:
    """Drift of two tensors of one shape and floating dtype; what is not finite is left out.

    Without two members `units` in the last place stand for the reach.
    """
    count = len(ensemble.members)
    parts = [
        _Block(baseline, candidate, ensemble, columns)
        for columns in blocks(len(ensemble.rows), width_of(baseline), _TOGETHER)
    ]
    grains: dict[Grain, GrainDrift] = {}
    chaos, largest = Chaos(0.0), 0.0
    place: tuple[int, ...] = ()
    for part in parts:
        floor = part.floor(units)
        for grain in part.grains(floor):
            known = grains.get(grain.grain)
            if known is None or grain.ratio > known.ratio:
                grains[grain.grain] = grain
        share = chaos_of(part.values, floor)
        if share.column_share > chaos.column_share:
            place = part.column(share.column)
        chaos = Chaos(max(chaos.share, share.share), max(chaos.column_share, share.column_share))
        largest = max(largest, part.largest)
    worst = tuple(grains[name] for name in GRAINS)
    drift = Drift(
        method=ensemble.method if count > 1 else "none",
        members=count,
        rows=len(ensemble.rows),
        ratio=max(grain.ratio for grain in worst),
        grains=worst,
        chaos=chaos.share,
        column_chaos=chaos.column_share,
        chaos_index=place,
    )
    return MeasuredDrift(drift, largest)


class _Block:
    """Some columns of both sides, their measured rows in memory; members are read as they are needed."""

    def __init__(
        self, baseline: StoredTensor, candidate: StoredTensor, ensemble: Ensemble, columns: slice
    ) -> None:
        self._sides = baseline, candidate
        self._ensemble, self._columns = ensemble, columns
        self._scale = 1.0
        before, after = self._read(ensemble.rows)
        top = max(_largest(before), _largest(after))
        if top > _HUGE or 0 < top < 1 / _HUGE:
            self._scale = 1 / top
            before, after = before * self._scale, after * self._scale
        self._finite = np.isfinite(before) & np.isfinite(after)
        self._before = np.where(self._finite, before, 0.0)
        with np.errstate(invalid="ignore"):
            self._squares = np.where(self._finite, after - before, 0.0) ** 2
        self.largest = 0.0

    @cached_property
    def values(self) -> Values:
        """The baseline's values."""
        return Values(self._before)

    def floor(self, units: float) -> Floor:
        """The noise of the measured rows, from two members at least, or so many units in the last place."""
        count = len(self._ensemble.members)
        least = self._least(self._before)
        return (
            measure_floor(self.values, self._member, count, least) if count > 1 else unit_floor(least, units)
        )

    def grains(self, floor: Floor) -> Iterator[GrainDrift]:
        """Every grain of the measured rows, and of the others."""
        worst = self.values.extremes(self._squares.copy(), floor.variance)
        row, column, element = worst.row, worst.column, worst.element
        squares = self._squares
        sizes = [squares.mean(), squares[row].mean(), squares[:, column].mean(), squares[element]]
        rows = self._ensemble.rows
        placed = replace(worst, row=int(rows[row]), element=(int(rows[element[0]]), element[1]))
        yield from self._described(placed, sizes, floor)
        if rest := _stream(self._unmeasured(floor), self.values.eligible):
            yield from self._described(*rest, floor)

    def column(self, column: int) -> tuple[int, ...]:
        """Where a column of the block stands behind the first axis of the tensor."""
        tensor = self._sides[0]
        flat = (self._columns.start + column) // (2 if tensor.dtype.startswith("complex") else 1)
        return tuple(int(axis) for axis in np.unravel_index(flat, tensor.shape[1:]))

    def _described(self, worst: Extremes, squares: Iterable[float], floor: Floor) -> Iterator[GrainDrift]:
        index: dict[Grain, tuple[int, ...]] = {
            "all": (),
            "row": (worst.row,),
            "column": self.column(worst.column),
            "element": (worst.element[0], *self.column(worst.element[1])),
        }
        for at, (grain, square) in enumerate(zip(GRAINS, squares, strict=True)):
            times, reach = float(worst.times[at]), float(floor.reach[at])
            size = float(np.sqrt(square)) / self._scale
            yield GrainDrift(
                grain=grain, ratio=times / reach, times=times, reach=reach, size=size, index=index[grain]
            )

    def _unmeasured(self, floor: Floor) -> Iterator[tuple[Rows, Double, Double]]:
        """Rows without members, some at a time: their squared differences, and noise."""
        for rows in self._ensemble.unmeasured(self._sides[0], self._before.shape[1]):
            before, after = (side * self._scale for side in self._read(rows))
            finite = np.isfinite(before) & np.isfinite(after)
            with np.errstate(invalid="ignore"):
                squares = np.where(finite, after - before, 0.0) ** 2
            yield rows, squares, np.maximum(floor.loudest, self._least(np.where(finite, before, 0.0)))

    def _least(self, values: Double) -> Double:
        unit, smallest = unit_of(self._sides[0].dtype)
        return least_variance(values, unit, smallest * self._scale)

    def _read(self, rows: Rows) -> tuple[Double, Double]:
        before, after = (read_rows(side, rows, self._columns) for side in self._sides)
        return before, after

    def _member(self, number: int) -> Double:
        member = read_rows(self._ensemble.members[number], None, self._columns) * self._scale
        with np.errstate(invalid="ignore"):
            moved = np.where(self._finite & np.isfinite(member), member - self._before, 0.0)
        self.largest = max(self.largest, _largest(moved) / self._scale)
        return moved


@dataclass
class _Peak:
    """The largest of some numbers, with its place and what goes with it."""

    value: float = -1.0
    place: tuple[int, ...] = (0, 0)
    square: float = 0.0

    def add(self, value: float, place: tuple[int, ...], square: float) -> None:
        if value > self.value:
            self.value, self.place, self.square = value, place, square


def _stream(
    pieces: Iterable[tuple[Rows, Double, Double]], eligible: NDArray[np.bool_]
) -> tuple[Extremes, list[float]] | None:
    """The grains of rows that pass by, each weighing the same, and the squared differences at each."""
    row, element = _Peak(), _Peak()
    columns = np.zeros((2, eligible.size))
    count = 0
    for rows, squares, variance in pieces:
        shares = squares / variance
        means = shares.mean(1)
        top, worst = int(means.argmax()), divmod(int(shares.argmax()), eligible.size)
        row.add(float(means[top]), (int(rows[top]),), float(squares[top].mean()))
        element.add(float(shares[worst]), (int(rows[worst[0]]), worst[1]), float(squares[worst]))
        columns += shares.sum(0), squares.sum(0)
        count += len(squares)
    if not count:
        return None
    columns /= count
    column = int(np.where(eligible, columns[0], 0.0).argmax())
    everything = columns.mean(1)
    peak = columns[0, column] if eligible[column] else 0.0
    times = np.sqrt([everything[0], row.value, peak, element.value])
    extremes = Extremes(times, row.place[0], column, (element.place[0], element.place[1]))
    return extremes, [float(everything[1]), row.square, float(columns[1, column]), element.square]


def _largest(values: Double) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0))
