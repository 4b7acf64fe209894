"""An ensemble on disk: moved copies of the baseline's prediction of one output, read in blocks of columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validator.numbers.floor import Double
from validator.numbers.stream import CHUNK
from validator.numbers.values import Decoder, kind_of
from validator.storage.tensors import StoredTensor

#: How members were moved: each rounding of each operation, or the weights alone; `none`: there are none.
NoiseMethod = Literal["operations", "weights", "none"]
Rows = NDArray[np.intp]
_TOGETHER = 1 << 16


@dataclass(frozen=True)
class Ensemble:
    """Members of one output. `rows`: the rows of the recorded tensor that each member holds, in its order."""

    method: NoiseMethod
    rows: Rows
    members: tuple[StoredTensor, ...] = ()

    @classmethod
    def nothing(cls, tensor: StoredTensor) -> Ensemble:
        """No members: every row of the tensor counts by its unit in the last place."""
        return cls("none", np.arange(rows_of(tensor)))

    def unmeasured(self, tensor: StoredTensor, width: int) -> Iterator[Rows]:
        """The rows that no member holds, some at a time; `width`: how many elements of each are read."""
        rest = (piece[~np.isin(piece, self.rows)] for piece in row_pieces(tensor, width))
        return (piece for piece in rest if piece.size)


def rows_of(tensor: StoredTensor) -> int:
    """Length of the first axis; 1 for a scalar."""
    return tensor.shape[0] if tensor.shape else 1


def width_of(tensor: StoredTensor) -> int:
    """Numbers behind the first axis; a complex number is two."""
    return tensor.size // max(1, rows_of(tensor)) * (2 if kind_of(tensor) == "complex" else 1)


def row_pieces(tensor: StoredTensor, width: int) -> Iterator[Rows]:
    """All rows, so many at a time that about 65,536 elements are read together: `width` of each row."""
    count, step = rows_of(tensor), max(1, _TOGETHER // max(1, width))
    return (np.arange(low, min(low + step, count)) for low in range(0, count, step))


def read_rows(tensor: StoredTensor, rows: Rows | None = None, columns: slice = slice(None)) -> Double:
    """Some rows and columns of a tensor of numbers, as float64; None: all rows."""
    raw = tensor.open().values.reshape(rows_of(tensor), -1)
    if kind_of(tensor) != "complex":
        part = raw[:, columns] if rows is None else raw[rows, columns]
        return _decoded(tensor, part).reshape(part.shape)
    wide = _decoded(tensor, raw if rows is None else raw[rows]).view(np.float64)
    return np.ascontiguousarray(wide.reshape(-1, raw.shape[1] * 2)[:, columns])


def read_elements(tensor: StoredTensor, places: Rows) -> Double:
    """Some elements of a tensor of real numbers, flat, as float64."""
    return np.asarray(_decoded(tensor, tensor.open().values.reshape(-1)[places]), np.float64)


def read_codes(tensor: StoredTensor, rows: Rows | None = None) -> NDArray[Any]:
    """Some rows of a discrete output, flat: integers as they are, strings as bytes."""
    count = rows_of(tensor)
    data = tensor.open()
    if tensor.storage != "utf8":
        raw = data.values.reshape(count, -1)
        return (raw if rows is None else raw[rows]).reshape(-1)
    every = np.arange(count) if rows is None else rows
    width = tensor.size // max(1, count)
    runs = np.split(every, np.flatnonzero(np.diff(every) != 1) + 1) if every.size else []
    texts = [text for run in runs for text in data.strings(int(run[0]) * width, (int(run[-1]) + 1) * width)]
    strings: NDArray[Any] = np.empty(len(texts), object)
    strings[:] = texts
    return strings


def read_patterns(tensor: StoredTensor, rows: Rows | None = None) -> NDArray[np.int8]:
    """Some rows of a floating output, flat: 0 where finite, else 1 NaN, 2 infinity, 3 minus infinity."""
    values = read_rows(tensor, rows).reshape(-1)
    kinds = np.isnan(values) * 1 + np.isposinf(values) * 2 + np.isneginf(values) * 3
    return np.asarray(kinds, np.int8)


def blocks(rows: int, width: int, most: int) -> Iterator[slice]:
    """Columns in blocks of at most `most` elements, but a column at least."""
    step = max(1, most // max(1, rows))
    return (slice(low, min(low + step, width)) for low in range(0, width, step))


def _decoded(tensor: StoredTensor, raw: NDArray[Any]) -> NDArray[Any]:
    kind, flat = kind_of(tensor), np.ascontiguousarray(raw).reshape(-1)
    decode = Decoder(tensor.dtype, kind, CHUNK)
    values = np.empty(flat.size, np.complex128 if kind == "complex" else np.float64)
    for low in range(0, flat.size, CHUNK):
        values[low : low + CHUNK] = decode(flat[low : low + CHUNK])
    return values
