"""The score of each item: which rule the shapes call for, and its arithmetic on a chunk."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validator.compare.values import Decoder, kind_of
from validator.errors import ConfigurationError
from validator.tensors import StoredTensor

#: Which way is better. `top_K_accuracy` stands for every K.
METRICS: dict[str, Literal["higher", "lower"]] = {
    "accuracy": "higher",
    "top_5_accuracy": "higher",
    "mae": "lower",
    "mse": "lower",
}

_TOP = re.compile(r"top_([1-9]\d{0,5})_accuracy$")
_ELEMENTS = 64 * 1024

Form = Literal["classes", "one-hot", "binary", "equal", "error"]


@dataclass(frozen=True)
class Scoring:
    """What does not count, and how much the rest does.

    `ignore_label` masks items with this label; `weights` has the items' shape or its leading part, masks
    where it is 0 and weighs otherwise. `threshold` is for a single sigmoid unit.
    """

    ignore_label: int | None = None
    weights: StoredTensor | None = None
    threshold: float = 0.5


@dataclass(frozen=True)
class Rule:
    """How one output is scored. `width`: prediction elements per item; `items`: shape of what is scored."""

    metric: str
    form: Form
    items: tuple[int, ...]
    width: int = 1
    top: int = 1

    @property
    def binary(self) -> bool:
        """Whether an item is right or wrong."""
        return self.form != "error"


@dataclass(frozen=True)
class Chunk:
    """Scores of the items from `start` on. Only `counted` ones count; `invalid` ones were no use (NaN)."""

    start: int
    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    counted: NDArray[np.bool_]
    invalid: NDArray[np.bool_]


def rule_for(metric: str, prediction: StoredTensor, labels: StoredTensor, options: Scoring) -> Rule:
    """Choose the rule from the metric, the shapes and the dtypes; ConfigurationError when none fits."""
    match = _TOP.match(metric)
    if match is None and metric not in METRICS:
        near = get_close_matches(metric, METRICS, 1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigurationError(
            f"unknown metric {metric!r}: {meant}there are accuracy, top_5_accuracy (any number), mae and mse"
        )
    if prediction.ragged or labels.ragged:
        raise ConfigurationError(
            f"output {prediction.name!r}: {metric} of ragged predictions or labels is not defined; pad them "
            "and mask the padding by ignore_label or sample_weight"
        )
    if prediction.samples != labels.samples:
        raise ConfigurationError(
            f"labels {labels.name!r} have {labels.samples} samples, the output {prediction.name!r} has "
            f"{prediction.samples}; record as many labels as inputs, in the same order"
        )
    if metric in ("mae", "mse"):
        rule = _error_rule(metric, prediction, labels)
    else:
        rule = _accuracy_rule(metric, prediction, labels, int(match[1]) if match else 1)
    if options.weights is not None:
        _check_weights(options.weights, rule)
    return rule


def _accuracy_rule(metric: str, prediction: StoredTensor, labels: StoredTensor, top: int) -> Rule:
    shape = prediction.shape
    kinds = kind_of(prediction), kind_of(labels)
    same = _alike(shape, labels.shape)
    if kinds[0] in ("integer", "string") and same and (kinds[0] == kinds[1] or "string" not in kinds):
        if _TOP.match(metric):
            raise _unfit(metric, prediction, labels, "needs one score per class, not finished answers")
        return Rule(metric, "equal", shape)
    if "string" in kinds or "complex" in kinds or "opaque" in kinds or kinds[0] == "integer":
        raise _unfit(metric, prediction, labels, "has no rule for them")
    classes = shape[-1] if len(shape) >= 2 else 1
    if top > classes or (metric != "accuracy" and classes == 1):
        raise _unfit(metric, prediction, labels, f"needs {top} classes or more")
    if classes >= 2 and _alike(labels.shape, shape[:-1]):
        return Rule(metric, "classes", shape[:-1], classes, top)
    if labels.shape == shape and classes >= 2:
        return Rule(metric, "one-hot", shape[:-1], classes, top)
    if same and classes == 1:
        return Rule(metric, "binary", shape)
    raise _unfit(metric, prediction, labels, "needs class ids, one-hot rows, or one label per single unit")


def _error_rule(metric: str, prediction: StoredTensor, labels: StoredTensor) -> Rule:
    numbers = all(kind_of(tensor) in ("single", "double", "integer") for tensor in (prediction, labels))
    if not numbers or not _alike(prediction.shape, labels.shape):
        raise _unfit(metric, prediction, labels, "needs numbers of the same shape")
    return Rule(metric, "error", prediction.shape)


def _alike(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether shapes are the same but for a trailing axis of length 1 that one of them may have."""
    return b in (a, (*a, 1)) or a == (*b, 1)


def _unfit(metric: str, prediction: StoredTensor, labels: StoredTensor, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"labels {labels.name!r} ({labels.dtype} {labels.shape}) do not fit the output {prediction.name!r} "
        f"({prediction.dtype} {prediction.shape}): {metric} {why}"
    )


def _check_weights(weights: StoredTensor, rule: Rule) -> None:
    shape, numeric = weights.shape, kind_of(weights) in ("single", "double", "integer")
    if (
        not numeric
        or not shape
        or not any(_alike(shape, rule.items[:axes]) for axes in range(1, len(rule.items) + 1))
    ):
        raise ConfigurationError(
            f"{weights.name!r} ({weights.dtype} {weights.shape}) does not fit {rule.items} scored items; it "
            "needs their shape, or one number per sample"
        )


def scored_chunks(
    rule: Rule, prediction: StoredTensor, labels: StoredTensor, options: Scoring
) -> Iterator[Chunk]:
    """Score all items, in order, a bounded number at a time."""
    items = math.prod(rule.items)
    step = max(1, _ELEMENTS // rule.width)
    reader = _Reader(prediction, step * rule.width)
    truth = _Reader(labels, step * rule.width)
    weights = None if options.weights is None else _Reader(options.weights, step)
    unit = items // options.weights.size if options.weights is not None and options.weights.size else 1
    for start in range(0, items, step):
        stop = min(start + step, items)
        wide = rule.width if rule.form == "one-hot" else 1
        given = reader.read(start * rule.width, stop * rule.width)
        true = truth.read(start * wide, stop * wide)
        weight = np.ones(stop - start)
        if weights is not None:
            read = weights.read(start // unit, -(-stop // unit)).astype(np.float64)
            weight = read[np.arange(start, stop) // unit - start // unit]
            if not np.all(weight >= 0) or not np.all(np.isfinite(weight)):
                raise ConfigurationError(
                    f"{weights.name!r} holds a weight that is negative or not a number; use 0 to mask"
                )
        yield _scored(rule, labels.name, options, _Items(start, given, true, weight))


class _Reader:
    """Decoded values of a tensor by their place."""

    def __init__(self, tensor: StoredTensor, capacity: int) -> None:
        self.name = tensor.name
        self._data = tensor.open()
        self._strings = tensor.storage == "utf8"
        self._decode = None if self._strings else Decoder(tensor.dtype, kind_of(tensor), capacity)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """The values [start, stop)."""
        if self._decode is None:
            return np.array(self._data.strings(start, stop), dtype=object)
        return self._decode(self._data.values[start:stop])


@dataclass(frozen=True)
class _Items:
    start: int
    prediction: NDArray[Any]
    labels: NDArray[Any]
    weights: NDArray[np.float64]


def _scored(rule: Rule, name: str, options: Scoring, items: _Items) -> Chunk:
    labels = items.labels
    counted = items.weights > 0
    if rule.form == "one-hot":
        labels = _classes_of_one_hot(labels.reshape(-1, rule.width), counted, name, items.start)
    if options.ignore_label is not None and labels.dtype != object:
        counted &= labels != options.ignore_label
    if rule.form in ("classes", "binary"):
        highest = rule.width - 1 if rule.form == "classes" else 1
        labels = _checked_ids(labels, counted, highest, name, items.start)
    if rule.form == "equal":
        scores = (items.prediction == labels).astype(np.float64)
        invalid = np.zeros(counted.size, np.bool_)
    else:
        rows = items.prediction.reshape(counted.size, -1)
        finite = ~np.isnan(rows).any(axis=1) if rule.binary else np.isfinite(rows).all(axis=1)
        scores = _score_rows(rule, options, rows, labels)
        scores = np.where(finite, scores, 0.0 if rule.binary else np.inf)
        invalid = ~finite
    return Chunk(items.start, scores, items.weights, counted, invalid)


def _score_rows(
    rule: Rule, options: Scoring, rows: NDArray[Any], labels: NDArray[Any]
) -> NDArray[np.float64]:
    if rule.form == "error":
        with np.errstate(all="ignore"):  # what is not finite is replaced by the caller
            difference: NDArray[np.float64] = rows[:, 0].astype(np.float64) - labels.astype(np.float64)
            return np.abs(difference) if rule.metric == "mae" else difference**2
    if rule.form == "binary":
        right: NDArray[np.bool_] = (rows[:, 0] > options.threshold) == (labels > 0)
        return right.astype(np.float64)
    # As arg max: among equal scores the first class ranks first.
    own = np.take_along_axis(rows, labels[:, np.newaxis], axis=1)
    ahead = (rows > own) | ((rows == own) & (np.arange(rule.width) < labels[:, np.newaxis]))
    found: NDArray[np.bool_] = np.count_nonzero(ahead, axis=1) < rule.top
    return found.astype(np.float64)


def _checked_ids(
    labels: NDArray[Any], counted: NDArray[np.bool_], highest: int, name: str, start: int
) -> NDArray[np.intp]:
    """Labels as class ids; 0 stands for those that do not count, which may hold anything."""
    bad = counted & ~((labels >= 0) & (labels <= highest) & (labels == np.floor(labels)))
    if bad.any():
        at = int(np.argmax(bad))
        raise ConfigurationError(
            f"labels {name!r}: item {start + at} is {labels[at]}, which is no class from 0 to {highest}; "
            "correct it, or mask it by ignore_label or a sample weight of 0"
        )
    return np.where(counted, labels, 0).astype(np.intp)


def _classes_of_one_hot(
    rows: NDArray[Any], counted: NDArray[np.bool_], name: str, start: int
) -> NDArray[np.intp]:
    """The class of each row; rows may be smoothed, but must be a distribution."""
    total = rows.sum(axis=1, dtype=np.float64)
    bad = counted & ~((np.abs(total - 1) <= 1e-2) & (rows >= 0).all(axis=1))
    if bad.any():
        at = int(np.argmax(bad))
        raise ConfigurationError(
            f"labels {name!r}: row {start + at} is not one-hot (its sum is {total[at]:g}); give class ids "
            "or one-hot rows, or mask the row by a sample weight of 0"
        )
    classes: NDArray[np.intp] = rows.argmax(axis=1)
    return classes
