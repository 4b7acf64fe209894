"""Class decisions of both sides, item by item: what accuracy, F1 and IoU are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.pairing import Block, Index, Numbers, Pairing, Rows
from validator.compare.metrics.request import Task, UnscorableError
from validator.compare.metrics.tally import Turned

_SCAN = 2**19
NOTHING = -1  #: the class of a prediction that is not a number


@dataclass(frozen=True)
class Decided:
    """Labels, predicted classes of both sides (-1 for NaN), and whether each is right."""

    labels: Index
    classes: tuple[Index, Index]
    right: tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class Decider:
    """How a block becomes decisions.

    `kind`: the class with the largest score ("scores", right when the label is among the `top` best), a score
    beyond `threshold` ("binary"), or predictions that are classes already ("ids").
    """

    kind: str
    classes: int
    top: int = 1
    threshold: float = 0.5
    noise: float | None = None

    def decide(self, block: Block) -> Decided:
        """Decide every item."""
        labels = self._labels(block.labels)
        sides = [self._side(values, labels) for values in (block.baseline, block.candidate)]
        return Decided(labels, (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))

    def _labels(self, values: Numbers) -> Index:
        labels: Index = values.astype(np.int64)
        bad = (labels < 0) | (labels >= self.classes) | (labels != values)
        if bad.any():
            expected = "binary labels are 0 and 1" if self.kind == "binary" else "classes are whole numbers"
            raise UnscorableError(
                f"label {values[bad][0].item():g} is no class: {expected}; set `ignore_label` if it marks "
                "what does not count"
            )
        return labels

    def turned(self, block: Block, decided: Decided, group: Index) -> Turned:
        """The flips; `group` is the class each item is counted under."""
        before, after = decided.right
        flips = np.flatnonzero(before != after)
        sign = np.where(after[flips], 1, -1).astype(np.int8)
        return Turned(
            block.sample[flips],
            block.position[flips],
            group[flips],
            sign,
            self._ties(block, flips, decided.labels[flips]),
        )

    def _side(self, values: Numbers, labels: Index) -> tuple[Index, NDArray[np.bool_]]:
        if self.kind == "ids":
            ids = values[:, 0]
            classes = np.where(np.isfinite(ids) & (ids >= 0), ids, NOTHING).astype(np.int64)
            return classes, classes == labels
        if self.kind == "binary":
            scores = values[:, 0]
            classes = np.where(np.isnan(scores), NOTHING, scores > self.threshold).astype(np.int64)
            return classes, classes == labels
        classes = values.argmax(axis=1)
        rows = np.arange(classes.size)
        broken = np.isnan(values[rows, classes])  # arg max stops at a NaN
        if self.top == 1:
            right = (classes == labels) & ~broken
        else:
            own = values[rows, labels][:, None]
            ahead = np.count_nonzero(values > own, axis=1)
            same = (values == own) & (np.arange(values.shape[1]) < labels[:, None])
            right = (ahead + np.count_nonzero(same, axis=1) < self.top) & ~broken
        return np.where(broken, NOTHING, classes), right

    def _ties(self, block: Block, flips: Index, labels: Index) -> NDArray[np.bool_]:
        """Flips whose margins on both sides are within the noise."""
        tie = np.zeros(flips.size, np.bool_)
        if self.noise is None or self.kind == "ids":
            return tie
        with np.errstate(invalid="ignore"):
            margins = [self._margin(side[flips], labels) for side in (block.baseline, block.candidate)]
        return np.maximum(*margins) <= self.noise  # a NaN is never within

    def _margin(self, values: Numbers, labels: Index) -> NDArray[np.float64]:
        """How far each item is from being decided otherwise."""
        if self.kind == "binary":
            distance: NDArray[np.float64] = np.abs(values[:, 0].astype(np.float64) - self.threshold)
            return distance
        others = values.astype(np.float64)
        rows = np.arange(labels.size)
        own = others[rows, labels].copy()
        others[rows, labels] = -np.inf
        place = max(others.shape[1] - self.top, 0)
        return np.abs(own - np.partition(others, place, axis=1)[:, place])


def decider(task: Task, pairing: Pairing, top: int = 1) -> tuple[Decider, tuple[str, ...]]:
    """How this task's predictions become decisions, and what a reader should know about it."""
    noise = task.request.noise
    if pairing.layout == "scores":
        if top >= pairing.width:
            raise UnscorableError(f"top-{top} of {pairing.width} classes is always right; ask for fewer")
        return Decider("scores", pairing.width, top, noise=noise), ()
    if top > 1:
        raise UnscorableError(f"top-{top} needs class scores, and {task.baseline.name!r} has none")
    if Rows(task.baseline).integer and task.baseline.dtype != "bool":
        largest = _largest_class(task)
        return Decider("ids", largest + 1), ()
    threshold, note = _threshold(task)
    return Decider("binary", 2, threshold=threshold, noise=noise), note


def _threshold(task: Task) -> tuple[float, tuple[str, ...]]:
    if task.request.threshold is not None:
        return task.request.threshold, ()
    rows = Rows(task.baseline)
    for start in range(0, rows.count, _SCAN):
        values = rows.take(np.arange(start, min(start + _SCAN, rows.count), dtype=np.int64))
        if np.any((values < 0) | (values > 1)):
            return 0.0, ("scores outside 0…1 are taken as logits: above 0 is class 1",)
    return 0.5, ()


def _largest_class(task: Task) -> int:
    largest = 0
    for tensor in (task.baseline, task.candidate, task.labels):
        rows = Rows(tensor)
        for start in range(0, rows.count, _SCAN):
            values = rows.take(np.arange(start, min(start + _SCAN, rows.count), dtype=np.int64))
            values = values[np.isfinite(values)]
            largest = max(largest, int(values.max(initial=0)))
    if largest >= 2**24:
        raise UnscorableError(
            f"class {largest} is too large to count classes by; is this metric meant for numbers?"
        )
    return largest
