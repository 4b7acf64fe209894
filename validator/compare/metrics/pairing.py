"""Which row of the predictions belongs to which row of the labels, read in blocks of bounded memory.

An item is what is scored: a row of class scores, or one element. Items of one sample are neighbours, so a
sample is a run of rows in the predictions and a run in the labels, whether dense or ragged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.request import MetricRequest, Task, UnscorableError
from validator.compare.values import Decoder, kind_of
from validator.tensors import StoredTensor

Index = NDArray[np.int64]
Numbers = NDArray[Any]
#: "scores": an item is a row of class scores with one class as its label. "elements": an item is one element
#: with one label.
Layout = Literal["scores", "elements"]

_BLOCK = 2**19  # elements of predictions at a time and side


@dataclass(frozen=True)
class Block:
    """Scored items: their sample and place in it, predictions (items, width), labels and weights (items,)."""

    sample: Index
    position: Index
    baseline: Numbers
    candidate: Numbers
    labels: Numbers
    weights: NDArray[np.float64]


class Rows:
    """A tensor as numeric rows of `width` elements; what was read is dropped from memory at the next read."""

    def __init__(self, tensor: StoredTensor, width: int = 1) -> None:
        kind = kind_of(tensor)
        if kind in ("string", "opaque", "complex"):
            raise UnscorableError(f"{tensor.name!r} holds {tensor.dtype}, which this metric cannot score")
        self.integer = kind == "integer"
        self.count = tensor.size // width
        self._tensor = tensor
        self._width = width
        self._data = tensor.open()
        self._read = (0, 0)

    def take(self, rows: Index) -> Numbers:
        """The rows, (rows, width)."""
        decode = Decoder(self._tensor.dtype, kind_of(self._tensor), rows.size * self._width)
        if rows.size == 0:
            return np.empty((0, self._width))
        if not np.all(np.diff(rows) == 1):
            raw = self._data.values[: self.count * self._width].reshape(-1, self._width)[rows]
            return decode(raw.reshape(-1)).reshape(-1, self._width)
        self._data.release(*self._read)
        self._read = int(rows[0]) * self._width, (int(rows[-1]) + 1) * self._width
        return decode(self._data.values[slice(*self._read)]).reshape(-1, self._width)


def dims(tensor: StoredTensor, ragged: bool) -> tuple[int, ...]:
    """Lengths of the axes inside a sample, without one-element axes at the end.

    `ragged`: the predictions or the labels are, so that the sequence axis is left out.
    """
    return squeezed(tensor.shape[1:] if tensor.ragged or not ragged else tensor.shape[2:])


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without one-element axes at the end, which predictions, labels and weights may or may not have."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def bounds(tensor: StoredTensor, items: int) -> Index:
    """Where each sample's items begin, and the last one's end; `items`: how many a sample or flat row has."""
    if not tensor.ragged:
        return np.arange(tensor.samples + 1, dtype=np.int64) * items
    splits = tensor.open().splits
    limits: Index = splits[0]
    for inner in splits[1:]:
        limits = inner[limits]
    return limits * items


@dataclass(frozen=True)
class Pairing:
    """The runs of rows of every labelled sample; `sample` is its index in the predictions.

    `columns`: outputs of a regression, or labels of (samples, labels), that are questions of their own.
    """

    layout: Layout
    width: int
    columns: int
    sample: Index
    predicted: Index
    labelled: Index
    label_sample: Index
    limits: Index
    one_hot: bool
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> int:
        """How many items, before labels are looked at."""
        return int(self.limits[-1])

    def name_of(self, request: MetricRequest, sample: int, position: int) -> str:
        """A sample's id, or its index where there are none; with the position where it has several items."""
        index = int(self.sample[sample])
        name = request.sample_ids[index] if request.sample_ids is not None else str(index)
        several = self.limits[sample + 1] - self.limits[sample] > 1
        return f"{name}[{position}]" if several else name

    def blocks(self, task: Task) -> Iterator[Block]:
        """Every scored item of the task, in order, without those whose label is missing or does not count."""
        baseline, candidate = Rows(task.baseline, self.width), Rows(task.candidate, self.width)
        labels = Labels(task, self)
        step = max(_BLOCK // max(self.width, 1), 1)
        for start in range(0, self.items, step):
            item = np.arange(start, min(start + step, self.items), dtype=np.int64)
            sample = np.searchsorted(self.limits, item, side="right") - 1
            position = item - self.limits[sample]
            values, weights, keep = labels.read(sample, position)
            if not keep.any():
                continue
            rows = self.predicted[sample] + position
            sides = baseline.take(rows), candidate.take(rows)
            if keep.all():
                yield Block(sample, position, *sides, values, weights)
            else:
                yield Block(
                    sample[keep], position[keep], sides[0][keep], sides[1][keep], values[keep], weights[keep]
                )


class Labels:
    """Reads labels and weights, and says which of them count."""

    def __init__(self, task: Task, pairing: Pairing) -> None:
        self._pairing = pairing
        self._ignored = task.request.ignore_label
        self._rows = Rows(task.labels, pairing.width if pairing.one_hot else 1)
        self._whole = pairing.layout == "scores"
        self._weights = None if task.weights is None else Rows(task.weights)
        self._shared = self._sharing(task)

    def _sharing(self, task: Task) -> int:
        """How many label rows share one weight; 0 where a weight belongs to a ragged sample."""
        weights, labels = self._weights, task.labels
        if weights is None or task.weights is None:
            return 1
        if labels.ragged:
            if weights.count in (self._rows.count, labels.samples):
                return int(weights.count == self._rows.count)
        else:
            shape = squeezed(task.weights.shape)
            if (
                weights.count
                and shape == labels.shape[: len(shape)]
                and self._rows.count % weights.count == 0
            ):
                return self._rows.count // weights.count
        raise UnscorableError(
            f"weights of shape {task.weights.shape} do not fit labels of shape {labels.shape}: "
            "record one a sample, or one a label"
        )

    def read(self, sample: Index, position: Index) -> tuple[Numbers, NDArray[np.float64], NDArray[np.bool_]]:
        """Labels, weights and whether each item counts."""
        rows = self._pairing.labelled[sample] + position
        values: Numbers = self._rows.take(rows)
        keep: NDArray[np.bool_] = np.ones(rows.size, np.bool_)
        if values.dtype.kind == "f":
            keep = np.asarray(np.isfinite(values).all(axis=1))
        if self._pairing.one_hot:
            keep = keep & values.any(axis=1)
            values = values.argmax(axis=1)
        else:
            values = values[:, 0]
        if self._ignored is not None:
            keep = keep & (values != self._ignored)
        weights = np.ones(rows.size)
        if self._weights is not None:
            places = rows // self._shared if self._shared else self._pairing.label_sample[sample]
            weights = self._weights.take(places)[:, 0].astype(np.float64)
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise UnscorableError(
                    "the weights hold negative numbers or NaN; record 0 for what does not count"
                )
            keep = keep & (weights > 0)
        return (self._classes(values, keep) if self._whole else values), weights, keep

    def _classes(self, values: Numbers, keep: NDArray[np.bool_]) -> Index:
        whole = np.zeros(values.size, np.int64)
        counted = values[keep]
        whole[keep] = counted.astype(np.int64)
        if not np.array_equal(whole[keep], counted):
            raise UnscorableError(
                "the labels hold fractions where classes belong; record class numbers or one-hot rows"
            )
        outside = keep & ((whole < 0) | (whole >= self._pairing.width))
        if self._ignored is not None:
            outside &= whole != self._ignored
        if outside.any():
            label = int(whole[outside][0])
            raise UnscorableError(
                f"label {label} lies outside the {self._pairing.width} classes of the predictions; "
                f"set `ignore_label: {label}` if it marks what does not count"
            )
        return whole


def pair(task: Task, *, elementwise: bool) -> Pairing:
    """Lay the predictions beside the labels; UnscorableError says what does not fit.

    `elementwise`: the metric compares numbers, so that a row is never a row of class scores.
    """
    baseline, candidate, labels = task.baseline, task.candidate, task.labels
    same_sides(task)
    ragged = bool(baseline.ragged or labels.ragged)
    inner, labelled = dims(baseline, ragged), dims(labels, ragged)
    if inner == labelled:
        wide = bool(inner) and not elementwise and not Rows(baseline).integer
        one_hot = wide and _is_one_hot(task, inner[-1])
        layout: Layout = "scores" if one_hot else "elements"
    elif inner and squeezed(inner[:-1]) == labelled and not elementwise:
        layout, one_hot = "scores", False
    else:
        raise UnscorableError(
            f"labels of shape {labels.shape} do not fit predictions of shape {baseline.shape}"
            + (" (flat values of ragged tensors)" if ragged else "")
        )
    width = inner[-1] if layout == "scores" else 1
    columns = inner[-1] if layout == "elements" and inner and (elementwise or len(inner) == 1) else 1
    items = math.prod(inner) // width
    here = _side(baseline, ragged, items)
    there = _side(labels, ragged, items)
    sample, label_sample = match_samples(task.request, here.size - 1, there.size - 1)
    lengths, notes = _lengths(np.diff(here)[sample], np.diff(there)[label_sample], task)
    if candidate.ragged and not np.array_equal(bounds(candidate, items), here):
        raise UnscorableError("the candidate's sequences have other lengths than the baseline's")
    limits = np.concatenate(([0], np.cumsum(lengths)))
    return Pairing(
        layout,
        width,
        columns,
        sample,
        here[sample],
        there[label_sample],
        label_sample,
        limits,
        one_hot,
        notes,
    )


def same_sides(task: Task) -> None:
    """Refuse predictions that cannot be compared with each other or have no sample axis."""
    baseline, candidate = task.baseline, task.candidate
    if not (baseline.batched and candidate.batched):
        raise UnscorableError(
            f"output {baseline.name!r} gives one value a batch, and labels belong to samples"
        )
    if baseline.shape != candidate.shape or len(baseline.ragged) != len(candidate.ragged):
        raise UnscorableError(
            f"the candidate predicts shape {candidate.shape}, the baseline {baseline.shape}: no pairs"
        )
    if baseline.size == 0:
        raise UnscorableError(f"output {baseline.name!r} of shape {baseline.shape} is empty")


def match_samples(request: MetricRequest, predicted: int, labelled: int) -> tuple[Index, Index]:
    """The predictions' samples that have a label, and where their labels are."""
    ids, label_ids = request.sample_ids, request.label_ids
    if ids is None or label_ids is None:
        if predicted != labelled:
            raise UnscorableError(
                f"{predicted} samples were predicted and {labelled} are labelled; "
                "record sample ids with both, or a label (NaN where unknown) for every sample"
            )
        return np.arange(predicted), np.arange(predicted)
    for name, values, count in (("predictions", ids, predicted), ("labels", label_ids, labelled)):
        if len(values) != count:
            raise UnscorableError(f"the {name} have {count} samples and {len(values)} sample ids")
        if len(set(values)) != count:
            twice = next(value for index, value in enumerate(values) if value in values[:index])
            raise UnscorableError(f"sample id {twice!r} appears twice among the {name}")
    places = {name: index for index, name in enumerate(label_ids)}
    pairs = [(index, places[name]) for index, name in enumerate(ids) if name in places]
    if not pairs:
        raise UnscorableError("no sample id of the labels is among those of the predictions")
    both = np.array(pairs, np.int64)
    return both[:, 0], both[:, 1]


def _side(tensor: StoredTensor, ragged: bool, items: int) -> Index:
    """Sample bounds in items; a dense tensor beside a ragged one has its whole sequence axis."""
    if ragged and not tensor.ragged:
        if len(tensor.shape) < 2:
            raise UnscorableError(
                f"{tensor.name!r} of shape {tensor.shape} has no axis for the ragged sequences"
            )
        return bounds(tensor, tensor.shape[1] * items)
    return bounds(tensor, items)


def _lengths(predicted: Index, labelled: Index, task: Task) -> tuple[Index, tuple[str, ...]]:
    """How many items of each sample are paired."""
    if np.array_equal(predicted, labelled):
        return predicted, ()
    longer = labelled > predicted
    if task.labels.ragged and longer.any():
        worst = int(np.flatnonzero(longer)[0])
        raise UnscorableError(
            f"labelled sample {worst} has {labelled[worst]} labels and {predicted[worst]} predictions"
        )
    if task.baseline.ragged and task.labels.ragged:
        worst = int(np.flatnonzero(predicted != labelled)[0])
        raise UnscorableError(
            f"labelled sample {worst} has {labelled[worst]} labels and {predicted[worst]} predictions"
        )
    if longer.any():
        return np.minimum(predicted, labelled), ("labels beyond the end of a prediction are left out",)
    return labelled, ()


def _is_one_hot(task: Task, width: int) -> bool:
    """Whether every labelled row names one class (or its distribution); an empty row only beside others."""
    rows = Rows(task.labels, width)
    empty = seen = 0
    step = max(_BLOCK // width, 1)
    for start in range(0, rows.count, step):
        values = rows.take(np.arange(start, min(start + step, rows.count), dtype=np.int64))
        values = values[np.isfinite(values).all(axis=1)].astype(np.float64)
        total = values.sum(axis=1)
        blank = total == 0
        if np.any(values < 0) or not np.all(blank | (np.abs(total - 1) < 1e-2)):
            return False
        seen += total.size
        empty += int(blank.sum())
    several = task.request.metric in ("f1", "f1-micro", "auc", "iou")
    return seen > empty and not (several and empty)
