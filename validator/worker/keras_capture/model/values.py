"""Tensors in memory, as the worker hands them around: arrays, strings, ragged values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

STRING = "string"
_PLAIN_KINDS = "biufc"


@dataclass(frozen=True)
class Ragged:
    """Flat values and the row splits (int64) of each ragged dimension, outermost first."""

    values: np.ndarray
    splits: Tuple[np.ndarray, ...]


def dtype_name(array: np.ndarray) -> Optional[str]:
    """Name of an array's dtype in the protocol; None for what is no tensor."""
    if array.dtype.kind in _PLAIN_KINDS:
        return array.dtype.name
    if array.dtype.kind in "US":
        return STRING
    if array.dtype.kind == "O":
        return STRING if all(isinstance(item, (str, bytes)) for item in array.flat) else None
    return array.dtype.name if is_extended(array.dtype) else None


def is_extended(dtype: np.dtype) -> bool:
    """Whether this is a dtype that NumPy lacks: bfloat16, the float8 family, int4."""
    return dtype.kind == "V" and dtype.names is None and not dtype.name.startswith("void")


def extended(name: str) -> np.dtype:
    """The dtype behind a name that NumPy lacks."""
    import ml_dtypes

    try:
        return np.dtype(getattr(ml_dtypes, name))
    except (AttributeError, TypeError):
        raise ValueError(f"unknown dtype {name!r}") from None


def bits_dtype(dtype: np.dtype) -> np.dtype:
    """The unsigned integers that hold the raw bits of an extended dtype."""
    return np.dtype({1: np.uint8, 2: np.uint16}[dtype.itemsize])


def as_bytes(array: np.ndarray) -> list:
    """The elements of a string array in C order, as bytes."""
    return [item.encode("utf-8") if isinstance(item, str) else bytes(item) for item in array.ravel().tolist()]


def from_bytes(items: list, shape: Tuple[int, ...]) -> np.ndarray:
    """An object array of bytes: NumPy's own string types would cut trailing zero bytes."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)
