"""The fast way to add a chunk of float32 values (float32 itself, float16, bfloat16, float8).

Why float32 differences are good enough: b - a is exact in float32 when b/2 <= a <= 2b (Sterbenz), and off by
at most 2^-24 of itself otherwise. So maxima are right to about 1e-7 of their value; the worst element
is then taken again in float64, and an element whose side of the tolerance float32 cannot tell makes the chunk
be counted in float64.

Why products may be summed in float32 for 256 elements before they go into a float64: BLAS adds in 32 lanes or
more, so a block sees about 13 roundings, at most 1e-6 of the sum of the magnitudes and far less when blocks
average out (256 roundings, 2e-5, in a NumPy without BLAS). What is wrong is to go on so: over 2^28 elements
float32 sums give a cosine of 1.08. Blocks as short as that also keep BLAS from starting threads of its own
underneath ours. Squares that leave float32's range are summed again in float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from validator.compare.accumulate import Limits, Places, Sums, add_equal, add_numbers

Single = NDArray[np.float32]

_SLACK = 1e-6  # above every rounding of the float32 steps below: a handful of 2^-24
_SMALL = 1e-30  # below it float32 may lose digits of a threshold to underflow
_LARGEST = 1e38  # above it float32 cannot tell quotients apart
_BLOCK = 256
_LEAST = 1e-24  # a chunk's squares below 1e-38 vanish in float32: together under 1e-9 of a sum above this


class SingleKernel:
    """Buffers for chunks of at most `capacity` elements; one per thread."""

    def __init__(self, capacity: int, limits: Limits) -> None:
        self._limits = limits
        self._difference = np.empty(capacity, np.float32)
        self._magnitude = np.empty(capacity, np.float32)
        self._quotient = np.empty(capacity, np.float32)
        self._ones = np.ones(_BLOCK, np.float32).reshape(1, _BLOCK, 1)
        self._blocks = np.empty((capacity // _BLOCK, 1, 1), np.float32)
        self._floor = np.full(
            capacity, limits.floor, np.float32
        )  # an array: NumPy is slow with a scalar here
        self._over = np.empty(capacity, np.bool_)
        self._relative_decides = limits.rtol * limits.floor <= limits.atol

    def add_equal(self, sums: Sums, a: Single) -> bool:
        """Add a chunk that is the same on both sides; False, and nothing added, where float32 will not do."""
        squared = self._dot(a, a)
        if not _LEAST < squared < math.inf:
            return False
        sums.add_same(squared, a.size)
        return True

    def add(self, sums: Sums, a: Single, b: Single, places: Places) -> float:
        """Add a chunk; returns the largest difference, infinity if anything was not finite."""
        size = a.size
        difference = np.subtract(b, a, out=self._difference[:size])
        high, low = float(difference.max()), float(difference.min())
        if not math.isfinite(high - low):  # NaN, infinity, or a difference beyond float32
            return add_numbers(sums, a.astype(np.float64), b.astype(np.float64), places, self._limits)
        top = max(high, -low)
        if top == 0.0:  # signed zeros apart, the same numbers
            if not self.add_equal(sums, a):
                add_equal(sums, a)
            return 0.0
        sums.finite += size
        self._products(sums, a, b, difference)
        if top > sums.max_abs:
            index = int(difference.argmax() if high == top else difference.argmin())
            exact = abs(float(b[index]) - float(a[index]))
            if exact > sums.max_abs:
                sums.max_abs, sums.worst = exact, places[index]
        relative = self._relative(sums, a, b, difference)
        if top > self._limits.atol * (1 - _SLACK):
            self._mismatches(sums, a, b, relative)
        return top

    def _products(self, sums: Sums, a: Single, b: Single, difference: Single) -> None:
        """Sums of squares and products: those of b follow from a and d = b - a."""
        total, aa = self._total(difference), self._dot(a, a)
        ad, dd = self._dot(a, difference), self._dot(difference, difference)
        if not (_LEAST < aa < math.inf and _LEAST < dd < math.inf and math.isfinite(ad)):
            wide_a, wide_d = a.astype(np.float64), difference.astype(np.float64)
            total = float(wide_d.sum())
            aa, ad, dd = (
                float(np.dot(*pair)) for pair in ((wide_a, wide_a), (wide_a, wide_d), (wide_d, wide_d))
            )
        bb, ab = aa + 2 * ad + dd, aa + ad
        if bb < 0.05 * aa:  # cancelled digits: multiply out
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            bb, ab = float(np.dot(wide_b, wide_b)), float(np.dot(wide_a, wide_b))
        sums.difference += total
        sums.difference_squared += dd
        sums.baseline_squared += aa
        sums.candidate_squared += bb
        sums.product += ab

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

    def _total(self, x: Single) -> float:
        blocks = x.size // _BLOCK
        whole = blocks * _BLOCK
        sums = np.matmul(x[:whole].reshape(blocks, 1, _BLOCK), self._ones, out=self._blocks[:blocks])
        return float(sums.sum(dtype=np.float64)) + float(x[whole:].sum(dtype=np.float64))

    def _relative(self, sums: Sums, a: Single, b: Single, difference: Single) -> float:
        """Raise max_rel where this chunk does; returns an upper bound of the chunk's own, right to 1e-6."""
        size = a.size
        quotient = np.divide(difference, a, out=self._quotient[:size])
        # Without the floor no quotient is smaller than with it; 0/0 is NaN, which fmax passes over.
        bound = max(float(np.fmax.reduce(quotient)), -float(np.fmin.reduce(quotient)))
        if bound <= sums.max_rel * (1 + _SLACK):
            return bound
        magnitude = np.abs(quotient, out=quotient)
        if sums.max_rel > _LARGEST:
            return self._exact_relative(sums, a, b)
        if sums.max_rel > 0:  # usually only the few elements nearest to zero can raise it
            near = np.flatnonzero(np.greater(magnitude, np.float32(sums.max_rel), out=self._over[:size]))
            if near.size < size // 16:
                return self._exact_relative(sums, a[near], b[near])
        np.maximum(np.abs(a, out=quotient), self._floor[:size], out=quotient)
        np.abs(np.divide(difference, quotient, out=quotient), out=quotient)
        index = int(quotient.argmax())
        if quotient[index] > _LARGEST:
            return self._exact_relative(sums, a, b)
        return self._exact_relative(sums, a[index : index + 1], b[index : index + 1])

    def _exact_relative(self, sums: Sums, a: Single, b: Single) -> float:
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        relative = np.abs(wide_b - wide_a) / np.maximum(np.abs(wide_a), self._limits.floor)
        sums.max_rel = max(sums.max_rel, float(relative.max(initial=0.0)))
        return sums.max_rel

    def _mismatches(self, sums: Sums, a: Single, b: Single, relative: float) -> None:
        """Count the elements beyond the tolerance."""
        limits = self._limits
        if self._relative_decides and relative <= limits.rtol * (1 - _SLACK):
            return
        size = a.size
        count = None if limits.atol < _SMALL else self._count_in_single(a, size)
        if count is None:
            wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
            beyond = np.abs(wide_b - wide_a) > limits.atol + limits.rtol * np.abs(wide_a)
            count = int(np.count_nonzero(beyond))
        sums.mismatched += count

    def _count_in_single(self, a: Single, size: int) -> int | None:
        """The count, or None if an element is so near its threshold that float32 cannot tell."""
        limits = self._limits
        over = self._over[:size]
        magnitude = np.abs(self._difference[:size], out=self._magnitude[:size])
        threshold = np.abs(a, out=self._quotient[:size])
        np.multiply(threshold, np.float32(limits.rtol * (1 + _SLACK)), out=threshold)
        np.add(threshold, np.float32(limits.atol * (1 + _SLACK)), out=threshold)
        surely = int(np.count_nonzero(np.greater(magnitude, threshold, out=over)))
        np.multiply(threshold, np.float32((1 - _SLACK) / (1 + _SLACK)), out=threshold)
        perhaps = int(np.count_nonzero(np.greater(magnitude, threshold, out=over)))
        return surely if surely == perhaps else None
