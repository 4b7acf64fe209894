"""Drift against noise: how far two sides are apart, in units of what rounding alone does to the baseline.

Over everything, and for the worst sample: a global root mean square dilutes what happens to one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.base import Finite, Frozen
from validator.numbers.distance import TensorComparison
from validator.numbers.stream import CHUNK, PairStream
from validator.numbers.tolerances import UNIT_ROUNDOFF
from validator.storage.tensors import StoredTensor

Double = NDArray[np.float64]

_MOST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class NoiseFloor:
    """Noise in the output's unit: over everything (above 0), and of each of the first samples."""

    rms: float
    rows: Double | None = None


class Drift(Frozen):
    """Drift over noise. `noise_rms` is the floor with the output's own rounding in it.

    `sample` is the one with the largest ratio, None where nothing is known by sample.
    """

    rms: Finite
    noise_rms: Finite
    ratio: Finite
    sample: int | None = None
    sample_rms: Finite | None = None
    sample_noise: Finite | None = None
    sample_ratio: Finite | None = None


def measure_drift(
    baseline: StoredTensor,
    candidate: StoredTensor,
    comparison: TensorComparison,
    floor: NoiseFloor,
    quiet: float,
) -> Drift | None:
    """Drift of a compared pair of floating-point tensors; None where no element is finite on both sides.

    Elements that are not finite are left out: `comparison` counts them.

    The noise of a sample is the measured one, but at least `quiet` of the noise of all, and half a unit
    roundoff of the sample's own magnitude. Samples behind the measured ones count with the noisiest.
    """
    if comparison.rms is None or comparison.rms_baseline is None:
        return None
    own = UNIT_ROUNDOFF.get(comparison.baseline_dtype, 0.0) / 2
    noise = max(floor.rms, own * comparison.rms_baseline)
    drift = Drift(rms=comparison.rms, noise_rms=noise, ratio=min(comparison.rms / noise, _MOST))
    sampled = baseline.batched and not baseline.ragged and bool(baseline.shape)
    if floor.rows is None or floor.rows.size == 0 or not sampled:
        return drift
    differences, magnitudes = _root_means(baseline, candidate)
    behind = max(0, differences.size - floor.rows.size)
    measured = np.concatenate((floor.rows[: differences.size], np.full(behind, floor.rows.max())))
    least = np.maximum(np.maximum(measured, quiet * floor.rms), own * magnitudes)
    ratios = np.minimum(differences / least, _MOST)
    worst = int(ratios.argmax())
    columns = {"sample_rms": differences, "sample_noise": least, "sample_ratio": ratios}
    update = {name: float(values[worst]) for name, values in columns.items()}
    return drift.model_copy(update={"sample": worst, **update})


def _root_means(baseline: StoredTensor, candidate: StoredTensor) -> tuple[Double, Double]:
    """Root mean squares by sample, of the difference and of the baseline.

    0 where nothing of a sample is finite on both sides. A piece has whole samples, or a part of a long one.
    """
    count = baseline.shape[0]
    length = baseline.size // count
    squares, finite = np.zeros((2, count)), np.zeros(count)
    stream = PairStream(baseline, candidate)
    with np.errstate(all="ignore"):
        for low, high in stream.pieces(max(1, CHUNK // length) * length):
            samples = slice(low // length, -(-high // length))
            a, b = (decode(raw) for decode, raw in zip(stream.decode, stream.raw(low, high), strict=True))
            _add(squares[:, samples], finite[samples], a, b)
    counted = np.maximum(finite, 1)
    return np.sqrt(squares[0] / counted), np.sqrt(squares[1] / counted)


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
