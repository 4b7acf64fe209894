"""Strings: equal or not, byte for byte."""

from __future__ import annotations

import numpy as np

from validator.compare.accumulate import Places, Sums
from validator.tensors import TensorData


def add_strings(
    sums: Sums, data: tuple[TensorData, TensorData], bounds: tuple[int, int], places: Places
) -> None:
    """Add the strings in `bounds`, or those `places` picks of them; `worst` is the first that differs."""
    low, high = bounds
    a, b = data
    assert a.offsets is not None and b.offsets is not None  # noqa: S101, PT018  # utf8 storage has both
    ends_a, ends_b = a.offsets[low : high + 1], b.offsets[low : high + 1]
    if places.picked is None and np.array_equal(np.diff(ends_a), np.diff(ends_b)):
        blob_a, blob_b = a.values[ends_a[0] : ends_a[-1]], b.values[ends_b[0] : ends_b[-1]]
        if _same(blob_a, blob_b):
            return
    chosen = range(high - low) if places.picked is None else places.picked.tolist()
    starts_a, starts_b = ends_a.tolist(), ends_b.tolist()
    for at in chosen:
        one = a.values[starts_a[at] : starts_a[at + 1]]
        two = b.values[starts_b[at] : starts_b[at + 1]]
        if one.size != two.size or not _same(one, two):
            sums.bytes_equal = False
            sums.mismatched += 1
            if sums.worst is None:
                sums.worst = low + at


def _same(
    a: np.ndarray[tuple[int], np.dtype[np.uint8]], b: np.ndarray[tuple[int], np.dtype[np.uint8]]
) -> bool:
    """Equality of two blobs, a mebibyte at a time: a string may be longer than memory should hold."""
    step = 1 << 20
    return all(np.array_equal(a[at : at + step], b[at : at + step]) for at in range(0, a.size, step))
