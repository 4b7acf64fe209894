"""Metrics that are a function of sums over the items: one pass, memory that does not grow with the samples.

scikit-learn has these too, of whole arrays; here they are kept as sums a sample, which is what streaming and
the paired bootstrap need. The tests hold every metric to scikit-learn's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from validator.numbers.metrics.decisions import NOTHING, Decided, Decider, decider
from validator.numbers.metrics.pairing import Flags, Index, ItemBlock, Numbers, Pairing
from validator.numbers.metrics.request import MetricNote, Scoring, UnscorableError
from validator.numbers.metrics.tally import Tally, Turns
from validator.numbers.resampling import Values


class Scorer:
    """Sums a metric up. `share`: it is the weighted share of right items.

    Flips are counted in `turns` by `kinds`, the classes or questions there are; 0 for a metric without flips.
    `left_out` counts items that are not finite on a side, and `lost` those that only the candidate lacks.
    """

    share = False

    def __init__(self, pairing: Pairing, width: int = 2, *, sides: int = 2, kinds: int = 0) -> None:
        self.pairing = pairing
        self.tally = Tally(pairing, width, sides)
        self.turns = Turns(kinds)
        self.notes = pairing.notes
        self.lost = 0
        self.left_out = 0

    def score(self, task: Scoring) -> None:
        """Sum up the whole task; UnscorableError where the labels leave the metric undefined."""
        for block in self.pairing.blocks(task):
            self.add(block)

    def add(self, block: ItemBlock) -> None:
        """Add a block."""
        raise NotImplementedError

    def add_ratio(
        self, group: Index, sides: Sequence[Numbers], weights: Numbers, of: Numbers | float = 1.0
    ) -> None:
        """Add weighted values of all sides, and what they are a share of."""
        for side, values in enumerate(sides):
            self.tally.add(side, group, 0, values * weights)
            self.tally.add(side, group, 1, of * weights)

    def formula(self, sums: Values) -> Values:
        """Sums (..., k) → the metric (...), NaN where it is undefined; here the ratio."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(sums[..., 0] / sums[..., 1])


class Decisions(Scorer):
    """What the metrics of class decisions share; `kinds` are classes, or columns of labels.

    Where there is noise, a third side has the candidate's decisions without ties.
    """

    def __init__(self, task: Scoring, pairing: Pairing, top: int = 1, sums_a_kind: int = 0) -> None:
        self.decider, notes = decider(task, pairing, top)
        several = (
            self.decider.threshold is not None and task.request.metric != "iou"
        )  # a mask is one question
        self.columns = pairing.columns if several else 1
        self.kinds = self.columns if self.columns > 1 else self.decider.classes
        self.sides = 2 if self.decider.noise is None else 3
        super().__init__(pairing, sums_a_kind * self.kinds or 2, sides=self.sides, kinds=self.kinds)
        self.notes += notes

    def decide(self, block: ItemBlock) -> tuple[Decided, Flags]:
        """Decide a block, note its flips; returns also which items are ties."""
        decided = self.decider.decide(block)
        kinds = block.position % self.columns if self.columns > 1 else decided.labels
        turned = self.decider.turned(block, decided, kinds)
        self.turns.add(kinds, decided.right, turned)
        tie = np.zeros(block.sample.size, np.bool_)
        tie[decided.right[0] != decided.right[1]] = turned.tie
        return decided, tie


class RightShare(Decisions):
    """The share of items whose label is among the `top` best classes."""

    share = True

    def add(self, block: ItemBlock) -> None:
        """Add a block."""
        decided, tie = self.decide(block)
        sides = (*decided.right, np.where(tie, *decided.right))
        group = self.tally.count(block.sample, block.weights)
        self.add_ratio(group, sides[: self.sides], block.weights)


class Overlap(Decisions):
    """F1 and IoU: true positives, false positives and false negatives of every class.

    Two classes: of class 1. Several columns of binary labels: the mean over columns. More classes: the mean
    over those that occur in the labels or the predictions. `pooled` adds all up before dividing.
    """

    def __init__(self, task: Scoring, pairing: Pairing, *, twice: int, pooled: bool) -> None:
        super().__init__(task, pairing, sums_a_kind=3)
        self._single = self.decider.classes <= 2 and self.columns == 1
        self._binary = self._single or self.columns > 1
        self._twice = twice
        self._pooled = pooled
        self._positives = 0

    def add(self, block: ItemBlock) -> None:
        """Add a block."""
        decided, tie = self.decide(block)
        group = self.tally.count(block.sample, block.weights)
        for side, predicted in enumerate((*decided.classes, np.where(tie, *decided.classes))[: self.sides]):
            labels, chosen = self._kinds(block.position, decided.labels, predicted)
            hit = labels == chosen
            for part, kind, counted in ((0, labels, hit), (1, chosen, ~hit), (2, labels, ~hit)):
                mask = counted & (kind != NOTHING)
                self.tally.add(side, group[mask], kind[mask] * 3 + part, block.weights[mask])
        self._positives += int(np.count_nonzero(decided.labels == 1))

    def _kinds(self, position: Index, labels: Index, predicted: Index) -> tuple[Index, Index]:
        """Which kind each item is, and is said to be."""
        if self._binary:  # a NaN counts as the wrong class
            predicted = np.where(predicted == NOTHING, 1 - labels, predicted)
        if self.columns == 1:
            return labels, predicted
        column = position % self.columns
        return np.where(labels == 1, column, NOTHING), np.where(predicted == 1, column, NOTHING)

    def formula(self, sums: Values) -> Values:
        """2·tp / (2·tp + fp + fn) for F1, tp / (tp + fp + fn) for IoU."""
        counts = sums.reshape(*sums.shape[:-1], self.kinds, 3)
        if self._single:
            counts = counts[..., 1:, :]
        if self._pooled:
            counts = counts.sum(axis=-2, keepdims=True)
        hits = self._twice * counts[..., 0]
        total = hits + counts[..., 1] + counts[..., 2]
        share = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
        if self._binary:
            return np.asarray(share.mean(axis=-1))
        present = np.count_nonzero(total > 0, axis=-1)
        return np.asarray(share.sum(axis=-1) / np.maximum(present, 1))

    def score(self, task: Scoring) -> None:
        """Add every block; without a positive label there is nothing to find."""
        super().score(task)
        if self._binary and self._positives == 0 and self.tally.items:
            raise UnscorableError("no label is positive: with one class only this metric is undefined")


class Losses(Scorer):
    """What the metrics of real numbers share: an item that is not finite on a side is no number to add."""

    def add(self, block: ItemBlock) -> None:
        """Add the items of a block that are finite on both sides, and count the others."""
        losses = self.losses(block)
        before, after = (np.isfinite(side) for side in losses)
        both = before & after
        self.left_out += int(np.count_nonzero(~both))
        self.lost += int(np.count_nonzero(before & ~after))
        kept = block.part(both)
        group = self.tally.count(kept.sample, kept.weights)
        self.add_finite(group, kept, [side[both] for side in losses])

    def losses(self, block: ItemBlock) -> list[Values]:
        """The loss of every item, on both sides; here the distance from the label."""
        labels = block.labels.astype(np.float64)
        return [np.abs(side[:, 0].astype(np.float64) - labels) for side in (block.baseline, block.candidate)]

    def add_finite(self, group: Index, kept: ItemBlock, losses: list[Values]) -> None:
        """Add items that are finite on both sides."""
        self.add_ratio(group, losses, kept.weights)


class Distance(Losses):
    """MAE, MSE and RMSE."""

    def __init__(self, pairing: Pairing, of: Literal["absolute", "square", "root"]) -> None:
        super().__init__(pairing)
        self._of = of

    def add_finite(self, group: Index, kept: ItemBlock, losses: list[Values]) -> None:
        """Add errors or their squares."""
        super().add_finite(group, kept, losses if self._of == "absolute" else [loss**2 for loss in losses])

    def formula(self, sums: Values) -> Values:
        """The mean error or square, or its root."""
        mean = super().formula(sums)
        return np.asarray(np.sqrt(mean)) if self._of == "root" else mean


class Determination(Losses):
    """R², the mean over the output's columns."""

    def __init__(self, pairing: Pairing) -> None:
        super().__init__(pairing, 4 * pairing.columns)
        self._centre: Values | None = None

    def losses(self, block: ItemBlock) -> list[Values]:
        """The distances from the labels."""
        if self._centre is None:  # sums of squares about a point near the mean keep their digits
            columns = self.pairing.columns
            column = block.position % columns
            seen = np.maximum(np.bincount(column, minlength=columns), 1)
            self._centre = np.bincount(column, weights=block.labels, minlength=columns) / seen
        return super().losses(block)

    def add_finite(self, group: Index, kept: ItemBlock, losses: list[Values]) -> None:
        """Add squared errors, and what the labels' variance is made of."""
        assert self._centre is not None  # noqa: S101  # `losses` came before
        column = kept.position % self.pairing.columns
        centred = kept.labels.astype(np.float64) - self._centre[column]
        for side, error in enumerate(losses):
            for part, values in enumerate((error**2, centred, centred**2, np.ones(group.size))):
                self.tally.add(side, group, column * 4 + part, values * kept.weights)

    def formula(self, sums: Values) -> Values:
        """1 − Σ(error²) / Σ(label − mean)²; undefined where all labels are equal."""
        parts = sums.reshape(*sums.shape[:-1], self.pairing.columns, 4)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = parts[..., 2] - parts[..., 1] ** 2 / parts[..., 3]
            spread = np.where(spread > 1e-12 * parts[..., 2], spread, np.nan)
            return np.asarray((1 - parts[..., 0] / spread).mean(axis=-1))


class Perplexity(Losses):
    """exp of the mean negative log-probability of the labels; scores that are no distribution are logits."""

    def __init__(self, task: Scoring, pairing: Pairing) -> None:
        if pairing.layout != "scores":
            raise UnscorableError("perplexity needs a score for every class, and integer or one-hot labels")
        super().__init__(pairing, kinds=pairing.width)
        self._decider = Decider(pairing.width, noise=task.request.noise)
        self._logits: bool | None = None

    def losses(self, block: ItemBlock) -> list[Values]:
        """Negative log-probabilities; notes flips beside them."""
        if self._logits is None:
            self._logits = not is_distribution(block.baseline)
            if self._logits:
                self.notes = (*self.notes, MetricNote(kind="logits"))
        decided = self._decider.decide(block)
        turned = self._decider.turned(block, decided, decided.labels)
        self.turns.add(decided.labels, decided.right, turned)
        return [self._loss(side, decided.labels) for side in (block.baseline, block.candidate)]

    def _loss(self, scores: Numbers, labels: Index) -> Values:
        from scipy import special

        wide = scores.astype(np.float64)
        own = wide[np.arange(labels.size), labels]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.asarray(special.logsumexp(wide, axis=1) - own if self._logits else -np.log(own))

    def formula(self, sums: Values) -> Values:
        """Exp of the mean loss."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(super().formula(sums)))


def is_distribution(scores: Numbers) -> bool:
    """Whether rows are probabilities; half precision sums to 1 only within a percent or two."""
    wide = scores[np.isfinite(scores).all(axis=1)].astype(np.float64)
    return bool(wide.size and np.all(wide >= 0) and np.all(np.abs(wide.sum(axis=1) - 1) < 0.02))
