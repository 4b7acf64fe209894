"""Weights moved by one unit in the last place: what rounding alone does to a model's numbers.

Inputs are never touched: recorded ids, sentinels and masks are exact values. Nor are weights that look exact.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Dict, List, Optional, Tuple, Union

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.savedmodel import SavedModel
from keras_capture.model.values import is_extended
from keras_capture.numbers import MANTISSA, is_same
from keras_capture.room import require, room

#: Bits at the end of the mantissa that are all 0 in a number that looks exact: an id, a power of two.
#: By chance it is so for one in 2**bits; a half type has no room for more.
EXACT_BITS = {"float16": 7, "bfloat16": 5, "float32": 12, "float64": 32}
_INTEGERS = 2.0**24  # up to here a float32 holds every integer
_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
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
    """The values of a tensor, variable or array; the dtype stays, also one that NumPy lacks.

    Not to be written to. On TensorFlow it is no copy: a variable that is assigned gets other memory.
    """
    if isinstance(tensor, np.ndarray):
        return tensor
    if framework.on_tensorflow:
        value = getattr(tensor, "value", tensor)  # the variable of Keras 3 wraps that of TensorFlow
        value = value() if callable(value) else value
        return np.asarray(value.read_value() if hasattr(value, "read_value") else value)
    return np.asarray(framework.keras.ops.convert_to_numpy(tensor))


def _looks_exact(array: np.ndarray) -> np.ndarray:
    """Which numbers look exact, by the zeros at the end of their mantissa; zero and infinity among them."""
    unsigned = _UNSIGNED[array.dtype.itemsize]
    return (array.view(unsigned) & _low(array.dtype)) == 0


def _low(dtype: np.dtype) -> np.unsignedinteger:
    """The bits that are 0 in numbers that look exact."""
    return _UNSIGNED[dtype.itemsize]((1 << EXACT_BITS[dtype.name]) - 1)


def is_exact(array: np.ndarray) -> bool:
    """Whether a whole tensor looks exact: nothing but numbers that do, or integers."""
    flat = np.ascontiguousarray(array).reshape(-1)
    parts = [flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK)]
    return all(_looks_exact(part).all() for part in parts) or all(map(_are_integers, parts))


def _are_integers(part: np.ndarray) -> bool:
    values = part[np.isfinite(part)].astype(np.float64)
    return bool(((values == np.rint(values)) & (np.abs(values) < _INTEGERS)).all())


def movable_weights(framework: Framework, owner: object) -> List[object]:
    """The floating weights that do not look exact as a whole."""
    weights = floating_weights(owner)
    return [variable for variable in weights if not is_exact(numpy_of(framework, variable))]


def moved(array: np.ndarray, seed: Seed, compute_dtype: str = "", *, exact_stay: bool = False) -> np.ndarray:
    """Each number one place up or down, by chance, in the unit of its dtype or a coarser compute dtype.

    `exact_stay`: but for numbers that look exact.

    Under a mixed policy a layer rounds its float32 weights to bfloat16: a smaller step would mostly vanish.
    Zeros, NaN and infinity stay: a zero is exact (pruned, padding, a fresh bias), and beside it lie
    subnormals, which kernels flush to zero. The largest finite number moves towards zero.
    """
    unsigned = _UNSIGNED[array.dtype.itemsize]
    mantissa = MANTISSA[array.dtype.name]
    step = unsigned(1 << max(0, mantissa - MANTISSA.get(compute_dtype, mantissa)))
    signed = np.dtype(f"i{array.dtype.itemsize}")
    low = _low(array.dtype)
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
        if exact_stay:
            movable &= (bits & low) != 0
        # The sign is a bit of its own: more or less in the rest is away from zero or towards it.
        steps = (up.view(np.int8) * np.int8(2) - np.int8(1)) * movable.view(np.int8)
        bits += steps.astype(signed).view(unsigned) * step
    return result


@contextlib.contextmanager
def perturbed(framework: Framework, owner: object, member: int) -> Iterator[None]:
    """Move every weight of a model or layer by one place, without tracing anything again.

    `member` of an ensemble chooses the directions. What looks exact stays. Afterwards each weight has its own
    bits; else an error. Raises `NoRoomError`, before anything moved, where the memory does not suffice.
    """
    variables, computed = floating_weights(owner), compute_dtypes(owner)
    with _Originals(framework, variables) as originals:
        try:
            for number, variable in enumerate(variables):
                values = originals.keep(variable)
                if not is_exact(values):
                    seed, coarse = [_SEED, member, number], computed.get(id(variable), "")
                    _assign(framework, variable, moved(values, seed, coarse, exact_stay=True))
            yield
        finally:
            other = originals.restore()
    if other:
        raise UnusableError(f"the weight {other[0].name} did not take its own value back")


class _Originals:
    """The values of variables that move for a while: in memory, or in a file where that has no room."""

    def __init__(self, framework: Framework, variables: Sequence[object]) -> None:
        sizes = [_size(each) * _BYTES[dtype_of(each)] for each in variables]
        moving = 2 * max(sizes, default=0)  # moved values, and what the backend makes of them
        self._framework = framework
        self._file: Optional[IO[bytes]] = None
        if sum(sizes) + moving > room():
            require(moving, "moving the weights for the noise")
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self._kept: List[Tuple[object, Callable[[], np.ndarray]]] = []

    def __enter__(self) -> _Originals:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, variable: object) -> np.ndarray:
        """Remember the values of a variable that is about to move."""
        values = lasting(self._framework, variable)
        self._kept.append((variable, (lambda: values) if self._file is None else self._stored(values)))
        return values

    def _stored(self, values: np.ndarray) -> Callable[[], np.ndarray]:
        begin, shape, dtype = self._file.seek(0, os.SEEK_END), values.shape, values.dtype
        np.ascontiguousarray(values).reshape(-1).view(np.uint8).tofile(self._file)

        def read() -> np.ndarray:
            self._file.seek(begin)
            count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            return np.fromfile(self._file, np.uint8, count).view(dtype).reshape(shape)

        return read

    def restore(self) -> List[object]:
        """Give every variable its values back; those that now have others."""
        other = []
        for variable, original in self._kept:
            values = original()
            _assign(self._framework, variable, values)
            if not is_same(numpy_of(self._framework, variable), values):
                other.append(variable)
        return other


def lasting(framework: Framework, variable: object) -> np.ndarray:
    """The values of a variable, which stay when it is assigned. Not to be written to."""
    values = numpy_of(framework, variable)
    return np.array(values) if framework.backend == "torch" else values


def wide_bytes(owner: object) -> int:
    """The bytes of its floating weights in float64."""
    return sum(_size(variable) * _BYTES["float64"] for variable in floating_weights(owner))


def _size(variable: object) -> int:
    """How many elements; 0 for a shape that only values have."""
    try:
        return math.prod(map(int, variable.shape))
    except (TypeError, ValueError):
        return 0


def _assign(framework: Framework, variable: object, values: np.ndarray) -> None:
    if framework.backend == "torch" and is_extended(values.dtype):
        values = values.astype(np.float32)  # exact; torch takes no array of a dtype that NumPy lacks
    variable.assign(values)
