"""Writes outputs batch by batch, and compares a second prediction with what was written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.failures import OutputsError
from keras_capture.npy import NpyAppender
from keras_capture.outputs import Piece
from keras_capture.values import as_bytes, bits_dtype, extended, from_bytes, is_extended


@dataclass
class Difference:
    """How one output differed between two predictions."""

    elements: int = 0
    max_abs: Optional[float] = None

    def add(self, elements: int, max_abs: Optional[float]) -> None:
        """Count further elements."""
        self.elements += elements
        if max_abs is not None:
            self.max_abs = max(max_abs, self.max_abs or 0.0)


class Numbers:
    """Elements of one numeric dtype in a `.npy` file; dtypes that NumPy lacks as their bits."""

    def __init__(self, stem: Path, dtype: np.dtype) -> None:
        self._bits = is_extended(dtype)
        self._name = dtype.name
        self._file = NpyAppender(
            stem.with_name(stem.name + ".npy"), bits_dtype(dtype) if self._bits else dtype
        )

    @property
    def size(self) -> int:
        """Elements so far."""
        return self._file.size

    def append(self, values: np.ndarray) -> None:
        """Append elements."""
        self._file.append(np.ascontiguousarray(values).view(self._file.dtype) if self._bits else values)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Elements [start, stop) as they were written."""
        found = self._file.read(start, stop)
        return found.view(extended(self._name)) if self._bits else found

    def close(self, shape: Tuple[int, ...]) -> dict:
        """Finish the file; what the entry says about it."""
        self._file.close(shape)
        return {"storage": "bits" if self._bits else "npy", "path": f"outputs/{self._file.path.name}"}

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.abandon()


class Strings:
    """Elements that are strings: a blob and the offsets of each string in it."""

    def __init__(self, stem: Path) -> None:
        self._path = stem.with_name(stem.name + ".utf8")
        self._offsets = NpyAppender(stem.with_name(stem.name + ".offsets.npy"), np.dtype(np.int64))
        self._blob = self._path.open("wb")
        self._length = 0
        self._offsets.append(np.zeros(1, np.int64))

    @property
    def size(self) -> int:
        """Elements so far."""
        return self._offsets.size - 1

    def append(self, values: np.ndarray) -> None:
        """Append strings."""
        items = as_bytes(values)
        ends = np.cumsum([len(item) for item in items], dtype=np.int64) + self._length
        self._length += sum(map(len, items))
        self._blob.write(b"".join(items))
        self._offsets.append(ends)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Strings [start, stop) as they were written."""
        ends = self._offsets.read(start, stop + 1).tolist()
        with self._path.open("rb") as file:
            file.seek(ends[0])
            data = file.read(ends[-1] - ends[0])
        items = [data[low - ends[0] : high - ends[0]] for low, high in zip(ends, ends[1:])]
        return from_bytes(items, (len(items),))

    def close(self, shape: Tuple[int, ...]) -> dict:
        """Finish the files; what the entry says about them."""
        self._blob.close()
        self._offsets.close((math.prod(shape) + 1,))
        return {
            "storage": "utf8",
            "path": f"outputs/{self._path.name}",
            "offsets": f"outputs/{self._offsets.path.name}",
        }

    def abandon(self) -> None:
        """Close the files as they are."""
        self._blob.close()
        self._offsets.abandon()


class OutputCapture:
    """One output: appended in the first pass, compared in the second.

    Whether the first axis is the sample axis shows only when all batches were seen: the bytes are the same.
    """

    def __init__(self, name: str, stem: Path, first: Piece) -> None:
        self.name = name
        self.difference = Difference()
        self._first = first
        self._values = Strings(stem) if first.is_text else Numbers(stem, first.values.dtype)
        self._splits: List[Numbers] = []
        for level, splits in enumerate(first.splits):
            self._splits.append(Numbers(stem.with_name(f"{stem.name}.splits{level}"), splits.dtype))
            self._splits[-1].append(np.zeros(1, np.int64))
        self._inner = [0] * len(first.splits)  # rows inside each ragged dimension so far
        self._marks: List[Tuple[int, ...]] = [self._mark()]  # where each batch ends in every file
        self._batched = True
        self._constant = True

    def append(self, piece: Piece, rows: int) -> None:
        """Append the output of the next batch, which had `rows` samples.

        Raises:
            OutputsError: it cannot be joined with the batches before.
        """
        self._check(piece, rows)
        for level, splits in enumerate(piece.splits):
            self._splits[level].append(splits[1:] + self._inner[level])
            self._inner[level] += int(splits[-1])
        self._values.append(piece.values)
        self._marks.append(self._mark())

    def _mark(self) -> Tuple[int, ...]:
        return (self._values.size, *(splits.size for splits in self._splits))

    def _check(self, piece: Piece, rows: int) -> None:
        batch = len(self._marks) - 1
        first = self._first
        about = f"output {self.name!r} changes from batch to batch: in batch {batch} it is"
        if (piece.dtype, len(piece.splits)) != (first.dtype, len(first.splits)):
            raise OutputsError(f"{about} {_kind(piece)}, before it was {_kind(first)}")
        shape, before = piece.values.shape, first.values.shape
        if piece.splits:
            self._batched = self._batched and len(piece.splits[0]) - 1 == rows and shape[1:] == before[1:]
            self._constant = False
        else:
            self._batched = self._batched and shape[:1] == (rows,) and shape[1:] == before[1:]
            self._constant = self._constant and shape == before
        if not (self._batched or self._constant):
            raise OutputsError(
                f"{about} {_kind(piece)} for {rows} samples, in batch 0 {_kind(first)}; "
                "only the first axis may change, with the number of samples"
            )

    def close(self, samples: int) -> dict:
        """Finish the files; the entry of the response."""
        first = self._first.values.shape
        if self._first.splits:
            shape = (self._inner[-1], *first[1:])
        elif self._batched:
            shape = (samples, *first[1:])
        else:
            shape = (len(self._marks) - 1, *first)
        entry = {
            "name": self.name,
            "dtype": self._first.dtype,
            "shape": list(shape),
            "batched": self._batched,
        }
        entry.update(self._values.close(shape))
        if self._splits:
            entry["ragged"] = [splits.close((splits.size,))["path"] for splits in self._splits]
        return entry

    def abandon(self) -> None:
        """Close the files as they are."""
        for file in (self._values, *self._splits):
            file.abandon()

    def compare(self, piece: Piece, batch: int) -> None:
        """Compare a batch of the second prediction with the closed files, byte by byte."""
        (start, *begins), (stop, *ends) = self._marks[batch], self._marks[batch + 1]
        stored = self._values.read(start, stop)
        splits = [self._splits[level].read(begins[level] - 1, ends[level]) for level in range(len(begins))]
        splits = [found - found[0] for found in splits]
        alike = (
            piece.dtype == self._first.dtype
            and piece.values.size == stored.size
            and len(piece.splits) == len(splits)
            and all(np.array_equal(new, old) for new, old in zip(piece.splits, splits))
        )
        if alike:
            self.difference.add(*_differing(stored, piece.values))
        else:
            self.difference.add(max(stored.size, piece.values.size), None)

    def missing(self, batch: int) -> None:
        """The second prediction gave no such output for a batch."""
        self.difference.add(max(1, self._marks[batch + 1][0] - self._marks[batch][0]), None)


def _kind(piece: Piece) -> str:
    ragged = "ragged " if piece.splits else ""
    return f"{ragged}{piece.dtype} {tuple(piece.values.shape)}"


def _differing(old: np.ndarray, new: np.ndarray) -> Tuple[int, Optional[float]]:
    """Elements whose bytes differ, and the largest difference where both are finite numbers."""
    new = np.ascontiguousarray(new).reshape(-1)
    if old.dtype.kind in "OSU" or new.dtype.kind in "OSU":
        pairs = zip(as_bytes(old), as_bytes(new))
        return sum(before != after for before, after in pairs), None
    before, after = old.view(np.uint8), new.view(np.uint8)
    if np.array_equal(before, after):
        return 0, None
    width = old.dtype.itemsize
    unequal = (before.reshape(-1, width) != after.reshape(-1, width)).any(axis=1)
    wide = np.complex128 if old.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs(old[unequal].astype(wide) - new[unequal].astype(wide))
    finite = distance[np.isfinite(distance)]
    return int(unequal.sum()), float(finite.max()) if finite.size else None
