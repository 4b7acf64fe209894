"""Drift against noise: how far two sides are apart, in units of what rounding alone does to the baseline.

Over everything, and for the worst sample: a global root mean square dilutes what happens to one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.compare.tensors import CHUNK, TensorComparison
from validator.compare.values import Decoder, Kind, kind_of
from validator.tensors import StoredTensor, TensorData

Double = NDArray[np.float64]

#: The noise of one sample counts as at least this share of the noise of all: an ensemble of three says little
#: about a single value, and would call every other sample quiet.
QUIET = 0.5

#: Half the distance from 1 to the next number: an output is never more exact than its own rounding.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


@dataclass(frozen=True)
class NoiseFloor:
    """Noise in the output's unit: over everything (above 0), and of each of the first samples."""

    rms: float
    rows: Double | None = None


@dataclass(frozen=True)
class Drift:
    """Drift over noise. `noise_rms` is the floor with the output's own rounding in it.

    `sample` is the one with the largest ratio, None where nothing is known by sample.
    """

    rms: float
    noise_rms: float
    ratio: float
    sample: int | None = None
    sample_rms: float | None = None
    sample_noise: float | None = None
    sample_ratio: float | None = None


def measure_drift(
    baseline: StoredTensor, candidate: StoredTensor, found: TensorComparison, floor: NoiseFloor
) -> Drift | None:
    """Drift of a compared pair of floating-point tensors; None where no element is finite on both sides.

    Elements that are not finite are left out: `found` counts them.

    The noise of a sample is the measured one, but at least QUIET of the noise of all, and half a unit
    roundoff of the sample's own magnitude. Samples behind the measured ones count with the noisiest.
    """
    if found.rms is None or found.rms_baseline is None:
        return None
    own = UNIT_ROUNDOFF.get(found.baseline_dtype, 0.0) / 2
    noise = max(floor.rms, own * found.rms_baseline)
    drift = Drift(found.rms, noise, found.rms / noise)
    if floor.rows is None or floor.rows.size == 0 or not _has_samples(baseline):
        return drift
    differences, magnitudes = _Rows(baseline, candidate).root_means()
    behind = max(0, differences.size - floor.rows.size)
    measured = np.concatenate((floor.rows[: differences.size], np.full(behind, floor.rows.max())))
    least = np.maximum(np.maximum(measured, QUIET * floor.rms), own * magnitudes)
    ratios = differences / least
    worst = int(ratios.argmax())
    return Drift(
        found.rms,
        noise,
        drift.ratio,
        worst,
        float(differences[worst]),
        float(least[worst]),
        float(ratios[worst]),
    )


def _has_samples(tensor: StoredTensor) -> bool:
    return tensor.batched and not tensor.ragged and bool(tensor.shape) and tensor.size > 0


class _Rows:
    """Root mean squares by sample, from chunks of whole samples, or pieces of long ones."""

    def __init__(self, baseline: StoredTensor, candidate: StoredTensor) -> None:
        self._sides = baseline, candidate
        self._kinds: tuple[Kind, Kind] = kind_of(baseline), kind_of(candidate)
        self._count = baseline.shape[0]
        self._length = baseline.size // self._count

    def root_means(self) -> tuple[Double, Double]:
        """Of the difference, and of the baseline; 0 where nothing of a sample is finite on both sides."""
        squares = np.zeros((2, self._count))
        finite = np.zeros(self._count)
        data = self._sides[0].open(), self._sides[1].open()
        decode = tuple(
            Decoder(side.dtype, kind, CHUNK) for side, kind in zip(self._sides, self._kinds, strict=True)
        )
        together = max(1, CHUNK // self._length)
        with np.errstate(all="ignore"):
            for first in range(0, self._count, together):
                rows = slice(first, min(first + together, self._count))
                for low, high in self._pieces(rows):
                    a, b = (decode[at](data[at].values[low:high]) for at in (0, 1))
                    _add(squares[:, rows], finite[rows], a, b)
                    _release(data, low, high)
        counted = np.maximum(finite, 1)
        return np.sqrt(squares[0] / counted), np.sqrt(squares[1] / counted)

    def _pieces(self, rows: slice) -> list[tuple[int, int]]:
        """Bounds of at most CHUNK elements; several only where one sample is longer."""
        start, stop = rows.start * self._length, rows.stop * self._length
        return [(low, min(low + CHUNK, stop)) for low in range(start, stop, CHUNK)]


def _add(squares: Double, counts: Double, a: NDArray[Any], b: NDArray[Any]) -> None:
    """Add the elements of some samples, given one after the other."""
    wide_a, wide_b = (side.astype(np.float64, copy=False).reshape(counts.size, -1) for side in (a, b))
    finite = np.isfinite(wide_a) & np.isfinite(wide_b)
    distance, magnitude = wide_b - wide_a, wide_a
    if not finite.all():
        distance, magnitude = np.where(finite, distance, 0.0), np.where(finite, magnitude, 0.0)
    squares[0] += np.einsum("ij,ij->i", distance, distance)
    squares[1] += np.einsum("ij,ij->i", magnitude, magnitude)
    counts += np.count_nonzero(finite, axis=1)


def _release(data: tuple[TensorData, TensorData], low: int, high: int) -> None:
    for side in data:
        side.release(low, high)
