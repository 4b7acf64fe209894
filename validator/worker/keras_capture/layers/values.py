"""Values of layers: a hash of every tensor, and the tensors themselves as far as a budget reaches.

A tensor is handed over while the model runs, one at a time and without a copy where the backend allows it, so
what is held in memory does not grow with the number of layers.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import numpy_of
from keras_capture.model.values import STRING, as_bytes, dtype_name
from keras_capture.numbers import MANTISSA, Distance
from keras_capture.structure.tapping import Shape, Tensor, flat_of
from keras_capture.structure.task import TensorValues
from keras_capture.wire.tensors import flat_values, stored, write_tensor

_UNKNOWN = 16  # a tensor of unknown size gets this part of the budget
_SIZES = {"bool": 1, "bfloat16": 2, "string": 64}


class LayerValues(TensorValues):
    """The values of a run: written the first time, and compared with that later.

    `budget`: bytes on disk, for all tensors together. Set `comparing` once the first run is over.
    """

    def __init__(self, framework: Framework, folder: Path, budget: int) -> None:
        self.comparing = False
        self._framework = framework
        self._folder = folder
        self._left = self._budget = budget
        self._entries: Dict[int, dict] = {}
        self._hashes: Dict[int, str] = {}
        self._moved: Dict[int, Distance] = {}
        self._static: Dict[int, Optional[int]] = {}
        self._kept: Optional[Dict[int, int]] = None
        self._lock = threading.Lock()  # TensorFlow calls `_receive` from its own threads

    def take(self, tensor: Tensor) -> None:
        """A tensor was seen: its values now, or in a traced function whenever that runs."""
        if tensor.inner:
            return
        self._static[tensor.number] = _bytes(tensor.shape, tensor.dtype)
        receive = functools.partial(self._receive, tensor.number)
        if self._framework.on_tensorflow:
            import tensorflow

            parts = _parts(tensor.value)
            if tensorflow.executing_eagerly():
                receive(*parts)
            else:
                tensorflow.numpy_function(receive, parts, [])
        else:
            receive(numpy_of(self._framework, tensor.value))

    def begin(self, again: Callable[[], None]) -> None:
        """Run a traced function: the smallest tensors are kept, as many as fit."""
        self._kept, left, unknown = {}, self._budget, self._budget // _UNKNOWN
        sizes = self._static.items()
        for place, size in sorted(sizes, key=lambda item: unknown if item[1] is None else item[1]):
            if (size or 0) > left:
                break
            self._kept[place] = unknown if size is None else size
            left -= size or 0
        again()

    def describe(self, place: int) -> dict:
        """`stored`, `summary` and `noise_rms` of a tensor."""
        moved, known = self._moved.get(place), self.hash(place)
        values = {"stored": self._entries.get(place), "summary": known and {"hash": known}}
        return {**values, "noise_rms": moved.rms if moved else None}

    def hash(self, place: int) -> Optional[str]:
        """The hash of a tensor's values; None where it had none."""
        return self._hashes.get(place)

    def _receive(self, place: int, *parts: object) -> None:
        values, *splits = map(np.asarray, parts)
        with self._lock:
            if self.comparing:
                self._compare(place, values)
                return
            self._hashes[place] = _hash(values)
            if values.nbytes <= self._allowed(place) and dtype_name(values) is not None:
                self._entries[place] = write_tensor(self._folder / str(place), str(place), values, splits)
                self._left -= values.nbytes

    def _allowed(self, place: int) -> int:
        if self._kept is None:  # nobody knows what is to come
            return min(self._left, self._budget // _UNKNOWN)
        return min(self._left, self._kept.get(place, -1))

    def _compare(self, place: int, values: np.ndarray) -> None:
        entry = self._entries.get(place)
        if entry is not None and dtype_name(values) in MANTISSA:
            before = flat_values(stored(self._folder.parent, entry).whole())
            self._moved.setdefault(place, Distance()).add(before, values)


def _hash(values: np.ndarray) -> str:
    """Of dtype, shape and bytes; of something that is no tensor, without its bytes."""
    values = np.ascontiguousarray(values)
    dtype = dtype_name(values)
    digest = hashlib.blake2b(repr((dtype, values.shape)).encode(), digest_size=16)
    if dtype == STRING:
        for item in as_bytes(values):
            digest.update(len(item).to_bytes(8, "little") + item)
    elif dtype is not None:
        digest.update(values.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _bytes(shape: Shape, dtype: str) -> Optional[int]:
    """Bytes of a tensor's values; None where its shape is not known."""
    if None in shape:
        return None
    try:
        size = _SIZES.get(dtype) or np.dtype(dtype).itemsize
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
