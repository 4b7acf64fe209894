"""Class decisions of both sides, item by item: what accuracy, F1 and IoU are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validator.numbers.metrics.pairing import Flags, Index, ItemBlock, Numbers, Pairing, TensorRows
from validator.numbers.metrics.request import MetricNote, Scoring, UnscorableError
from validator.numbers.metrics.tally import Turned

NOTHING = -1  #: the class of a prediction that is not a number


@dataclass(frozen=True)
class Decided:
    """Labels, predicted classes of both sides (-1 for NaN), and whether each is right."""

    labels: Index
    classes: tuple[Index, Index]
    right: tuple[Flags, Flags]


@dataclass(frozen=True)
class Decider:
    """How a block becomes decisions: the class with the largest score, the first one in a tie.

    It is right when the label is among the `top` best. A single score is that of class 1, and `threshold`
    that of class 0. `ids`: predictions are classes already.
    """

    classes: int
    top: int = 1
    threshold: float | None = None
    ids: bool = False
    noise: float | None = None

    def decide(self, block: ItemBlock) -> Decided:
        """Decide every item."""
        labels: Index = block.labels.astype(np.int64)
        bad = (labels < 0) | (labels >= self.classes) | (labels != block.labels)
        if bad.any():
            expected = "classes are whole numbers" if self.threshold is None else "binary labels are 0 and 1"
            raise UnscorableError(
                f"label {block.labels[bad][0].item():g} is no class: {expected}; set `ignore_label` if it "
                "marks what does not count"
            )
        decide = self._ids if self.ids else self._best
        before, after = decide(block.baseline, labels), decide(block.candidate, labels)
        return Decided(labels, (before[0], after[0]), (before[1], after[1]))

    def turned(self, block: ItemBlock, decided: Decided, group: Index) -> Turned:
        """The flips; `group` is the class each item is counted under. Ties have both margins in the noise."""
        before, after = decided.right
        flips = np.flatnonzero(before != after)
        sign = np.where(after[flips], 1, -1).astype(np.int8)
        tie = np.zeros(flips.size, np.bool_)
        if self.noise is not None and not self.ids:
            labels = decided.labels[flips]
            with np.errstate(invalid="ignore"):
                margins = [self._margin(side[flips], labels) for side in (block.baseline, block.candidate)]
            tie = np.maximum(*margins) <= self.noise  # a NaN is never within
        predicted = (*(side[flips] for side in decided.classes), decided.labels[flips])
        return Turned(block.sample[flips], block.position[flips], group[flips], sign, tie, *predicted)

    def _ids(self, values: Numbers, labels: Index) -> tuple[Index, Flags]:
        ids = values[:, 0]
        classes = np.where(np.isfinite(ids) & (ids >= 0), ids, NOTHING).astype(np.int64)
        return classes, classes == labels

    def _best(self, values: Numbers, labels: Index) -> tuple[Index, Flags]:
        scores = self._scores(values)
        rows = np.arange(labels.size)
        best = scores.argmax(axis=1)
        broken = np.isnan(scores[rows, best])  # arg max stops at a NaN
        own = scores[rows, labels][:, None]
        ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < labels[:, None]))
        right = (np.count_nonzero(ahead, axis=1) < self.top) & ~broken
        return np.where(broken, NOTHING, best), right

    def _scores(self, values: Numbers) -> Numbers:
        if self.threshold is None:
            return values
        return np.concatenate([np.full(values.shape, self.threshold, np.float32), values], axis=1)

    def _margin(self, values: Numbers, labels: Index) -> NDArray[np.float64]:
        """How far each item is from being decided otherwise."""
        others = self._scores(values).astype(np.float64)
        rows = np.arange(labels.size)
        own = others[rows, labels]
        others[rows, labels] = -np.inf
        place = max(others.shape[1] - self.top, 0)
        return np.abs(own - np.partition(others, place, axis=1)[:, place])


def decider(task: Scoring, pairing: Pairing, top: int = 1) -> tuple[Decider, tuple[MetricNote, ...]]:
    """How this task's predictions become decisions, and what a reader should know about it."""
    noise, rows = task.request.noise, TensorRows(task.baseline)
    if pairing.layout == "scores":
        if top >= pairing.width:
            raise UnscorableError(f"top-{top} of {pairing.width} classes is always right; ask for fewer")
        return Decider(pairing.width, top, noise=noise), ()
    if top > 1:
        raise UnscorableError(f"top-{top} needs class scores, and {task.baseline.name!r} has none")
    if rows.kind == "integer" and task.baseline.dtype != "bool":
        return Decider(_largest_class(task) + 1, ids=True), ()
    if any(np.any((values < 0) | (values > 1)) for values in rows.blocks()):
        return Decider(2, threshold=0.0, noise=noise), (MetricNote(kind="logits-threshold"),)
    return Decider(2, threshold=0.5, noise=noise), ()


def _largest_class(task: Scoring) -> int:
    largest = 0
    for tensor in (task.baseline, task.candidate, task.labels):
        for values in TensorRows(tensor).blocks():
            largest = max(largest, int(values[np.isfinite(values)].max(initial=0)))
    if largest >= 2**24:
        raise UnscorableError(
            f"class {largest} is too large to count classes by; is this metric meant for numbers?"
        )
    return largest
