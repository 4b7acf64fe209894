"""A metric of the user: `module:function`, called with whole arrays."""

from __future__ import annotations

from dataclasses import replace
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


def evaluate_function(task: Task, function: MetricFunction) -> tuple[float, float, Estimate, int]:
    """Baseline, candidate, the oriented estimate of their difference, and the samples.

    UnscorableError when what the function returns is neither a number nor one number a sample.
    """
    same_sides(task)
    request = task.request
    counts = tuple(bounds(tensor, 1).size - 1 for tensor in (task.baseline, task.labels))
    chosen, labelled = match_samples(request, *counts)
    labels = {task.labels.name: whole_array(task.labels)[labelled]}
    if task.weights is not None:
        labels["sample_weight"] = whole_array(task.weights)[labelled]
    sides = tuple({request.output: whole_array(tensor)[chosen]} for tensor in (task.baseline, task.candidate))
    for arrays in (labels, *sides):  # a function that writes into them would change what comes next
        for array in arrays.values():
            array.flags.writeable = False
    before, after = (_call(function, side, labels) for side in sides)
    if before.shape != after.shape:
        raise UnscorableError(
            f"{request.metric} returns shape {before.shape} for one side and {after.shape} for the other"
        )
    plan = replace(request.resampling, alpha=request.rule.alpha)
    if before.ndim == 1:
        values = float(before.mean()), float(after.mean())
        if not np.isfinite(values).all():
            return *values, _nothing(chosen.size), chosen.size
        pairs = Sides(before[:, None], after[:, None], _mean_of(chosen.size), request.higher_is_better)
        return *values, paired_bootstrap(pairs, plan), chosen.size
    values = float(before), float(after)
    if not np.isfinite(values).all():
        return *values, _nothing(chosen.size), chosen.size

    def difference(rows: Index, swapped: NDArray[np.bool_]) -> float:
        own = {name: array[rows] for name, array in labels.items()}
        drawn = []
        for side, other in (sides, sides[::-1]):
            mixed = {name: side[name][rows].copy() for name in side}
            for name, array in mixed.items():
                array[swapped] = other[name][rows][swapped]
            drawn.append(float(_call(function, mixed, own)))
        return drawn[1] - drawn[0] if request.higher_is_better else drawn[0] - drawn[1]

    estimate = index_bootstrap(chosen.size, difference, replace(plan, resamples=_CALLS))
    return *values, estimate, chosen.size


def _mean_of(samples: int) -> Formula:
    return lambda sums: np.asarray(sums[..., 0] / samples)


def _nothing(samples: int) -> Estimate:
    return Estimate(np.nan, samples, None, None, np.nan)


def _call(function: MetricFunction, predictions: Arrays, labels: Arrays) -> NDArray[np.float64]:
    result = np.asarray(function(predictions, labels), np.float64)
    samples = next(iter(labels.values())).shape[0]
    if result.ndim > 1 or (result.ndim == 1 and result.shape[0] != samples):
        raise UnscorableError(
            f"the metric returns shape {result.shape}; one number, or one for each of {samples} samples"
        )
    return result


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
