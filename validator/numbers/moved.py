"""Which samples moved most, by several measures: noise is measured and layers are recorded on those first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from validator.numbers.ensembles import read_codes, read_rows, rows_of
from validator.numbers.floor import Double
from validator.numbers.values import kind_of
from validator.storage.tensors import StoredTensor

Pair = tuple[StoredTensor, StoredTensor]
_TOGETHER = 1 << 20


def most_moved(pairs: Iterable[Pair], samples: int) -> tuple[int, ...]:
    """Samples that moved, the most first: the first by each measure of each output, then the second by each …

    Left out are outputs without one row a sample.
    """
    measures = [
        measure
        for pair in pairs
        if pair[0].batched and not pair[0].ragged and rows_of(pair[0]) == samples
        for measure in _measures(*pair)
    ]
    orders = [
        np.argsort(-measure, kind="stable")[: np.count_nonzero(measure)].tolist() for measure in measures
    ]
    ranked = (order[rank] for rank in range(samples) for order in orders if rank < len(order))
    return tuple(dict.fromkeys(ranked))


def chosen_batches(moved: Sequence[int], samples: int, size: int, most: int) -> tuple[int, ...] | None:
    """At most `most` batches of `size` samples: by turns one that moved most and one of an even spread.

    None where all of them are.
    """
    count = -(-samples // size)
    if count <= most:
        return None
    first = list(dict.fromkeys(sample // size for sample in moved))
    even = [round(at * (count - 1) / max(1, most - 1)) for at in range(most)]
    turns = [
        batch for at in range(max(len(first), most)) for batch in (*first[at : at + 1], *even[at : at + 1])
    ]
    return tuple(dict.fromkeys(turns))[:most]


def _measures(baseline: StoredTensor, candidate: StoredTensor) -> Iterator[Double]:
    """By sample: places that differ; of floats those finite on one side, top-1 changes, and sizes: absolute,
    and as a share of their columns.
    """
    if kind_of(baseline) in ("integer", "string", "opaque"):
        count = rows_of(baseline)
        apart = read_codes(baseline) != read_codes(candidate)
        yield np.asarray(apart, np.float64).reshape(count, -1).sum(1)
        return
    count, width = rows_of(baseline), max(1, baseline.size // max(1, rows_of(baseline)))
    step = max(1, _TOGETHER // width)
    pieces = [np.arange(low, min(low + step, count)) for low in range(0, count, step)]
    squares = sum(np.nansum(_finite(read_rows(baseline, rows)) ** 2, axis=0) for rows in pieces)
    scale = np.sqrt(squares / count)
    classes = baseline.shape[-1] if len(baseline.shape) > 1 and kind_of(baseline) != "complex" else 1
    measures = np.zeros((5, count))
    for rows in pieces:
        before, after = read_rows(baseline, rows), read_rows(candidate, rows)
        patterns = (np.isfinite(before) != np.isfinite(after)).sum(1)
        tops = (_finite(side).reshape(len(rows), -1, max(1, classes)).argmax(-1) for side in (before, after))
        apart = np.abs(_finite(after) - _finite(before))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            relative = np.nan_to_num(apart / scale)  # of a column of zeros the difference is infinite
            sizes = [np.sqrt((each**2).mean(1)) for each in (apart, relative)]
        measures[:, rows] = patterns, np.not_equal(*tops).sum(1), *sizes, relative.max(1)
    yield from measures


def _finite(values: Double) -> Double:
    return np.where(np.isfinite(values), values, 0.0)
