"""The fast way to add a chunk of float32 values (float32 itself, float16, bfloat16, float8).

Why float32 differences are good enough: b - a is exact in float32 when b/2 <= a <= 2b (Sterbenz), and off by
at most 2^-24 of itself otherwise. So maxima are right to about 1e-7 of their value; the worst element is
then taken again in float64.

Why elements beyond the tolerance may be counted in float32: both sides of the comparison are right to a few
2^-24. What is further from equal than _SLACK is decided; the few others are taken again in float64.

Why products may be summed in float32 for 1,024 elements before they go into a float64: BLAS adds in 32 lanes
or more, so a block sees about 37 roundings, at most 2e-6 of the sum of the magnitudes and far less when
blocks average out (1,024 roundings, 6e-5, in a NumPy without BLAS). What is wrong is to go on so: over 2^28
elements float32 sums are off by 8 %. Blocks as short as that also keep BLAS from starting threads of its
own underneath ours. Squares that leave float32's range are summed again in float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from validator.numbers.accumulate import Places, Sums

Single = NDArray[np.float32]

_SLACK = 1e-6  # above every rounding of the float32 steps below: a handful of 2^-24
_LARGEST = 1e38  # above it float32 cannot tell quotients apart
_BLOCK = 1024
_VANISHES = 1e-18  # above every number whose square float32 does not hold
_NORMAL = 1e-30  # a tolerance above it is far from where float32 loses its precision
_LEAST = 1e-24  # a chunk's squares below 1e-38 vanish in float32: together under 1e-9 of a sum above this


class SingleKernel:
    """Adds up to `together` pieces of `step` elements, or one shorter piece, to `sums`.

    NumPy takes about 40 µs for the calls of one look, so one is at several pieces. They are added to the sums
    one by one: how many are looked at together changes no result.
    """

    def __init__(self, step: int, together: int, sums: Sums) -> None:
        self._step = step
        self._sums = sums
        self._limits = sums.limits
        self._distance, self._quotient = np.empty((2, step * together), np.float32)
        self._products = np.empty((together, step // _BLOCK, 1, 1), np.float32)
        self._summing = np.ones((1, _BLOCK), np.float32)
        self._beyond, self._surely = np.empty((2, step * together), np.bool_)
        self._relative_decides = self._limits.rtol * self._limits.floor <= self._limits.atol

    def add_equal(self, a: Single) -> None:
        """Add what is the same on both sides."""
        pieces = self._pieces(a)
        squares, _ = self._dots(pieces, pieces)
        for piece, square in zip(pieces, squares.tolist(), strict=True):
            if _LEAST < square < math.inf:
                self._sums.finite += piece.size
                self._sums.baseline_squared += square
            else:
                self._sums.add_equal(piece)

    def add(self, a: Single, b: Single, places: Places) -> float:
        """Add pieces; returns the largest difference, infinity if anything was not finite."""
        difference = np.subtract(b, a, out=self._distance[: a.size])
        pieces = self._pieces(difference)
        totals, _ = self._dots(pieces, self._summing)
        distance = np.abs(difference, out=difference)
        tops: list[float] = pieces.max(axis=1).tolist()
        if not all(map(math.isfinite, tops)):  # NaN, infinity, or a difference beyond float32
            if len(tops) == 1:
                return self._sums.add_numbers(a.astype(np.float64), b.astype(np.float64), places)
            parts = [slice(at, at + self._step) for at in range(0, a.size, self._step)]
            return max([self.add(a[part], b[part], places[part]) for part in parts])
        top = max(tops)
        if top == 0.0:  # signed zeros apart, the same numbers
            self.add_equal(a)
            return 0.0
        self._sums.finite += a.size
        largest = self._add_squares(a, b, tops, totals)
        for at, each in enumerate(tops):
            if each > self._sums.max_abs:
                self._raise_max(a, b, np.flatnonzero(pieces[at] == each) + at * self._step, places)
        relative, limits = self._add_relative(a, b, distance), self._limits
        surely_within = self._relative_decides and relative <= limits.rtol * (1 - _SLACK)
        if top > limits.atol * (1 - _SLACK) and not surely_within:
            self._add_mismatches(a, b, distance, limits.atol + limits.rtol * largest)
        return top

    def _pieces(self, values: Single) -> Single:
        return values.reshape(-1, min(values.size, self._step))

    def _raise_max(self, a: Single, b: Single, farthest: NDArray[np.intp], places: Places) -> None:
        """Raise max_abs by the first of a piece's `farthest` elements that rose, or else fell."""
        index = int(farthest[np.argmax(b[farthest] > a[farthest])])
        exact = abs(float(b[index]) - float(a[index]))
        if exact > self._sums.max_abs:
            self._sums.max_abs, self._sums.worst = exact, int(places[index])

    def _add_squares(self, a: Single, b: Single, tops: list[float], totals: NDArray[np.float64]) -> float:
        """Add the sums, of which `totals` are those of the differences; returns what no |a| is above."""
        sides = self._pieces(a), self._pieces(self._distance[: a.size])
        (baseline, largest), (squared, _) = (self._dots(side, side) for side in sides)
        for at, top in enumerate(tops):
            total, squares = float(totals[at]), (float(baseline[at]), float(squared[at]))
            if not all(_LEAST < square < math.inf for square in (squares if top else squares[:1])):
                wide_a = sides[0][at].astype(np.float64)
                wide = np.subtract(self._pieces(b)[at], sides[0][at]).astype(np.float64)
                total = float(wide.sum())
                squares = float(np.dot(wide_a, wide_a)), float(np.dot(wide, wide))
            self._sums.difference += total
            self._sums.baseline_squared += squares[0]
            self._sums.difference_squared += squares[1]
        return math.sqrt(largest) * (1 + _SLACK) + _VANISHES

    def _dots(self, x: Single, y: Single) -> tuple[NDArray[np.float64], float]:
        """The dot product of each piece, and the largest of the blocks they are summed up from.

        `y` may be a single block, which is then taken for each.
        """
        pieces, (blocks, rest) = len(x), divmod(x.shape[1], _BLOCK)
        whole = blocks * _BLOCK
        products = self._products[:pieces, :blocks]
        columns = y[:, :whole].reshape(len(y), -1, _BLOCK, 1)
        np.matmul(x[:, :whole].reshape(pieces, blocks, 1, _BLOCK), columns, out=products)
        wide_x, wide_y = x[:, whole:].astype(np.float64), y[:, y.shape[1] - rest :].astype(np.float64)
        rests = np.matmul(wide_x[:, np.newaxis], wide_y[:, :, np.newaxis]).reshape(pieces)
        sums = products.reshape(pieces, blocks).sum(axis=1, dtype=np.float64) + rests
        return sums, max(float(products.max(initial=0.0)), float(rests.max()))

    def _add_relative(self, a: Single, b: Single, distance: Single) -> float:
        """Raise max_rel where a piece does; returns an upper bound of the pieces' own, right to 1e-6."""
        quotients = self._pieces(np.divide(distance, a, out=self._quotient[: a.size]))
        # Without the floor no quotient is smaller than with it; 0/0 is NaN, which fmax passes over.
        most = np.fmax.reduce(quotients, axis=1, initial=0.0)
        bounds: list[float] = np.maximum(most, -np.fmin.reduce(quotients, axis=1, initial=0.0)).tolist()
        for at, bound in enumerate(bounds):
            if bound <= self._sums.max_rel * (1 + _SLACK):
                continue
            # After the first piece only the few elements nearest to zero can raise it.
            quotient = np.abs(quotients[at], out=quotients[at])
            near = np.flatnonzero(quotient > min(self._sums.max_rel, _LARGEST)) + at * self._step
            wide_a, wide_b = a[near].astype(np.float64), b[near].astype(np.float64)
            relative = np.abs(wide_b - wide_a) / np.maximum(np.abs(wide_a), self._limits.floor)
            self._sums.max_rel = max(self._sums.max_rel, float(relative.max(initial=0.0)))
        return min(max(bounds), self._sums.max_rel * (1 + _SLACK))

    def _add_mismatches(self, a: Single, b: Single, distance: Single, most: float) -> None:
        """Count the elements beyond the tolerance, which is nowhere above `most`."""
        limits, size, beyond = self._limits, a.size, self._beyond[: a.size]
        if limits.atol < _NORMAL or limits.rtol > 1:
            sides = zip(self._pieces(a), self._pieces(b), strict=True)
            self._sums.mismatched += sum(self._beyond_tolerance(*side) for side in sides)
            return
        count = int(np.count_nonzero(np.greater(distance, np.float32(most * (1 + _SLACK)), out=beyond)))
        if count >= size - size // 16:  # one tolerance for all decides nearly every element
            near = np.flatnonzero(np.logical_not(beyond, out=beyond))
        else:
            tolerance = np.abs(a, out=self._quotient[:size])
            tolerance *= np.float32(limits.rtol * (1 - _SLACK))
            tolerance += np.float32(limits.atol * (1 - _SLACK))
            np.greater(distance, tolerance, out=beyond)
            tolerance *= np.float32(1 + 3 * _SLACK)
            surely = np.greater(distance, tolerance, out=self._surely[:size])
            count = int(np.count_nonzero(surely))
            near = np.flatnonzero(np.not_equal(beyond, surely, out=beyond))
        self._sums.mismatched += count + self._beyond_tolerance(a[near], b[near])

    def _beyond_tolerance(self, a: Single, b: Single) -> int:
        """The same in float64."""
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        beyond = np.abs(wide_b - wide_a) > self._limits.atol + self._limits.rtol * np.abs(wide_a)
        return int(np.count_nonzero(beyond))
