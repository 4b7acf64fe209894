"""Sums over the chunks of a pair of tensors, and the exact way to add a chunk: everything in float64.

`single.py` has the fast way for float32 values; it falls back to this one wherever it might be wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ElementLimits:
    """When an element counts as mismatched, and the least a baseline's magnitude counts in max_rel."""

    rtol: float
    atol: float
    floor: float


#: Where the elements of a chunk stand in the flat tensor.
Places = range | NDArray[np.intp]


@dataclass
class Sums:
    """What is known after some chunks. Squares are over the pairs finite on both sides."""

    limits: ElementLimits
    elements: int = 0
    finite: int = 0
    bytes_equal: bool = True
    mismatched: int = 0
    max_abs: float = 0.0
    max_rel: float = 0.0
    worst: int | None = None
    difference: float = 0.0
    difference_squared: float = 0.0
    baseline_squared: float = 0.0
    nan: list[int] = field(default_factory=lambda: [0, 0])
    inf: list[int] = field(default_factory=lambda: [0, 0])
    nonfinite_mismatched: int = 0
    first_nonfinite: int | None = None

    def add_equal(self, values: NDArray[Any]) -> None:
        """Add a chunk of floats, integers or complex numbers that is byte for byte the same on both sides."""
        squared = _square(values)
        if not math.isfinite(squared):  # a NaN, an infinity, or squares that left float64
            values = values[self._count_nonfinite(values, values)]
            squared = _square(values)
        self.finite += values.size
        self.baseline_squared += squared

    def add_numbers(self, a: NDArray[Any], b: NDArray[Any], places: Places) -> float:
        """Add a chunk of floats or complex numbers, whatever they hold.

        Returns the largest difference, infinity if anything was not finite.
        """
        finite = self._count_nonfinite(a, b)
        if finite.all():
            return self._add_finite(a, b, places)
        agree = finite | (a == b) | (np.isnan(a) & np.isnan(b))
        apart = int(np.count_nonzero(~agree))
        if apart:
            self.mismatched += apart
            self.nonfinite_mismatched += apart
            if self.first_nonfinite is None:
                self.first_nonfinite = int(places[int(np.argmin(agree))])
        if finite.any():
            self._add_finite(a[finite], b[finite], np.asarray(places)[finite])
        return math.inf

    def add_integers(self, a: NDArray[Any], b: NDArray[Any], places: Places) -> float:
        """Add integers of one dtype. Distances are exact before they are rounded to float64."""
        # Modulo 2^64 the difference of the larger and the smaller is their distance, whatever the sign.
        unsigned_a, unsigned_b = a.astype(np.uint64), b.astype(np.uint64)
        above = b > a
        distance = np.where(above, unsigned_b - unsigned_a, unsigned_a - unsigned_b).astype(np.float64)
        return self._add_distances(a.astype(np.float64), np.where(above, distance, -distance), places)

    def _count_nonfinite(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
        """Count NaN and infinities; returns where both sides are finite."""
        finite: NDArray[np.bool_] = np.isfinite(a) & np.isfinite(b)
        if not finite.all():
            for side, values in enumerate((a, b)):
                self.nan[side] += int(np.count_nonzero(np.isnan(values)))
                self.inf[side] += int(np.count_nonzero(np.isinf(values)))
        return finite

    def _add_finite(self, a: NDArray[Any], b: NDArray[Any], places: Places) -> float:
        """Add finite floats (calculated in float64) or complex numbers (by their magnitudes)."""
        wide = np.complex128 if a.dtype.kind == "c" or b.dtype.kind == "c" else np.float64
        a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
        return self._add_distances(a, b - a, places)

    def _add_distances(self, a: NDArray[Any], signed: NDArray[Any], places: Places) -> float:
        """Add float64 or complex128 values and b - a; returns the largest distance."""
        self.finite += a.size
        self.difference += float(signed.real.sum())
        self.difference_squared += _square(signed)
        self.baseline_squared += _square(a)
        distance, reference = np.abs(signed), np.abs(a)
        index = int(distance.argmax())
        top = float(distance[index])
        if top == 0.0:
            return top
        # Two finite float64 can be further apart than float64 reaches: say the most that it can say.
        reachable = min(top, np.finfo(np.float64).max)
        if reachable > self.max_abs:
            self.max_abs, self.worst = reachable, int(places[index])
        limits = self.limits
        self.mismatched += int(np.count_nonzero(distance > limits.atol + limits.rtol * reference))
        relative = float((distance / np.maximum(reference, limits.floor)).max())
        self.max_rel = max(self.max_rel, min(relative, np.finfo(np.float64).max))
        return top


def _square(values: NDArray[Any]) -> float:
    """The sum of squares, in float64; of complex numbers those of both parts."""
    if values.dtype.kind == "c":
        values = np.ascontiguousarray(values, np.complex128).view(np.float64)
    double: NDArray[np.float64] = values.astype(np.float64, copy=False)
    return float(np.dot(double, double))
