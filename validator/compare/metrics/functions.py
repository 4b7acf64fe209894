"""A metric of the user: `module:function`, called with whole arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.pairing import Index, bounds, match_samples, same_sides
from validator.compare.metrics.request import MetricFunction, Task, UnscorableError
from validator.compare.resampling import Formula, Sides, index_bootstrap, paired_bootstrap
from validator.compare.statistics import Estimate
from validator.compare.values import Decoder, kind_of
from validator.tensors import StoredTensor

_CALLS = 300  # resamples, and swaps, of a function that gives one number: two calls each

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Applied:
    """What the function said of both sides, and the oriented estimate of their difference."""

    baseline: float
    candidate: float
    samples: int
    estimate: Estimate


def apply_function(task: Task, function: MetricFunction) -> Applied:
    """Call the function for both sides, and again for resampled and swapped samples.

    UnscorableError when what it returns is neither a number nor one number a sample.
    """
    calls = _Calls(task, function)
    before, after = calls.value(0), calls.value(1)
    if before.shape != after.shape:
        raise UnscorableError(
            f"{task.request.metric} returns shape {before.shape} for one side and {after.shape} for the other"
        )
    values = float(before.mean()), float(after.mean())
    plan = replace(task.request.resampling, alpha=task.request.rule.alpha)
    if not np.isfinite(values).all():
        estimate = Estimate(math.nan, calls.samples, None, None, math.nan)
    elif before.ndim == 1:
        mean = _mean_of(calls.samples)
        pairs = Sides(before[:, None], after[:, None], mean, task.request.higher_is_better)
        estimate = paired_bootstrap(pairs, plan)
    else:
        estimate = index_bootstrap(calls.samples, calls.difference, replace(plan, resamples=_CALLS))
    return Applied(*values, calls.samples, estimate)


class _Calls:
    """Calls the function with whole or mixed arrays."""

    def __init__(self, task: Task, function: MetricFunction) -> None:
        same_sides(task)
        counts = tuple(bounds(tensor, 1).size - 1 for tensor in (task.baseline, task.labels))
        chosen, labelled = match_samples(task.request, *counts)
        self.samples = chosen.size
        self._function = function
        self._up = 1.0 if task.request.higher_is_better else -1.0
        self._output = task.request.output
        self._labels = {task.labels.name: whole_array(task.labels)[labelled]}
        if task.weights is not None:
            self._labels["sample_weight"] = whole_array(task.weights)[labelled]
        self._sides = tuple(whole_array(tensor)[chosen] for tensor in (task.baseline, task.candidate))
        for array in (*self._labels.values(), *self._sides):
            array.flags.writeable = False  # a function that writes into them would change what comes next

    def value(self, side: int) -> NDArray[np.float64]:
        """Of one side as it is."""
        return self._call(self._sides[side], self._labels)

    def difference(self, rows: Index, swapped: NDArray[np.bool_]) -> float:
        """Of chosen samples, some with their sides swapped."""
        labels = {name: values[rows] for name, values in self._labels.items()}
        before, after = (side[rows] for side in self._sides)
        before[swapped], after[swapped] = after[swapped], before[swapped]
        return self._up * float(self._call(after, labels) - self._call(before, labels))

    def _call(self, predictions: NDArray[Any], labels: Arrays) -> NDArray[np.float64]:
        result = np.asarray(self._function({self._output: predictions}, labels), np.float64)
        samples = predictions.shape[0]
        if result.ndim > 1 or (result.ndim == 1 and result.shape[0] != samples):
            raise UnscorableError(
                f"the metric returns shape {result.shape}; one number, or one for each of {samples} samples"
            )
        return result


def _mean_of(samples: int) -> Formula:
    return lambda sums: np.asarray(sums[..., 0] / samples)


def whole_array(tensor: StoredTensor) -> NDArray[Any]:
    """The whole tensor: strings as objects, a ragged one as an object array with one array a sample."""
    data, kind = tensor.open(), kind_of(tensor)
    flat: NDArray[Any]
    if kind == "opaque":
        raise UnscorableError(f"{tensor.name!r} holds {tensor.dtype}, which has no numbers")
    if kind == "string":
        flat = np.array(
            [text.decode(errors="replace") for text in data.strings(0, tensor.size)], dtype=object
        )
    else:
        flat = np.array(Decoder(tensor.dtype, kind, tensor.size)(data.values[: tensor.size]))
        flat = flat.astype(np.bool_) if tensor.dtype == "bool" else flat
    whole = flat.reshape(tensor.shape)
    if not tensor.ragged:
        return whole
    limits = bounds(tensor, 1)
    parts = np.empty(limits.size - 1, dtype=object)
    for index in range(parts.size):
        parts[index] = whole[limits[index] : limits[index + 1]]
    return parts
