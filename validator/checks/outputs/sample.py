"""The sample with the largest difference, as the model was fed it: an image, a text, a series of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from validator.checks.bands import OutputBands
from validator.checks.outputs.types import OutputNumbers, SampleInput, WorstSample
from validator.errors import ConfigurationError
from validator.numbers.ensembles import read_rows
from validator.numbers.values import kind_of
from validator.storage import recording
from validator.storage.tensors import StoredTensor

_VALUES = 1024  # of one input, at most
_INPUTS = 6
_SHORT = 4  # an axis up to this length is kept whole: colours
_TEXTS, _LETTERS = 16, 400


def worst_sample(
    inputs: Path | None, outputs: Sequence[OutputNumbers], bands: OutputBands
) -> WorstSample | None:
    """The sample of the output that drifts most; None where all of it is rounding, or nobody knows it."""
    moved = [output for output in outputs if _moved(output, bands)]
    if inputs is None or not moved:
        return None
    worst = max(moved, key=lambda output: output.drift.ratio if output.drift else 0.0)
    if worst.comparison is None or worst.comparison.worst is None or not worst.comparison.worst.index:
        return None
    index = worst.comparison.worst.index[0]
    try:
        tensors = recording.load(inputs).open()
    except ConfigurationError:  # it was read before: what is gone by now costs a picture only
        return None
    fitting = [tensor for tensor in tensors if index < tensor.samples and not tensor.ragged][:_INPUTS]
    return WorstSample(index=index, inputs=tuple(part for each in fitting for part in _input(each, index)))


def _moved(output: OutputNumbers, bands: OutputBands) -> bool:
    comparison = output.comparison
    if comparison is None or comparison.worst is None:
        return False
    beyond = output.drift is None or not output.drift.ratio < bands.grains["all"].rounding
    return beyond or bool(output.ranked and comparison.flips)


def _input(tensor: StoredTensor, index: int) -> Iterator[SampleInput]:
    kind, shape = kind_of(tensor), tensor.shape[1:]
    plain = SampleInput(name=tensor.name, dtype=tensor.dtype, shape=shape)
    if kind == "string":
        width = int(np.prod(shape, dtype=np.int64))
        texts = tensor.open().strings(index * width, index * width + min(width, _TEXTS))
        yield plain.model_copy(update={"texts": tuple(_text(each) for each in texts)})
    elif kind in ("single", "double", "integer"):
        everything = read_rows(tensor, np.asarray([index]))[0].reshape(shape)
        step, part = 1, everything
        while part.size > _VALUES and step < max(shape, default=1):
            step += 1
            part = everything[tuple(slice(None, None, step if axis > _SHORT else 1) for axis in shape)]
        values = tuple(_rounded(each) for each in part.reshape(-1))
        yield plain.model_copy(update={"step": step, "values": values})


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text[:_LETTERS]


def _rounded(value: float) -> float:
    """As many digits as a picture shows."""
    return float(f"{value:.5g}")
