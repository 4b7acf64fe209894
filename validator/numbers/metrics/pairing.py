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

from validator.numbers.metrics.request import MetricNote, Scoring, UnscorableError
from validator.numbers.values import Decoder, kind_of
from validator.storage.tensors import StoredTensor

Index = NDArray[np.int64]
Numbers = NDArray[Any]
Flags = NDArray[np.bool_]
#: "scores": an item is a row of class scores with one class as its label. "elements": an item is one element
#: with one label.
Layout = Literal["scores", "elements"]

_BLOCK = 2**19  # elements of predictions at a time and side


@dataclass(frozen=True)
class ItemBlock:
    """Scored items: their sample and place in it, predictions (items, width), labels and weights (items,)."""

    sample: Index
    position: Index
    baseline: Numbers
    candidate: Numbers
    labels: Numbers
    weights: NDArray[np.float64]

    def part(self, chosen: Flags) -> ItemBlock:
        """Some of the items."""
        return ItemBlock(*(values[chosen] for values in vars(self).values()))


class TensorRows:
    """A tensor as numeric rows of `width` elements; what was read is dropped from memory at the next read."""

    def __init__(self, tensor: StoredTensor, width: int = 1) -> None:
        self.kind = kind_of(tensor)
        if self.kind in ("string", "opaque", "complex"):
            raise UnscorableError(f"{tensor.name!r} holds {tensor.dtype}, which this metric cannot score")
        self.count = tensor.size // width
        self._dtype = tensor.dtype
        self._width = width
        self._data = tensor.open()
        self._read = (0, 0)

    def take(self, rows: Index) -> Numbers:
        """The rows, (rows, width)."""
        if rows.size == 0:
            return np.empty((0, self._width))
        if np.all(np.diff(rows) == 1):
            return self._run(int(rows[0]), int(rows[-1]) + 1)
        return self._decoded(self._data.values[: self.count * self._width].reshape(-1, self._width)[rows])

    def blocks(self) -> Iterator[Numbers]:
        """All rows, a block at a time."""
        step = max(_BLOCK // self._width, 1)
        for start in range(0, self.count, step):
            yield self._run(start, min(start + step, self.count))

    def _run(self, start: int, stop: int) -> Numbers:
        self._data.release(*self._read)
        self._read = start * self._width, stop * self._width
        return self._decoded(self._data.values[slice(*self._read)])

    def _decoded(self, raw: Numbers) -> Numbers:
        return Decoder(self._dtype, self.kind, raw.size)(raw.reshape(-1)).reshape(-1, self._width)


def _inner(tensor: StoredTensor, ragged: bool) -> tuple[int, ...]:
    """Lengths of the axes inside a sample, without one-element axes at the end.

    `ragged`: the predictions or the labels are, so that the sequence axis is left out.
    """
    return _squeezed(tensor.shape[1:] if tensor.ragged or not ragged else tensor.shape[2:])


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
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
    """Where the rows of every sample begin: `predicted` and `labelled`; `limits` are bounds in items.

    `columns`: outputs of a regression, or labels of (samples, labels), that are questions of their own.
    """

    layout: Layout
    width: int
    columns: int
    predicted: Index
    labelled: Index
    limits: Index
    indicator: bool
    notes: tuple[MetricNote, ...] = ()

    @property
    def samples(self) -> int:
        """How many samples."""
        return self.limits.size - 1

    def blocks(self, task: Scoring) -> Iterator[ItemBlock]:
        """Every scored item of the task, in order, without those whose label is missing or does not count."""
        baseline, candidate = TensorRows(task.baseline, self.width), TensorRows(task.candidate, self.width)
        labels = _Labels(task, self)
        step, items = max(_BLOCK // self.width, 1), int(self.limits[-1])
        for start in range(0, items, step):
            item = np.arange(start, min(start + step, items), dtype=np.int64)
            sample = np.searchsorted(self.limits, item, side="right") - 1
            position = item - self.limits[sample]
            rows = self.predicted[sample] + position
            values, weights, keep = labels.read(sample, position)
            parts = sample, position, baseline.take(rows), candidate.take(rows), values, weights
            if keep.any():
                yield ItemBlock(*(parts if keep.all() else (part[keep] for part in parts)))


class _Labels:
    """Reads labels and weights, and says which of them count."""

    def __init__(self, task: Scoring, pairing: Pairing) -> None:
        self._pairing = pairing
        self._ignored = task.request.ignore_label
        self._rows = TensorRows(task.labels, pairing.width if pairing.indicator else 1)
        self._weights = None if task.weights is None else TensorRows(task.weights)
        self._shared = self._sharing(task)

    def _sharing(self, task: Scoring) -> int:
        """How many label rows share one weight; 0 where a weight belongs to a ragged sample."""
        labels, rows = task.labels, self._rows.count
        if task.weights is None:
            return 1
        given, shape = task.weights.size, _squeezed(task.weights.shape)
        if labels.ragged and given == labels.samples != rows:
            return 0
        fits = given == rows if labels.ragged else shape == labels.shape[: len(shape)]
        if fits and given and rows % given == 0:
            return rows // given
        raise UnscorableError(
            f"weights of shape {task.weights.shape} do not fit labels of shape {labels.shape}: "
            "record one a sample, or one a label"
        )

    def read(self, sample: Index, position: Index) -> tuple[Numbers, NDArray[np.float64], Flags]:
        """Labels, weights and whether each item counts."""
        rows = self._pairing.labelled[sample] + position
        values: Numbers = self._rows.take(rows)
        keep = np.asarray(np.isfinite(values).all(axis=1))
        if self._pairing.indicator:
            keep = keep & values.any(axis=1)
            values = values.argmax(axis=1)
        else:
            values = values[:, 0]
        if self._ignored is not None:
            keep = keep & (values != self._ignored)
        weights = np.ones(rows.size)
        if self._weights is not None:
            places = rows // self._shared if self._shared else sample
            weights = read_weights(self._weights, places)
            keep = keep & (weights > 0)
        if self._pairing.layout == "scores":
            self._check_classes(values[keep])
        return values, weights, keep

    def _check_classes(self, labels: Numbers) -> None:
        if np.any(labels != np.trunc(labels)):
            raise UnscorableError(
                "the labels hold fractions where classes belong; record class numbers or one-hot rows"
            )
        outside = (labels < 0) | (labels >= self._pairing.width)
        if outside.any():
            label = int(labels[outside][0])
            raise UnscorableError(
                f"label {label} lies outside the {self._pairing.width} classes of the predictions; "
                f"set `ignore_label: {label}` if it marks what does not count"
            )


def read_weights(weights: TensorRows, rows: Index) -> NDArray[np.float64]:
    """The weights in some rows; UnscorableError if one is no weight."""
    values = weights.take(rows)[:, 0].astype(np.float64)
    if not np.all(np.isfinite(values) & (values >= 0)):
        raise UnscorableError("the weights hold negative numbers or NaN; record 0 for what does not count")
    return values


def pair(task: Scoring, *, elementwise: bool) -> Pairing:
    """Lay the predictions beside the labels; UnscorableError says what does not fit.

    `elementwise`: the metric compares numbers, so that a row is never a row of class scores.
    """
    baseline, candidate, labels = task.baseline, task.candidate, task.labels
    same_sides(task)
    ragged = bool(baseline.ragged or labels.ragged)
    inner, labelled = _inner(baseline, ragged), _inner(labels, ragged)
    if inner == labelled:
        wide = bool(inner) and not elementwise and TensorRows(baseline).kind != "integer"
        indicator = wide and _is_indicator(task, inner[-1])
        layout: Layout = "scores" if indicator else "elements"
    elif inner and _squeezed(inner[:-1]) == labelled and not elementwise:
        layout, indicator = "scores", False
    else:
        raise UnscorableError(
            f"labels of shape {labels.shape} do not fit predictions of shape {baseline.shape}"
            + (" (flat values of ragged tensors)" if ragged else "")
        )
    width = inner[-1] if layout == "scores" else 1
    columns = inner[-1] if layout == "elements" and inner and (elementwise or len(inner) == 1) else 1
    items = math.prod(inner) // width
    predicted, labelled_rows = _side(baseline, ragged, items), _side(labels, ragged, items)
    same_samples(predicted.size - 1, labelled_rows.size - 1)
    lengths, notes = _lengths(np.diff(predicted), np.diff(labelled_rows), task)
    if candidate.ragged and not np.array_equal(bounds(candidate, items), predicted):
        raise UnscorableError("the candidate's sequences have other lengths than the baseline's")
    limits = np.concatenate(([0], np.cumsum(lengths)))
    starts = predicted[:-1], labelled_rows[:-1]
    return Pairing(layout, width, columns, *starts, limits, indicator, notes)


def same_sides(task: Scoring) -> None:
    """Refuse predictions that cannot be compared with each other or have no sample axis."""
    baseline, candidate = task.baseline, task.candidate
    refuse_batches(task)
    if baseline.shape != candidate.shape or len(baseline.ragged) != len(candidate.ragged):
        raise UnscorableError(
            f"the candidate predicts shape {candidate.shape}, the baseline {baseline.shape}: no pairs"
        )
    if baseline.size == 0:
        raise UnscorableError(f"output {baseline.name!r} of shape {baseline.shape} is empty")


def refuse_batches(task: Scoring) -> None:
    """Refuse predictions without a sample axis."""
    if not (task.baseline.batched and task.candidate.batched):
        raise UnscorableError(
            f"output {task.baseline.name!r} gives one value a batch, and labels belong to samples"
        )


def same_samples(predicted: int, labelled: int) -> None:
    """Refuse labels of another number of samples than the predictions'."""
    if predicted != labelled:
        raise UnscorableError(
            f"{predicted} samples were predicted and {labelled} are labelled; "
            "record a label (NaN where unknown) for every sample"
        )


def _side(tensor: StoredTensor, ragged: bool, items: int) -> Index:
    """Sample bounds in items; a dense tensor beside a ragged one has its whole sequence axis."""
    if tensor.ragged or not ragged:
        return bounds(tensor, items)
    if len(tensor.shape) < 2:
        raise UnscorableError(f"{tensor.name!r} of shape {tensor.shape} has no axis for the ragged sequences")
    return bounds(tensor, tensor.shape[1] * items)


def _lengths(predicted: Index, labelled: Index, task: Scoring) -> tuple[Index, tuple[MetricNote, ...]]:
    """How many items of each sample are paired."""
    longer = labelled > predicted
    bad = predicted != labelled if task.baseline.ragged else longer
    if task.labels.ragged and bad.any():
        worst = int(np.flatnonzero(bad)[0])
        raise UnscorableError(
            f"labelled sample {worst} has {labelled[worst]} labels and {predicted[worst]} predictions"
        )
    return np.minimum(predicted, labelled), (MetricNote(kind="labels-cut"),) if longer.any() else ()


def _is_indicator(task: Scoring, width: int) -> bool:
    """Whether every labelled row names one class (or its distribution); an empty row only beside others."""
    empty = seen = 0
    for values in TensorRows(task.labels, width).blocks():
        whole = values[np.isfinite(values).all(axis=1)].astype(np.float64)
        total = whole.sum(axis=1)
        blank = total == 0
        if np.any(whole < 0) or not np.all(blank | (np.abs(total - 1) < 1e-2)):
            return False
        seen += total.size
        empty += int(blank.sum())
    several = task.request.metric in ("f1", "f1-micro", "auc", "iou")
    return seen > empty and not (several and empty)
