"""A metric of the user: `module:function`, called with whole arrays."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.errors import ConfigurationError
from validator.numbers.metrics.pairing import Flags, Index, bounds, same_samples, same_sides
from validator.numbers.metrics.request import MetricFunction, Scored, Scoring, UnscorableError
from validator.numbers.resampling import PairedScores, Values, index_bootstrap, paired_bootstrap
from validator.numbers.statistics import PairedEstimate
from validator.numbers.values import Decoder, kind_of
from validator.storage.tensors import StoredTensor

_CALLS = 300  # resamples, and swaps, of a function that gives one number: two calls each


def score_function(task: Scoring) -> Scored:
    """Call the function for both sides, and again for resampled and swapped samples.

    UnscorableError when what it returns is neither a number nor one number a sample.
    """
    if task.request.function is None:
        raise ConfigurationError(
            f"metric {task.request.metric!r} is a function of yours, and it was not loaded"
        )
    calls = _Calls(task, task.request.function)
    try:
        before = calls.value(calls.sides[0], calls.labels)
    except UnscorableError:
        raise
    except (Exception, SystemExit) as error:
        raise UnscorableError(f"for the baseline's predictions it raises {_named(error)}") from None
    try:
        after = calls.value(calls.sides[1], calls.labels)
    except UnscorableError:
        raise
    except (Exception, SystemExit) as error:
        nothing = PairedEstimate(math.nan, calls.samples, None, None, math.nan)
        return Scored(float(before.mean()), math.nan, calls.samples, nothing, None, raised=_named(error))
    if before.shape != after.shape:
        raise UnscorableError(
            f"{task.request.metric} returns shape {before.shape} for one side and {after.shape} for the other"
        )
    values = float(before.mean()), float(after.mean())
    if not math.isfinite(values[0]):
        raise UnscorableError(f"the function returns {values[0]} for the baseline")
    higher = values[0] > values[1] if task.request.direction is None else task.request.direction == "higher"
    estimate = _estimate(task, calls, (before, after), higher=higher)
    if task.request.direction is None and estimate.p_worse is not None:
        estimate = replace(estimate, p_worse=min(1.0, 2 * estimate.p_worse))
    return Scored(*values, calls.samples, estimate, estimate.interval, higher_is_better=higher)


def _estimate(task: Scoring, calls: _Calls, sides: tuple[Values, Values], *, higher: bool) -> PairedEstimate:
    before, after = sides
    if not np.isfinite(after.mean()):
        return PairedEstimate(math.nan, calls.samples, None, None, math.nan)
    if before.ndim == 1:
        mean = partial(_mean, samples=calls.samples)
        pairs = PairedScores(before[:, None], after[:, None], mean, higher_is_better=higher)
        return paired_bootstrap(pairs, task.resampling)
    sign = 1 if higher else -1
    plan = replace(task.resampling, resamples=_CALLS)
    return index_bootstrap(calls.samples, lambda rows, swapped: sign * calls.difference(rows, swapped), plan)


def _mean(sums: Values, samples: int) -> Values:
    return np.asarray(sums[..., 0] / samples)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class _Calls:
    """Calls the function with whole or mixed arrays."""

    def __init__(self, task: Scoring, function: MetricFunction) -> None:
        same_sides(task)
        self.samples = bounds(task.baseline, 1).size - 1
        same_samples(self.samples, bounds(task.labels, 1).size - 1)
        self._function = function
        self._output = task.request.output
        self.labels = {task.labels.name: _whole_array(task.labels)}
        if task.weights is not None:
            self.labels["sample_weight"] = _whole_array(task.weights)
        self.sides = _whole_array(task.baseline), _whole_array(task.candidate)
        for array in (*self.labels.values(), *self.sides):
            array.flags.writeable = False  # a function that writes into them would change what comes next

    def difference(self, rows: Index, swapped: Flags) -> float:
        """Of chosen samples, some with their sides swapped."""
        labels = {name: values[rows] for name, values in self.labels.items()}
        before, after = (side[rows] for side in self.sides)
        before[swapped], after[swapped] = after[swapped], before[swapped]
        return float(self.value(after, labels) - self.value(before, labels))

    def value(self, predictions: NDArray[Any], labels: dict[str, NDArray[Any]]) -> Values:
        """What the function returns."""
        result = np.asarray(self._function({self._output: predictions}, labels), np.float64)
        samples = predictions.shape[0]
        if result.shape not in ((), (samples,)):
            raise UnscorableError(
                f"the metric returns shape {result.shape}; one number, or one for each of {samples} samples"
            )
        return result


def _whole_array(tensor: StoredTensor) -> NDArray[Any]:
    """The whole tensor: strings as objects, a ragged one as an object array with one array a sample."""
    data, kind = tensor.open(), kind_of(tensor)
    flat: NDArray[Any]
    if kind == "opaque":
        raise UnscorableError(f"{tensor.name!r} holds {tensor.dtype}, which has no numbers")
    if kind == "string":
        texts = [text.decode(errors="replace") for text in data.strings(0, tensor.size)]
        flat = np.array(texts, dtype=object)
    else:
        flat = np.array(Decoder(tensor.dtype, kind, tensor.size)(data.values[: tensor.size]))
        flat = flat.astype(np.bool_) if tensor.dtype == "bool" else flat
    whole = flat.reshape(tensor.shape)
    if not tensor.ragged:
        return whole
    limits = bounds(tensor, 1)
    parts = np.empty(limits.size - 1, dtype=object)
    parts[:] = np.split(whole, limits[1:-1])
    return parts
