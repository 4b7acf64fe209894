"""What of an output is worth drawing: sizes of differences in bins, the worst row, top-1 changes by class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from validator.base import Finite, Frozen
from validator.numbers.ensembles import Ensemble, read_elements, read_rows, row_pieces, width_of
from validator.numbers.floor import Double
from validator.numbers.largest import Largest
from validator.numbers.values import kind_of
from validator.storage.tensors import StoredTensor

PER_DECADE = 8
_ELEMENTS = 500_000  # of each member that are binned
_COLUMNS = 12  # of the worst row
_PAIRS = 40  # of classes
_POINTS = 500
_SCANNED = 30_000_000  # elements that are gone through for a picture, some at a time


class Histogram(Frozen):
    """Sizes of the differences of elements in bins: bin i begins at 10^((first + i) / per_decade).

    Bins and `first` are the same for both, so that histograms of parts can be added up. What is equal has no
    bin: `drift_equal` and `noise_equal` count it. The noise is that of all members together.
    """

    first: int
    per_decade: int = PER_DECADE
    drift: tuple[int, ...]
    noise: tuple[int, ...] = ()
    drift_equal: int = 0
    noise_equal: int = 0
    elements: int = Field(description="How many elements of an output were binned.")
    members: int = 0


class OutputRow(Frozen):
    """The last axis of an output at its largest difference: the columns that say most, on both sides."""

    index: tuple[int, ...] = Field(description="The place of the row.")
    columns: tuple[int, ...]
    baseline: tuple[Finite | None, ...]
    candidate: tuple[Finite | None, ...]
    width: int


class ClassPair(Frozen):
    """How many rows have their largest value in one column before, and in another after."""

    baseline: int
    candidate: int
    count: int


def histogram(baseline: StoredTensor, candidate: StoredTensor, ensemble: Ensemble) -> Histogram | None:
    """The rows that the ensemble measured, as many as are quick to bin; None where nothing moved."""
    if kind_of(baseline) not in ("single", "double") or not baseline.size:
        return None
    rows = ensemble.rows[: max(1, _ELEMENTS // max(1, width_of(baseline)))]
    before = read_rows(baseline, rows)
    exponents, equal = _exponents(_apart(before, read_rows(candidate, rows)))
    place = np.arange(len(rows))
    noises = [_exponents(_apart(before, read_rows(member, place))) for member in ensemble.members]
    every = np.concatenate([exponents, *(own for own, _ in noises)])
    if not every.size:
        return None
    first, last = int(every.min()), int(every.max())
    noise = np.concatenate([own for own, _ in noises]) if noises else every[:0]
    return Histogram(
        first=first,
        drift=_counts(exponents, first, last),
        noise=_counts(noise, first, last) if noises else (),
        drift_equal=equal,
        noise_equal=sum(own for _, own in noises),
        elements=before.size,
        members=len(noises),
    )


def _apart(before: Double, after: Double) -> Double:
    """The sizes of the differences: NaN where both sides are infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(after - before)


def _exponents(difference: Double) -> tuple[NDArray[np.int64], int]:
    """The bins of what differs, and how many elements do not."""
    sizes = np.abs(difference[np.isfinite(difference)])
    moved = sizes[sizes > 0]
    return np.floor(np.log10(moved) * PER_DECADE).astype(np.int64), int(sizes.size - moved.size)


def _counts(exponents: NDArray[np.int64], first: int, last: int) -> tuple[int, ...]:
    return tuple(np.bincount(exponents - first, minlength=last - first + 1).tolist())


def worst_row(
    baseline: StoredTensor, candidate: StoredTensor, index: tuple[int, ...], *, ranked: bool
) -> OutputRow | None:
    """The row around one element: of scores, the largest of both sides; else what differs most."""
    if kind_of(baseline) not in ("single", "double", "integer") or len(index) < 2 or baseline.ragged:
        return None
    width = baseline.shape[-1]
    start = int(np.ravel_multi_index(index[1:-1], baseline.shape[1:-1])) * width if index[1:-1] else 0
    row, part = np.asarray(index[:1], np.intp), slice(start, start + width)
    before, after = (read_rows(side, row, part)[0] for side in (baseline, candidate))
    if width <= _COLUMNS:
        columns = np.arange(width)
    elif ranked:
        tops = (np.argsort(-np.nan_to_num(side))[: _COLUMNS // 2] for side in (before, after))
        columns = np.asarray([*dict.fromkeys(int(at) for top in tops for at in top)])
    else:
        columns = np.sort(np.argsort(-np.nan_to_num(_apart(before, after)))[:_COLUMNS])
    return OutputRow(
        index=index[:-1],
        columns=tuple(int(at) for at in columns),
        baseline=tuple(float(value) for value in before[columns]),
        candidate=tuple(float(value) for value in after[columns]),
        width=width,
    )


def moved_points(baseline: StoredTensor, candidate: StoredTensor) -> tuple[tuple[float, float], ...]:
    """Values of both sides: half of them those that moved most, the others evenly spread over the output."""
    floats = kind_of(baseline) in ("single", "double")
    if not floats or baseline.ragged or not 0 < baseline.size <= _SCANNED:
        return ()
    most = Largest(_POINTS // 2)
    width = width_of(baseline)
    for rows in row_pieces(baseline, width):
        before, after = (read_rows(side, rows).reshape(-1) for side in (baseline, candidate))
        most.add(np.nan_to_num(_apart(before, after)), int(rows[0]) * width)
    even = np.linspace(0, baseline.size - 1, min(_POINTS // 2, baseline.size)).astype(np.intp)
    chosen = np.asarray([*dict.fromkeys([*most.places, *even.tolist()])])
    values = (read_elements(side, chosen).tolist() for side in (baseline, candidate))
    return tuple(zip(*values, strict=True))


def top1_pairs(baseline: StoredTensor, candidate: StoredTensor) -> tuple[ClassPair, ...]:
    """Top-1 changes by class, the most frequent first; empty for outputs that are too large."""
    if len(baseline.shape) < 2 or baseline.ragged or baseline.size > _SCANNED:
        return ()
    classes = baseline.shape[-1]
    counts: dict[tuple[int, int], int] = {}
    for tops in _tops(baseline, candidate, classes):
        moved = tops[:, tops[0] != tops[1]]
        pairs, many = np.unique(moved, axis=1, return_counts=True)
        for before, after, count in zip(*pairs.tolist(), many.tolist(), strict=True):
            counts[before, after] = counts.get((before, after), 0) + count
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_PAIRS]
    return tuple(ClassPair(baseline=pair[0], candidate=pair[1], count=count) for pair, count in most)


def _tops(baseline: StoredTensor, candidate: StoredTensor, classes: int) -> Iterator[NDArray[np.intp]]:
    for rows in row_pieces(baseline, width_of(baseline)):
        sides = (read_rows(side, rows).reshape(-1, classes) for side in (baseline, candidate))
        yield np.stack([side.argmax(axis=1) for side in sides])
