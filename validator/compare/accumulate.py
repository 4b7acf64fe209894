"""Sums over the chunks of a pair of tensors, and the exact way to add a chunk: everything in float64.

`single.py` has the fast way for float32 values; it falls back to this one wherever it might be wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """When an element counts as mismatched, and the least a baseline's magnitude counts in max_rel."""

    rtol: float
    atol: float
    floor: float


@dataclass(frozen=True)
class Places:
    """Where the elements of a chunk stand in the flat tensor: from `start` on, or only those `picked`."""

    start: int
    picked: NDArray[np.intp] | None = None

    def __getitem__(self, index: int) -> int:
        return self.start + (index if self.picked is None else int(self.picked[index]))

    def only(self, kept: NDArray[np.bool_]) -> Places:
        """The places of the elements that are kept."""
        chosen = np.flatnonzero(kept)
        return Places(self.start, chosen if self.picked is None else self.picked[chosen])


@dataclass
class Sums:
    """What is known after some chunks. Products and squares are over the pairs finite on both sides."""

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
    candidate_squared: float = 0.0
    product: float = 0.0
    nan: list[int] = field(default_factory=lambda: [0, 0])
    inf: list[int] = field(default_factory=lambda: [0, 0])
    nonfinite_mismatched: int = 0
    first_nonfinite: int | None = None

    def merge(self, other: Sums) -> None:
        """Add what another part of the same tensors, further behind, has found."""
        self.elements += other.elements
        self.finite += other.finite
        self.bytes_equal &= other.bytes_equal
        self.mismatched += other.mismatched
        if other.max_abs > self.max_abs:
            self.max_abs, self.worst = other.max_abs, other.worst
        self.max_rel = max(self.max_rel, other.max_rel)
        self.difference += other.difference
        self.difference_squared += other.difference_squared
        self.baseline_squared += other.baseline_squared
        self.candidate_squared += other.candidate_squared
        self.product += other.product
        self.nan = [mine + theirs for mine, theirs in zip(self.nan, other.nan, strict=True)]
        self.inf = [mine + theirs for mine, theirs in zip(self.inf, other.inf, strict=True)]
        self.nonfinite_mismatched += other.nonfinite_mismatched
        if self.first_nonfinite is None:
            self.first_nonfinite = other.first_nonfinite

    def add_same(self, squared: float, count: int) -> None:
        """Add a chunk whose finite numbers are equal on both sides; `squared` is the sum of their squares."""
        self.finite += count
        self.baseline_squared += squared
        self.candidate_squared += squared
        self.product += squared


def add_equal(sums: Sums, values: NDArray[Any]) -> None:
    """Add a chunk of floats, integers or complex numbers that is byte for byte the same on both sides."""
    wide = _as_double(values)
    squared = float(np.dot(wide, wide))
    if math.isfinite(squared):
        sums.add_same(squared, values.size)
        return
    finite = np.isfinite(values)  # a NaN, an infinity, or squares that left float64
    for side in (0, 1):
        sums.nan[side] += int(np.count_nonzero(np.isnan(values)))
        sums.inf[side] += int(np.count_nonzero(np.isinf(values)))
    wide = _as_double(values[finite])
    sums.add_same(float(np.dot(wide, wide)), int(np.count_nonzero(finite)))


def add_numbers(sums: Sums, a: NDArray[Any], b: NDArray[Any], places: Places, limits: Limits) -> float:
    """Add a chunk of floats or complex numbers, whatever they hold.

    Returns the largest difference, infinity if anything was not finite.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    if finite.all():
        return _add_finite(sums, a, b, places, limits)
    for side, values in enumerate((a, b)):
        sums.nan[side] += int(np.count_nonzero(np.isnan(values)))
        sums.inf[side] += int(np.count_nonzero(np.isinf(values)))
    agree = finite | (a == b) | (np.isnan(a) & np.isnan(b))
    apart = int(np.count_nonzero(~agree))
    if apart:
        sums.mismatched += apart
        sums.nonfinite_mismatched += apart
        if sums.first_nonfinite is None:
            sums.first_nonfinite = places[int(np.argmin(agree))]
    if finite.any():
        _add_finite(sums, a[finite], b[finite], places.only(finite), limits)
    return math.inf


def _add_finite(sums: Sums, a: NDArray[Any], b: NDArray[Any], places: Places, limits: Limits) -> float:
    """Add finite floats (calculated in float64) or complex numbers (by their magnitudes)."""
    wide = np.complex128 if a.dtype.kind == "c" or b.dtype.kind == "c" else np.float64
    a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
    signed = b - a
    distance = np.abs(signed)
    sums.finite += a.size
    sums.difference += float(signed.real.sum())
    _add_products(sums, _as_double(a), _as_double(b), _as_double(signed))
    return add_distances(sums, np.abs(a), distance, places, limits)


def add_integers(sums: Sums, a: NDArray[Any], b: NDArray[Any], places: Places, limits: Limits) -> float:
    """Add integers of one dtype. Distances are exact before they are rounded to float64."""
    # Modulo 2^64 the difference of the larger and the smaller is their distance, whatever the sign.
    unsigned_a, unsigned_b = a.astype(np.uint64), b.astype(np.uint64)
    above = b > a
    distance = np.where(above, unsigned_b - unsigned_a, unsigned_a - unsigned_b).astype(np.float64)
    signed = np.where(above, distance, -distance)
    sums.finite += a.size
    sums.difference += float(signed.sum())
    wide = a.astype(np.float64)
    _add_products(sums, wide, b.astype(np.float64), signed)
    return add_distances(sums, np.abs(wide), distance, places, limits)


def add_distances(sums: Sums, reference: Double, distance: Double, places: Places, limits: Limits) -> float:
    """Add |a| and |b - a| to the element-wise statistics; returns the largest distance."""
    index = int(distance.argmax())
    top = float(distance[index])
    if top == 0.0:
        return top
    # Two finite float64 can be further apart than float64 reaches: say the most that it can say.
    reachable = min(top, np.finfo(np.float64).max)
    if reachable > sums.max_abs:
        sums.max_abs, sums.worst = reachable, places[index]
    sums.mismatched += int(np.count_nonzero(distance > limits.atol + limits.rtol * reference))
    relative = float((distance / np.maximum(reference, limits.floor)).max())
    sums.max_rel = max(sums.max_rel, min(relative, np.finfo(np.float64).max))
    return top


def _add_products(sums: Sums, a: Double, b: Double, signed: Double) -> None:
    sums.difference_squared += float(np.dot(signed, signed))
    sums.baseline_squared += float(np.dot(a, a))
    sums.candidate_squared += float(np.dot(b, b))
    sums.product += float(np.dot(a, b))


def _as_double(values: NDArray[Any]) -> Double:
    """Real numbers as float64; complex ones as their real and imaginary parts, one after the other."""
    if values.dtype.kind == "c":
        return np.ascontiguousarray(values, np.complex128).view(np.float64)
    return values.astype(np.float64, copy=False)
