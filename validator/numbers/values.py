"""Raw elements → numbers NumPy can calculate with, exactly."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validator.storage.tensors import Raw, StoredTensor

#: single: every value is a float32. opaque: bits whose meaning is unknown, compared as bits.
Kind = Literal["single", "double", "integer", "complex", "string", "opaque"]
Element = bool | int | float | str | tuple[float | None, float | None] | None

_FLOAT8 = re.compile(r"float8_e(?P<exponent>\d)m(?P<mantissa>\d)(?:b(?P<bias>\d+))?(?P<flavour>fnuz|fn|)$")


def kind_of(tensor: StoredTensor) -> Kind:
    """What arithmetic a tensor allows."""
    if tensor.storage == "utf8":
        return "string"
    if tensor.storage == "bits":
        known = tensor.dtype == "bfloat16" or _FLOAT8.match(tensor.dtype) is not None
        return "single" if known else "opaque"
    if tensor.dtype in ("float16", "float32"):
        return "single"
    if tensor.dtype == "float64":
        return "double"
    return "complex" if tensor.dtype.startswith("complex") else "integer"


@cache
def float8_table(dtype: str) -> NDArray[np.float32]:
    """The value of each of the 256 bit patterns of a float8 dtype (as https://github.com/jax-ml/ml_dtypes).

    `fn`: no infinity, all ones is NaN. `fnuz`: no infinity and no -0, whose pattern is the only NaN.
    Without either: IEEE 754.
    """
    match = _FLOAT8.match(dtype)
    assert match is not None  # noqa: S101  # kind_of let it pass
    mantissa_bits, flavour = int(match["mantissa"]), match["flavour"]
    largest = 2 ** int(match["exponent"]) - 1
    bias = int(match["bias"] or (largest + 1) // 2 - (flavour != "fnuz"))
    bits = np.arange(256)
    exponent = (bits >> mantissa_bits) & largest
    mantissa = (bits & (2**mantissa_bits - 1)) / 2**mantissa_bits
    magnitude = np.where(
        exponent == 0, mantissa * 2.0 ** (1 - bias), (1 + mantissa) * 2.0 ** (exponent - bias)
    )
    values = np.where(bits & 0x80, -magnitude, magnitude)
    if flavour == "fnuz":
        values[0x80] = np.nan
    elif flavour == "fn":
        values[[0x7F, 0xFF]] = np.nan
    else:
        special = exponent == largest
        values[special] = np.where(mantissa[special] == 0, np.copysign(np.inf, values[special]), np.nan)
    table: NDArray[np.float32] = values.astype(np.float32)
    table.flags.writeable = False
    return table


class Decoder:
    """Turns raw chunks of one dtype into native float32, float64, complex128, or integers as they are.

    The result may be the buffer of the last call, or the raw chunk itself: use it before the next.
    """

    def __init__(self, dtype: str, kind: Kind, capacity: int) -> None:
        self._dtype = dtype
        self._kind = kind
        self._buffer = np.empty(capacity if kind == "single" and dtype != "float32" else 0, np.float32)

    def __call__(self, raw: Raw) -> NDArray[Any]:
        """Decode one chunk of at most `capacity` elements."""
        if self._kind == "complex":
            return raw.astype(np.complex128)
        if raw.dtype == np.bool_:  # a file may hold any byte; each but 0 is true
            return np.asarray(raw.view(np.uint8) != 0).view(np.uint8)
        if self._kind != "single" or self._dtype == "float32":
            return raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))
        out = self._buffer[: raw.size]
        if self._dtype == "float16":
            np.copyto(out, raw)
        elif self._dtype == "bfloat16":  # the upper half of a float32
            bits = out.view(np.uint32)
            np.copyto(bits, raw)
            np.left_shift(bits, 16, out=bits)
        else:
            np.take(float8_table(self._dtype), raw, out=out)
        return out


def scalar(tensor: StoredTensor, index: int) -> Element:
    """One element as a Python value, complex as (real, imaginary); bits without a meaning as an integer."""
    data = tensor.open()
    if tensor.storage == "utf8":
        return data.strings(index, index + 1)[0].decode(errors="replace")
    value = Decoder(tensor.dtype, kind_of(tensor), 1)(data.values[index : index + 1])[0].item()
    if isinstance(value, complex):
        return value.real, value.imag
    return bool(value) if tensor.dtype == "bool" else value
