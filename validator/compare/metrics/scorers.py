"""Metrics that are a function of sums over the items: one pass, memory that does not grow with the samples.

scikit-learn has these too, of whole arrays; here they are kept as sums a sample, which is what streaming and
the paired bootstrap need. The tests hold every one to scikit-learn's value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.decisions import Decided, Decider, decider
from validator.compare.metrics.pairing import Block, Index, Numbers, Pairing
from validator.compare.metrics.request import Task, UnscorableError
from validator.compare.metrics.tally import Tally, Turns
from validator.compare.resampling import Values


class Scorer(Protocol):
    """Sums a metric up. `share`: it is the weighted share of right items.

    `left_out` counts items that are not finite on a side, and `lost` those that only the candidate lacks.
    """

    pairing: Pairing
    tally: Tally
    turns: Turns | None
    share: bool
    equal_weights: bool
    lost: int
    left_out: int
    notes: tuple[str, ...]

    def score(self, task: Task) -> None:
        """Sum up the whole task; UnscorableError where the labels leave the metric undefined."""

    def formula(self, sums: Values) -> Values:
        """Sums (..., k) → the metric (...), NaN where it is undefined."""


class Blockwise(ABC):
    """A metric that is summed up block by block."""

    pairing: Pairing

    def score(self, task: Task) -> None:
        """Add every block."""
        for block in self.pairing.blocks(task):
            self.add(block)

    @abstractmethod
    def add(self, block: Block) -> None:
        """Add a block."""


class Decisions(Blockwise):
    """What the metrics of class decisions share."""

    def __init__(self, task: Task, pairing: Pairing, top: int = 1) -> None:
        self.pairing = pairing
        self.decider, notes = decider(task, pairing, top)
        self.notes = pairing.notes + notes
        several = self.decider.kind == "binary" and task.request.metric != "iou"  # a mask is one question
        self.columns = pairing.columns if several else 1
        self.turns: Turns | None = Turns(self.columns if self.columns > 1 else self.decider.classes)
        self.sides = 2 if self.decider.noise is None else 3
        self.share = False
        self.equal_weights = True
        self.lost = 0
        self.left_out = 0
        self._weight: float | None = None

    def decide(self, block: Block) -> tuple[Decided, NDArray[np.bool_]]:
        """Decide a block, note its flips; returns also which items are ties."""
        decided = self.decider.decide(block)
        classes = block.position % self.columns if self.columns > 1 else decided.labels
        turned = self.decider.turned(block, decided, classes)
        assert self.turns is not None  # noqa: S101  # set above
        self.turns.count(classes, decided.right)
        self.turns.add(turned)
        self._weigh(block.weights)
        tie = np.zeros(block.sample.size, np.bool_)
        flips = np.flatnonzero(decided.right[0] != decided.right[1])
        tie[flips] = turned.tie
        return decided, tie

    def _weigh(self, weights: NDArray[np.float64]) -> None:
        if self._weight is None:
            self._weight = float(weights[0])
        self.equal_weights = self.equal_weights and bool(np.all(weights == self._weight))


class Accuracy(Decisions):
    """The share of items whose label is among the `top` best classes."""

    def __init__(self, task: Task, pairing: Pairing, top: int = 1) -> None:
        super().__init__(task, pairing, top)
        self.tally = Tally(pairing, 2, self.sides)
        self.share = True

    def add(self, block: Block) -> None:
        """Add a block."""
        decided, tie = self.decide(block)
        group = self.tally.count(block.sample)
        before, after = decided.right
        sides = (before, after, np.where(tie, before, after))
        for side in range(self.sides):
            self.tally.add(side, group, 0, sides[side] * block.weights)
            self.tally.add(side, group, 1, block.weights)

    def formula(self, sums: Values) -> Values:
        """Right weight by all weight."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums[..., 0] / sums[..., 1])


class Overlap(Decisions):
    """F1 and IoU: true positives, false positives and false negatives of every class.

    Two classes: of class 1. Several columns of binary labels: the mean over columns. More classes: the mean
    over those that occur in the labels or the predictions. `pooled` adds all up before dividing.
    """

    def __init__(self, task: Task, pairing: Pairing, *, twice: int, pooled: bool) -> None:
        super().__init__(task, pairing)
        self._single = self.decider.classes <= 2 and self.columns == 1
        self._kinds = 1 if self._single else (self.columns if self.columns > 1 else self.decider.classes)
        self._twice = twice
        self._pooled = pooled
        self.tally = Tally(pairing, 3 * self._kinds, self.sides)
        self._positives = 0

    def add(self, block: Block) -> None:
        """Add a block."""
        decided, tie = self.decide(block)
        group = self.tally.count(block.sample)
        before, after = decided.classes
        sides = (before, after, np.where(tie, before, after))
        column = block.position % self.columns
        for side in range(self.sides):
            self._add_side(side, (group, column, block.weights), (decided.labels, sides[side]))
        self._positives += int(np.count_nonzero(decided.labels == 1))

    def _add_side(
        self, side: int, where: tuple[Index, Index, NDArray[np.float64]], what: tuple[Index, Index]
    ) -> None:
        group, column, weights = where
        labels, predicted = what
        if self._kinds > 1 and self.columns == 1:
            hit, labelled, chosen = labels == predicted, np.ones(labels.size, np.bool_), predicted >= 0
            of_label, of_chosen = labels, np.maximum(predicted, 0)
        else:  # a NaN counts as the wrong class
            predicted = np.where(predicted < 0, 1 - labels, predicted)
            labelled, chosen = labels == 1, predicted == 1
            hit = labelled & chosen
            of_label = of_chosen = column
        for part, mask, kind in (
            (0, hit, of_label),
            (1, chosen & ~hit, of_chosen),
            (2, labelled & ~hit, of_label),
        ):
            self.tally.add_at(side, group[mask], kind[mask] * 3 + part, weights[mask])

    def formula(self, sums: Values) -> Values:
        """2·tp / (2·tp + fp + fn) for F1, tp / (tp + fp + fn) for IoU."""
        counts = sums.reshape(*sums.shape[:-1], self._kinds, 3)
        if self._pooled:
            counts = counts.sum(axis=-2, keepdims=True)
        hits = self._twice * counts[..., 0]
        total = hits + counts[..., 1] + counts[..., 2]
        share = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
        if self._single or self.columns > 1:
            return np.asarray(share.mean(axis=-1)) if self.columns > 1 else np.asarray(share[..., 0])
        present = np.count_nonzero(total > 0, axis=-1)
        return np.asarray(share.sum(axis=-1) / np.maximum(present, 1))

    def score(self, task: Task) -> None:
        """Add every block; without a positive label there is nothing to find."""
        super().score(task)
        if (self._single or self.columns > 1) and self._positives == 0 and self.tally.items:
            raise UnscorableError("no label is positive: with one class only this metric is undefined")


class Errors(Blockwise):
    """What the metrics of real numbers share: an item that is not finite on a side is no number to add."""

    def __init__(self, pairing: Pairing, width: int) -> None:
        self.pairing = pairing
        self.tally = Tally(pairing, width)
        self.turns: Turns | None = None
        self.share = False
        self.equal_weights = False
        self.lost = 0
        self.left_out = 0
        self.notes = pairing.notes

    def finite(self, before: Numbers, after: Numbers) -> NDArray[np.bool_]:
        """Items that are finite on both sides; counts the others."""
        first, second = np.isfinite(before), np.isfinite(after)
        both: NDArray[np.bool_] = first & second
        self.left_out += int(np.count_nonzero(~both))
        self.lost += int(np.count_nonzero(first & ~second))
        return both


class Distance(Errors):
    """MAE, MSE and RMSE."""

    def __init__(self, _: Task, pairing: Pairing, *, of: Literal["absolute", "square", "root"]) -> None:
        super().__init__(pairing, 2)
        self._of = of

    def add(self, block: Block) -> None:
        """Add a block."""
        labels = block.labels.astype(np.float64)
        errors = [
            np.abs(side[:, 0].astype(np.float64) - labels) for side in (block.baseline, block.candidate)
        ]
        keep = self.finite(*errors)
        if not keep.any():
            return
        group, weights = self.tally.count(block.sample[keep]), block.weights[keep]
        for side, error in enumerate(errors):
            loss = error[keep] if self._of == "absolute" else error[keep] ** 2
            self.tally.add(side, group, 0, loss * weights)
            self.tally.add(side, group, 1, weights)

    def formula(self, sums: Values) -> Values:
        """The mean error or square, or its root."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = sums[..., 0] / sums[..., 1]
        return np.asarray(np.sqrt(mean) if self._of == "root" else mean)


class Determination(Errors):
    """R², the mean over the output's columns."""

    def __init__(self, _: Task, pairing: Pairing) -> None:
        super().__init__(pairing, 4 * pairing.columns)
        self._centre: NDArray[np.float64] | None = None

    def add(self, block: Block) -> None:
        """Add a block."""
        columns = self.pairing.columns
        labels = block.labels.astype(np.float64)
        if self._centre is None:  # sums of squares about a point near the mean keep their digits
            column = block.position % columns
            seen = np.maximum(np.bincount(column, minlength=columns), 1)
            self._centre = np.bincount(column, weights=labels, minlength=columns) / seen
        errors = [side[:, 0].astype(np.float64) - labels for side in (block.baseline, block.candidate)]
        keep = self.finite(*errors)
        if not keep.any():
            return
        group, weights = self.tally.count(block.sample[keep]), block.weights[keep]
        column = block.position[keep] % columns
        centred = labels[keep] - self._centre[column]
        for side, error in enumerate(errors):
            parts = (error[keep] ** 2, centred, centred**2, np.ones(group.size))
            for part, values in enumerate(parts):
                self.tally.add_at(side, group, column * 4 + part, values * weights)

    def formula(self, sums: Values) -> Values:
        """1 − Σ(error²) / Σ(label − mean)²; undefined where all labels are equal."""
        parts = sums.reshape(*sums.shape[:-1], self.pairing.columns, 4)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = parts[..., 2] - parts[..., 1] ** 2 / parts[..., 3]
            spread = np.where(spread > 1e-12 * parts[..., 2], spread, np.nan)
            return np.asarray((1 - parts[..., 0] / spread).mean(axis=-1))


class Perplexity(Errors):
    """exp of the mean negative log-probability of the labels; scores that are no distribution are logits."""

    def __init__(self, task: Task, pairing: Pairing) -> None:
        super().__init__(pairing, 2)
        if pairing.layout != "scores":
            raise UnscorableError("perplexity needs a score for every class, and integer or one-hot labels")
        self.turns = Turns(pairing.width)
        self._decider = Decider("scores", pairing.width, noise=task.request.noise)
        self._logits: bool | None = None

    def add(self, block: Block) -> None:
        """Add a block."""
        if self._logits is None:
            self._logits = not is_distribution(block.baseline)
            if self._logits:
                self.notes = (*self.notes, "scores are taken as logits: rows are no probabilities")
        decided = self._decider.decide(block)
        assert self.turns is not None  # noqa: S101  # set above
        self.turns.count(decided.labels, decided.right)
        self.turns.add(self._decider.turned(block, decided, decided.labels))
        losses = [self._loss(side, decided.labels) for side in (block.baseline, block.candidate)]
        keep = self.finite(*losses)
        if not keep.any():
            return
        group, weights = self.tally.count(block.sample[keep]), block.weights[keep]
        for side, loss in enumerate(losses):
            self.tally.add(side, group, 0, loss[keep] * weights)
            self.tally.add(side, group, 1, weights)

    def _loss(self, scores: Numbers, labels: Index) -> NDArray[np.float64]:
        wide = scores.astype(np.float64)
        own = wide[np.arange(labels.size), labels]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if not self._logits:
                return np.asarray(-np.log(own))
            top = wide.max(axis=1)
            return np.asarray(top + np.log(np.exp(wide - top[:, None]).sum(axis=1)) - own)

    def formula(self, sums: Values) -> Values:
        """Exp of the mean loss."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(np.exp(sums[..., 0] / sums[..., 1]))


def is_distribution(scores: Numbers) -> bool:
    """Whether rows are probabilities; half precision sums to 1 only within a percent or two."""
    wide = scores[np.isfinite(scores).all(axis=1)].astype(np.float64)
    return bool(wide.size and np.all(wide >= 0) and np.all(np.abs(wide.sum(axis=1) - 1) < 0.02))
