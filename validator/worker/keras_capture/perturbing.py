"""Weights moved by one unit in the last place: what rounding alone does to a model's numbers.

Inputs are never touched: recorded ids, sentinels and masks are exact values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import List, Union

import numpy as np

from keras_capture.imports import Framework

#: Bits of the mantissa of each floating dtype whose last place is known.
MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}

Seed = Union[int, Sequence[int]]


def floating_weights(owner: object) -> List[object]:
    """The floating-point weights of a model or layer, each once."""
    distinct = {id(variable): variable for variable in owner.weights}
    return [variable for variable in distinct.values() if dtype_of(variable) in MANTISSA]


def dtype_of(tensor: object) -> str:
    """Name of a tensor's or variable's dtype, whatever the backend."""
    dtype = tensor.dtype
    return (getattr(dtype, "name", None) or str(dtype)).rpartition(".")[2]


def numpy_of(framework: Framework, tensor: object) -> np.ndarray:
    """The values of a tensor or variable; the dtype stays, also one that NumPy lacks."""
    if framework.on_tensorflow:
        value = getattr(tensor, "value", tensor)  # the variable of Keras 3 wraps that of TensorFlow
        value = value() if callable(value) else value
        return np.asarray(value.numpy())
    return np.asarray(framework.keras.ops.convert_to_numpy(tensor))


def moved(array: np.ndarray, seed: Seed) -> np.ndarray:
    """Each number one place up or down, by chance. Zeros, NaN and infinity stay; none becomes infinite."""
    unsigned = _UNSIGNED[array.dtype.itemsize]
    bits = np.ascontiguousarray(array).view(unsigned)
    all_but_sign = (1 << (array.dtype.itemsize * 8 - 1)) - 1
    mantissa = MANTISSA[array.dtype.name]
    infinite = unsigned(all_but_sign >> mantissa << mantissa)
    magnitude = bits & unsigned(all_but_sign)
    up = np.random.default_rng(seed).integers(0, 2, bits.shape, dtype=np.uint8).astype(bool)
    up &= magnitude != infinite - unsigned(1)
    stepped = np.where(up, bits + unsigned(1), bits - unsigned(1))
    return np.where((magnitude == 0) | (magnitude >= infinite), bits, stepped).view(array.dtype)


@contextlib.contextmanager
def perturbed(framework: Framework, weights: Sequence[object], seed: Seed) -> Iterator[None]:
    """Move every weight by one place; afterwards each has its own bits again, whatever happened."""
    kept = [(variable, np.array(numpy_of(framework, variable))) for variable in weights]
    seeds = [seed] if isinstance(seed, int) else list(seed)
    try:
        for number, (variable, values) in enumerate(kept):
            variable.assign(moved(values, [*seeds, number]))
        yield
    finally:
        for variable, values in kept:
            variable.assign(values)
