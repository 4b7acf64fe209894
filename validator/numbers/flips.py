"""How many rows have their largest value elsewhere: arg max over the last axis, the first one in a tie.

As in NumPy, a NaN is larger than everything.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NARROW = 48  # narrower rows cost more in arg max calls than one transposed look at all of them


class Flips:
    """Counts over chunks of whole rows (`add`), or over the pieces of long rows in order (`add_piece`)."""

    def __init__(self, classes: int, capacity: int) -> None:
        self.rows = 0
        self.flips = 0
        self._classes = classes
        self._turned = np.empty(capacity if classes < _NARROW else 0, np.float32)
        self._best: list[tuple[float, int]] = []

    def add(self, a: NDArray[Any], b: NDArray[Any], top: float) -> None:
        """Add whole rows. `top` is at least the largest |b - a|, to 1e-6; infinity if not known."""
        a, b = a.reshape(-1, self._classes), b.reshape(-1, self._classes)
        self.rows += a.shape[0]
        if top == 0.0:
            return
        if self._classes < _NARROW and math.isfinite(top) and a.dtype == np.float32:
            close = self._close(a, top)
            if close.size == 0:
                return
            a, b = a[close], b[close]
        self.flips += int(np.count_nonzero(a.argmax(axis=1) != b.argmax(axis=1)))

    def _close(self, a: NDArray[np.float32], top: float) -> NDArray[np.intp]:
        """The rows that can flip: those with a second value within 2 * top of the largest.

        If b_j >= b_i, then a_j >= a_i - 2 top. Rounding that limit to float32 keeps this true of float32s.
        """
        rows = a.shape[0]
        turned = self._turned[: a.size].reshape(self._classes, rows)
        np.copyto(turned, a.T)
        limit = turned.max(axis=0) - np.float64(2 * top * (1 + 1e-6))
        near = turned >= limit.astype(np.float32)
        if int(np.count_nonzero(near)) == rows:
            return np.empty(0, np.intp)
        return np.flatnonzero(np.add.reduce(near.view(np.uint8), axis=0, dtype=np.uint8) > 1)

    def add_piece(self, a: NDArray[Any], b: NDArray[Any], first: int) -> None:
        """Add a piece of one row, whose first element is in column `first`."""
        if first == 0:
            self._best = [(-math.inf, -1), (-math.inf, -1)]
        for side, values in enumerate((a, b)):
            index = int(values.argmax())
            value, (best, column) = float(values[index]), self._best[side]
            if column < 0 or (not math.isnan(best) and (value > best or math.isnan(value))):
                self._best[side] = (value, first + index)
        if first + a.size == self._classes:
            self.rows += 1
            self.flips += self._best[0][1] != self._best[1][1]
