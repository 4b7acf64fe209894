"""Values of layers: a summary of every tensor, and the tensors themselves as far as a budget reaches.

A tensor is handed over while the model runs, one at a time and without a copy where the backend allows it, so
what is held in memory does not grow with the number of layers.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.imports import Framework
from keras_capture.npy import NpyReader
from keras_capture.perturbing import MANTISSA, numpy_of
from keras_capture.tapping import Shape, Tensor, flat_of
from keras_capture.values import as_bytes, bits_dtype, dtype_name, extended, is_extended

_BLOCK = 1 << 16  # elements looked at together
_UNKNOWN = 16  # a tensor of unknown size gets this part of the budget
_SIZES = {"bool": 1, "bfloat16": 2, "string": 64}


@dataclass
class Moved:
    """How far a tensor moved in a second run."""

    count: int = 0
    squares: float = 0.0
    largest: float = 0.0
    nonfinite: int = 0
    torn: bool = False

    def add(self, old: np.ndarray, new: np.ndarray) -> None:
        """Add the values of both runs; NaN and infinity at the same places agree."""
        if old.shape != new.shape:
            self.torn = True
            return
        old, new = old.reshape(-1), new.reshape(-1)
        for start in range(0, old.size, _BLOCK):
            a, b = (wide(part[start : start + _BLOCK]) for part in (old, new))
            with np.errstate(invalid="ignore", over="ignore"):
                finite = np.isfinite(a) & np.isfinite(b)
                agree = finite | (a == b) | (np.isnan(a) & np.isnan(b))
                distance = np.where(finite, np.abs(b - a), 0.0)
            self.nonfinite += int(np.count_nonzero(~agree))
            self.count += int(np.count_nonzero(finite))
            self.squares += float(np.dot(distance, distance))
            self.largest = max(self.largest, float(distance.max(initial=0.0)))

    @property
    def rms(self) -> Optional[float]:
        """Root mean square of the distances; None where nothing could be paired."""
        if self.torn or not self.count or not math.isfinite(self.squares):
            return None
        return math.sqrt(self.squares / self.count)


class Store:
    """Takes the tensors of a run: the first time they are written, later compared with what is there.

    `budget`: bytes on disk, for all tensors together.
    """

    def __init__(self, framework: Framework, folder: Path, budget: int) -> None:
        self.entries: Dict[int, dict] = {}
        self.summaries: Dict[int, dict] = {}
        self.moved: Dict[int, Moved] = {}
        self.comparing = False
        self._framework = framework
        self._folder = folder
        self._left = budget
        self._budget = budget
        self._static: Dict[int, Optional[int]] = {}
        self._kept: Optional[Dict[int, int]] = None
        self._lock = threading.Lock()

    def take(self, tensor: Tensor) -> None:
        """A tensor was seen: its values now, or in a traced function whenever that runs."""
        if tensor.inner:
            return
        self._static[tensor.number] = _bytes(tensor.shape, tensor.dtype)
        receive = functools.partial(self._receive, tensor.number)
        if self._framework.on_tensorflow:
            import tensorflow

            parts = _parts(tensor.value)
            if not tensorflow.executing_eagerly():
                tensorflow.numpy_function(receive, parts, [])
                return
            receive(*(np.asarray(part) for part in parts))
        elif isinstance(tensor.value, np.ndarray):
            receive(tensor.value)
        else:
            receive(numpy_of(self._framework, tensor.value))

    def plan(self) -> None:
        """Before a traced function runs: the smallest tensors are kept, as many as fit."""
        self._kept, left = {}, self._budget
        unknown = self._budget // _UNKNOWN
        for number, size in sorted(
            self._static.items(), key=lambda item: unknown if item[1] is None else item[1]
        ):
            if (size or 0) > left:
                break
            self._kept[number] = unknown if size is None else size
            left -= size or 0

    def restart(self) -> None:
        """From now on values are compared with those of the first run."""
        self.comparing = True

    def read(self, number: int) -> Optional[np.ndarray]:
        """The stored values of a tensor (flat ones if it is ragged); None where they were not kept."""
        entry = self.entries.get(number)
        if entry is None or entry["storage"] == "utf8":
            return None
        return read_entry(self._folder.parent, entry)

    def _receive(self, number: int, *parts: np.ndarray) -> None:
        values = np.asarray(parts[0])
        with self._lock:
            if self.comparing:
                self._compare(number, values)
                return
            self.summaries[number] = summary(values)
            if values.nbytes <= self._allowed(number):
                entry = _write(self._folder, number, values, parts[1:])
                if entry is not None:
                    self.entries[number] = entry
                    self._left -= values.nbytes

    def _allowed(self, number: int) -> int:
        if self._kept is None:  # nobody knows what is to come
            return min(self._left, self._budget // _UNKNOWN)
        return min(self._left, self._kept.get(number, -1))

    def _compare(self, number: int, values: np.ndarray) -> None:
        stored = self.read(number) if dtype_name(values) in MANTISSA else None
        if stored is not None:
            self.moved.setdefault(number, Moved()).add(stored, values)


def read_entry(folder: Path, entry: dict) -> np.ndarray:
    """The values of a stored tensor of numbers."""
    reader = NpyReader(folder / entry["path"])
    values = reader.rows(0, reader.shape[0]) if reader.shape else np.load(folder / entry["path"])
    return values.view(extended(entry["dtype"])) if entry["storage"] == "bits" else values


def summary(values: np.ndarray) -> dict:
    """Count, extremes, mean and root mean square of what is finite, NaN and infinities, a hash."""
    values = np.ascontiguousarray(values)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((dtype_name(values), values.shape)).encode())
    if dtype_name(values) in (None, "string"):
        for item in as_bytes(values) if dtype_name(values) else ():
            digest.update(len(item).to_bytes(8, "little") + item)
        return {"count": int(values.size), "hash": digest.hexdigest()}
    moments = _Moments()
    flat = values.reshape(-1)
    digest.update(flat.view(np.uint8))
    for start in range(0, flat.size, _BLOCK):
        moments.add(flat[start : start + _BLOCK])
    return {"count": int(values.size), "hash": digest.hexdigest(), **moments.described()}


@dataclass
class _Moments:
    nan: int = 0
    inf: int = 0
    finite: int = 0
    total: float = 0.0
    squares: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, block: np.ndarray) -> None:
        """Add some values; nearly always they are all finite, which their sum tells at once."""
        values = wide(block)
        with np.errstate(invalid="ignore", over="ignore"):
            total, squares = float(values.sum()), float(np.dot(values, values))
        if math.isfinite(total) and math.isfinite(squares):
            self._add(values, total, squares)
            return
        nan = int(np.count_nonzero(np.isnan(values)))
        usable = values[np.isfinite(values)]
        self.nan += nan
        self.inf += values.size - usable.size - nan
        if usable.size:
            with np.errstate(over="ignore"):
                self._add(usable, float(usable.sum()), float(np.dot(usable, usable)))

    def _add(self, values: np.ndarray, total: float, squares: float) -> None:
        self.finite += values.size
        self.total += total
        self.squares += squares
        self.lowest = min(self.lowest, float(values.min()))
        self.highest = max(self.highest, float(values.max()))

    def described(self) -> dict:
        found = {"nan": self.nan, "inf": self.inf, "mean": None, "rms": None, "min": None, "max": None}
        if self.finite:
            mean, power = self.total / self.finite, self.squares / self.finite
            found.update(mean=_finite(mean), rms=_finite(math.sqrt(power)))
            found.update(min=self.lowest, max=self.highest)
        return found


def wide(values: np.ndarray) -> np.ndarray:
    """The same in float64; of complex numbers, the distance from 0."""
    return np.abs(values).astype(np.float64) if values.dtype.kind == "c" else values.astype(np.float64)


def _finite(number: float) -> Optional[float]:
    return number if math.isfinite(number) else None


def _bytes(shape: Shape, dtype: str) -> Optional[int]:
    """Bytes of a tensor's values; None where its shape is not known."""
    if any(length is None for length in shape):
        return None
    size = _SIZES.get(dtype)
    if size is None:
        try:
            size = np.dtype(dtype).itemsize
        except TypeError:
            size = 4
    return math.prod(shape) * size


def _parts(value: object) -> List[object]:
    """The dense tensors that hold a TensorFlow tensor's values."""
    import tensorflow

    if isinstance(value, tensorflow.RaggedTensor):
        return [flat_of(value), *value.nested_row_splits]
    if isinstance(value, tensorflow.SparseTensor):
        return [tensorflow.sparse.to_dense(value)]
    if isinstance(value, tensorflow.Variable):
        return [value.read_value()]
    return [value]


def _write(folder: Path, number: int, values: np.ndarray, splits: Tuple[np.ndarray, ...]) -> Optional[dict]:
    """Write a tensor; the entry that describes it (docs/protocol.md, "Tensors")."""
    dtype = dtype_name(values)
    if dtype is None:
        return None
    entry = {"name": str(number), "dtype": dtype, "shape": list(values.shape), "batched": False}
    entry["path"] = f"{folder.name}/{number}.npy"
    if dtype == "string":
        items = as_bytes(values)
        entry.update(storage="utf8", path=f"{folder.name}/{number}.utf8")
        entry["offsets"] = f"{folder.name}/{number}.offsets.npy"
        (folder / f"{number}.utf8").write_bytes(b"".join(items))
        np.save(folder / f"{number}.offsets.npy", np.cumsum([0, *map(len, items)], dtype=np.int64))
    else:
        is_bits = is_extended(values.dtype)
        stored = np.asarray(values, order="C")
        np.save(folder / f"{number}.npy", stored.view(bits_dtype(values.dtype)) if is_bits else stored)
        entry["storage"] = "bits" if is_bits else "npy"
    if splits:
        entry["ragged"] = list(_write_splits(folder, number, splits))
    return entry


def _write_splits(folder: Path, number: int, splits: Tuple[np.ndarray, ...]) -> Iterator[str]:
    for level, rows in enumerate(splits):
        name = f"{number}.splits{level}.npy"
        np.save(folder / name, np.asarray(rows, np.int64))
        yield f"{folder.name}/{name}"
