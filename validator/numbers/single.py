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
_NORMAL = 1e-30  # a tolerance above it is far from where float32 loses its precision
_LEAST = 1e-24  # a chunk's squares below 1e-38 vanish in float32: together under 1e-9 of a sum above this


class SingleKernel:
    """Adds chunks of at most `capacity` elements to `sums`, with buffers of its own."""

    def __init__(self, capacity: int, sums: Sums) -> None:
        self._sums = sums
        self._limits = sums.limits
        self._difference = np.empty(capacity, np.float32)
        self._quotient = np.empty(capacity, np.float32)
        self._blocks = np.empty((capacity // _BLOCK, 1, 1), np.float32)
        self._summing = np.ones(capacity, np.float32)
        self._beyond, self._surely = np.empty((2, capacity), np.bool_)
        self._relative_decides = self._limits.rtol * self._limits.floor <= self._limits.atol

    def add_equal(self, a: Single) -> None:
        """Add a chunk that is the same on both sides."""
        squared = self._dot(a, a)
        if not _LEAST < squared < math.inf:
            self._sums.add_equal(a)
            return
        self._sums.finite += a.size
        self._sums.baseline_squared += squared

    def add(self, a: Single, b: Single, places: Places) -> float:
        """Add a chunk; returns the largest difference, infinity if anything was not finite."""
        sums, size = self._sums, a.size
        difference = np.subtract(b, a, out=self._difference[:size])
        high, low = float(difference.max()), float(difference.min())
        if not math.isfinite(high - low):  # NaN, infinity, or a difference beyond float32
            return sums.add_numbers(a.astype(np.float64), b.astype(np.float64), places)
        top = max(high, -low)
        if top == 0.0:  # signed zeros apart, the same numbers
            self.add_equal(a)
            return 0.0
        sums.finite += size
        self._add_squares(a, difference)
        if top > sums.max_abs:
            index = int(difference.argmax() if high == top else difference.argmin())
            exact = abs(float(b[index]) - float(a[index]))
            if exact > sums.max_abs:
                sums.max_abs, sums.worst = exact, int(places[index])
        relative, limits = self._add_relative(a, b, difference), self._limits
        surely_within = self._relative_decides and relative <= limits.rtol * (1 - _SLACK)
        if top > limits.atol * (1 - _SLACK) and not surely_within:
            self._add_mismatches(a, b, difference)
        return top

    def _add_squares(self, a: Single, difference: Single) -> None:
        total = self._dot(difference, self._summing[: a.size])
        squares = self._dot(a, a), self._dot(difference, difference)
        if not all(_LEAST < square < math.inf for square in squares):
            wide_a, wide = a.astype(np.float64), difference.astype(np.float64)
            total = float(wide.sum())
            squares = float(np.dot(wide_a, wide_a)), float(np.dot(wide, wide))
        self._sums.difference += total
        self._sums.baseline_squared += squares[0]
        self._sums.difference_squared += squares[1]

    def _dot(self, x: Single, y: Single) -> float:
        blocks = x.size // _BLOCK
        whole = blocks * _BLOCK
        products = np.matmul(
            x[:whole].reshape(blocks, 1, _BLOCK),
            y[:whole].reshape(blocks, _BLOCK, 1),
            out=self._blocks[:blocks],
        )
        rest = np.dot(x[whole:].astype(np.float64), y[whole:].astype(np.float64))
        return float(products.sum(dtype=np.float64)) + float(rest)

    def _add_relative(self, a: Single, b: Single, difference: Single) -> float:
        """Raise max_rel where this chunk does; returns an upper bound of the chunk's own, right to 1e-6."""
        quotient = np.divide(difference, a, out=self._quotient[: a.size])
        # Without the floor no quotient is smaller than with it; 0/0 is NaN, which fmax passes over.
        bound = max(float(np.fmax.reduce(quotient)), -float(np.fmin.reduce(quotient)))
        if bound <= self._sums.max_rel * (1 + _SLACK):
            return bound
        # After the first chunk only the few elements nearest to zero can raise it.
        near = np.flatnonzero(np.abs(quotient, out=quotient) > min(self._sums.max_rel, _LARGEST))
        wide_a, wide_b = a[near].astype(np.float64), b[near].astype(np.float64)
        relative = np.abs(wide_b - wide_a) / np.maximum(np.abs(wide_a), self._limits.floor)
        self._sums.max_rel = max(self._sums.max_rel, float(relative.max(initial=0.0)))
        return self._sums.max_rel

    def _add_mismatches(self, a: Single, b: Single, difference: Single) -> None:
        """Count the elements beyond the tolerance; `difference` is used up."""
        limits = self._limits
        if limits.atol < _NORMAL or limits.rtol > 1:
            self._sums.mismatched += self._beyond_tolerance(a, b)
            return
        tolerance = np.abs(a, out=self._quotient[: a.size])
        tolerance *= np.float32(limits.rtol * (1 - _SLACK))
        tolerance += np.float32(limits.atol * (1 - _SLACK))
        distance = np.abs(difference, out=difference)
        beyond = np.greater(distance, tolerance, out=self._beyond[: a.size])
        tolerance *= np.float32(1 + 3 * _SLACK)
        surely = np.greater(distance, tolerance, out=self._surely[: a.size])
        count = int(np.count_nonzero(surely))
        if count < int(np.count_nonzero(beyond)):
            close = np.flatnonzero(beyond & ~surely)
            count += self._beyond_tolerance(a[close], b[close])
        self._sums.mismatched += count

    def _beyond_tolerance(self, a: Single, b: Single) -> int:
        """The same in float64."""
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        beyond = np.abs(wide_b - wide_a) > self._limits.atol + self._limits.rtol * np.abs(wide_a)
        return int(np.count_nonzero(beyond))
