"""Float64 against float64: do both sides compute the same function?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.base import Finite, Frozen
from validator.numbers.ensembles import Rows, blocks, read_rows, width_of
from validator.storage.tensors import StoredTensor

_TOGETHER = 1 << 21
#: Below this share of the whole output, differences of a row or column count only where it has a value of its
#: own: the recorded baseline is nearer to float64 than half of it. A sum that cancels leaves rounding alone.
_OWN = 1e-12


class ReferenceDistance(Frozen):
    """How far the float64 runs of both sides are apart, and both sides from the baseline's.

    `delta` is rms(Dc - Db) ÷ rms(Db) for the float64 outputs Db of the baseline and Dc of the candidate;
    `row_delta` and `column_delta` are the largest of a sample and of a column, over the larger of Db and the
    recorded baseline (where a sum cancels, float64 leaves nothing to divide by); `index` is that column's.
    Of discrete outputs `delta` is the share of places that differ; it is NaN where the sides are not finite
    at other places. `baseline` and `candidate` are root mean squares of the recorded outputs minus Db,
    `reference` is that of Db.
    """

    output: str
    discrete: bool = False
    delta: Finite
    row_delta: Finite = 0.0
    column_delta: Finite = 0.0
    index: tuple[int, ...] = ()
    baseline: Finite = 0.0
    candidate: Finite = 0.0
    reference: Finite = 0.0

    @property
    def bits(self) -> tuple[float, float]:
        """Effective bits, −log2 of the relative error, of both sides; 53 where there is no error."""
        before, after = (
            -math.log2(error / self.reference) if error > 0 and self.reference > 0 else 53.0
            for error in (self.baseline, self.candidate)
        )
        return before, after


def measure_reference(
    recorded: tuple[StoredTensor, StoredTensor], exact: tuple[StoredTensor, StoredTensor], rows: Rows
) -> ReferenceDistance:
    """Compare the float64 runs `exact` of both sides, which hold `rows` of the `recorded` outputs."""
    sums = _Sums(len(rows), width_of(exact[0]))
    for columns in blocks(len(rows), width_of(exact[0]), _TOGETHER):
        before, after = (read_rows(side, None, columns) for side in exact)
        sums.add(columns, before, after, *(read_rows(side, rows, columns) for side in recorded))
    return sums.distance(recorded[0])


class _Sums:
    """Sums of squares by row and by column: of Dc - Db, of what that is a share of, of the baseline - Db."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = np.zeros((3, rows)), np.zeros((3, columns))
        self._totals = np.zeros(3)  # of the baseline and the candidate minus Db, and of Db
        self._count = 0
        self._same_pattern = True

    def add(self, columns: slice, *sides: NDArray[Any]) -> None:
        """Db, Dc, baseline and candidate of some columns."""
        with np.errstate(all="ignore"):
            finite = np.logical_and.reduce([np.isfinite(side) for side in sides])
            self._same_pattern &= bool(np.array_equal(*(np.isfinite(side) for side in sides[:2])))
            exact, moved, baseline, candidate = (np.where(finite, side, 0.0) for side in sides)
            apart, scale = (moved - exact) ** 2, np.maximum(exact**2, baseline**2)
            error = (baseline - exact) ** 2
            parts = (apart, scale, error)
            self._rows += [part.sum(1) for part in parts]
            self._columns[:, columns] = [part.sum(0) for part in parts]
            self._totals += [error.sum(), ((candidate - exact) ** 2).sum(), (exact**2).sum()]
        self._count += int(np.count_nonzero(finite))

    def distance(self, recorded: StoredTensor) -> ReferenceDistance:
        apart, whole = float(self._rows[0].sum()), float(self._totals[2])
        rows, columns = (self._shares(sums) for sums in (self._rows, self._columns))
        worst = int(columns.argmax())
        flat = worst // (2 if recorded.dtype.startswith("complex") else 1)
        before, after, own = np.sqrt(self._totals / max(1, self._count))
        return ReferenceDistance(
            output=recorded.name,
            delta=_share(apart, whole) if self._same_pattern else math.nan,
            row_delta=float(rows.max(initial=0.0)),
            column_delta=float(columns[worst]),
            index=tuple(int(axis) for axis in np.unravel_index(flat, recorded.shape[1:])),
            baseline=before,
            candidate=after,
            reference=own,
        )

    def _shares(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Root of the difference as a share of the scale; 0 where it is float64's own rounding."""
        apart, scale, error = sums
        least = _OWN**2 * self._totals[2] / sums.shape[1]
        known = (scale > 0) & ((apart > least) | (4 * error < scale))
        return np.asarray(np.sqrt(np.divide(apart, scale, out=np.zeros(apart.shape), where=known)))


def _share(part: float, whole: float) -> float:
    if part == 0:
        return 0.0
    return math.sqrt(part / whole) if whole > 0 else math.inf
