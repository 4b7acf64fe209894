"""Samples of whatever a model is fed: arrays, tensors, strings, ragged rows, kept by reservoir sampling.

No random generator but its own is touched, and only the rows that stay are copied.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Union

import numpy as np

#: Names of the kept parts of a sample: its inputs, and what is known about the right outputs.
INPUTS, LABELS = "inputs", "labels"
Key = tuple[str, str]


class RecordingError(Exception):
    """What cannot be recorded, and what to do, in one sentence."""


class RaggedRow(NamedTuple):
    """One sample of a ragged tensor: its flat values, and the row splits of each dimension inside it."""

    values: np.ndarray
    splits: tuple[np.ndarray, ...]


Row = Union[np.ndarray, RaggedRow]


class Sample(NamedTuple):
    """One sample that stays: where it stood, what it is called, and its rows by part and name."""

    position: int
    id: str
    rows: dict[Key, Row]


class Dense:
    """A leaf whose first axis is the sample."""

    def __init__(self, name: str, values: np.ndarray) -> None:
        if not values.ndim:
            raise RecordingError(f"{name!r} is a single value; its first axis must be the samples")
        if values.dtype.kind == "O" and not all(isinstance(item, (str, bytes)) for item in values.flat):
            raise RecordingError(f"{name!r} holds Python objects; feed numbers, strings or ragged tensors")
        if values.dtype.kind in "mM":
            raise RecordingError(f"{name!r} holds dates, which no model takes; feed numbers")
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def row(self, index: int) -> Row:
        """A copy of one sample."""
        return np.array(self.values[index], dtype=self.values.dtype)


class Ragged:
    """A ragged tensor of TensorFlow."""

    def __init__(self, leaf: Any) -> None:
        self.values = np.asarray(leaf.flat_values)
        self.splits = [np.asarray(splits, np.int64) for splits in leaf.nested_row_splits]

    def __len__(self) -> int:
        return len(self.splits[0]) - 1

    def row(self, index: int) -> Row:
        """A copy of one sample, its splits counted from 0."""
        start, stop = self.splits[0][index : index + 2]
        inner = []
        for splits in self.splits[1:]:
            ends = splits[start : stop + 1]
            inner.append(ends - ends[0])
            start, stop = ends[0], ends[-1]
        return RaggedRow(self.values[start:stop].copy(), tuple(inner))


Column = Union[Dense, Ragged]


def column(name: str, leaf: Any) -> Column:
    """A leaf of a batch as samples: NumPy, pandas, SciPy, TensorFlow, JAX or torch, on any device."""
    if hasattr(leaf, "flat_values") and hasattr(leaf, "nested_row_splits"):
        return Ragged(leaf)
    if hasattr(leaf, "dense_shape"):
        leaf = sys.modules["tensorflow"].sparse.to_dense(leaf)
    elif hasattr(leaf, "toarray"):
        leaf = leaf.toarray()
    if hasattr(leaf, "detach"):
        return Dense(name, _from_torch(leaf.detach().cpu()))
    return Dense(name, np.asarray(leaf))


def _from_torch(tensor: Any) -> np.ndarray:
    torch = sys.modules["torch"]
    if tensor.dtype != torch.bfloat16:  # which NumPy lacks
        return np.asarray(tensor.numpy())
    import ml_dtypes

    return np.asarray(tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16))


def leaves(structure: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The leaves of an input structure, each with its path; a single tensor is `input`."""
    if structure is None:
        return
    if isinstance(structure, dict):
        for key, part in structure.items():
            yield from leaves(part, (*path, str(key)))
    elif isinstance(structure, (list, tuple)) and not _plain(structure):
        for number, part in enumerate(structure):
            yield from leaves(part, (*path, str(number)))
    else:
        yield "/".join(path) or "input", structure


def _plain(values: Sequence[Any]) -> bool:
    """Whether a list is an array written out, not a list of tensors."""
    first = values[0] if values else 0
    return isinstance(first, (str, bytes, int, float, bool)) or (
        isinstance(first, (list, tuple)) and _plain(first)
    )


def columns_of(x: Any, y: Any = None, sample_weight: Any = None) -> dict[Key, Column]:
    """What one call or batch feeds, by part and name. Labels of one output are named `label`."""
    named = {(INPUTS, name): leaf for name, leaf in leaves(x)}
    for name, leaf in leaves(y):
        named[LABELS, "label" if name == "input" else name] = leaf
    for name, leaf in leaves(sample_weight):
        named[LABELS, "sample_weight" if name == "input" else f"{name}/sample_weight"] = leaf
    if not named:
        raise RecordingError("the call feeds nothing")
    kept = {key: column(key[1], leaf) for key, leaf in named.items()}
    lengths = {key[1]: len(each) for key, each in kept.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise RecordingError(f"inputs and labels have different numbers of samples: {listed}")
    return kept


class Reservoir:
    """At most `samples` samples and `most` bytes of all that goes in, each sample as likely as any other.

    Algorithm R (Vitter 1985), over a block of samples at once. Where the bytes do not suffice, the reservoir
    shrinks: a random half stays.
    """

    def __init__(self, samples: int, most: int, seed: int) -> None:
        self.capacity, self.most = samples, most
        self.seen = 0
        self.kept: list[Sample] = []
        self._bytes = 0
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()

    def add(
        self,
        columns: dict[Key, Column],
        ids: Sequence[str] | None = None,
        redact: Callable[[dict[str, Row]], dict[str, Row]] | None = None,
    ) -> None:
        """Let a block of samples pass. `redact` sees the inputs of each that stays, before it is kept."""
        with self._lock:
            self._check(columns)
            count = len(next(iter(columns.values())))
            first = self.seen
            places = self._places(count)
            self.seen += count
            for index in np.flatnonzero(places < self.capacity).tolist():
                name = str(ids[index]) if ids is not None else str(first + index)
                rows = {key: each.row(index) for key, each in columns.items()}
                rows = _redacted(rows, redact) if redact else rows
                self._put(int(places[index]), Sample(first + index, name, rows))

    def _places(self, count: int) -> np.ndarray:
        """Where each sample of a block goes; beyond the capacity: nowhere."""
        position = np.arange(self.seen, self.seen + count)
        drawn = self._random.integers(0, position + 1)
        return np.where(position < self.capacity, position, drawn)

    def _put(self, place: int, sample: Sample) -> None:
        if place >= self.capacity:  # it shrank meanwhile
            return
        self._bytes += _size(sample)
        if place < len(self.kept):
            self._bytes -= _size(self.kept[place])
            self.kept[place] = sample
        else:
            self.kept.append(sample)
        while self._bytes > self.most and len(self.kept) > 1:
            self.capacity = max(1, len(self.kept) // 2)
            stay = self._random.permutation(len(self.kept))[: self.capacity]
            self.kept = [self.kept[index] for index in stay]
            self._bytes = sum(map(_size, self.kept))

    def _check(self, columns: dict[Key, Column]) -> None:
        if not self.kept:
            return
        before = sorted(name for part, name in self.kept[0].rows if part == INPUTS)
        after = sorted(name for part, name in columns if part == INPUTS)
        if before != after:
            raise RecordingError(
                f"a later call feeds the inputs {after}, an earlier one fed {before}; "
                "record each kind of call into a folder of its own"
            )


def _redacted(rows: dict[Key, Row], redact: Callable[[dict[str, Row]], dict[str, Row]]) -> dict[Key, Row]:
    inputs = {name: row for (part, name), row in rows.items() if part == INPUTS}
    redacted = redact(inputs)
    if set(redacted) != set(inputs):
        raise RecordingError(f"redact must return the inputs {sorted(inputs)}, not {sorted(redacted)}")
    clean = {
        (INPUTS, name): row if isinstance(row, RaggedRow) else np.asarray(row)
        for name, row in redacted.items()
    }
    return {**rows, **clean}


def _size(sample: Sample) -> int:
    total = 0
    for row in sample.rows.values():
        values = row.values if isinstance(row, RaggedRow) else row
        total += values.nbytes
        if values.dtype.kind == "O":
            total += sum(map(len, values.flat))
    return total
