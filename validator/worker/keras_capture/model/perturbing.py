"""Weights moved by one unit in the last place: what rounding alone does to a model's numbers.

Inputs are never touched: recorded ids, sentinels and masks are exact values. Nor are weights that look exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Dict, List, Union

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.savedmodel import SavedModel
from keras_capture.model.values import is_extended
from keras_capture.numbers import MANTISSA

#: Bits at the end of the mantissa that are all 0 in a number that looks exact: an id, a power of two.
#: By chance it is so for one in 2**bits; a half type has no room for more.
EXACT_BITS = {"float16": 7, "bfloat16": 5, "float32": 12, "float64": 32}
_INTEGERS = 2.0**24  # up to here a float32 holds every integer
_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}

_SEED = 20231
_BLOCK = 1 << 20  # elements moved together

Seed = Union[int, Sequence[int]]


def floating_weights(owner: object) -> List[object]:
    """The floating-point weights of a model or layer, each once; none of a SavedModel that is frozen."""
    held = owner.variables if isinstance(owner, SavedModel) else owner.weights
    distinct = {id(variable): variable for variable in held}
    return [variable for variable in distinct.values() if dtype_of(variable) in MANTISSA]


def compute_dtypes(model: object) -> Dict[int, str]:
    """Weight (by identity) → the dtype that the innermost layer holding it computes in."""
    holders = ((variable, layer) for layer in layers_of(model) for variable in layer.weights)
    return {id(variable): str(layer.compute_dtype) for variable, layer in holders}


def dtype_of(tensor: object) -> str:
    """Name of a tensor's or variable's dtype, whatever the backend."""
    dtype = tensor.dtype
    return (getattr(dtype, "name", None) or str(dtype)).rpartition(".")[2]


def numpy_of(framework: Framework, tensor: object) -> np.ndarray:
    """The values of a tensor, variable or array; the dtype stays, also one that NumPy lacks."""
    if isinstance(tensor, np.ndarray):
        return tensor
    if framework.on_tensorflow:
        value = getattr(tensor, "value", tensor)  # the variable of Keras 3 wraps that of TensorFlow
        value = value() if callable(value) else value
        return np.asarray(value.numpy())
    return np.asarray(framework.keras.ops.convert_to_numpy(tensor))


def looks_exact(array: np.ndarray) -> np.ndarray:
    """Which numbers look exact, by the zeros at the end of their mantissa; zero and infinity among them."""
    unsigned = _UNSIGNED[array.dtype.itemsize]
    low = unsigned((1 << EXACT_BITS[array.dtype.name]) - 1)
    return (np.ascontiguousarray(array).view(unsigned).reshape(array.shape) & low) == 0


def is_exact(array: np.ndarray) -> bool:
    """Whether a whole tensor looks exact: nothing but numbers that do, or integers."""
    if looks_exact(array).all():
        return True
    values = array[np.isfinite(array)].astype(np.float64)
    return bool(((values == np.rint(values)) & (np.abs(values) < _INTEGERS)).all())


def movable_weights(framework: Framework, owner: object) -> List[object]:
    """The floating weights that do not look exact as a whole."""
    weights = floating_weights(owner)
    return [variable for variable in weights if not is_exact(numpy_of(framework, variable))]


def _moved_weight(values: np.ndarray, seed: Seed, compute_dtype: str) -> np.ndarray:
    """As `moved`, but for what looks exact."""
    if is_exact(values):
        return values
    return np.where(looks_exact(values), values, moved(values, seed, compute_dtype))


def moved(array: np.ndarray, seed: Seed, compute_dtype: str = "") -> np.ndarray:
    """Each number one place up or down, by chance, in the unit of its dtype or a coarser compute dtype.

    Under a mixed policy a layer rounds its float32 weights to bfloat16: a smaller step would mostly vanish.
    Zeros, NaN and infinity stay: a zero is exact (pruned, padding, a fresh bias), and beside it lie
    subnormals, which kernels flush to zero. The largest finite number moves towards zero.
    """
    unsigned = _UNSIGNED[array.dtype.itemsize]
    mantissa = MANTISSA[array.dtype.name]
    step = unsigned(1 << max(0, mantissa - MANTISSA.get(compute_dtype, mantissa)))
    all_but_sign = (1 << (array.dtype.itemsize * 8 - 1)) - 1
    infinite = unsigned(all_but_sign >> mantissa << mantissa)
    result = np.array(array, order="C")
    generator = np.random.default_rng(seed)
    flat = result.reshape(-1).view(unsigned)
    for start in range(0, flat.size, _BLOCK):
        bits = flat[start : start + _BLOCK]
        magnitude = bits & unsigned(all_but_sign)
        up = generator.integers(0, 2, bits.shape, dtype=np.uint8).astype(bool) | (magnitude < step)
        up &= magnitude < infinite - step
        movable = (magnitude > 0) & (magnitude < infinite)
        # The sign is a bit of its own: more or less in the rest is away from zero or towards it.
        bits[movable & up] += step
        bits[movable & ~up] -= step
    return result


@contextlib.contextmanager
def perturbed(framework: Framework, owner: object, member: int) -> Iterator[None]:
    """Move every weight of a model or layer by one place, without tracing anything again.

    `member` of an ensemble chooses the directions. What looks exact stays. Afterwards each weight has its own
    bits; else an error.
    """
    computed = compute_dtypes(owner)
    kept = [(variable, np.array(numpy_of(framework, variable))) for variable in floating_weights(owner)]
    try:
        for number, (variable, values) in enumerate(kept):
            coarse = computed.get(id(variable), "")
            _assign(framework, variable, _moved_weight(values, [_SEED, member, number], coarse))
        yield
    finally:
        for variable, values in kept:
            _assign(framework, variable, values)
    for variable, values in kept:
        if numpy_of(framework, variable).tobytes() != values.tobytes():
            raise UnusableError(f"the weight {variable.name} did not take its own value back")


def _assign(framework: Framework, variable: object, values: np.ndarray) -> None:
    if framework.backend == "torch" and is_extended(values.dtype):
        values = values.astype(np.float32)  # exact; torch takes no array of a dtype that NumPy lacks
    variable.assign(values)
