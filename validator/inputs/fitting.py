"""Whether recorded tensors fit a model's inputs, as far as its file says: the worker decides in the end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from validator.inputs.specification import Input, Specification
from validator.storage.tensors import TensorEntry

#: As the worker has it (keras_capture/model/feeding.py), which stands alone.
_ANONYMOUS = re.compile(
    r"(input|inputs|input_layer|keras_tensor|args|arr|\w+_input)(_?\d+)?\Z|\d+\Z|(x|data|array|tensor)\Z"
)


def misfit(specification: Specification, tensors: Sequence[TensorEntry]) -> str:
    """Why a recording cannot be the model's inputs, as the end of a sentence; empty where nothing is known
    against it."""
    if specification.nested:
        return ""
    recorded = {tensor.name: tensor for tensor in tensors}
    pairs = [(each, recorded[name]) for each in specification.inputs if (name := _recorded(each, recorded))]
    free = [each for each in specification.inputs if not _recorded(each, recorded)]
    used = {tensor.name for _, tensor in pairs}
    names = [name for name in recorded if name not in used]
    if free and len(free) != len(names):
        return _names(specification, tensors)
    if free and not (all(_ANONYMOUS.match(each.name) for each in free) or all(map(_ANONYMOUS.match, names))):
        return _names(specification, tensors)
    problems = (_problem(each, tensor) for each, tensor in pairs)
    return next((problem for problem in problems if problem), "")


def _recorded(each: Input, recorded: dict[str, TensorEntry]) -> str:
    return next((name for name in (each.name, each.layer) if name in recorded), "")


def _names(specification: Specification, tensors: Sequence[TensorEntry]) -> str:
    expected = ", ".join(f"{each.name!r} {_shape(each.shape)}" for each in specification.inputs)
    has = ", ".join(f"{tensor.name!r} {_shape(tensor.shape[1:])}" for tensor in tensors)
    return f"the model takes {expected} a sample, the recording has {has}; name its tensors as the inputs"


def _problem(each: Input, tensor: TensorEntry) -> str:
    if each.declared and (each.dtype == "string") != (tensor.storage == "utf8"):
        return f"{each.name!r} takes {each.dtype}, the recording has {tensor.dtype}; record it again"
    if tensor.ragged or _fits(tensor.shape[1:], each.shape):
        return ""
    return (
        f"{each.name!r} takes {_shape(each.shape)} a sample, the recording has {_shape(tensor.shape[1:])}; "
        "record it again"
    )


def _fits(shape: Sequence[int | None], expected: Sequence[int | None]) -> bool:
    """Whether one sample fits; a last axis of length 1 more or less is Keras' to add or drop."""
    if len(shape) == len(expected) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(expected) == len(shape) + 1 and expected[-1] in (1, None):
        expected = expected[:-1]
    return len(shape) == len(expected) and all(
        length is None or want is None or length == want for length, want in zip(shape, expected, strict=True)
    )


def _shape(shape: Sequence[int | None]) -> str:
    return f"({', '.join('?' if length is None else str(length) for length in shape)})"
