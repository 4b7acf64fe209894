"""Writes outputs batch by batch, reads them back, and compares a second prediction with what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from keras_capture.failures import OutputsError
from keras_capture.model.outputs import Piece
from keras_capture.model.values import STRING, Ragged, as_bytes
from keras_capture.numbers import Distance
from keras_capture.wire.tensors import appender, splits_appender, stored


class OutputCapture:
    """One output, appended batch by batch.

    Whether the first axis is the sample axis shows only when all batches were seen: the bytes are the same.
    """

    def __init__(self, name: str, stem: Path, first: Piece) -> None:
        self.name = name
        self._first = first
        self._values = appender(stem, first.values)
        self._splits = [splits_appender(stem, level) for level in range(len(first.splits))]
        for file in self._splits:
            file.append(np.zeros(1, np.int64))
        self._inner = [0] * len(first.splits)  # rows inside each ragged dimension so far
        self._batches = 0
        self._batched = True
        self._constant = True

    def append(self, piece: Piece, rows: int) -> None:
        """Append the output of the next batch, which had `rows` samples."""
        self._check(piece, rows)
        for level, splits in enumerate(piece.splits):
            self._splits[level].append(splits[1:] + self._inner[level])
            self._inner[level] += int(splits[-1])
        self._values.append(piece.values)
        self._batches += 1

    def _check(self, piece: Piece, rows: int) -> None:
        first = self._first
        about = f"output {self.name!r} changes from batch to batch: in batch {self._batches} it is {piece}"
        if (piece.dtype, len(piece.splits)) != (first.dtype, len(first.splits)):
            raise OutputsError(f"{about}, before it was {first}")
        shape, before = piece.values.shape, first.values.shape
        length = (len(piece.splits[0]) - 1,) if piece.splits else shape[:1]
        self._batched = self._batched and length == (rows,) and shape[1:] == before[1:]
        self._constant = self._constant and not piece.splits and shape == before
        if not (self._batched or self._constant):
            raise OutputsError(
                f"{about} for {rows} samples, in batch 0 {first}; "
                "only the first axis may change, with the number of samples"
            )

    def close(self, samples: int) -> dict:
        """Finish the files; the entry of the response."""
        first = self._first.values.shape
        if self._batched:
            shape = (self._inner[-1] if self._splits else samples, *first[1:])
        else:
            shape = (self._batches, *first)
        entry = {"name": self.name, "dtype": self._first.dtype, "shape": [*shape], "batched": self._batched}
        entry.update(self._values.close(shape))
        if self._splits:
            entry["ragged"] = [file.close((file.size,))["path"] for file in self._splits]
        return entry

    def abandon(self) -> None:
        """Close the files as they are."""
        for file in (self._values, *self._splits):
            file.abandon()


class StoredOutput:
    """The first prediction of an output, as it lies in the folder of its job."""

    def __init__(self, entry: dict, folder: Path) -> None:
        self.entry = entry
        self._rows = stored(folder, entry)

    def batch(self, number: int, start: int, stop: int) -> Piece:
        """The values of one batch, which holds the samples [start, stop)."""
        if self.entry["batched"]:
            taken = self._rows.rows(start, stop)
        else:
            taken = self._rows.rows(number, number + 1).reshape(self.entry["shape"][1:])
        if isinstance(taken, Ragged):
            return Piece(self.entry["dtype"], taken.values, taken.splits)
        return Piece(self.entry["dtype"], taken)


class Difference:
    """How one output differed between two predictions: elements whose bytes differ, and how far."""

    def __init__(self) -> None:
        self.elements = 0
        self._distance = Distance()

    @property
    def max_abs(self) -> Optional[float]:
        """The largest difference between finite numbers; None where no pair of them differs."""
        return self._distance.max_abs if self._distance.count else None

    def add(self, old: Piece, new: Optional[Piece]) -> None:
        """Compare an output of one batch, byte by byte; `new` is None where it is missing."""
        if new is None:
            self.elements += max(1, old.values.size)
        elif not _is_alike(old, new):
            self.elements += max(old.values.size, new.values.size)
        elif old.dtype == STRING:
            pairs = zip(as_bytes(old.values), as_bytes(new.values))
            self.elements += sum(before != after for before, after in pairs)
        else:
            self._add_numbers(*(np.ascontiguousarray(piece.values).reshape(-1) for piece in (old, new)))

    def _add_numbers(self, old: np.ndarray, new: np.ndarray) -> None:
        before, after = old.view(np.uint8), new.view(np.uint8)
        if np.array_equal(before, after):
            return
        width = old.dtype.itemsize
        unequal = (before.reshape(-1, width) != after.reshape(-1, width)).any(axis=1)
        self.elements += int(unequal.sum())
        self._distance.add(old[unequal], new[unequal])


def _is_alike(old: Piece, new: Piece) -> bool:
    """Whether dtype, number of elements and row splits agree."""
    same_values = (old.dtype, old.values.size) == (new.dtype, new.values.size)
    same_levels = len(old.splits) == len(new.splits)
    return same_values and same_levels and all(map(np.array_equal, old.splits, new.splits))
