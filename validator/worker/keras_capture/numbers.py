"""How far apart two arrays are, and what one holds: the only place in the worker where numbers add up."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Optional

import numpy as np

#: Stored bits of the mantissa of each floating dtype whose last place is known: one unit there is 2**-bits.
MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_FLAT = 1 << 16  # elements widened together
_BLOCK = 1 << 20  # those of a large array


def dotted(distance: np.ndarray) -> float:
    """Sum of squares by BLAS: the fastest."""
    return float(np.dot(distance, distance))


def pairwise(distance: np.ndarray) -> float:
    """Sum of squares by NumPy's pairwise addition, which `np.mean` uses."""
    return float(np.sum(np.square(distance)))


class Distance:
    """Streams pairs of arrays of one kind; NaN and infinities at the same places agree.

    `count` pairs are finite on both sides; `nonfinite` elements are finite, or the same infinity or NaN, on
    one side only. After `torn` additions, whose shapes differ, nothing can be said of the whole.
    """

    def __init__(self, *, squares: Callable[[np.ndarray], float] = dotted) -> None:
        self.count = self.nonfinite = self.torn = 0
        self._total = self._largest = 0.0
        self._squares = squares

    def add(self, old: np.ndarray, new: np.ndarray, block: int = _FLAT) -> None:
        """Add two arrays, `block` elements at a time."""
        if old.shape != new.shape:
            self.torn += 1
            return
        old, new = old.reshape(-1), new.reshape(-1)
        for start in range(0, old.size, block):
            part = slice(start, start + block)
            self._total += self._squares(self._taken(old[part], new[part]))

    def _taken(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Distances in float64, 0 where a side is not finite."""
        old, new = _widest(old), _widest(new)
        with np.errstate(invalid="ignore", over="ignore"):
            finite = np.isfinite(old) & np.isfinite(new)
            agree = finite | (old == new) | (np.isnan(old) & np.isnan(new))
            distance = np.where(finite, np.abs(new - old), 0.0)
        self.nonfinite += int(np.count_nonzero(~agree))
        self.count += int(np.count_nonzero(finite))
        self._largest = max(self._largest, float(distance.max(initial=0.0)))
        return distance

    @property
    def rms(self) -> Optional[float]:
        """Root mean square of the finite distances; None where nothing could be paired."""
        if self.torn or not self.count or not math.isfinite(self._total):
            return None
        return math.sqrt(self._total / self.count)

    @property
    def max_abs(self) -> Optional[float]:
        """The largest distance, 0 where nothing was finite; None where it overflows."""
        return number(self._largest)


def _widest(values: np.ndarray) -> np.ndarray:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def wide(values: np.ndarray) -> np.ndarray:
    """The same in float64; of complex numbers, the distance from 0."""
    return np.abs(values).astype(np.float64) if values.dtype.kind == "c" else values.astype(np.float64)


def number(value: object) -> Optional[float]:
    """A scalar for JSON; None where it is not finite."""
    scalar = float(value)
    return scalar if math.isfinite(scalar) else None


def hash_of(parts: Iterable[np.ndarray]) -> hashlib.blake2b:
    """What tells apart arrays of one dtype and shape: of their bytes in C order, part by part."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        hashed.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
    return hashed


def is_same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two arrays have the same dtype, shape and bits."""
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    pair = [np.ascontiguousarray(each).reshape(-1).view(np.uint8) for each in (left, right)]
    blocks = (slice(start, start + _BLOCK) for start in range(0, pair[0].size, _BLOCK))
    return all(np.array_equal(pair[0][block], pair[1][block]) for block in blocks)


def deviation_of(values: np.ndarray) -> Optional[float]:
    """The standard deviation in float64, without a copy of the whole; None where it is not finite."""
    if not values.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        mean = sum(float(part.sum()) for part in _widened(values)) / values.size
        squares = sum(float(np.sum((part - mean) ** 2)) for part in _widened(values))
    return number(math.sqrt(squares / values.size)) if math.isfinite(squares) else None


def _widened(values: np.ndarray) -> Iterator[np.ndarray]:
    flat = values.reshape(-1)
    return (wide(flat[start : start + _BLOCK]) for start in range(0, flat.size, _BLOCK))
