"""Which samples moved most, by several measures: noise is measured and layers are recorded on those first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from validator.numbers.ensembles import read_codes, read_rows, row_pieces, rows_of, width_of
from validator.numbers.floor import Double
from validator.numbers.largest import Largest
from validator.numbers.values import kind_of
from validator.storage.tensors import StoredTensor

Pair = tuple[StoredTensor, StoredTensor]
#: Samples kept by each measure. Of 512 samples to be measured, in batches of any size, half are chosen by
#: what moved: so many are always in enough batches.
_KEPT = 4096


def most_moved(pairs: Iterable[Pair], samples: int) -> tuple[int, ...]:
    """Samples that moved, the most first: the first by each measure of each output, then the second by each …

    At most 4,096 by each. Left out are outputs without one row a sample.
    """
    orders = [
        order
        for pair in pairs
        if pair[0].batched and not pair[0].ragged and rows_of(pair[0]) == samples
        for order in _orders(*pair)
    ]
    ranked = (order[rank] for rank in range(_KEPT) for order in orders if rank < len(order))
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


def _orders(baseline: StoredTensor, candidate: StoredTensor) -> list[list[int]]:
    """Samples by each measure, the most first: places that differ; of floats those finite on one side, top-1
    changes, and sizes: absolute, and as a share of their columns.
    """
    discrete = kind_of(baseline) in ("integer", "string", "opaque")
    measures = _differing(baseline, candidate) if discrete else _distances(baseline, candidate)
    orders: list[Largest] = []
    for low, piece in measures:
        orders = orders or [Largest(_KEPT) for _ in piece]
        for largest, measure in zip(orders, piece, strict=True):
            largest.add(measure, low)
    return [largest.places for largest in orders]


def _differing(baseline: StoredTensor, candidate: StoredTensor) -> Iterator[tuple[int, list[Double]]]:
    for rows in row_pieces(baseline, width_of(baseline)):
        apart = read_codes(baseline, rows) != read_codes(candidate, rows)
        yield int(rows[0]), [np.asarray(apart, np.float64).reshape(len(rows), -1).sum(1)]


def _distances(baseline: StoredTensor, candidate: StoredTensor) -> Iterator[tuple[int, list[Double]]]:
    squares = sum(
        np.nansum(_finite(read_rows(baseline, rows)) ** 2, axis=0)
        for rows in row_pieces(baseline, width_of(baseline))
    )
    scale = np.sqrt(squares / rows_of(baseline))
    classes = baseline.shape[-1] if len(baseline.shape) > 1 and kind_of(baseline) != "complex" else 1
    for rows in row_pieces(baseline, width_of(baseline)):
        before, after = read_rows(baseline, rows), read_rows(candidate, rows)
        patterns = (np.isfinite(before) != np.isfinite(after)).sum(1)
        tops = (_finite(side).reshape(len(rows), -1, max(1, classes)).argmax(-1) for side in (before, after))
        apart = np.abs(_finite(after) - _finite(before))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            relative = np.nan_to_num(apart / scale)  # of a column of zeros the difference is infinite
            sizes = [np.sqrt((each**2).mean(1)) for each in (apart, relative)]
        counts = [np.asarray(count, np.float64) for count in (patterns, np.not_equal(*tops).sum(1))]
        yield int(rows[0]), [*counts, *sizes, relative.max(1)]


def _finite(values: Double) -> Double:
    return np.where(np.isfinite(values), values, 0.0)
